"""Where the parts of the small model lie while it is being trained: one folder a part under `runs/small-world`."""

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX
from transformers import T5EncoderModel, T5Tokenizer

from ingredients.core.errors import ModelFolderError
from ingredients.core.model_files import digest_files
from ingredients.data.clip_encoder import ClipEncoder, EncoderConfig, vae_digest
from ingredients.data.encoded_clips import EncodedClips
from ingredients.faces.drawn_face_stack import build_recogniser
from ingredients.faces.image_encoder import load_dual_encoder
from ingredients.faces.recogniser import ArcFaceRecogniser, RecogniserConfig
from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.presets import small_world
from ingredients.pipelines.prompts import encode_prompts
from ingredients.training.stages.diffusion import FrozenParts

_CANVAS_CROP_SIZE = 64
_PATCH_SIZE = 2  # the transformer's default, which the small model keeps


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


def load_vae(output: Path) -> AutoencoderKLCogVideoX:
    """The trained VAE, in evaluation mode."""
    vae: AutoencoderKLCogVideoX = AutoencoderKLCogVideoX.from_pretrained(part_folder(output, "vae", "vae"))
    return vae.eval()


def load_transformer(output: Path, part: str) -> IngredientsTransformer3DModel:
    """The transformer that `part` exported."""
    folder = part_folder(output, part, "transformer")
    transformer: IngredientsTransformer3DModel = IngredientsTransformer3DModel.from_pretrained(folder)
    return transformer


def load_clip_encoder(output: Path, config: EncoderConfig) -> ClipEncoder:
    """What encodes clips by the parts that are trained."""
    text_encoder = T5EncoderModel.from_pretrained(part_folder(output, "text-encoder", "text_encoder")).eval()
    tokenizer = T5Tokenizer.from_pretrained(part_folder(output, "text-encoder", "tokenizer"))

    def encode(captions: Sequence[str]) -> torch.Tensor:
        return encode_prompts(
            tokenizer,
            text_encoder,
            captions,
            max_sequence_length=small_world()["max_text_seq_length"],
            device=torch.device("cpu"),
        )

    return ClipEncoder(
        vae=load_vae(output),
        encode_prompts=encode,
        recogniser=load_recogniser(output),
        image_encoder=load_dual_encoder(part_folder(output, "image-encoder", "config.json").parent),
        canvas_crop_size=_CANVAS_CROP_SIZE,
        patch_size=_PATCH_SIZE,
        config=config,
    )


def load_recogniser(output: Path) -> ArcFaceRecogniser:
    """The trained recogniser, frozen."""
    recogniser = build_recogniser(RecogniserConfig(), part_folder(output, "recogniser", "recogniser.safetensors"))
    recogniser.network.requires_grad_(False).eval()
    return recogniser


def part_digests(output: Path) -> dict[str, str]:
    """Digests of the parts that encode clips."""
    return {
        "vae": vae_digest(load_vae(output)),
        "tokenizer": digest_files(part_folder(output, "text-encoder", "tokenizer")),
        "text_encoder": digest_files(part_folder(output, "text-encoder", "text_encoder")),
        "recogniser": digest_files(part_folder(output, "recogniser", "recogniser.safetensors")),
        "image_encoder": digest_files(part_folder(output, "image-encoder", "model.safetensors")),
    }


def load_frozen_parts(output: Path, *, with_recogniser: bool = False) -> FrozenParts:
    """VAE, encoded clips, and the recogniser if the stage has an identity loss.

    Raises:
        UserInputError: if the clips were encoded by other parts.
    """
    parts = FrozenParts(
        vae=load_vae(output),
        clips=EncodedClips([output / "latents" / "train"]),
        validation_clips=EncodedClips([output / "latents" / "validation"]),
        recogniser=load_recogniser(output) if with_recogniser else None,
    )
    digests = part_digests(output)
    for clips in (parts.clips, parts.validation_clips):
        assert clips is not None
        clips.check_parts(digests)
    return parts
