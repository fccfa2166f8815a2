"""Assembles the trained parts of the small model into a model folder in the published layout."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(slots=True, kw_only=True)
class PackConfig:
    """Where the model folder goes and what goes in."""

    folder: Path | None = None
    """The model folder; None takes `OUTPUT/packed`."""

    transformer_part: str = "route"
    """The part whose transformer ships."""


def pack(config: PackConfig, output: Path, resume: bool = False, *, show: bool = True) -> Path:
    """Writes the model folder; returns where."""
    raise NotImplementedError
