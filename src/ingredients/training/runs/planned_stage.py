"""A run's stage without its weights: all that a plan needs are shapes.

What is not on this machine has a stand-in, and a note says so: the published size for the model, and for the clips the
length and size that the model was made for.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch

from ingredients.core.protocols import DifferentiableRecogniser
from ingredients.core.warnings_told import Notice
from ingredients.data.buckets import Bucket
from ingredients.data.encoded_clips import EncodedClips
from ingredients.model_folders.components import build_vae
from ingredients.model_folders.find_model import find_model, find_model_here
from ingredients.model_folders.known_models import find_known_model
from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.backbones import VideoScheduler, VideoVae
from ingredients.models.cogvideox import COGVIDEOX
from ingredients.pipelines.encoding_model import model_bucket
from ingredients.pipelines.video_shape import VideoGeometry
from ingredients.training.runs.configuration import IdentityRunConfig, ModelConfig
from ingredients.training.runs.kinds import RunKind
from ingredients.training.runs.run import ModelParts, build_stage
from ingredients.training.runs.start import load_start, published_start
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlannedParts(ModelParts):
    """The parts of a model without their weights; without a folder, of the published size."""

    is_planned: ClassVar[bool] = True

    def load_vae(self) -> VideoVae:
        """The VAE, on the meta device."""
        with torch.device("meta"):
            return COGVIDEOX.vae_class() if self.folder is None else build_vae(self.folder / "vae")

    def load_start(
        self, config: ModelConfig, widths: Mapping[str, int], **options: Any
    ) -> IngredientsTransformer3DModel:
        """The transformer, on the meta device."""
        with torch.device("meta"):
            if self.folder is None and config.start is None:
                return published_start(config, widths, trains_patch_embed=options["trains_patch_embed"])
            return load_start(config, self.folder, widths, empty=True, **options)

    def load_scheduler(self) -> VideoScheduler:
        """The published model's: a plan counts no noise levels."""
        return COGVIDEOX.make_scheduler()

    def load_recogniser(self) -> DifferentiableRecogniser | None:
        """The recogniser of the folder."""
        return None if self.folder is None else ModelParts.load_recogniser(self)

    def digests(self) -> dict[str, str]:
        """Nothing is known of a model that is not here."""
        return {} if self.folder is None else ModelParts.digests(self)


def build_planned_stage(kind: RunKind, config: IdentityRunConfig, *, notice: Notice | None = None) -> PlannedStage:
    """The stage of a run without weights; arguments and errors as `train_run`, which alone needs model and clips.

    A model that is neither on this machine nor known by name is downloaded.
    """
    notes = []
    model = PlannedParts(folder=_find_folder(config, notice=notice), face_encoder=config.model.face_encoder)
    stage, parts = build_stage(kind, config, device=torch.device("meta"), model=model)
    assert isinstance(stage, IdentityStage)
    if model.folder is None:
        notes.append(f"{config.model.folder} is not on this machine; the plan takes its published size.")
        if kind.needs_aligned and config.model.start is None:
            notes.append("model.start names no run; the plan takes the model as aligned already.")
    transformer = stage.transformer
    geometry = VideoGeometry.of(transformer.backbone, transformer.config, parts.vae.config)
    if parts.clips is None:
        planned = PlannedClips(
            bucket=model_bucket(transformer, parts.vae),
            num_people=_ASSUMED_NUM_PEOPLE,
            num_text_tokens=transformer.config.max_text_seq_length,
            number=None,
            has_held_out=True,
        )
        size = f"{planned.bucket.num_frames} frames of {planned.bucket.height}x{planned.bucket.width}"
        notes.append(f"No clips are named (--data); the plan takes {size}, and {planned.num_people} people in each.")
    else:
        planned = _named_clips(parts.clips, geometry, has_held_out=parts.validation_clips is not None)
    return PlannedStage(stage=stage, clips=planned, geometry=geometry, notes=tuple(notes))


def _find_folder(config: IdentityRunConfig, *, notice: Notice | None) -> Path | None:
    """The folder of the model; None for one that is known and not here."""
    folder = find_model_here(config.model.folder)
    if folder is None and find_known_model(str(config.model.folder)) is None:
        return find_model(config.model.folder, notice=notice)
    return folder


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
