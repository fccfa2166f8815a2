"""What the tables say of a model, read from the evaluations of its seeds, and how two models compare case by case.

Legend: S seeds, K cases.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingredients.core.errors import UserInputError
from ingredients.core.input_files import read_text
from ingredients.evaluation.outputs import RESULT_NAME
from ingredients.evaluation.statistics import Estimate, mean_over_seeds


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
        """A metric's mean over seeds, and the mean of the ends of their intervals; None where it was not measured.

        That interval is for other cases and these seeds; `paired_difference`, on which verdicts rest, is for other
        seeds as well.
        """
        found = [seed[name] for seed in self.seeds if seed.get(name) is not None and seed[name]["value"] is not None]
        if len(found) != len(self.seeds):
            return None
        value, low, high = (float(np.mean([each[key] for each in found])) for key in ("value", "low", "high"))
        return Estimate(value=value, low=low, high=high)

    def of_seeds(self, name: str) -> list[float]:
        """A metric's values, seed by seed."""
        return [float(seed[name]["value"]) for seed in self.seeds if seed.get(name)]

    def similarities(self, *, num_seeds: int | None = None) -> NDArray[np.float64]:
        """Mean similarity of each case's people, averaged over the first seeds (K,)."""
        return np.asarray(self.similarities_by_seed()[:num_seeds].mean(axis=0), dtype=np.float64)

    def similarities_by_seed(self) -> NDArray[np.float64]:
        """Mean similarity of the people of each seed's cases (S, K)."""
        return np.array([[mean_similarity(case) for case in seed["cases"]] for seed in self.seeds], dtype=np.float64)


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
    """Mean difference of the similarities, case by case and seed by seed, over the cases and seeds that both have.

    The interval is for other cases and other seeds: both are samples. With one seed it says nothing of others.
    """
    num_cases, num_seeds = min(first.num_cases, second.num_cases), min(len(first.seeds), len(second.seeds))
    ours, theirs = (model.similarities_by_seed()[:num_seeds, :num_cases] for model in (first, second))
    return mean_over_seeds(ours - theirs)


def mean_similarity(case: Mapping[str, Any]) -> float:
    """Of a case's people."""
    return float(np.mean([person["similarity"] for person in case["people"]]))
