"""How a model is best sampled, unless a call says otherwise: kept in its folder, beside the weights."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Self

from ingredients.core.config import save_config
from ingredients.core.errors import ArgumentError
from ingredients.core.model_files import read_model_record
from ingredients.core.numbers import check_number, whole_number
from ingredients.core.ranges import Range, Share

SAMPLING_DEFAULTS_NAME = "sampling_defaults.json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SamplingSettings:
    """Those of a folder that says nothing are the published model's."""

    num_inference_steps: Annotated[int, Range(at_least=1, at_most=1000)] = 50
    """Denoising steps."""

    guidance_scale: Annotated[float, Range(at_least=0, at_most=1000)] = 6.0
    """Weight of the prompt against the negative prompt."""

    identity_guidance_scale: Annotated[float, Range(at_least=0, at_most=1000)] = 1.0
    """Weight of the people against nobody in particular; 1 does without."""

    layout_share: Share = 0.0
    """Share of the steps, at the start, in which each person is given a column before the router takes over."""

    likeness_guidance_scale: Annotated[float, Range(at_least=0, at_most=1000)] = 0.0
    """How far each step is led to where the recogniser sees the people; 0 does without."""

    def __post_init__(self) -> None:
        """Checks each number.

        Raises:
            ArgumentError: if one is out of range.
        """
        whole_number("num_inference_steps", self.num_inference_steps, least=1)
        for name in ("guidance_scale", "identity_guidance_scale", "layout_share", "likeness_guidance_scale"):
            check_number(name, getattr(self, name))
        if not 0 <= self.layout_share <= 1:
            raise ArgumentError(f"layout_share must lie in [0, 1], got {self.layout_share}.")
        if self.likeness_guidance_scale < 0:
            raise ArgumentError(f"likeness_guidance_scale must not be negative, got {self.likeness_guidance_scale}.")

    def override(self, **given: Any) -> Self:
        """These settings with those that are given in their place; None leaves one as it is."""
        return dataclasses.replace(self, **{name: value for name, value in given.items() if value is not None})


def load_sampling_defaults(folder: Path) -> SamplingSettings:
    """Reads a model folder's defaults, or takes the published model's.

    Raises:
        ModelFolderError: if the file is damaged.
    """
    path = folder / SAMPLING_DEFAULTS_NAME
    if not path.exists():
        return SamplingSettings()
    return read_model_record(SamplingSettings, path, what="how a model is sampled")


def save_sampling_defaults(defaults: SamplingSettings, folder: Path) -> None:
    """Writes them into a model folder, unless they are the published model's, whose folder has no such file."""
    path = folder / SAMPLING_DEFAULTS_NAME
    if defaults == SamplingSettings():
        path.unlink(missing_ok=True)
    else:
        save_config(defaults, path)
