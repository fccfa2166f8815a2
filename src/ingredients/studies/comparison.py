"""What the tables say of a model, read from the evaluations of its seeds, and how two models compare case by case."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingredients.core.errors import UserInputError
from ingredients.core.input_files import read_text
from ingredients.evaluation.outputs import RESULT_NAME
from ingredients.evaluation.statistics import Estimate, bootstrap_mean


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelResult:
    """A model, over its seeds."""

    name: str
    """Key of the model."""

    seeds: tuple[dict[str, Any], ...]
    """`result.json` of each seed's evaluation."""

    @property
    def num_cases(self) -> int:
        """Cases of each seed."""
        return int(self.seeds[0]["num_cases"])

    def metric(self, name: str) -> Estimate | None:
        """A metric's mean over seeds, and the mean of the ends of their intervals; None where it was not measured."""
        found = [seed[name] for seed in self.seeds if seed.get(name) is not None and seed[name]["value"] is not None]
        if len(found) != len(self.seeds):
            return None
        value, low, high = (float(np.mean([each[key] for each in found])) for key in ("value", "low", "high"))
        return Estimate(value=value, low=low, high=high)

    def of_seeds(self, name: str) -> list[float]:
        """A metric's values, seed by seed."""
        return [float(seed[name]["value"]) for seed in self.seeds if seed.get(name)]

    def similarities(self, *, num_seeds: int | None = None) -> NDArray[np.float64]:
        """Mean similarity of each case's people, averaged over the first seeds (cases,)."""
        seeds = self.seeds[:num_seeds]
        by_seed = np.array([[_mean_similarity(case) for case in seed["cases"]] for seed in seeds])
        return np.asarray(by_seed.mean(axis=0))


def read_result(name: str, folders: Sequence[Path]) -> ModelResult:
    """Reads the evaluations of a model's seeds.

    Raises:
        UserInputError: if one is missing or damaged.
    """
    seeds = []
    for folder in folders:
        path = folder / RESULT_NAME
        try:
            seeds.append(json.loads(read_text(path)))
        except (OSError, ValueError) as error:
            raise UserInputError(f"The evaluation {path} cannot be read ({error}); run the study again.") from error
    return ModelResult(name=name, seeds=tuple(seeds))


def paired_difference(first: ModelResult, second: ModelResult) -> Estimate:
    """Mean difference of the similarities with its interval, case by case, over the cases and seeds that both have."""
    num_cases, num_seeds = min(first.num_cases, second.num_cases), min(len(first.seeds), len(second.seeds))
    similarities = [model.similarities(num_seeds=num_seeds)[:num_cases] for model in (first, second)]
    return bootstrap_mean(similarities[0] - similarities[1])


def _mean_similarity(case: dict[str, Any]) -> float:
    return float(np.mean([person["similarity"] for person in case["people"]]))
