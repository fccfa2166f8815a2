"""How much of everything the studies train and measure."""

import dataclasses
from typing import Annotated

from ingredients.core.ranges import Count, Range, check_ranges


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
