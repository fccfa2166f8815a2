"""Settings of a run: where its model comes from, what it learns from, its stage and its loop."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

from ingredients.core.errors import UserInputError
from ingredients.core.ranges import Range, RangeChecked
from ingredients.faces.network_settings import ScaleSource
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.stages.settings import (
    AlignmentConfig,
    BaseConfig,
    DiffusionConfig,
    IdentityConfig,
    RouterConfig,
)

CONFIG_NAME = "config.yaml"
"""Settings of a run, in its folder."""

BaseDtype = Literal["float32", "bfloat16"]


def check_run_folder(folder: Path) -> None:
    """Says whether a folder can be one of a run, before the libraries that read it are imported.

    Raises:
        UserInputError: if it lacks the settings.
    """
    if not (folder / CONFIG_NAME).exists():
        raise UserInputError(
            f"There is no run in {folder}: it lacks {CONFIG_NAME}; name a folder that `ingredients train align` or "
            "`train route` wrote."
        )


@dataclasses.dataclass(slots=True, kw_only=True)
class ModelConfig:
    """Where a run's model comes from."""

    folder: str | None = None
    """A model folder, a name of `ingredients models`, or a repository on the hub; None: the small model. A CogVideoX,
    text-to-video or image-to-video, is a base to which identity modules are added (Table 2 compares the two)."""

    start: Path | None = None
    """An earlier run, whose transformer is trained further; the other parts are those of `folder`."""

    identity_start: Path | None = None
    """A trained model, or an earlier run, with whose projector, and with whose norm, keys and values of each identity
    attention, the modules that are added to a base begin: what reads faces need not be learnt again."""

    face_encoder: Path | None = None
    """Folder of the face networks, for a base that has none."""

    scale_source: ScaleSource = "clip"
    """Multi-scale features: the image encoder's alone, or with the recogniser's, if the clips were encoded so."""

    drop_learned_positions: bool = False
    """Leaves out a base's learned positions, which fix the size of the video."""

    dtype: BaseDtype = "float32"
    """Type of the weights that stay frozen; what is trained is in float32."""

    transformer: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Fields of the transformer that differ from the base's and the paper's: router_type, canvas_placement,
    route_background and so on."""


@dataclasses.dataclass(slots=True, kw_only=True)
class DataConfig:
    """Encoded clips."""

    train: tuple[Path, ...] = ()
    """Folders to learn from."""

    validation: tuple[Path, ...] = ()
    """Folders of held-out clips; none: nothing is measured, and no samples are made."""


@dataclasses.dataclass(slots=True, kw_only=True)
class SamplesConfig(RangeChecked):
    """What is looked at while a run goes on, every `trainer.sample_every` steps."""

    num_clips: Annotated[int, Range(at_least=1, at_most=1000)] = 2
    """Held-out clips whose people and captions are drawn, the first ones."""

    num_inference_steps: Annotated[int, Range(at_least=1, at_most=1000)] = 25
    """Steps of a video."""

    guidance_scale: Annotated[float, Range(at_least=0, at_most=100)] = 3.0
    """Guidance of a video."""


def _trainer(**settings: Any) -> TrainerConfig:
    return TrainerConfig(precision="auto", spike_factor=10.0, trackers=("tensorboard",), **settings)


@dataclasses.dataclass(slots=True, kw_only=True)
class RunConfig:
    """A run of a diffusion stage on encoded clips; each kind of run has its own stage, and its own loop by default."""

    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    """Where it begins."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    """What it learns from."""

    stage: DiffusionConfig = dataclasses.field(default_factory=DiffusionConfig)
    """Batches, conditions and loss."""

    trainer: TrainerConfig = dataclasses.field(default_factory=TrainerConfig)
    """The loop."""

    samples: SamplesConfig = dataclasses.field(default_factory=SamplesConfig)
    """What is looked at meanwhile."""


@dataclasses.dataclass(slots=True, kw_only=True)
class BaseRunConfig(RunConfig):
    """A run that trains a base: from nothing with the fields in `model.transformer`, or from `model.start`."""

    stage: BaseConfig = dataclasses.field(default_factory=BaseConfig)
    """Batches and loss."""


@dataclasses.dataclass(slots=True, kw_only=True)
class IdentityRunConfig(RunConfig):
    """A run of one of the paper's two stages (3.3)."""

    stage: IdentityConfig = dataclasses.field(default_factory=IdentityConfig)
    """Batches, conditions and loss."""


@dataclasses.dataclass(slots=True, kw_only=True)
class AlignRunConfig(IdentityRunConfig):
    """A run of the alignment stage."""

    stage: AlignmentConfig = dataclasses.field(default_factory=AlignmentConfig)
    """Batches, conditions and loss."""

    trainer: TrainerConfig = dataclasses.field(
        default_factory=lambda: _trainer(num_steps=3000, learning_rate=2e-5, schedule="cosine_with_restarts")
    )
    """The loop; the paper's steps and rate (4.1)."""


@dataclasses.dataclass(slots=True, kw_only=True)
class RouteRunConfig(IdentityRunConfig):
    """A run of the router stage: `model.start` is a run of the alignment, or the folder's transformer is aligned."""

    stage: RouterConfig = dataclasses.field(default_factory=RouterConfig)
    """Batches, conditions and loss."""

    trainer: TrainerConfig = dataclasses.field(
        default_factory=lambda: _trainer(num_steps=2000, learning_rate=3e-5, schedule="cosine_with_restarts")
    )
    """The loop; the paper's steps and rate (4.1)."""


RUN_CONFIGS: dict[str, type[IdentityRunConfig]] = {"align": AlignRunConfig, "route": RouteRunConfig}
"""Settings of the two stages of the paper, by their commands."""
