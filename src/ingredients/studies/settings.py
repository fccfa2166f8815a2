"""How much of everything the studies train and measure."""

import dataclasses
from typing import Annotated

from ingredients.core.ranges import Count, Range, RangeChecked


@dataclasses.dataclass(slots=True, kw_only=True)
class StudyConfig(RangeChecked):
    """How much of everything; numbers of steps, so that a busy machine changes no result."""

    num_clips: Count = 4000
    """Encoded clips to learn from."""

    num_validation_clips: Count = 150
    """Held out."""

    t2v_steps: Annotated[int, Range(at_least=0, at_most=10**9)] = 0
    """Steps of the text-to-video base, from nothing (900 make a fair one); 0 takes it out of the model that ships,
    whose identity modules and image channels are left behind."""

    i2v_steps: Count = 80
    """Steps of the image-to-video base, which goes on from it."""

    align_steps: Count = 240
    """Steps of each alignment."""

    route_steps: Count = 150
    """Steps of each router stage."""

    num_cases: Count = 30
    """Cases of the benchmark, for each model; its first ones."""

    num_seeds: Count = 3
    """Runs of the rows that matter, at most; the others have one."""

    num_pairs: Count = 10
    """Pairs of people for which the tuned baselines are tuned."""

    inversion_steps: Count = 100
    """Steps of textual inversion, for a pair."""

    lora_steps: Count = 60
    """Steps of a LoRA, for a pair."""

    num_inference_steps: Annotated[int, Range(at_least=1, at_most=1000)] = 25
    """Steps of every video."""

    guidance_scale: Annotated[float, Range(at_least=0, at_most=100)] = 2.0
    """Guidance of every video."""
