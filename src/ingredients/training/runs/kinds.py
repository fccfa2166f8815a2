"""Kinds of runs: their settings, their stages, and what they begin with."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, get_args

from ingredients.training.runs.configuration import RUN_CONFIGS, BaseRunConfig
from ingredients.training.stages.alignment import AlignmentStage
from ingredients.training.stages.base import BaseStage
from ingredients.training.stages.router import RouterStage
from ingredients.training.stages.settings import BaseTask


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunKind:
    """A kind of run: its settings, its stage, and what it begins with."""

    name: str
    """Name of its stage, and of its command where it has one."""

    config_type: type[Any]
    """Type of its settings."""

    build: Callable[..., Any]
    """Makes the stage of transformer, parts and settings."""

    task: BaseTask | None = None
    """The task of a base, which shows nobody; None for a stage with people."""

    needs_aligned: bool = False
    """Whether it begins with identity modules that were trained before."""


RUN_KINDS: dict[str, RunKind] = {
    "align": RunKind(name="align", config_type=RUN_CONFIGS["align"], build=AlignmentStage),
    "route": RunKind(name="route", config_type=RUN_CONFIGS["route"], build=RouterStage, needs_aligned=True),
}
"""The two stages of the paper, by their commands."""
BASE_KINDS: dict[BaseTask, RunKind] = {
    task: RunKind(
        name=f"base-{task}", config_type=BaseRunConfig, build=functools.partial(BaseStage, task=task), task=task
    )
    for task in get_args(BaseTask)
}
"""The bases, which the small model and the studies train for themselves."""
