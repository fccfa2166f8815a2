"""What `training.py` trains: the small model on encoded clips, or random weights of any size on random clips."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLCogVideoX

from ingredients.data.encoded_clips import EncodedClip, EncodedClips, EncodedPerson, claim_folder, write_shard
from ingredients.model_folders.transformer import load_transformer
from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.presets import paper
from ingredients.training.runs.configuration import AlignRunConfig
from ingredients.training.runs.run import load_parts
from ingredients.training.small_world.folders import TrainedParts, drawn_clips, part_folder
from ingredients.training.small_world.parts import PARTS
from ingredients.training.small_world.settings import PART_SETTINGS
from ingredients.training.stages.diffusion import FrozenParts

NUM_PEOPLE = 2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RandomSize:
    """Of a model with random weights, and of random clips."""

    transformer: dict[str, Any]
    """Of `IngredientsTransformer3DModel`."""

    vae: dict[str, Any]
    """Of `AutoencoderKLCogVideoX`, which encodes the canvases in every step."""

    latent_shape: tuple[int, int, int, int]
    """Frames, channels, rows, columns."""

    num_patches: int
    """Tokens of the image encoder."""

    crop_size: int
    """Side of the faces on the canvas."""


RANDOM_SIZES = {
    "published": RandomSize(
        transformer=paper(),
        vae={
            "block_out_channels": (128, 256, 256, 512),
            "down_block_types": ("CogVideoXDownBlock3D",) * 4,
            "up_block_types": ("CogVideoXUpBlock3D",) * 4,
            "latent_channels": 16,
            "layers_per_block": 3,
            "sample_height": 480,
            "sample_width": 720,
        },
        latent_shape=(13, 16, 60, 90),
        num_patches=577,
        crop_size=240,
    ),
    "tiny": RandomSize(
        transformer={
            "num_attention_heads": 2,
            "attention_head_dim": 16,
            "in_channels": 6,
            "out_channels": 3,
            "time_embed_dim": 12,
            "text_embed_dim": 8,
            "num_layers": 2,
            "sample_height": 8,
            "sample_width": 12,
            "sample_frames": 9,
            "max_text_seq_length": 5,
            "use_rotary_positional_embeddings": True,
            "id_recognition_dim": 6,
            "id_semantic_dim": 3,
            "id_vit_dim": 7,
            "id_mapping_dim": 10,
            "id_qformer_dim": 14,
            "id_qformer_depth": 5,
            "id_qformer_num_heads": 1,
            "id_qformer_head_dim": 7,
            "id_qformer_ff_mult": 1,
            "id_num_queries": 4,
            "id_token_dim": 9,
            "id_attn_num_heads": 1,
            "id_attn_head_dim": 11,
            "router_inner_dim": 13,
        },
        vae={
            "block_out_channels": (4, 4, 4),
            "down_block_types": ("CogVideoXDownBlock3D",) * 3,
            "up_block_types": ("CogVideoXUpBlock3D",) * 3,
            "latent_channels": 3,
            "layers_per_block": 1,
            "norm_num_groups": 2,
        },
        latent_shape=(3, 3, 8, 12),
        num_patches=4,
        crop_size=16,
    ),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is timed."""

    parts: FrozenParts
    """Clips, and what encodes canvases."""

    make_transformer: Callable[[torch.dtype], IngredientsTransformer3DModel]
    """Another one each time, its weights in that precision."""

    runs: Path | None = None
    """Where the parts that encode clips lie; None for random ones."""


def small_subject(runs: Path | None, scratch: Path, *, num_clips: int) -> Subject:
    """The small model: of a folder of runs, or the one that ships with a few clips drawn and encoded for it."""
    if runs is None:
        runs = scratch / "runs"
        PARTS["unpack"].run(runs, show=False)
        numbers = [f"num_clips={num_clips}", "num_validation_clips=1", "num_images=0"]
        settings = PART_SETTINGS["latents"].load(runs / "latents" / "config.yaml", numbers)  # as the model was made
        PARTS["latents"].run(runs, settings, show=False)
    trained = TrainedParts(output=runs)
    parts = load_parts(AlignRunConfig(data=drawn_clips(runs)), trained)
    parts.recogniser = trained.load_recogniser()
    parts.validation_clips = None  # nothing is measured but time
    transformer = part_folder(runs, "route", "transformer")
    return Subject(parts=parts, make_transformer=lambda dtype: load_transformer(transformer, dtype=dtype), runs=runs)


def random_subject(size: RandomSize, scratch: Path, *, num_clips: int, device: torch.device) -> Subject:
    """Random weights on a device, and random clips on disk."""

    def make_transformer(dtype: torch.dtype) -> IngredientsTransformer3DModel:
        torch.set_default_dtype(dtype)  # a copy in float32 would need twice the memory
        try:
            with device:
                return IngredientsTransformer3DModel(**size.transformer)
        finally:
            torch.set_default_dtype(torch.float32)

    with device:
        vae = AutoencoderKLCogVideoX(**size.vae).eval()
    clips = write_random_clips(size, make_config(size), scratch / "clips", num_clips=num_clips)
    return Subject(parts=FrozenParts(vae=vae, clips=clips), make_transformer=make_transformer)


def make_config(size: RandomSize) -> dict[str, Any]:
    """All fields of a transformer, without its weights."""
    with torch.device("meta"):
        return dict(IngredientsTransformer3DModel(**size.transformer | {"num_layers": 1}).config)


def write_random_clips(size: RandomSize, config: dict[str, Any], folder: Path, *, num_clips: int) -> EncodedClips:
    """Clips of random numbers, in the files that training reads."""
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    frames, channels, rows, columns = size.latent_shape
    grid = (frames, rows // config["patch_size"], columns // config["patch_size"])
    text_shape = (config["max_text_seq_length"], config["text_embed_dim"])
    embed_dim = config["id_recognition_dim"] + config["id_semantic_dim"]
    targets = torch.full(grid, -1, dtype=torch.int8)
    for person in range(NUM_PEOPLE):  # each face an eighth of the picture, side by side
        left = (2 * person + 1) * grid[2] // (2 * NUM_PEOPLE)
        targets[:, : grid[1] // 2, left : left + grid[2] // 4] = person

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).half()

    claim_folder(folder, {"parts": {}, "widths": {}}, random(*text_shape))
    for number in range(num_clips):
        people = tuple(
            EncodedPerson(
                person_id=None,
                kinds=("photo",),
                embeds=random(1, embed_dim),
                hidden_states=random(1, config["id_num_scales"], size.num_patches, config["id_vit_dim"]),
                canvas_crops=torch.randint(
                    256, (1, size.crop_size, size.crop_size, 3), dtype=torch.uint8, generator=generator
                ),
            )
            for _ in range(NUM_PEOPLE)
        )
        clip = EncodedClip(
            clip_id=f"random-{number}",
            caption="Noise.",
            latents=random(frames, channels, rows, columns),
            prompt_embeds=random(*text_shape),
            face_landmarks=torch.full((NUM_PEOPLE, 5, 2), torch.nan),
            routing_targets=targets.flatten(),
            box_targets=targets.flatten(),
            nearest_targets=targets.flatten().clamp(min=0),
            people=people,
        )
        write_shard(folder / f"shard-{number:08d}.safetensors", [clip], skipped={})
    return EncodedClips([folder])
