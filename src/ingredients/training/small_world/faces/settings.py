"""Settings by which the face networks are trained; nothing here needs PyTorch to be read."""

import dataclasses
import math
from pathlib import Path
from typing import Annotated

from ingredients.core.ranges import Count, Range, RangeChecked, Share, Weight, Width, check_ranges
from ingredients.faces.network_settings import (
    ActingJudgeConfig,
    AttributesJudgeConfig,
    DetectorConfig,
    ImageEncoderConfig,
    JudgeConfig,
    PictureKindConfig,
    RecogniserConfig,
)
from ingredients.training.loop.settings import TrainerConfig
from ingredients.world import Split
from ingredients.world.captions import EXPRESSIONS, ROLE_ACTIONS
from ingredients.world.identity import ATTRIBUTES

FAMILY_SIZE = 4
NUM_FRAMES = 17


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationConfig(RangeChecked):
    """How much pictures are changed; chances are per picture or per batch, as said."""

    brightness: Share = 0.25
    """Largest change of the brightness, as a factor about 1."""

    contrast: Share = 0.25
    """Largest change of the contrast, as a factor about 1."""

    colour: Share = 0.08
    """Largest change of each channel's gain."""

    noise: Share = 0.06
    """Largest standard deviation of noise, in parts of the full range."""

    blur_chance: Share = 0.4
    """Chance for a batch's picture to be blurred or shrunk and enlarged, as a VAE's decoder does."""

    max_shrink: Annotated[float, Range(at_least=1, at_most=16)] = 2.2
    """Strongest shrinking before enlarging again."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DetectorTrainingConfig:
    """Data and loop of a detector's training."""

    detector: DetectorConfig = dataclasses.field(default_factory=DetectorConfig)
    """What is trained."""

    trainer: TrainerConfig = dataclasses.field(
        default_factory=lambda: TrainerConfig(
            num_steps=1300, learning_rate=3e-3, weight_decay=0.01, num_warmup_steps=50, max_grad_norm=5.0
        )
    )
    """The loop."""

    augmentation: AugmentationConfig = dataclasses.field(default_factory=AugmentationConfig)
    """Light, blur and noise."""

    split: Split = "train"
    """Whose faces it learns from; `judge` for the detector that only measures."""

    num_scenes: Count = 1400
    """Scenes in the pool, three frames of each."""

    num_portraits: Count = 1200
    """Portraits in the pool."""

    portrait_size: Annotated[int, Range(at_least=32, at_most=4096)] = 128
    """Side of the portraits in pixels."""

    scene_batch_size: Width = 24
    """Frames in a step that trains on scenes."""

    portrait_batch_size: Width = 10
    """Pictures in a step that trains on portraits."""

    portrait_share: Share = 0.35
    """Share of the steps that train on portraits."""

    geometry_weight: Weight = 4.0
    """Weight of the L1 loss on box and landmarks."""

    num_validation_scenes: Count = 120
    """Held-out scenes, three frames of each."""

    def __post_init__(self) -> None:
        """Checks counts."""
        check_ranges(self)
        if self.split == "eval":
            raise ValueError("split must be train or judge: the people of eval are kept to measure with")


def judge_detector_config() -> DetectorTrainingConfig:
    """The detector that only measures: narrower, with another seed, on the judge's people."""
    return DetectorTrainingConfig(
        detector=DetectorConfig(widths=(12, 24, 36, 56, 72), head_width=32),
        trainer=TrainerConfig(
            num_steps=1300, seed=17, learning_rate=3e-3, weight_decay=0.01, num_warmup_steps=50, max_grad_norm=5.0
        ),
        split="judge",
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionTrainingConfig:
    """Data, loss and loop of one recogniser's training."""

    trainer: TrainerConfig
    """The loop."""

    num_people: Annotated[int, Range(at_least=8, at_most=10**7)] = 4000
    """Classes, in families of four who share skin, hair colour and hat; two of the four also hair style, glasses and
    beard."""

    num_group_scenes: Annotated[int, Range(at_least=0, at_most=10**6)] = 3
    """Scenes of four that each person appears in, two frames each."""

    num_pair_scenes: Annotated[int, Range(at_least=0, at_most=10**6)] = 2
    """Scenes of two that each person appears in, two frames each."""

    num_portraits: Annotated[int, Range(at_least=0, at_most=10**6)] = 3
    """Portraits of each person, at many sizes."""

    batch_size: Width = 96
    """Crops in a step."""

    margin: Annotated[float, Range(at_least=0, below=math.pi / 2)] = 0.35
    """Radians that the angle to the own class is enlarged by (m of ArcFace)."""

    scale: Annotated[float, Range(above=0, at_most=1e4)] = 24.0
    """Length of the normalised embedding in the loss (s of ArcFace)."""

    margin_warmup: Share = 0.25
    """Share of the run over which the margin grows from 0."""

    attribute_weight: Weight = 1.0
    """Weight of the loss on the drawn attributes, which tell lookalikes apart."""

    augmentation: AugmentationConfig = dataclasses.field(
        default_factory=lambda: AugmentationConfig(noise=0.03, blur_chance=0.3, max_shrink=2.0)
    )
    """Light, blur and noise."""

    num_validation_clips: Count = 30
    """Held-out clips of two people."""

    def __post_init__(self) -> None:
        """Checks that people fill whole scenes, and the margin."""
        check_ranges(self)
        if self.num_people % FAMILY_SIZE:
            raise ValueError(f"num_people must be a multiple of {FAMILY_SIZE}, not {self.num_people}.")


def _recognition_trainer(*, seed: int) -> TrainerConfig:
    """The loop of both recognisers; their seeds, and with them their people, differ."""
    return TrainerConfig(
        num_steps=4000,
        learning_rate=3e-3,
        weight_decay=0.05,
        max_grad_norm=5.0,
        ema_decay=0.998,
        seed=seed,
        precision="auto",
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RecogniserTrainingConfig:
    """How the recogniser that conditions the videos is trained."""

    recogniser: RecogniserConfig = dataclasses.field(default_factory=RecogniserConfig)
    """What is trained."""

    recognition: RecognitionTrainingConfig = dataclasses.field(
        default_factory=lambda: RecognitionTrainingConfig(trainer=_recognition_trainer(seed=0))
    )
    """Data, loss and loop."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JudgeTrainingConfig:
    """How the recogniser that judges the videos is trained."""

    judge: JudgeConfig = dataclasses.field(default_factory=JudgeConfig)
    """What is trained."""

    recognition: RecognitionTrainingConfig = dataclasses.field(
        default_factory=lambda: RecognitionTrainingConfig(trainer=_recognition_trainer(seed=17))
    )
    """Data, loss and loop."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageEncoderTrainingConfig(RangeChecked):
    """Data, loss and loop of the dual encoder's training."""

    image_encoder: ImageEncoderConfig = dataclasses.field(default_factory=ImageEncoderConfig)
    """What is trained."""

    trainer: TrainerConfig = dataclasses.field(
        default_factory=lambda: TrainerConfig(
            num_steps=3000,
            learning_rate=1.5e-3,
            weight_decay=0.05,
            num_warmup_steps=40,
            ema_decay=0.995,
            precision="auto",
        )
    )
    """The loop."""

    augmentation: AugmentationConfig = dataclasses.field(
        default_factory=lambda: AugmentationConfig(
            brightness=0.1, contrast=0.1, colour=0.03, noise=0.03, blur_chance=0.3
        )
    )
    """Blur, noise and a little light, which captions speak of."""

    num_scenes: Count = 3000
    """Scenes in the pool: two frames of each, and the faces in the first."""

    num_portraits: Count = 3000
    """Portraits in the pool."""

    face_batch_size: Annotated[int, Range(at_least=2, at_most=65_536)] = 48
    """Faces in a step."""

    frame_batch_size: Annotated[int, Range(at_least=2, at_most=65_536)] = 24
    """Frames in a step."""

    attribute_weight: Weight = 1.0
    """Weight of the attribute heads' loss beside the contrastive losses."""

    num_validation_pairs: Count = 200
    """Held-out pairs of each kind."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PictureKindTrainingConfig(RangeChecked):
    """Data and loop of the training."""

    picture_kind: PictureKindConfig = dataclasses.field(default_factory=PictureKindConfig)
    """What is trained."""

    trainer: TrainerConfig = dataclasses.field(
        default_factory=lambda: TrainerConfig(
            num_steps=1000,
            learning_rate=3e-3,
            weight_decay=0.02,
            num_warmup_steps=50,
            max_grad_norm=5.0,
            ema_decay=0.995,
            precision="auto",
        )
    )
    """The loop."""

    augmentation: AugmentationConfig = dataclasses.field(
        default_factory=lambda: AugmentationConfig(noise=0.02, blur_chance=0.15, max_shrink=2.0)
    )
    """What every step does to the crops beside."""

    num_portraits: Count = 2400
    """Portraits of the drawn world in the pool."""

    num_scenes: Count = 800
    """Scenes of the drawn world, a frame each."""

    num_foreign: Count = 2800
    """Pictures of each other kind."""

    num_spoilt: Count = 2
    """Times that each is spoilt in another way."""

    batch_size: Annotated[int, Range(at_least=3, at_most=65_536)] = 60
    """Crops in a step, a third of each kind; with close-ups about half of them are pieces."""

    num_validation: Count = 300
    """Held-out pictures of each kind."""


def close_up_config() -> PictureKindTrainingConfig:
    """Settings of the second network: wider, on more pictures, for longer."""
    defaults = PictureKindTrainingConfig()
    return dataclasses.replace(
        defaults,
        picture_kind=PictureKindConfig(close_ups=True, widths=(12, 24, 48, 80), min_photograph_odds=3.3),
        trainer=dataclasses.replace(defaults.trainer, num_steps=2500),
        num_foreign=4200,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SeenTracksConfig(RangeChecked):
    """How people are seen in the clips of those who judge them."""

    box_jitter: Share = 0.03
    """Standard deviation of the boxes' errors, in heights of the face: a detector errs as well."""

    missing_share: Share = 0.05
    """Share of frames in which the face is not found."""

    num_validation_clips: Count = 200
    """Held-out clips of held-out people, of each style."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ActingTrainingConfig(SeenTracksConfig):
    """Data and loop of the training."""

    judge: ActingJudgeConfig = dataclasses.field(
        default_factory=lambda: ActingJudgeConfig(actions=tuple(ROLE_ACTIONS), expressions=tuple(EXPRESSIONS))
    )
    """What is trained, and what it tells apart."""

    start: Path | None = None
    """Folder of a trained judge of the same form to go on from; None begins anew."""

    kept_share: Share = 0.0
    """Part of `start`'s weights in what is validated and exported, the mean of both weights: what was learnt is
    forgotten less (WiSE-FT, arXiv 2109.01903)."""

    trainer: TrainerConfig = dataclasses.field(
        default_factory=lambda: TrainerConfig(
            num_steps=3000,
            learning_rate=2e-3,
            weight_decay=0.05,
            num_warmup_steps=50,
            max_grad_norm=5.0,
            ema_decay=0.995,
            seed=29,
            precision="auto",
        )
    )
    """The loop."""

    augmentation: AugmentationConfig = dataclasses.field(
        default_factory=lambda: AugmentationConfig(noise=0.04, blur_chance=0.6, max_shrink=2.5)
    )
    """Light, blur and noise, the same for all frames of a track."""

    num_clips: Count = 2500
    """Clips in the pool; every person of one gives a track."""

    together_share: Share = 0.5
    """Share of clips in which all do the same, with smaller motions; in the others each person has an own part."""

    batch_size: Width = 16
    """Tracks in a step."""

    shortest: Annotated[int, Range(at_least=2, at_most=NUM_FRAMES)] = 9
    """Fewest frames of a track that a step reads; up to all of them are drawn."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AttributesTrainingConfig(SeenTracksConfig):
    """Data and loop of the training of the judge of what people look like."""

    judge: AttributesJudgeConfig = dataclasses.field(
        default_factory=lambda: AttributesJudgeConfig(attributes=ATTRIBUTES)
    )
    """What is trained, and what it tells apart."""

    start: Path | None = None
    """Folder of a trained judge of the same form to go on from; None begins anew."""

    trainer: TrainerConfig = dataclasses.field(
        default_factory=lambda: TrainerConfig(
            num_steps=1500,
            learning_rate=3e-3,
            weight_decay=0.05,
            num_warmup_steps=50,
            max_grad_norm=5.0,
            ema_decay=0.99,
            seed=41,
            precision="auto",
        )
    )
    """The loop."""

    augmentation: AugmentationConfig = dataclasses.field(
        default_factory=lambda: AugmentationConfig(noise=0.04, blur_chance=0.6, max_shrink=2.5)
    )
    """Light, blur and noise of the pictures."""

    num_clips: Count = 4000
    """Clips in the pool, half of either style; every person of one gives two pictures."""

    batch_size: Width = 64
    """Pictures in a step."""

    max_zoom: Annotated[float, Range(at_least=1, at_most=2)] = 1.1
    """Largest factor by which a picture is zoomed in or out: more pictures than are drawn, and faces that a detector
    boxes more or less tightly."""

    max_shift: Share = 0.05
    """Largest shift each way, in parts of a picture's side."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SegmenterTrainingConfig(RangeChecked):
    """Data and loop of the small SAM's training."""

    trainer: TrainerConfig = dataclasses.field(
        default_factory=lambda: TrainerConfig(
            num_steps=1800,
            learning_rate=2e-3,
            weight_decay=0.01,
            num_warmup_steps=100,
            max_grad_norm=1.0,
            ema_decay=0.99,
            checkpoint_every=100,
        )
    )
    """The loop."""

    augmentation: AugmentationConfig = dataclasses.field(default_factory=AugmentationConfig)
    """Light, blur and noise."""

    num_scenes: Count = 900
    """Scenes in the pool, three frames of each, half of them of each style."""

    batch_size: Width = 16
    """Faces in a step."""

    box_error: Annotated[Share, Range(at_most=0.3)] = 0.05
    """How far an edge of the prompt lies off, as standard deviation in parts of the box."""

    num_validation_scenes: Count = 60
    """Held-out scenes."""
