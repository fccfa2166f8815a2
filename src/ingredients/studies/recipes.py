"""How the models of the tables are trained: the drawn world's recipes, cut to minutes a model.

What differs from the paper's own recipe is what a small base needs: the alignment tunes it in full, by Muon, and faces
weigh three times as much in the diffusion loss. There is no identity loss, and no guidance by likeness: the paper has
neither.
"""

import dataclasses
from typing import Annotated

from ingredients.core.ranges import Count, Range, check_ranges
from ingredients.training.alignment_stage import AlignmentConfig
from ingredients.training.base_stage import BaseConfig
from ingredients.training.router_stage import RouterConfig
from ingredients.training.runs import AlignRunConfig, RouteRunConfig
from ingredients.training.trainer import TrainerConfig

_IMAGES, _CLIPS = 24, 12


@dataclasses.dataclass(slots=True, kw_only=True)
class StudyConfig:
    """How much of everything; numbers of steps, so that a busy machine changes no result."""

    num_clips: Count = 4000
    """Encoded clips to learn from."""

    num_validation_clips: Count = 150
    """Held out."""

    t2v_steps: Annotated[int, Range(at_least=0, at_most=10**9)] = 0
    """Of the text-to-video base, from nothing (900 make a fair one); 0 takes it out of the model that ships, whose
    identity modules and image channels are left behind."""

    i2v_steps: Count = 80
    """Of the image-to-video base, which goes on from it."""

    align_steps: Count = 240
    """Of each alignment."""

    route_steps: Count = 150
    """Of each router stage."""

    num_cases: Count = 30
    """Of the benchmark, for each model; its first ones."""

    num_seeds: Count = 3
    """Runs of the rows that matter, at most; the others have one."""

    num_pairs: Count = 10
    """Pairs of people for which the tuned baselines are tuned."""

    inversion_steps: Count = 100
    """Of textual inversion, for a pair."""

    lora_steps: Count = 60
    """Of a LoRA, for a pair."""

    num_inference_steps: Annotated[int, Range(at_least=1, at_most=1000)] = 25
    """Of every video."""

    guidance_scale: Annotated[float, Range(at_least=0, at_most=100)] = 2.0
    """Of every video."""

    def __post_init__(self) -> None:
        """Checks ranges."""
        check_ranges(self)


def base_stage() -> BaseConfig:
    """Of both bases; the image-to-video one never trains on images, which would be their own first frames."""
    return BaseConfig(image_batch_size=_IMAGES, batch_size=_CLIPS, image_share=0.7)


def base_trainer(num_steps: int) -> TrainerConfig:
    """Of the text-to-video base."""
    return _loop(num_steps, optimizer="muon", learning_rate=2e-3, muon_learning_rate=4e-3, ema_decay=0.99)


def i2v_trainer(num_steps: int) -> TrainerConfig:
    """Of the image-to-video base."""
    return _loop(num_steps, optimizer="muon", learning_rate=1e-3, muon_learning_rate=1.5e-3, ema_decay=0.98)


def align_recipe(num_steps: int, *, seed: int) -> AlignRunConfig:
    """Of an alignment."""
    return AlignRunConfig(
        stage=AlignmentConfig(
            tuning="full",
            image_batch_size=_IMAGES,
            batch_size=_CLIPS,
            image_share=0.8,
            face_weight=3.0,
        ),
        trainer=_loop(
            num_steps, seed=seed, optimizer="muon", learning_rate=1.2e-3, muon_learning_rate=2.5e-3, ema_decay=0.98
        ),
    )


def route_recipe(num_steps: int, *, seed: int) -> RouteRunConfig:
    """Of a router stage."""
    return RouteRunConfig(
        stage=RouterConfig(
            image_batch_size=_IMAGES,
            batch_size=_CLIPS,
            image_share=0.7,
            face_weight=3.0,
            lora_rank=32,
            base_learning_rate_scale=0.5,
        ),
        trainer=_loop(num_steps, seed=seed, learning_rate=2e-3, ema_decay=0.97),
    )


def _loop(num_steps: int, *, seed: int = 0, **settings: object) -> TrainerConfig:
    return TrainerConfig(
        num_steps=num_steps,
        seed=seed,
        schedule="trapezoid",
        num_warmup_steps=20,
        checkpoint_every=50,
        keep_checkpoints=1,
        log_every=5,
        precision="auto",
        spike_factor=10.0,
        **settings,  # type: ignore[arg-type]
    )
