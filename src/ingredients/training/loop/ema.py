"""Exponential moving average of the trained parameters."""

import contextlib
from collections.abc import Iterator, Mapping

import torch

from ingredients.training.loop.processes import placed_like


class ExponentialMovingAverage:
    """Keeps `average = decay * average + (1 - decay) * parameter`, with a decay that warms up.

    The decay at step s is `min(decay, (1 + s) / (10 + s))`, so that the random initial weights are soon forgotten.
    """

    def __init__(self, parameters: Mapping[str, torch.nn.Parameter], decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"The decay of the moving average must lie in [0, 1), not {decay}.")
        self.decay = decay
        self._parameters = dict(parameters)
        # Without a decay the average is the parameter itself, and takes no memory.
        self.averages = {
            name: parameter.detach().clone() if decay else parameter.detach()
            for name, parameter in self._parameters.items()
        }

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Moves the averages towards the parameters as they are after step `step` (counted from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.averages.values()), list(self._parameters.values()), 1 - decay)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Puts the averages in the parameters' place while the block runs."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self._parameters.items():
            current = parameter.detach().clone()
            parameter.copy_(self.averages[name])
            self.averages[name].copy_(current)

    def load(self, averages: Mapping[str, torch.Tensor]) -> None:
        """Copies averages that were saved; the names must be the same.

        Raises:
            ValueError: if a name is missing or unknown.
        """
        if averages.keys() != self.averages.keys():
            difference = sorted(averages.keys() ^ self.averages.keys())
            raise ValueError(f"The saved averages have other names; the first difference is {difference[0]!r}.")
        for name, average in averages.items():
            self.averages[name].copy_(placed_like(self.averages[name], average))
