"""Settings of the parts of the small model; nothing here needs PyTorch to be read."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from ingredients.core.config import load_config
from ingredients.core.ranges import Count, Layers, Range, RangeChecked, Share, Weight, Width, check_ranges
from ingredients.data.encoding_settings import EncoderConfig, WorldExampleConfig
from ingredients.model_folders.sampling_settings import (
    SAMPLING_DEFAULTS_NAME,
    SamplingSettings,
    load_sampling_defaults,
)
from ingredients.model_folders.speed_defaults import SpeedDefaults, load_speed_defaults
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.small_world.faces.settings import (
    ActingTrainingConfig,
    AttributesTrainingConfig,
    DetectorTrainingConfig,
    ImageEncoderTrainingConfig,
    JudgeTrainingConfig,
    PictureKindTrainingConfig,
    RecogniserTrainingConfig,
    SegmenterTrainingConfig,
    close_up_config,
    judge_detector_config,
)
from ingredients.training.stages.settings import AlignmentConfig, BaseConfig, RouterConfig
from ingredients.world.styles import STYLES, TOGETHER

SmallWorldName = Literal["small_world", "acting_world"]
"""A key of `SMALL_WORLDS`: which small model the parts are for."""

UNPACK_FOLDER = "unpack"
"""Beside the parts' runs: how the model that they were taken out of is sampled and runs by default."""

AlignmentStart = Literal["t2v", "i2v", "route", "start"]


@dataclasses.dataclass(slots=True, kw_only=True)
class TextEncoderConfig:
    """The text encoder's shape and training."""

    d_model: Width = 128
    """Width of the states."""

    num_layers: Layers = 3
    """Transformer layers."""

    num_heads: Width = 4
    """Attention heads of `d_model / num_heads` channels."""

    max_length: Width = 32
    """Tokens that a prompt is padded or cut to."""

    style: str = TOGETHER.name
    """How the scenes are played that the captions describe, a key of `STYLES`."""

    batch_size: Width = 64
    """Captions in a step."""

    masked_share: Share = 0.2
    """Share of the words that are hidden."""

    attribute_weight: Weight = 1.0
    """Weight of what is read of a caption and its people, against 1 of the hidden words."""

    num_validation_captions: Count = 512
    """Captions of the final measurement."""

    trainer: TrainerConfig = dataclasses.field(
        default_factory=lambda: TrainerConfig(
            num_steps=1200, minutes=3.0, learning_rate=2e-3, num_warmup_steps=50, ema_decay=0.99
        )
    )
    """The loop's settings."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.style not in STYLES:
            raise ValueError(f"style must be one of {', '.join(STYLES)}, not {self.style}.")
        if self.d_model % self.num_heads:
            raise ValueError(f"d_model {self.d_model} must be a multiple of num_heads {self.num_heads}.")


@dataclasses.dataclass(slots=True, kw_only=True)
class VaeConfig:
    """The VAE's shape and how it is trained: images first, which are cheap, then clips."""

    block_out_channels: tuple[Width, ...] = (16, 32, 64)
    """Channels from fine to coarse; three blocks compress 4x in space, four 8x."""

    temporal_compression_ratio: Annotated[int, Range(at_least=1, at_most=4)] = 4
    """Frames to a latent frame. With 1 every frame is a picture by itself: training sees single frames only."""

    latent_channels: Width = 8
    """Channels of the latents."""

    norm_num_groups: Width = 8
    """Groups of the group norms; divides every entry of `block_out_channels`."""

    image_share: Share = 0.6
    """Share of the run that sees single frames; all of it with a `temporal_compression_ratio` of 1."""

    height: Annotated[int, Range(at_least=16, at_most=2160)] = 64
    """Height of the drawn pictures, in pixels."""

    width: Annotated[int, Range(at_least=16, at_most=3840)] = 96
    """Width of the drawn pictures, in pixels."""

    style: str = TOGETHER.name
    """How scenes are cast, framed and played, a key of `STYLES`."""

    crop_size: Annotated[int, Range(at_least=4, at_most=2048)] = 48
    """Side of the training crops in pixels; a multiple of the compression in space."""

    image_batch_size: Width = 16
    """Crops in a step on single frames."""

    clip_batch_size: Width = 4
    """Crops in a step on clips."""

    num_frames: Annotated[int, Range(at_least=9, at_most=1025)] = 9
    """Frames of a clip, 8k + 1."""

    num_pool_images: Count = 1500
    """Frames and canvases drawn before training."""

    num_pool_clips: Count = 400
    """Clips drawn before training."""

    face_weight: Weight = 3.0
    """Weight of a face's pixels, against 1 elsewhere: eyes and mouths are small and matter most."""

    edge_weight: Weight = 1.0
    """Weight of the differences between neighbouring pixels, which keep outlines sharp."""

    kl_weight: Weight = 3e-4
    """Weight of the Kullback-Leibler term, a mean over the latents."""

    train_encoder: bool = True
    """Whether the encoder learns too; False trains the decoder alone, and every encoded clip stays valid."""

    num_validation_clips: Count = 24
    """Held-out clips for the PSNR."""

    trainer: TrainerConfig = dataclasses.field(
        default_factory=lambda: TrainerConfig(
            num_steps=20_000,
            minutes=18.0,
            learning_rate=2e-3,
            schedule="trapezoid",
            num_warmup_steps=100,
            weight_decay=0.0,
            ema_decay=0.998,
        )
    )
    """The loop's settings."""

    def __post_init__(self) -> None:
        check_ranges(self)
        ratio = 2 ** (len(self.block_out_channels) - 1)
        for name in ("crop_size", "height", "width"):
            if getattr(self, name) % ratio:
                raise ValueError(f"{name} must be a multiple of {ratio}, not {getattr(self, name)}.")
        if self.temporal_compression_ratio not in (1, 2, 4):
            raise ValueError(f"temporal_compression_ratio must be 1, 2 or 4, not {self.temporal_compression_ratio}.")
        if self.style not in STYLES:
            raise ValueError(f"style must be one of {', '.join(STYLES)}, not {self.style}.")
        if any(channels % self.norm_num_groups for channels in self.block_out_channels):
            raise ValueError(
                f"norm_num_groups {self.norm_num_groups} must divide each of block_out_channels "
                f"{self.block_out_channels}."
            )
        if self.num_frames % 8 != 1:
            raise ValueError(f"num_frames must be 8k + 1, not {self.num_frames}.")


def decoder_config() -> VaeConfig:
    """Defaults of the decoder's own training: on clips from the start."""
    config = VaeConfig(train_encoder=False, image_share=0.4)
    config.trainer.minutes = 20.0
    config.trainer.learning_rate = 1e-3
    return config


@dataclasses.dataclass(slots=True, kw_only=True)
class StartConfig(RangeChecked):
    """What a larger model begins with: a smaller one's transformer, laid over its grid."""

    folder: Path | None = None
    """The smaller model's folder; None takes the one that ships."""

    model: SmallWorldName = "acting_world"
    """The larger model, a preset."""

    num_clips: Count = 64
    """Clips, and canvases, that the new layers are fitted to."""

    num_captions: Count = 3000
    """Captions that the text projection is fitted to."""

    first_seed: Annotated[int, Range(at_least=0, at_most=10**9)] = 30_000
    """The number of the first scene."""

    seed: Annotated[int, Range(at_least=0, at_most=2**31)] = 0
    """Seed of the noise."""


@dataclasses.dataclass(slots=True, kw_only=True)
class LatentsConfig(RangeChecked):
    """The encoded clips."""

    num_clips: Count = 5000
    """Clips to train from; more can be added later."""

    num_images: Annotated[int, Range(at_least=0, at_most=10**7)] = 0
    """Scenes of other people beside them, of each a single frame, for that part of a training which is on images."""

    model: SmallWorldName = "small_world"
    """The model that will read them, a preset: its text tokens and patches."""

    num_validation_clips: Count = 100
    """Held-out clips, of other people."""

    without_held_out_pairs: bool = True
    """Leaves out the pairs of action and place that the benchmark asks for as never seen together."""

    num_processes: Annotated[int, Range(at_least=0, at_most=1024)] | None = None
    """Processes that draw while this one encodes; None takes the cores that there are to spare, 0 none."""

    minutes: Annotated[float, Range(above=0, at_most=1e6)] | None = None
    """Time after which no other shard is begun; None draws all clips."""

    world: WorldExampleConfig = dataclasses.field(default_factory=WorldExampleConfig)
    """What is drawn."""

    encoder: EncoderConfig = dataclasses.field(default_factory=EncoderConfig)
    """What is kept of it."""


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
    transformer of an earlier run, `route`, as `unpack` leaves it; or from what a smaller model has learnt, `start`."""

    identity_start: Path | None = None
    """A trained model, or an earlier run, whose projector and identity keys and values the alignment of a base begins
    with, as `model.identity_start` of a run has it."""

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


@dataclasses.dataclass(slots=True, kw_only=True)
class PackConfig:
    """Where the model folder goes and what goes in."""

    folder: Path | None = None
    """The model folder; None takes `OUTPUT/packed`."""

    transformer_part: str = "route"
    """The part whose transformer goes in."""

    sampling: SamplingSettings = dataclasses.field(
        default_factory=lambda: SamplingSettings(
            num_inference_steps=25,
            guidance_scale=2.0,
            identity_guidance_scale=2.0,
            layout_share=0.3,
            likeness_guidance_scale=1.0,
        )
    )
    """How the model is sampled by default."""

    speed: SpeedDefaults = dataclasses.field(default_factory=SpeedDefaults)
    """How the model runs by default."""


def pack_config(output: Path) -> PackConfig:
    """What a model is packed with: the sampling and speed of the one that was unpacked into `output`, if one was.

    Raises:
        ModelFolderError: if what was kept of them is damaged.
    """
    kept = output / UNPACK_FOLDER
    if not (kept / SAMPLING_DEFAULTS_NAME).exists():
        return PackConfig()
    return PackConfig(sampling=load_sampling_defaults(kept), speed=load_speed_defaults(kept))


@dataclasses.dataclass(slots=True, kw_only=True)
class UnpackConfig:
    """Which model folder is laid out."""

    folder: Path | None = None
    """The model folder; None takes the one that ships."""

    faces_only: bool = False
    """Leaves out VAE, text encoder and transformer, which a larger model trains or begins anew (`start`)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PartSettings:
    """How the settings of one part are read."""

    config_type: type[Any]
    """Their type."""

    minutes_key: str | None = "trainer.minutes"
    """The setting that limits the training time; None for parts that take as long as they take."""

    defaults: Callable[[], Any] | None = None
    """Makes the settings that others are changed from; None takes those of `config_type`."""

    defaults_in: Callable[[Path], Any] | None = None
    """Makes them of the folder of all runs instead, where what lies there decides; None: nothing there does."""

    def make_defaults(self, output: Path | None = None) -> Any:
        """The settings of a part of which nothing is changed.

        Args:
            output: folder of all runs; None where it is not known, or has no say.
        """
        if output is not None and self.defaults_in is not None:
            return self.defaults_in(output)
        return (self.defaults or self.config_type)()

    def load(
        self,
        config_file: Path | None = None,
        overrides: Sequence[str] = (),
        minutes: float | None = None,
        *,
        output: Path | None = None,
    ) -> Any:
        """Reads the settings of a part.

        Args:
            config_file: YAML file of settings that differ, such as those in `configs/`.
            overrides: settings that differ, as `key=value` or `group.key=value`.
            minutes: training time of the whole run; None keeps the part's own.
            output: folder of all runs, as `make_defaults` takes it.

        Raises:
            UserInputError: for an unknown setting, or a value that does not fit.
        """
        overrides = list(overrides)
        if minutes is not None and self.minutes_key is not None:
            overrides.append(f"{self.minutes_key}={minutes}")
        return load_config(self.config_type, config_file, overrides=overrides, defaults=self.make_defaults(output))


PART_SETTINGS: dict[str, PartSettings] = {
    "detector": PartSettings(config_type=DetectorTrainingConfig),
    "recogniser": PartSettings(config_type=RecogniserTrainingConfig, minutes_key="recognition.trainer.minutes"),
    "image-encoder": PartSettings(config_type=ImageEncoderTrainingConfig),
    "picture-kind": PartSettings(config_type=PictureKindTrainingConfig),
    "picture-kind-close-ups": PartSettings(config_type=PictureKindTrainingConfig, defaults=close_up_config),
    "judge": PartSettings(config_type=JudgeTrainingConfig, minutes_key="recognition.trainer.minutes"),
    "judge-detector": PartSettings(config_type=DetectorTrainingConfig, defaults=judge_detector_config),
    "acting-judge": PartSettings(config_type=ActingTrainingConfig),
    "attributes-judge": PartSettings(config_type=AttributesTrainingConfig),
    "sam": PartSettings(config_type=SegmenterTrainingConfig),
    "text-encoder": PartSettings(config_type=TextEncoderConfig),
    "vae": PartSettings(config_type=VaeConfig),
    "vae-decoder": PartSettings(config_type=VaeConfig, defaults=decoder_config),
    "start": PartSettings(config_type=StartConfig, minutes_key=None),
    "latents": PartSettings(config_type=LatentsConfig, minutes_key="minutes"),
    "base-t2v": PartSettings(config_type=BasePartConfig),
    "base-i2v": PartSettings(config_type=ImageToVideoPartConfig),
    "align": PartSettings(config_type=AlignPartConfig),
    "route": PartSettings(config_type=RoutePartConfig),
    "pack": PartSettings(config_type=PackConfig, minutes_key=None, defaults_in=pack_config),
    "unpack": PartSettings(config_type=UnpackConfig, minutes_key=None),
}
"""Settings of the parts, by their names, in the order in which they need each other."""
