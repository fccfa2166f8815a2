"""Two evaluations of the same cases, laid side by side: by how much they differ, case by case."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ingredients.core.config import read_record
from ingredients.core.errors import UserInputError
from ingredients.core.json_yaml import MissingFileError
from ingredients.core.markdown import markdown_table
from ingredients.evaluation.metrics.registry import METRICS
from ingredients.evaluation.names import result_file
from ingredients.evaluation.result import estimate_to_json
from ingredients.evaluation.statistics import Estimate, bootstrap_difference

_REMEDY = "name the folder of an evaluation, or its result.json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ComparableCase:
    """What a result says of one case."""

    case_id: str
    """Its name."""

    prompt: str
    """What was asked for."""

    numbers: Mapping[str, float | None]
    """What each metric that is a mean over cases says of it, by name."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ComparableResult:
    """What two results must share to be compared, and what is compared."""

    cases: tuple[ComparableCase, ...]
    """The cases, in the order of the evaluation."""

    seed: int | None = None
    """Added to the cases' own; None for videos made elsewhere."""

    cases_version: int | str | None = None
    """Version of the cases; None likewise."""

    judge: Any = None
    """Who judged, with the scale."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MetricDifference:
    """One metric of two results."""

    name: str
    """Key in the results."""

    first: float
    """Mean over the cases in which both have it."""

    second: float
    """The same mean in the second evaluation."""

    difference: Estimate
    """Second less first, case by case."""

    @property
    def verdict(self) -> str:
        """Whether the second is better, as far as these cases tell."""
        higher_is_better = METRICS[self.name].higher_is_better
        if self.difference.low <= 0 <= self.difference.high:
            return "undecided"
        if higher_is_better is None:
            return "higher" if self.difference.low > 0 else "lower"
        return "better" if (self.difference.low > 0) == higher_is_better else "worse"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ResultsDifference:
    """Two results, metric by metric."""

    metrics: tuple[MetricDifference, ...]
    """Those that both have and that are means over cases, in the order of the registry."""

    num_cases: int
    """Cases of both."""

    seed: int | None
    """The seed of both."""

    def to_json(self) -> dict[str, Any]:
        """Plain values; differences are second less first."""
        return {
            "num_cases": self.num_cases,
            "num_seeds": 1,
            "seed": self.seed,
            "metrics": {
                each.name: {
                    "first": round(each.first, 5),
                    "second": round(each.second, 5),
                    "difference": estimate_to_json(each.difference),
                    "verdict": each.verdict,
                }
                for each in self.metrics
            },
        }

    def to_markdown(self, first: str, second: str) -> str:
        """A table to read, under the names of the two."""
        rows = []
        for each in self.metrics:
            factor, digits = (100, 1) if METRICS[each.name].is_percentage else (1, 3)
            low, high = (f"{factor * end:+.{digits}f}" for end in (each.difference.low, each.difference.high))
            rows.append(
                [
                    each.name,
                    *(f"{factor * value:.{digits}f}" for value in (each.first, each.second)),
                    f"{factor * each.difference.value:+.{digits}f} ({low} to {high})",
                    each.verdict,
                ]
            )
        of_seed = "" if self.seed is None else f", seed {self.seed}"
        return "\n\n".join(
            [
                f"{self.num_cases} cases{of_seed}: {second} less {first}, case by case, with 95 % intervals over "
                "cases; of other seeds or training runs they say nothing.",
                markdown_table(["metric", first, second, "difference", f"{second} is"], rows),
            ]
        )


def read_comparable(path: Path) -> ComparableResult:
    """Reads the result of an evaluation.

    Args:
        path: its folder, or `result.json`.

    Raises:
        UserInputError: if it is not there, or is no result that can be compared.
    """
    file = result_file(path)
    try:
        result = read_record(ComparableResult, file, remedy=_REMEDY, ignore_unknown=True)
    except MissingFileError:
        raise
    except UserInputError as error:
        raise UserInputError(
            f"The file {file} is no result that can be compared ({str(error).rstrip('.')}); if an older version of "
            "this program wrote it, repeat the evaluation into the same folder."
        ) from error
    if not result.cases:
        raise UserInputError(f"The result {file} has no cases; {_REMEDY}.")
    return result


def compare_results(first: Path, second: Path) -> ResultsDifference:
    """Compares two evaluations of the same cases, case by case.

    Raises:
        UserInputError: if one cannot be read, or the two are of other cases, seeds or judges.
    """
    ours, theirs = read_comparable(first), read_comparable(second)
    _check_alike(ours, theirs, first, second)
    metrics = []
    for name in METRICS:
        numbers = [_numbers(result.cases, name) for result in (ours, theirs)]
        both = ~np.isnan(numbers[0]) & ~np.isnan(numbers[1])
        if both.any():
            before, after = (values[both] for values in numbers)
            metrics.append(
                MetricDifference(
                    name=name,
                    first=float(before.mean()),
                    second=float(after.mean()),
                    difference=bootstrap_difference(before, after, is_rate=METRICS[name].is_rate),
                )
            )
    if not metrics:
        raise UserInputError(f"The results {first} and {second} have no metric in common; {_REMEDY}.")
    return ResultsDifference(metrics=tuple(metrics), num_cases=len(ours.cases), seed=ours.seed)


def _numbers(cases: Sequence[ComparableCase], name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    known = [case.numbers.get(name) for case in cases]
    return np.array([math.nan if number is None else number for number in known], dtype=np.float64)


def _check_alike(ours: ComparableResult, theirs: ComparableResult, first: Path, second: Path) -> None:
    asked = [[(case.case_id, case.prompt) for case in result.cases] for result in (ours, theirs)]
    if ours.cases_version != theirs.cases_version or asked[0] != asked[1]:
        counts = " and ".join(str(len(result.cases)) for result in (ours, theirs))
        raise UserInputError(
            f"The results {first} and {second} are of other cases ({counts}, version {ours.cases_version} and "
            f"{theirs.cases_version}); evaluate both on the same ones."
        )
    if ours.seed != theirs.seed:
        raise UserInputError(
            f"The results {first} and {second} are of other seeds ({ours.seed} and {theirs.seed}); evaluate both with "
            "the same --seed."
        )
    if ours.judge != theirs.judge:
        raise UserInputError(
            f"The results {first} and {second} are by other judges, or on other scales; evaluate both with the same "
            "--judge (and --calibration)."
        )
