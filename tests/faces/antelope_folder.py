"""A `face_encoder/` folder of the published layout: small ONNX files, and a small image tower in a pickle."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import torch

from ingredients.core.arrays import UInt8Array
from ingredients.faces.eva_clip import EvaClipConfig, EvaClipTower
from tests.faces.onnx_models import write_arcface, write_scrfd

EVA_NAME = "EVA02_CLIP_L_336_psz14_s6B.pt"
NETWORKS = ["models/antelopev2/glintr100.onnx", "models/antelopev2/scrfd_10g_bnkps.onnx"]
RECOGNITION_DIM = 12
TOWER = EvaClipConfig(
    image_size=16,
    patch_size=8,
    width=24,
    num_layers=6,
    head_dim=8,
    mlp_dim=20,
    embedding_dim=20,
    rope_grid=2,
    hidden_state_depths=(1, 2, 3, 4, 5),
)


def write_antelope_folder(folder: Path) -> Path:
    """The detector sees pure blue squares of 32 pixels on their grid, in photos of 128 pixels."""
    for name in NETWORKS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    write_arcface(folder / NETWORKS[0], np.random.default_rng(0).normal(size=(3, RECOGNITION_DIM)))
    write_scrfd(folder / NETWORKS[1])
    (folder / NETWORKS[1]).with_name("genderage.onnx").write_bytes(b"not read")
    torch.manual_seed(5)
    weights = {
        "visual." + name.replace("q_proj.bias", "q_bias").replace("v_proj.bias", "v_bias"): torch.randn_like(tensor)
        for name, tensor in EvaClipTower(TOWER).state_dict().items()
    }
    torch.save(weights | {"logit_scale": torch.ones(())}, folder / EVA_NAME)
    config = {
        "image_encoder": dataclasses.asdict(TOWER),
        "recognition_dim": RECOGNITION_DIM,
        "detector_input_size": 128,
        "canvas_crop_size": 40,
        "same_face_threshold": 1.1,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def draw_blue_face(seed: int) -> UInt8Array:
    """A photo (128, 128, 3) of grey shades with one blue square that the detector takes for a face."""
    grey = np.random.default_rng(seed).integers(60, 200, (128, 128, 1), dtype=np.uint8)
    photo = np.repeat(grey, 3, axis=2)
    photo[64:96, 64:96] = (0, 0, 255)
    return photo
