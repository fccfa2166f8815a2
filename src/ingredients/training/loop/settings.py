"""Settings of the loop that every stage shares; nothing here needs PyTorch to be read."""

import dataclasses
from typing import Annotated, Literal

from ingredients.core.errors import UserInputError
from ingredients.core.precision import Precision
from ingredients.core.ranges import Count, Decay, LearningRate, Range, Seed, check_ranges

OptimizerName = Literal["adamw", "adamw8bit", "muon"]
ScheduleName = Literal["constant", "cosine", "cosine_with_restarts", "trapezoid"]
Parallel = Literal["ddp", "fsdp"]
"""Every process with all weights, gradients averaged; or weights, gradients and optimiser in shards (FSDP2)."""


@dataclasses.dataclass(slots=True, kw_only=True)
class TrainerConfig:
    """Settings of the loop that every stage shares."""

    num_steps: Count = 1000
    """Optimiser steps of the whole run."""

    minutes: Annotated[float, Range(above=0, at_most=1e7)] | None = None
    """Training time of the whole run, over all its pieces; the run ends, its schedule run down, at whichever of
    `num_steps` and `minutes` comes first."""

    seed: Seed = 0
    """Everything random is a function of it."""

    learning_rate: LearningRate = 1e-3
    """Peak learning rate."""

    optimizer: OptimizerName = "adamw"
    """`muon` updates the matrices of transformer blocks by Muon; `adamw8bit` keeps AdamW's moments in 8 bit."""

    muon_learning_rate: LearningRate = 3e-3
    """Peak learning rate of those matrices."""

    betas: tuple[Decay, Decay] = (0.9, 0.99)
    """Decay of AdamW's moments."""

    weight_decay: Annotated[float, Range(at_least=0, at_most=100)] = 0.01
    """Decoupled decay of matrices; vectors are never decayed."""

    schedule: ScheduleName = "cosine"
    """Shape of the learning rate over the run."""

    num_warmup_steps: Annotated[int, Range(at_least=0, at_most=10**9)] = 50
    """Steps over which the learning rate rises."""

    num_cycles: Count = 1
    """Cycles of `cosine_with_restarts`."""

    max_grad_norm: Annotated[float, Range(above=0, at_most=1e6)] = 1.0
    """Gradients are scaled down to this norm."""

    ema_decay: Decay = 0.995
    """Decay of the moving average of the weights, which is what is validated and exported; 0 keeps none."""

    log_every: Count = 20
    """Steps between two lines of the log."""

    checkpoint_every: Count = 200
    """Steps between two checkpoints."""

    keep_checkpoints: Count = 2
    """How many of the newest are kept, beside the best."""

    validate_every: Count | None = None
    """Steps between two measurements on held-out data, a multiple of `checkpoint_every`; None: at the end alone."""

    sample_every: Count | None = None
    """Steps between two looks at what the model makes (sample videos, routing maps); None: never."""

    spike_factor: Annotated[float, Range(above=0, at_most=1e6)] | None = None
    """A loss this many times above the median of the last hundred is left out and reported; None: none is."""

    max_skipped_steps: Annotated[int, Range(at_least=0, at_most=10**9)] = 20
    """Steps in a row that may be left out, for a jump or for numbers that are none, before the run stops."""

    precision: Precision = "float32"
    """Arithmetic of the forward and backward passes; weights, losses and optimisers stay in float32. `auto` takes
    bfloat16 on GPUs that have it and on processors where it is faster: `benchmarks/training_precision.py`."""

    parallel: Parallel = "ddp"
    """How several processes share the work: each with all weights, or in shards."""

    trackers: tuple[str, ...] = ()
    """accelerate's names of where numbers go beside the log, such as tensorboard or wandb."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.validate_every is not None and self.validate_every % self.checkpoint_every:
            raise ValueError(
                f"validate_every must be a multiple of checkpoint_every ({self.checkpoint_every}), for what is "
                f"measured is kept; not {self.validate_every}."
            )
        if self.optimizer != "adamw" and self.parallel == "fsdp":
            reason = {
                "muon": "Muon updates whole matrices",
                "adamw8bit": "AdamW in 8 bit keeps its moments in blocks of whole tensors",
            }[self.optimizer]
            raise UserInputError(
                f"{reason}, and trainer.parallel=fsdp leaves none whole; set trainer.optimizer=adamw or "
                "trainer.parallel=ddp."
            )
