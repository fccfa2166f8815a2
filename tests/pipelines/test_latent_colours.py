"""Latents as pictures: the colours of the shipped model's VAE are found, at once and each in its place."""

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX

from ingredients.data.latents import encode_images
from ingredients.model_folders.components import load_vae
from ingredients.model_folders.find_model import default_model_path
from ingredients.models.backbones import backbone_of_vae
from ingredients.pipelines.latent_colours import LatentColours
from ingredients.world import render_portrait, sample_identity


def test_the_picture_of_latents_is_the_encoded_picture_cell_by_cell() -> None:
    vae: AutoencoderKLCogVideoX = load_vae(default_model_path() / "vae", dtype=torch.float32)
    colours = LatentColours.fit(vae, device=torch.device("cpu"))
    portrait = render_portrait(sample_identity(3, "eval"), 3, size=96).image[:64]  # (64, 96, 3), no square
    shown = colours(encode_images(vae, portrait[None])[0])
    cell = backbone_of_vae(vae).spatial_ratio(vae.config)
    rows, columns = 64 // cell, 96 // cell
    assert shown.shape == (1, rows, columns, 3)
    cells = portrait.reshape(rows, cell, columns, cell, 3).mean(axis=(1, 3))
    assert np.abs(shown[0] - cells).mean() < 20  # of 255: edges within a cell are no colour of it
    for channel in range(3):
        assert np.corrcoef(shown[0, ..., channel].ravel(), cells[..., channel].ravel())[0, 1] > 0.9


def test_colours_are_linear_and_clipped() -> None:
    weights = torch.tensor([[0.5, 0.0, 0.0], [0.0, 1.0, 0.0], [0.1, 0.0, -3.0]])  # of two channels, and of one
    latents = torch.zeros(1, 2, 1, 3)
    latents[0, :, 0, 1] = torch.tensor([1.0, -0.5])
    pictures = LatentColours(weights=weights)(latents)
    assert pictures[0, 0].tolist() == [[140, 128, 0], [204, 64, 0], [140, 128, 0]]
