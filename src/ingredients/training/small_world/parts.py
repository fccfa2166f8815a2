"""The parts of the small model, each made by one command, in the order in which they need each other."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from ingredients.core.config import load_config, save_config
from ingredients.core.files import make_folder
from ingredients.core.progress import show_progress
from ingredients.core.ranges import Count, check_ranges
from ingredients.data.clip_encoder import EncoderConfig
from ingredients.data.world_examples import WorldExampleConfig, encode_drawn_clips
from ingredients.models.presets import SMALL_WORLDS, base_of
from ingredients.training.loop.processes import Processes
from ingredients.training.loop.trainer import Trainer, TrainerConfig
from ingredients.training.runs.configuration import (
    BASE_KINDS,
    RUN_KINDS,
    AlignRunConfig,
    BaseRunConfig,
    ModelConfig,
    RouteRunConfig,
    RunConfig,
    RunKind,
)
from ingredients.training.runs.folder import CONFIG_NAME, is_finished, run_folder
from ingredients.training.runs.run import build_stage
from ingredients.training.small_world.faces.acting import ActingTrainingConfig, train_acting_judge
from ingredients.training.small_world.faces.detector import (
    DetectorTrainingConfig,
    judge_detector_config,
    train_detector,
    train_judge_detector,
)
from ingredients.training.small_world.faces.image_encoder import ImageEncoderTrainingConfig, train_image_encoder
from ingredients.training.small_world.faces.picture_kind import (
    PictureKindTrainingConfig,
    close_up_config,
    train_close_ups,
    train_picture_kind,
)
from ingredients.training.small_world.faces.recognition import (
    JudgeTrainingConfig,
    RecogniserTrainingConfig,
    train_judge,
    train_recogniser,
)
from ingredients.training.small_world.folders import (
    SmallWorldName,
    TrainedParts,
    drawn_clips,
    load_clip_encoder,
    part_folder,
)
from ingredients.training.small_world.pack import PackConfig, UnpackConfig, pack, unpack
from ingredients.training.small_world.text_encoder import TextEncoderConfig, train_text_encoder
from ingredients.training.small_world.vae import VaeConfig, decoder_config, train_vae, train_vae_decoder
from ingredients.training.stages.alignment import AlignmentConfig
from ingredients.training.stages.base import BaseConfig, BaseTask
from ingredients.training.stages.router import RouterConfig

VALIDATION_SEED = 10**9

AlignmentStart = Literal["t2v", "i2v", "route"]


def _timed_loop(**settings: Any) -> TrainerConfig:
    """A loop that ends by its minutes, long before its steps, and saves often."""
    return TrainerConfig(
        num_steps=20_000,
        schedule="trapezoid",
        checkpoint_every=50,
        log_every=10,
        precision="auto",
        trackers=("tensorboard",),
        **settings,
    )


@dataclasses.dataclass(slots=True, kw_only=True)
class LatentsConfig:
    """The encoded clips."""

    num_clips: Count = 5000
    """Clips to train from; more can be added later."""

    model: SmallWorldName = "small_world"
    """The model that will read them, a preset: its text tokens and patches."""

    num_validation_clips: Count = 100
    """Held-out clips, of other people."""

    without_held_out_pairs: bool = True
    """Leaves out the pairs of action and place that the benchmark asks for as never seen together."""

    world: WorldExampleConfig = dataclasses.field(default_factory=WorldExampleConfig)
    """What is drawn."""

    encoder: EncoderConfig = dataclasses.field(default_factory=EncoderConfig)
    """What is kept of it."""

    def __post_init__(self) -> None:
        """Checks ranges."""
        check_ranges(self)


@dataclasses.dataclass(slots=True, kw_only=True)
class BasePartConfig:
    """A base and its loop."""

    model: SmallWorldName = "small_world"
    """What is built, a preset; image-to-video takes what text-to-video was built as."""

    stage: BaseConfig = dataclasses.field(
        default_factory=lambda: BaseConfig(image_batch_size=24, batch_size=12, image_share=0.7)
    )
    """Batches and loss."""

    trainer: TrainerConfig = dataclasses.field(
        default_factory=lambda: _timed_loop(
            minutes=24.0,
            optimizer="muon",
            learning_rate=2e-3,
            muon_learning_rate=4e-3,
            num_warmup_steps=40,
            ema_decay=0.99,
        )
    )
    """The loop."""


@dataclasses.dataclass(slots=True, kw_only=True)
class ImageToVideoPartConfig(BasePartConfig):
    """The image-to-video base starts from the text-to-video base, and needs less."""

    stage: BaseConfig = dataclasses.field(default_factory=lambda: BaseConfig(batch_size=12))
    """Batches and loss: clips alone, for a single frame would be its own first frame."""

    trainer: TrainerConfig = dataclasses.field(
        default_factory=lambda: _timed_loop(
            minutes=6.0,
            optimizer="muon",
            learning_rate=1e-3,
            muon_learning_rate=1.5e-3,
            num_warmup_steps=20,
            ema_decay=0.98,
        )
    )
    """The loop."""


@dataclasses.dataclass(slots=True, kw_only=True)
class AlignPartConfig:
    """The alignment stage and its loop."""

    base: AlignmentStart = "t2v"
    """Where it starts: from a base (3.3 allows both; from text-to-video, the image channels start at 0), or from the
    transformer of an earlier run, `route`, as `unpack` leaves it."""

    stage: AlignmentConfig = dataclasses.field(
        default_factory=lambda: AlignmentConfig(
            tuning="full",
            image_batch_size=24,
            batch_size=12,
            image_share=0.6,
            face_weight=3.0,
            identity_drop=0.08,
            identity_loss_weight=1.5,
            identity_loss_max_timestep=650,
            kept_shares=(0.2, 0.3, 0.5),
        )
    )
    """Batches, conditions and loss."""

    trainer: TrainerConfig = dataclasses.field(
        default_factory=lambda: _timed_loop(
            minutes=140.0,
            optimizer="muon",
            learning_rate=1.2e-3,
            muon_learning_rate=2.5e-3,
            num_warmup_steps=40,
            ema_decay=0.995,
        )
    )
    """The loop."""


@dataclasses.dataclass(slots=True, kw_only=True)
class RoutePartConfig:
    """The router stage and its loop."""

    stage: RouterConfig = dataclasses.field(
        default_factory=lambda: RouterConfig(
            image_batch_size=24,
            batch_size=12,
            image_share=0.5,
            face_weight=3.0,
            identity_drop=0.08,
            identity_loss_weight=1.5,
            identity_loss_max_timestep=650,
            lora_rank=32,
            base_learning_rate_scale=0.5,
        )
    )
    """Batches, conditions and loss."""

    trainer: TrainerConfig = dataclasses.field(
        default_factory=lambda: _timed_loop(minutes=12.0, learning_rate=2e-3, num_warmup_steps=20, ema_decay=0.99)
    )
    """The loop."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorldPart:
    """One part of the small model."""

    name: str
    """As the command names it; also its folder under the output."""

    makes: str
    """What comes out, in a few words."""

    config_type: type[Any]
    """Its settings."""

    minutes_key: str | None
    """The setting that limits the training time; None for parts that take as long as they take."""

    train: Callable[..., Any]
    """`train(config, output, resume=False, *, show=True)`."""

    defaults: Callable[[], Any] | None = None
    """Makes the settings that others are changed from; None takes those of `config_type`."""

    def run(
        self,
        output: Path,
        *,
        config_file: Path | None = None,
        overrides: Sequence[str] = (),
        minutes: float | None = None,
        resume: bool = False,
        show: bool = True,
    ) -> Any:
        """Makes the part in `output / name`.

        Args:
            output: folder of all runs.
            config_file: YAML file of settings that differ, such as those in `configs/`.
            overrides: settings that differ, as `key=value` or `group.key=value`.
            minutes: training time of the whole run; None keeps the part's own.
            resume: go on from the last checkpoint.
            show: show a progress bar.

        Raises:
            UserInputError: for an unknown setting, or a part that is needed and not there.
        """
        overrides = list(overrides)
        if minutes is not None and self.minutes_key is not None:
            overrides.append(f"{self.minutes_key}={minutes}")
        make_defaults = self.defaults or self.config_type
        config = load_config(self.config_type, config_file, overrides=overrides, defaults=make_defaults())
        folder = output / self.name
        if self.minutes_key is None:
            make_folder(folder)
            save_config(config, folder / CONFIG_NAME)
            return self.train(config, output, resume, show=show)
        *groups, _ = self.minutes_key.split(".")
        trainer = functools.reduce(getattr, groups, config)
        with run_folder(folder, resume=resume):
            if not (resume and is_finished(folder, config, trainer, defaults=make_defaults())):
                save_config(config, folder / CONFIG_NAME)
            return self.train(config, output, resume, show=show)


def make_latents(config: LatentsConfig, output: Path, resume: bool = False, *, show: bool = True) -> None:
    """Draws and encodes clips into `output / "latents"`; shards that are there are always kept."""
    del resume
    encoder = load_clip_encoder(output, config.encoder, model=config.model)
    digests = TrainedParts(output=output).digests()
    with show_progress("latents", enabled=show) as report:
        for folder, first_seed, number in (
            (output / "latents" / "validation", VALIDATION_SEED, config.num_validation_clips),
            (output / "latents" / "train", 0, config.num_clips),
        ):
            encode_drawn_clips(
                folder,
                config.world,
                encoder,
                parts=digests,
                first_seed=first_seed,
                number=number,
                without_held_out_pairs=config.without_held_out_pairs,
                progress=report,
            )


def train_base(
    config: BasePartConfig, output: Path, resume: bool = False, *, task: BaseTask = "t2v", show: bool = True
) -> dict[str, float]:
    """Trains a base into `output / "base-t2v"` or `"base-i2v"`; image-to-video starts from text-to-video."""
    if task == "t2v":
        model = ModelConfig(transformer=base_of(SMALL_WORLDS[config.model]()))
    else:
        model = ModelConfig(start=part_folder(output, "base-t2v", "transformer"))
    run = BaseRunConfig(model=model, data=drawn_clips(output), stage=config.stage, trainer=config.trainer)
    return _train(BASE_KINDS[task], run, output, resume=resume, show=show)


def train_image_to_video(
    config: ImageToVideoPartConfig, output: Path, resume: bool = False, *, show: bool = True
) -> dict[str, float]:
    """Trains the image-to-video base."""
    return train_base(config, output, resume, task="i2v", show=show)


def train_alignment(
    config: AlignPartConfig, output: Path, resume: bool = False, *, show: bool = True
) -> dict[str, float]:
    """Trains projector and base, in full or by a LoRA, into `output / "align"`."""
    start = part_folder(output, "route" if config.base == "route" else f"base-{config.base}", "transformer")
    model = ModelConfig(start=start)
    run = AlignRunConfig(model=model, data=drawn_clips(output), stage=config.stage, trainer=config.trainer)
    return _train(RUN_KINDS["align"], run, output, resume=resume, show=show)


def train_router(
    config: RoutePartConfig, output: Path, resume: bool = False, *, show: bool = True
) -> dict[str, float]:
    """Trains routers and a LoRA on the aligned transformer, into `output / "route"`."""
    model = ModelConfig(start=part_folder(output, "align", "transformer"))
    run = RouteRunConfig(model=model, data=drawn_clips(output), stage=config.stage, trainer=config.trainer)
    return _train(RUN_KINDS["route"], run, output, resume=resume, show=show)


def _train(kind: RunKind, run: RunConfig, output: Path, *, resume: bool, show: bool) -> dict[str, float]:
    folder = output / kind.name
    processes = Processes(trackers=run.trainer.trackers, folder=folder)
    stage, _ = build_stage(kind, run, device=processes.device, model=TrainedParts(output=output))
    return Trainer(stage, folder, run.trainer, processes=processes).fit(resume=resume, show=show)


PARTS: dict[str, WorldPart] = {
    part.name: part
    for part in (
        WorldPart(
            name="detector",
            makes="the face detector with five landmarks",
            config_type=DetectorTrainingConfig,
            minutes_key="trainer.minutes",
            train=train_detector,
        ),
        WorldPart(
            name="recogniser",
            makes="the face recogniser",
            config_type=RecogniserTrainingConfig,
            minutes_key="recognition.trainer.minutes",
            train=train_recogniser,
        ),
        WorldPart(
            name="image-encoder",
            makes="the dual encoder of faces and sentences",
            config_type=ImageEncoderTrainingConfig,
            minutes_key="trainer.minutes",
            train=train_image_encoder,
        ),
        WorldPart(
            name="picture-kind",
            makes="what tells the drawn world from photographs and other drawings",
            config_type=PictureKindTrainingConfig,
            minutes_key="trainer.minutes",
            train=train_picture_kind,
        ),
        WorldPart(
            name="picture-kind-close-ups",
            makes="a second network of that kind, which looks from close up",
            config_type=PictureKindTrainingConfig,
            minutes_key="trainer.minutes",
            train=train_close_ups,
            defaults=close_up_config,
        ),
        WorldPart(
            name="judge",
            makes="the other recogniser, which only measures",
            config_type=JudgeTrainingConfig,
            minutes_key="recognition.trainer.minutes",
            train=train_judge,
        ),
        WorldPart(
            name="judge-detector",
            makes="the other face detector, which only measures",
            config_type=DetectorTrainingConfig,
            minutes_key="trainer.minutes",
            train=train_judge_detector,
            defaults=judge_detector_config,
        ),
        WorldPart(
            name="acting-judge",
            makes="the judge of actions and expressions, which only measures",
            config_type=ActingTrainingConfig,
            minutes_key="trainer.minutes",
            train=train_acting_judge,
        ),
        WorldPart(
            name="text-encoder",
            makes="the tokenizer and the text encoder",
            config_type=TextEncoderConfig,
            minutes_key="trainer.minutes",
            train=train_text_encoder,
        ),
        WorldPart(
            name="vae",
            makes="the causal video VAE",
            config_type=VaeConfig,
            minutes_key="trainer.minutes",
            train=train_vae,
        ),
        WorldPart(
            name="vae-decoder",
            makes="a sharper decoder for the same latents, if there is time for it",
            config_type=VaeConfig,
            minutes_key="trainer.minutes",
            train=train_vae_decoder,
            defaults=decoder_config,
        ),
        WorldPart(
            name="latents",
            makes="the pool of encoded clips that the transformer learns from",
            config_type=LatentsConfig,
            minutes_key=None,
            train=make_latents,
        ),
        WorldPart(
            name="base-t2v",
            makes="the text-to-video base",
            config_type=BasePartConfig,
            minutes_key="trainer.minutes",
            train=train_base,
        ),
        WorldPart(
            name="base-i2v",
            makes="the image-to-video base",
            config_type=ImageToVideoPartConfig,
            minutes_key="trainer.minutes",
            train=train_image_to_video,
        ),
        WorldPart(
            name="align",
            makes="multi-scale projector and LoRA (section 3.3, first stage)",
            config_type=AlignPartConfig,
            minutes_key="trainer.minutes",
            train=train_alignment,
        ),
        WorldPart(
            name="route",
            makes="router and LoRA (section 3.3, second stage)",
            config_type=RoutePartConfig,
            minutes_key="trainer.minutes",
            train=train_router,
        ),
        WorldPart(
            name="pack",
            makes="the model folder in the published layout",
            config_type=PackConfig,
            minutes_key=None,
            train=pack,
        ),
        WorldPart(
            name="unpack",
            makes="the parts' folders out of a model folder, to train them further",
            config_type=UnpackConfig,
            minutes_key=None,
            train=unpack,
        ),
    )
}
