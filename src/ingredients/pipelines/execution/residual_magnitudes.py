"""How the size of what all blocks add to a video changes from step to step: what MagCache goes by.

It belongs to a model, is measured once (`recording_residuals`) and kept in its folder. Diffusers' own way takes a
ratio for each step of one schedule and gives the nearest one to the steps of another, so that twice as many steps
would seem to change twice as much. Here it is kept as the logarithm of the magnitude over the timesteps, from which
the ratios of any schedule follow.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ingredients.core.config import save_config
from ingredients.core.errors import UserInputError
from ingredients.core.model_files import read_model_record
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel

RESIDUAL_MAGNITUDES_NAME = "residual_magnitudes.json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ResidualMagnitudes:
    """The magnitudes of one model's residuals."""

    timesteps: tuple[int, ...]
    """At which they were measured, from noisy to clean."""

    log_magnitudes: tuple[float, ...]
    """Logarithm of the mean magnitude of what the blocks add to a token, against the first timestep's."""

    def __post_init__(self) -> None:
        if len(self.timesteps) != len(self.log_magnitudes) or len(self.timesteps) < 2:
            raise UserInputError(
                f"residual magnitudes need as many timesteps as values and two at least, got {len(self.timesteps)} "
                f"and {len(self.log_magnitudes)}."
            )
        if list(self.timesteps) != sorted(set(self.timesteps), reverse=True):
            raise UserInputError("residual magnitudes need timesteps that fall from one to the next.")

    def ratios(self, timesteps: Sequence[int]) -> list[float]:
        """Magnitude at each timestep of a schedule over that at the one before; 1 for the first."""
        curve = np.interp(timesteps, self.timesteps[::-1], self.log_magnitudes[::-1])
        return [1.0, *np.exp(np.diff(curve)).tolist()]


class ResidualRecorder:
    """Collects the magnitudes of the videos made while it listens, all with the same steps."""

    def __init__(self) -> None:
        self._videos: list[list[tuple[int, float]]] = []
        self._before: torch.Tensor | None = None
        self._norms: torch.Tensor | None = None
        self._timestep = 0

    def magnitudes(self) -> ResidualMagnitudes:
        """The mean over the videos."""
        if not self._videos:
            raise ValueError("no video was made while residuals were recorded")
        timesteps = tuple(timestep for timestep, _ in self._videos[0])
        log_ratios = np.log([[ratio for _, ratio in video] for video in self._videos]).mean(axis=0)
        curve = np.cumsum(log_ratios).round(5).tolist()
        return ResidualMagnitudes(timesteps=timesteps, log_magnitudes=tuple(curve))

    def see_step(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Before the transformer: at which timestep; a larger one than before begins another video."""
        timestep = int(kwargs["timestep"][0])
        if not self._videos or timestep >= self._timestep:
            self._videos.append([])
            self._norms = None
        self._timestep = timestep

    def see_input(self, module: torch.nn.Module, args: tuple[Any, ...]) -> None:
        """Before the first block."""
        self._before = args[0]

    def see_output(self, module: torch.nn.Module, args: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        """After the last block."""
        assert self._before is not None
        norms = (output[0].float() - self._before.float()).norm(dim=-1)  # (B, L)
        ratio = 1.0 if self._norms is None else float((norms / self._norms.clamp_min(1e-8)).mean())
        self._videos[-1].append((self._timestep, ratio))
        self._norms = norms


@contextmanager
def recording_residuals(transformer: IngredientsTransformer3DModel) -> Iterator[ResidualRecorder]:
    """Listens to the videos that are made within; without a step cache, and with batched guidance."""
    recorder = ResidualRecorder()
    handles = [
        transformer.register_forward_pre_hook(recorder.see_step, with_kwargs=True),
        transformer.transformer_blocks[0].register_forward_pre_hook(recorder.see_input),
        transformer.transformer_blocks[-1].register_forward_hook(recorder.see_output),
    ]
    try:
        yield recorder
    finally:
        for handle in handles:
            handle.remove()


def load_residual_magnitudes(folder: Path) -> ResidualMagnitudes | None:
    """Reads a model folder's; None if it has none.

    Raises:
        ModelFolderError: if the file is damaged.
    """
    path = folder / RESIDUAL_MAGNITUDES_NAME
    if not path.exists():
        return None
    return read_model_record(ResidualMagnitudes, path, what="how the residuals of a model change")


def save_residual_magnitudes(magnitudes: ResidualMagnitudes | None, folder: Path) -> None:
    """Writes them into a model folder, if there are any."""
    path = folder / RESIDUAL_MAGNITUDES_NAME
    if magnitudes is None:
        path.unlink(missing_ok=True)
    else:
        save_config(magnitudes, path)
