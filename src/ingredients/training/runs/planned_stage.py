"""A run's stage without its weights: all that a plan needs are shapes.

What is not on this machine has a stand-in, and a note says so: the published size for the model, and for the clips the
length and size that the model was made for.
"""

import dataclasses
from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX

from ingredients.core.errors import UserInputError
from ingredients.core.warnings_told import Notice
from ingredients.data.buckets import Bucket
from ingredients.data.encoded_clips import EncodedClips
from ingredients.model_folders.components import build_vae
from ingredients.model_folders.known_models import find_known_model
from ingredients.model_folders.places import find_model, find_model_here
from ingredients.models import IngredientsTransformer3DModel
from ingredients.pipelines.encoding_model import model_bucket
from ingredients.pipelines.video_shape import VideoGeometry
from ingredients.training.runs.configuration import IdentityRunConfig
from ingredients.training.runs.kinds import RunKind
from ingredients.training.runs.run import (
    FolderParts,
    check_positions,
    has_identity_loss,
    open_clips,
    trains_patch_embed,
)
from ingredients.training.runs.start import load_start, published_start
from ingredients.training.stages.diffusion import FrozenParts
from ingredients.training.stages.identity import IdentityStage

_ASSUMED_NUM_PEOPLE = 2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlannedClips:
    """What of the clips counts for a plan."""

    bucket: Bucket
    """The largest length and size."""

    num_people: int
    """Most in a clip."""

    num_text_tokens: int
    """Tokens of a caption."""

    number: int | None
    """How many there are; None: it is not known."""

    has_held_out: bool
    """Whether there are held-out ones, which are measured, and from which samples are made."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStage:
    """A stage on the meta device, and the clips that it would learn from."""

    stage: IdentityStage
    """Without weights."""

    clips: PlannedClips
    """Read, or assumed."""

    geometry: VideoGeometry
    """How the model divides them."""

    notes: tuple[str, ...]
    """What was assumed, a sentence each."""


def build_planned_stage(kind: RunKind, config: IdentityRunConfig, *, notice: Notice | None = None) -> PlannedStage:
    """The stage of a run without weights; arguments and errors as `train_run`, which alone needs model and clips.

    A model that is neither on this machine nor known by name is downloaded.
    """
    notes = []
    folder = _find_folder(config, notice=notice)
    model = None if folder is None else FolderParts(folder=folder, face_encoder=config.model.face_encoder)
    clips, validation_clips = open_clips(config, model)
    widths = _feature_widths(config, clips)
    with torch.device("meta"):
        vae = AutoencoderKLCogVideoX() if folder is None else build_vae(folder / "vae")
        if folder is None and config.model.start is None:
            transformer = published_start(config.model, widths, trains_patch_embed=trains_patch_embed(config))
        else:
            transformer = load_start(
                config.model,
                folder,
                widths,
                must_be_aligned=kind.needs_aligned,
                trains_patch_embed=trains_patch_embed(config),
                empty=True,
            )
    if folder is None:
        notes.append(f"{config.model.folder} is not on this machine; the plan takes its published size.")
        if kind.needs_aligned and config.model.start is None:
            notes.append("model.start names no run; the plan takes the model as aligned already.")
    parts = FrozenParts(
        vae=vae,
        clips=clips,
        validation_clips=validation_clips,
        recogniser=model.load_recogniser() if model is not None and has_identity_loss(config) else None,
    )
    geometry = VideoGeometry.of(transformer.backbone, transformer.config, vae.config)
    if clips is None:
        planned = _suitable_clips(transformer, vae)
        size = f"{planned.bucket.num_frames} frames of {planned.bucket.height}x{planned.bucket.width}"
        notes.append(f"No clips are named (--data); the plan takes {size}, and {planned.num_people} people in each.")
    else:
        check_positions(transformer, config, parts)
        planned = _named_clips(clips, geometry, has_held_out=validation_clips is not None)
    with torch.device("meta"):
        stage = kind.build(transformer, parts, config.stage)
    return PlannedStage(stage=stage, clips=planned, geometry=geometry, notes=tuple(notes))


def _find_folder(config: IdentityRunConfig, *, notice: Notice | None) -> Path | None:
    """The folder of the model; None for one that is known and not here."""
    folder = find_model_here(config.model.folder)
    if folder is None and find_known_model(str(config.model.folder)) is None:
        return find_model(config.model.folder, notice=notice)
    return folder


def _feature_widths(config: IdentityRunConfig, clips: EncodedClips | None) -> dict[str, int]:
    """Widths of the clips' features; without any clips, those of the transformer hold."""
    if clips is not None:
        widths: dict[str, int] = clips.descriptions[0]["widths"]
        return widths
    if config.model.scale_source == "recognition_and_clip":
        raise UserInputError(
            "How wide the recogniser's maps are is known of encoded clips alone; name some with --data, or take "
            "model.scale_source=clip."
        )
    return {}


def _suitable_clips(transformer: IngredientsTransformer3DModel, vae: AutoencoderKLCogVideoX) -> PlannedClips:
    return PlannedClips(
        bucket=model_bucket(transformer, vae),
        num_people=_ASSUMED_NUM_PEOPLE,
        num_text_tokens=transformer.config.max_text_seq_length,
        number=None,
        has_held_out=True,
    )


def _named_clips(clips: EncodedClips, geometry: VideoGeometry, *, has_held_out: bool) -> PlannedClips:
    num_frames, _, height, width = max(clips.buckets(), key=lambda shape: shape[0] * shape[2] * shape[3])
    return PlannedClips(
        bucket=Bucket(
            num_frames=1 + (num_frames - 1) * geometry.temporal_ratio,
            height=height * geometry.spatial_ratio,
            width=width * geometry.spatial_ratio,
        ),
        num_people=max(len(entry.person_ids) for entry in clips.entries),
        num_text_tokens=clips.empty_prompt_embeds.shape[0],
        number=len(clips),
        has_held_out=has_held_out,
    )
