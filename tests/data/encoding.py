"""Tiny networks that encode clips: real ones, of one layer each."""

import functools
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLCogVideoX

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.protocols import ImageFeatures
from ingredients.data.clip_encoder import ClipEncoder, describe
from ingredients.data.encode_data_set import encode_into
from ingredients.data.encoded_clips import claim_folder
from ingredients.data.encoding_settings import EncoderConfig, WorldExampleConfig
from ingredients.data.world_examples import draw_example
from ingredients.faces.alignment import crop_arcface

WORLD = WorldExampleConfig(portrait_size=48)


class ColourRecogniser:
    """A face network of one layer: mean colours of a crop."""

    crop_size = 16
    embedding_dim = 6

    def align(self, image: UInt8Array, landmarks: Float32Array) -> UInt8Array:
        return crop_arcface(image, landmarks, size=self.crop_size)

    def embed(self, crops: UInt8Array) -> torch.Tensor:
        halves = torch.from_numpy(crops).float().unflatten(1, (2, -1)).mean(dim=(2, 3)) / 255
        return halves.flatten(1)  # (B, 6)

    def scale_features(self, crops: UInt8Array, *, num_patches: int) -> tuple[torch.Tensor, ...]:
        rows = torch.from_numpy(crops).float().unflatten(1, (num_patches, -1)).mean(dim=(2, 3, 4)) / 255
        return tuple(rows[..., None].expand(-1, -1, 2) + scale for scale in range(5))  # (B, P, 2)


class ColourImageEncoder:
    """An image encoder of one layer: colours of four patches, five times."""

    crop_size = 16
    embedding_dim = 3

    def encode(self, crops: UInt8Array) -> ImageFeatures:
        patches = torch.from_numpy(crops).float().unflatten(1, (4, -1)).mean(dim=(2, 3)) / 255  # (B, 4, 3)
        return ImageFeatures(
            embeds=patches.mean(dim=1) + 0.1, hidden_states=tuple(patches * scale for scale in range(1, 6))
        )


def encode_captions(captions: Sequence[str]) -> torch.Tensor:
    """Embeddings (B, 20, 8) that differ from caption to caption."""
    rows = [torch.Generator().manual_seed(zlib.crc32(caption.encode())) for caption in captions]
    return torch.stack([torch.randn(20, 8, generator=generator) for generator in rows])


def find_words(caption: str, phrases: Sequence[str | None]) -> torch.Tensor:
    """(N, 20) of the words of a caption, as if each were a token: where those of each phrase are."""
    words = caption.lower().split()
    found = torch.zeros(len(phrases), 20, dtype=torch.bool)
    for person, phrase in enumerate(phrases):
        for index, word in enumerate(words[:20]):
            found[person, index] = phrase is not None and word.strip(".,:") in phrase.lower().split()
    return found


def tiny_encoder(
    vae: AutoencoderKLCogVideoX, config: EncoderConfig | None = None, *, patch_size_t: int | None = None
) -> ClipEncoder:
    return ClipEncoder(
        vae=vae,
        encode_prompts=encode_captions,
        find_phrases=find_words,
        recogniser=ColourRecogniser(),
        image_encoder=ColourImageEncoder(),
        canvas_crop_size=16,
        patch_size=2,
        patch_size_t=patch_size_t,
        config=config or EncoderConfig(dtype="float32"),
    )


def encode_world(
    folder: Path,
    vae: AutoencoderKLCogVideoX,
    *,
    number: int,
    first_seed: int = 0,
    world: WorldExampleConfig = WORLD,
    patch_size_t: int | None = None,
    **settings: Any,
) -> None:
    """Draws and encodes clips into shards of four."""
    encoder = tiny_encoder(vae, EncoderConfig(dtype="float32", **settings), patch_size_t=patch_size_t)
    description = describe(encoder, parts={"vae": "tiny"}, source={"seeds": "all"}, reading={})
    claim_folder(folder, description, encoder.encode_captions([""])[0])
    seeds = range(first_seed, first_seed + number)
    items = ((str(seed), functools.partial(draw_example, seed, world)) for seed in seeds)
    encode_into(folder, items, encoder, batch_size=3, shard_size=4)
