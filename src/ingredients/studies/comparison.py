"""What the tables say of a model, read from the evaluations of its seeds, and how two models compare case by case.

Legend: S seeds, K cases.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingredients.core.config import record_from
from ingredients.core.errors import UserInputError
from ingredients.core.json_yaml import read_json
from ingredients.evaluation.names import RESULT_NAME
from ingredients.evaluation.statistics import Estimate, mean_over_seeds

_REMEDY = "run the study again"


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
        found = [seed[name] for seed in self.seeds if _is_measured(seed.get(name))]
        if len(found) != len(self.seeds):
            return None
        value, low, high = (float(np.mean([each[key] for each in found])) for key in ("value", "low", "high"))
        return Estimate(value=value, low=low, high=high)

    def of_seeds(self, name: str) -> list[float]:
        """A metric's values, seed by seed."""
        return [float(seed[name]["value"]) for seed in self.seeds if _is_measured(seed.get(name))]

    def similarities(self, *, num_seeds: int | None = None) -> NDArray[np.float64]:
        """Mean similarity of each case's people, averaged over the first seeds (K,)."""
        return np.asarray(self.similarities_by_seed()[:num_seeds].mean(axis=0), dtype=np.float64)

    def similarities_by_seed(self) -> NDArray[np.float64]:
        """Mean similarity of the people of each seed's cases (S, K)."""
        return np.array([[mean_similarity(case) for case in seed["cases"]] for seed in self.seeds], dtype=np.float64)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Metric:
    """A metric in `result.json`."""

    value: float | None
    """Its value; None where that is infinite."""

    low: float | None
    """Lower end of its interval."""

    high: float | None
    """Upper end of its interval."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Person:
    """A person of a case in `result.json`."""

    similarity: float
    """The similarity to the photos."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A case in `result.json`."""

    people: tuple[_Person, ...]
    """One at least."""

    def __post_init__(self) -> None:
        if not self.people:
            raise ValueError("a case asks for nobody")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What the tables read of `result.json`."""

    num_cases: int
    """How many there are."""

    cases: tuple[_Case, ...]
    """All of them."""

    def __post_init__(self) -> None:
        if not self.cases or len(self.cases) != self.num_cases:
            raise ValueError(f"it holds {len(self.cases)} cases and says that it has {self.num_cases}")


def read_result(name: str, folders: Sequence[Path]) -> ModelResult:
    """Reads the evaluations of a model's seeds.

    Raises:
        UserInputError: if one is missing or damaged.
    """
    from ingredients.evaluation.metrics.registry import METRICS  # with PyTorch, which a plan does without

    seeds = []
    for folder in folders:
        path = folder / RESULT_NAME
        values = read_json(path, remedy=_REMEDY)
        record_from(_Result, values, path, remedy=_REMEDY, ignore_unknown=True)
        for metric in METRICS.keys() & values.keys():
            if values[metric] is not None:
                record_from(_Metric, values[metric], path, remedy=_REMEDY, ignore_unknown=True)
        seeds.append(values)
    if len({values["num_cases"] for values in seeds}) > 1:
        raise UserInputError(
            f"The evaluations of the seeds of {name} have different numbers of cases "
            f"({', '.join(str(values['num_cases']) for values in seeds)}); {_REMEDY}."
        )
    return ModelResult(name=name, seeds=tuple(seeds))


def paired_difference(first: ModelResult, second: ModelResult) -> Estimate:
    """Mean difference of the similarities, case by case and seed by seed, over the cases and seeds that both have.

    The interval is for other cases and other seeds: both are samples. With one seed it says nothing of others.
    """
    num_cases, num_seeds = min(first.num_cases, second.num_cases), min(len(first.seeds), len(second.seeds))
    ours, theirs = (model.similarities_by_seed()[:num_seeds, :num_cases] for model in (first, second))
    return mean_over_seeds(ours - theirs)


def _is_measured(metric: Mapping[str, float | None] | None) -> bool:
    """Whether a metric of `result.json` has a finite value and interval."""
    return metric is not None and None not in metric.values()


def mean_similarity(case: Mapping[str, Any]) -> float:
    """Mean similarity of a case's people."""
    return float(np.mean([person["similarity"] for person in case["people"]]))
