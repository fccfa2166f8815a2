"""Where the parts of the small model lie while it is being trained: one folder a part under `runs/small-world`."""

from pathlib import Path

from diffusers import AutoencoderKLCogVideoX
from transformers import T5EncoderModel, T5Tokenizer

from ingredients.core.errors import ModelFolderError
from ingredients.data.identity_encoder import PhotoEncoder
from ingredients.data.latent_pool import LatentPool, pool_fingerprint
from ingredients.data.world_clips import WorldClipConfig
from ingredients.faces.drawn_face_stack import build_recogniser
from ingredients.faces.image_encoder import load_dual_encoder
from ingredients.faces.recogniser import RecogniserConfig
from ingredients.models import IngredientsTransformer3DModel
from ingredients.training.diffusion_stage import FrozenParts


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


def load_frozen_parts(output: Path, *, with_faces: bool) -> FrozenParts:
    """VAE, text encoder, encoded clips, and the face networks if the stage shows people."""
    vae = load_vae(output)
    fingerprint = pool_fingerprint(vae, WorldClipConfig())
    text_folder = part_folder(output, "text-encoder", "text_encoder")
    parts = FrozenParts(
        vae=vae,
        text_encoder=T5EncoderModel.from_pretrained(text_folder).eval(),
        tokenizer=T5Tokenizer.from_pretrained(part_folder(output, "text-encoder", "tokenizer")),
        pool=LatentPool(output / "latents" / "train", fingerprint),
        validation_pool=LatentPool(output / "latents" / "validation", fingerprint),
    )
    if with_faces:
        recogniser = build_recogniser(RecogniserConfig(), part_folder(output, "recogniser", "recogniser.safetensors"))
        image_encoder = load_dual_encoder(part_folder(output, "image-encoder", "config.json").parent)
        for network in (recogniser.network, image_encoder.clip):
            network.requires_grad_(False).eval()
        parts.recogniser = recogniser
        parts.photo_encoder = PhotoEncoder(parts.pool, recogniser, image_encoder)
        parts.validation_photo_encoder = PhotoEncoder(parts.validation_pool, recogniser, image_encoder)
    return parts
