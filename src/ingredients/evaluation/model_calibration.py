"""Calibrates the judge of a model folder, and finds the ceiling that the model's VAE sets.

Legend: F frames, H/W pixels.
"""

import dataclasses
from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX

from ingredients.core.arrays import UInt8Array
from ingredients.core.protocols import ProgressCallback
from ingredients.data.encode import decode_clips, encode_clips, video_to_pixels
from ingredients.evaluation.calibration import JudgeCalibration, calibrate_judge, save_calibration
from ingredients.evaluation.judges import calibration_path, has_own_detector, load_uncalibrated_judge
from ingredients.models.backbones import backbone_of_vae
from ingredients.pipelines.pipeline_output import to_pixels


def calibrate_model(
    model_folder: str | Path,
    *,
    num_clips: int = 100,
    height: int = 64,
    width: int = 96,
    num_frames: int = 9,
    progress: ProgressCallback | None = None,
) -> JudgeCalibration:
    """Measures the judge of a model folder on real clips and writes `judge/calibration.json`.

    The folder needs `face_encoder/`, `judge/` and `vae/`; the transformer need not be there yet.

    Args:
        model_folder: folder of the model.
        num_clips: real clips of held-out people.
        height: pixels; this and the next two are those of the videos to judge.
        width: pixels.
        num_frames: frames of each clip.
        progress: told of the clips done.

    Raises:
        ModelFolderError: if a part is missing or damaged.
    """
    judge = load_uncalibrated_judge(model_folder)
    vae = AutoencoderKLCogVideoX.from_pretrained(
        Path(model_folder) / "vae", torch_dtype=torch.float32, use_safetensors=True
    )
    calibration = calibrate_judge(
        judge,
        num_clips=num_clips,
        height=height,
        width=width,
        num_frames=num_frames,
        reconstruct=lambda frames: reconstruct_clip(vae, frames),
        temporal_ratio=backbone_of_vae(vae).temporal_ratio(vae.config),
        progress=progress,
    )
    calibration = dataclasses.replace(calibration, has_own_detector=has_own_detector(model_folder))
    save_calibration(calibration, calibration_path(model_folder))
    return calibration


@torch.inference_mode()
def reconstruct_clip(vae: AutoencoderKLCogVideoX, frames: UInt8Array) -> UInt8Array:
    """Sends a clip (F, H, W, 3) through the VAE and back, without noise."""
    pixels = video_to_pixels(frames[None]).to(vae.device, vae.dtype)  # (1, 3, F, H, W)
    decoded = decode_clips(vae, encode_clips(vae, pixels))[0].float().cpu()
    return to_pixels((decoded.permute(1, 2, 3, 0) + 1) / 2)
