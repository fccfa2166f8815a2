"""Looks out for steps that would do harm: losses that jump, losses and gradients that are no numbers."""

import dataclasses
import math
import statistics

from ingredients.core.errors import UserInputError

_REMEMBERED = 100
_NEEDED = 20


class TrainingDivergedError(UserInputError):
    """Too many steps in a row had to be left out, or a step made weights that are no numbers."""


@dataclasses.dataclass(slots=True, kw_only=True)
class LossWatch:
    """Decides which steps count; its state goes into checkpoints, so that a resumed run decides alike."""

    spike_factor: float | None
    """A loss this many times above the median of the last hundred is a jump; None: none is."""

    max_skipped: int
    """Steps in a row that may be left out."""

    recent: list[float] = dataclasses.field(default_factory=list)
    """Losses of the last steps that counted."""

    num_skipped: int = 0
    """Steps that were left out in a row."""

    def judge(self, loss: float, gradient_norm: float) -> str | None:
        """Why a step must be left out, or None if it counts."""
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(gradient_norm):
            return f"the gradients' norm is {gradient_norm}"
        if self.spike_factor is not None and len(self.recent) >= _NEEDED:
            usual = statistics.median(self.recent)
            if loss > self.spike_factor * usual:
                return f"the loss jumps to {loss:.4g} from a median of {usual:.4g}"
        return None

    def record(self, loss: float) -> None:
        """A step counted."""
        self.recent = [*self.recent[1 - _REMEMBERED :], loss]
        self.num_skipped = 0

    def skip(self, reason: str, *, step: int, samples: str) -> None:
        """A step was left out.

        Raises:
            TrainingDivergedError: if that was one too many.
        """
        self.num_skipped += 1
        if self.num_skipped > self.max_skipped:
            raise TrainingDivergedError(
                f"Training has diverged: {self.num_skipped} steps in a row could not be used, the last, {step}, "
                f"because {reason} ({samples}); go on from an earlier checkpoint with a lower learning rate."
            )
