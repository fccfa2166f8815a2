"""The parts of the small model while it is being trained: one folder a part under `runs/small-world`."""

import dataclasses
from pathlib import Path
from typing import ClassVar

import torch
from diffusers import CogVideoXDDIMScheduler

from ingredients.core.config import load_config
from ingredients.core.errors import ModelFolderError
from ingredients.core.model_files import digest_files
from ingredients.data.clip_encoder import ClipEncoder, vae_digest
from ingredients.data.encoding_settings import EncoderConfig
from ingredients.faces.drawn_face_stack import build_recogniser
from ingredients.faces.image_encoder import load_dual_encoder
from ingredients.faces.network_settings import RecogniserConfig
from ingredients.faces.recogniser import ArcFaceRecogniser
from ingredients.model_folders.components import load_text_encoder, load_tokenizer, load_vae
from ingredients.models.backbones import VideoScheduler, VideoVae
from ingredients.models.cogvideox import COGVIDEOX
from ingredients.models.presets import SCHEDULERS, SMALL_WORLDS
from ingredients.pipelines.encoding_model import caption_encoder, phrase_finder
from ingredients.training.runs.configuration import DataConfig
from ingredients.training.runs.run import ModelParts
from ingredients.training.small_world.settings import LatentsConfig, SmallWorldName

_CANVAS_CROP_SIZE = 64


def part_folder(output: Path, part: str, needed: str) -> Path:
    """The folder of a trained part's `needed` file or folder.

    Raises:
        ModelFolderError: if it is not there; the message names the command that makes it.
    """
    path = output / part / needed
    if not path.exists():
        raise ModelFolderError(
            f"{path} is missing; make it first with: ingredients world train {part} --output {output}"
        )
    return path


IMAGES = "images"
"""Folder of the encoded single frames, beside those of the clips."""


def drawn_clips(output: Path) -> DataConfig:
    """The encoded clips, and images where there are some, of the drawn world that the diffusion parts learn from."""
    clips = output / "latents"
    images = (clips / IMAGES,) if (clips / IMAGES).exists() else ()
    return DataConfig(train=(clips / "train", *images), validation=(clips / "validation",))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrainedParts(ModelParts):
    """The parts that a diffusion part leaves alone, from the runs that have trained them."""

    output: Path
    """Folder of all runs."""

    folder: Path | None = None
    draws_first: ClassVar[bool] = True

    def load_vae(self) -> VideoVae:
        """The VAE, in float32."""
        return load_vae(part_folder(self.output, "vae", "vae"), dtype=torch.float32)

    def load_scheduler(self) -> VideoScheduler:
        """The scheduler that is packed with the model that the clips were encoded for."""
        path = self.output / "latents" / "config.yaml"
        return make_scheduler(load_config(LatentsConfig, path).model if path.exists() else "small_world")

    def load_recogniser(self) -> ArcFaceRecogniser:
        """The recogniser, frozen."""
        weights = part_folder(self.output, "recogniser", "recogniser.safetensors")
        recogniser = build_recogniser(RecogniserConfig(), weights)
        recogniser.network.requires_grad_(False).eval()
        return recogniser

    def digests(self) -> dict[str, str]:
        """Digests of the parts that encode clips, by name."""
        return {
            "vae": vae_digest(self.load_vae()),
            "tokenizer": digest_files(part_folder(self.output, "text-encoder", "tokenizer")),
            "text_encoder": digest_files(part_folder(self.output, "text-encoder", "text_encoder")),
            "recogniser": digest_files(part_folder(self.output, "recogniser", "recogniser.safetensors")),
            "image_encoder": digest_files(part_folder(self.output, "image-encoder", "model.safetensors")),
        }


def make_scheduler(model: SmallWorldName) -> VideoScheduler:
    """The scheduler that a model of the drawn world is trained and sampled with."""
    usual = COGVIDEOX.make_scheduler()
    own = SCHEDULERS[model]
    return CogVideoXDDIMScheduler.from_config(usual.config, **own) if own else usual


def load_clip_encoder(
    output: Path, config: EncoderConfig, *, model: SmallWorldName, device: torch.device | None = None
) -> ClipEncoder:
    """What encodes clips for a model by the parts that are trained; VAE and text encoder on `device`.

    Raises:
        ModelFolderError: if one of them is missing.
    """
    device = device or torch.device("cpu")
    parts = TrainedParts(output=output)
    preset = SMALL_WORLDS[model]()
    tokenizer = load_tokenizer(part_folder(output, "text-encoder", "tokenizer"))
    return ClipEncoder(
        vae=parts.load_vae().to(device),
        encode_prompts=caption_encoder(
            tokenizer,
            load_text_encoder(part_folder(output, "text-encoder", "text_encoder"), dtype=torch.float32).to(device),
            max_text_seq_length=preset["max_text_seq_length"],
        ),
        find_phrases=phrase_finder(tokenizer, max_text_seq_length=preset["max_text_seq_length"]),
        recogniser=parts.load_recogniser(),
        image_encoder=load_dual_encoder(part_folder(output, "image-encoder", "config.json").parent),
        canvas_crop_size=_CANVAS_CROP_SIZE,
        patch_size=preset["patch_size"],
        patch_size_t=preset.get("patch_size_t"),
        config=config,
    )
