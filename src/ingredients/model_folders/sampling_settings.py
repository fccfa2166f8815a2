"""How a video is sampled: what the pipeline takes, a model folder keeps beside the weights, and evaluations record.

A field that is added here has its option in every command that makes videos, its place in `sampling_defaults.json` and
in the records; the pipeline says what it does.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

from ingredients.core.config import save_config
from ingredients.core.errors import ArgumentError
from ingredients.core.model_files import read_model_record
from ingredients.core.ranges import Range, Share, check_number, declared_range, whole_number

SAMPLING_DEFAULTS_NAME = "sampling_defaults.json"

SamplingOverrides: TypeAlias = Mapping[str, Any]
"""Some fields of `SamplingSettings` by name, in place of those of a model; None leaves one as it is."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SamplingSettings:
    """How a video is sampled; the defaults are those of the published model, which has only the first two fields."""

    num_inference_steps: Annotated[int, Range(at_least=1, at_most=1000)] = 50
    """Denoising steps."""

    guidance_scale: Annotated[float, Range(at_least=0, at_most=1000)] = 6.0
    """Weight of the prompt against the negative prompt; 1 or less does without."""

    identity_guidance_scale: Annotated[float, Range(at_least=0, at_most=1000)] = 1.0
    """Weight of the people against nobody in particular; 1 does without."""

    layout_share: Share = 0.0
    """Share of the steps, at the start, in which people are placed from left to right in the order given, before the
    router takes over; 0 does without."""

    likeness_guidance_scale: Annotated[float, Range(at_least=0, at_most=1000)] = 0.0
    """How far each step is led to where the recogniser sees the people of the photos; 0 does without."""

    perturbed_attention_scale: Annotated[float, Range(at_least=0, at_most=1000)] = 0.0
    """How far each step is led away from what is predicted while tokens cannot see each other; 0 does without."""

    def __post_init__(self) -> None:
        """Checks each number.

        Raises:
            ArgumentError: if one is out of its range.
        """
        for field in dataclasses.fields(SamplingSettings):
            value, allowed = getattr(self, field.name), declared_range(SamplingSettings, field.name)
            if isinstance(field.default, int):
                whole_number(field.name, value, least=1)
                if value not in allowed:
                    raise ArgumentError(f"{field.name} must be at most {allowed.at_most}, got {value}.")
            else:
                check_number(field.name, value)
            if value < 0:
                raise ArgumentError(f"{field.name} must not be negative, got {value}.")
            if value not in allowed:
                raise ArgumentError(f"{field.name} must lie in [{allowed.at_least}, {allowed.at_most}], got {value}.")

    def override(self, **given: Any) -> Self:
        """These settings with those that are given in their place; None leaves one as it is.

        Raises:
            ArgumentError: if one is out of its range.
            TypeError: if there is no setting of a name.
        """
        left = {field.name for field in dataclasses.fields(self) if given.get(field.name) is None}
        return dataclasses.replace(self, **{name: value for name, value in given.items() if name not in left})

    def describe(self) -> str:
        """The settings in words: their names without what is a scale, and their values."""
        steps, *others = (field.name for field in dataclasses.fields(SamplingSettings))
        named = [(name.removesuffix("_scale").replace("_", " "), getattr(self, name)) for name in others]
        return ", ".join([f"{getattr(self, steps)} steps", *(f"{name} {value:g}" for name, value in named)])


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
