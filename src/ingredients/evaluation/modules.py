"""What each part of the model does: `ingredients evaluate --modules`."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ingredients.casebook.cases import make_cases
from ingredients.core.files import write_text
from ingredients.core.markdown import markdown_table
from ingredients.core.output_folders import fills_folder
from ingredients.core.protocols import ProgressCallback
from ingredients.evaluation.assessment import ClipAssessment
from ingredients.evaluation.case_record import CaseRecord
from ingredients.evaluation.evaluate import measure_cases, open_folder, open_measurer
from ingredients.evaluation.evaluation_folder import write_json
from ingredients.evaluation.judges import Judges
from ingredients.evaluation.known_people import NUM_DISTRACTORS
from ingredients.evaluation.metrics.metric import Metric
from ingredients.evaluation.metrics.registry import METRICS, find_metrics, needed_parts
from ingredients.evaluation.parts import (
    ADDITIONS,
    BOTH,
    CONFLICT,
    FORCED_LEFT_RIGHT,
    FORCED_RIGHT_LEFT,
    MODULE_VARIANTS,
    WHOLE,
    WITH_ADDITION,
    Parts,
)
from ingredients.evaluation.pipeline_source import GenerationSettings, PipelineSource
from ingredients.evaluation.result import estimate_to_json
from ingredients.evaluation.statistics import Estimate, bootstrap_difference, bootstrap_mean
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline

MODULES_RESULT_NAME = "modules.json"
MODULES_REPORT_NAME = "modules.md"

_METRIC_NAMES = (
    "normalised_similarity",
    "right_person_rate",
    "all_present_rate",
    "found_rate",
    "blended_rate",
    "doubled_rate",
)
_TRAIT_METRIC_NAMES = ("action_right", "expression_right", "attributes_right")
"""Those of the judges of what people do and look like, where a model folder has them."""
_NUM_PEOPLE = 2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModulesResult:
    """The identity metrics of the model whole and in parts, over the same cases and seeds."""

    variants: Mapping[str, Mapping[str, Estimate]]
    """Numbers by variant, then by metric."""

    conflict_canvas_similarity: Estimate
    """Canvas of A and B, local branch of C and D: similarity to A and B."""

    conflict_local_similarity: Estimate
    """The same videos: similarity to C and D."""

    forced_routing_moves: Estimate
    """Share of cases whose people change sides when the tokens forced on them do."""

    differences: Mapping[str, Mapping[str, Estimate]]
    """Numbers by variant, then by metric: what it has more than `both`, case by case; what each
    addition brings."""

    num_cases: int
    """Cases behind each number."""

    seed: int
    """A number that is added to the cases' own seeds."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "num_cases": self.num_cases,
            "seed": self.seed,
            "variants": {
                variant: {name: estimate_to_json(estimate) for name, estimate in metrics.items()}
                for variant, metrics in self.variants.items()
            },
            "differences_from_both": {
                variant: {name: estimate_to_json(estimate) for name, estimate in metrics.items()}
                for variant, metrics in self.differences.items()
            },
            "conflict": {
                "canvas_similarity": estimate_to_json(self.conflict_canvas_similarity),
                "local_similarity": estimate_to_json(self.conflict_local_similarity),
            },
            "forced_routing_moves": estimate_to_json(self.forced_routing_moves),
        }

    def to_markdown(self) -> str:
        """A page to read."""
        descriptions = {variant.name: variant.description for variant in MODULE_VARIANTS}
        names = list(next(iter(self.variants.values())))
        rows = [
            [name, *(_with_interval(metrics[metric]) for metric in names), descriptions[name]]
            for name, metrics in self.variants.items()
        ]
        canvas, local = self.conflict_canvas_similarity, self.conflict_local_similarity
        return "\n\n".join(
            [
                f"# What each part does: {self.num_cases} cases",
                "Each is the paper's method with one thing changed: none has the planned layout, identity guidance or "
                "likeness guidance but those that are named after them, and `whole`. In parentheses 95 % intervals "
                f"over cases, of one seed ({self.seed}).",
                markdown_table(["variant", *names, "what it is"], rows),
                "## Against `both`, case by case",
                markdown_table(
                    ["variant", *names],
                    [
                        [name, *(_with_interval(metrics[metric], sign="+") for metric in names)]
                        for name, metrics in self.differences.items()
                    ],
                ),
                f"Conflict: similarity to the people on the canvas {_with_interval(canvas)}, to those of the local "
                f"branch {_with_interval(local)}.",
                "Forced routing, local branch alone: the people change sides in "
                f"{_with_interval(self.forced_routing_moves)} of the cases.\n",
            ]
        )

    def to_summary(self) -> str:
        """A line a variant for the terminal; the report has the whole."""
        canvas, local = self.conflict_canvas_similarity, self.conflict_local_similarity
        lines = [f"{self.num_cases} cases of {_NUM_PEOPLE} people, seed {self.seed}: similarity; right person"]
        lines += [
            f"{name}: {_with_interval(metrics['normalised_similarity'])}; "
            f"{_with_interval(metrics['right_person_rate'])}"
            for name, metrics in self.variants.items()
        ]
        lines.append(
            f"conflict: like those of the canvas {_with_interval(canvas)}, of the local branch {_with_interval(local)}"
        )
        lines.append(f"people change sides with forced routing: {_with_interval(self.forced_routing_moves)}")
        return "\n".join(lines)


@fills_folder("an evaluation", "output")
def evaluate_modules(
    pipeline: IngredientsPipeline,
    judges: Judges,
    output: str | Path,
    *,
    num_cases: int = 30,
    seed: int = 0,
    settings: GenerationSettings | None = None,
    num_distractors: int = NUM_DISTRACTORS,
    batch_size: int = 1,
    save_videos: bool = False,
    progress: ProgressCallback | None = None,
) -> ModulesResult:
    """Runs the variants of `module_variants` on the same cases of two people; writes `modules.json` and `modules.md`.

    Args and errors are those of `PipelineSource` and `evaluate`; the two can share a folder, and then share the videos
    of the whole model. Videos that are kept have no manifest: it lists those of one system, and here are several.
    """
    settings = settings or GenerationSettings()
    source = PipelineSource(
        pipeline,
        make_cases(num_cases, num_people=_NUM_PEOPLE),
        settings=settings,
        seed=seed,
        num_distractors=num_distractors,
        batch_size=batch_size,
    )
    judges = dataclasses.replace(judges, text_encoder=None, inception=None)  # of faces alone
    folder = open_folder(source, judges, output)
    names = _METRIC_NAMES + (() if judges.acting is None or judges.attributes is None else _TRAIT_METRIC_NAMES)
    metrics = find_metrics(names)
    measurer = open_measurer(source, judges, needs=needed_parts(metrics))
    records: dict[str, list[CaseRecord]] = {}
    variants = module_variants(settings)
    for index, parts in enumerate(variants):

        def report(completed: int, total: int, done: int = index * num_cases) -> None:
            if progress is not None:
                progress(done + completed, total * len(variants))

        records[parts.name] = measure_cases(
            source.with_parts(parts), measurer, folder, save_videos=save_videos, progress=report
        )
    conflict = records[CONFLICT.name]
    result = ModulesResult(
        variants={
            variant: {metric.name: metric.compute(of_variant) for metric in metrics}
            for variant, of_variant in records.items()
        },
        conflict_canvas_similarity=_mean_similarity([record.people for record in conflict]),
        conflict_local_similarity=_mean_similarity(
            [record.other_people for record in conflict if record.other_people is not None]
        ),
        forced_routing_moves=forced_routing_moves(
            [record.people for record in records[FORCED_LEFT_RIGHT.name]],
            [record.people for record in records[FORCED_RIGHT_LEFT.name]],
        ),
        differences={
            variant: {name: paired_difference(METRICS[name], of_variant, records[BOTH.name]) for name in names}
            for variant, of_variant in records.items()
            if variant != BOTH.name
        },
        num_cases=num_cases,
        seed=seed,
    )
    write_json(folder.path / MODULES_RESULT_NAME, result.to_json())
    write_text(folder.path / MODULES_REPORT_NAME, result.to_markdown())
    return result


def module_variants(settings: GenerationSettings) -> list[Parts]:
    """What `--modules` runs: an addition that the settings do not ask for has no variant."""
    silent = {WITH_ADDITION[addition].name for addition in set(ADDITIONS) - settings.additions}
    if not settings.additions:
        silent.add(WHOLE.name)  # it is `both`
    return [variant for variant in MODULE_VARIANTS if variant.name not in silent]


def paired_difference(metric: Metric, ours: Sequence[CaseRecord], theirs: Sequence[CaseRecord]) -> Estimate:
    """Mean difference of a metric that is a mean over cases, case by case."""
    first, second = (metric.of_cases(records) for records in (ours, theirs))
    assert first is not None
    assert second is not None
    before, after = (np.array(numbers, dtype=np.float64) for numbers in (second, first))
    return bootstrap_difference(before, after, is_rate=metric.is_rate)


def forced_routing_moves(left_right: Sequence[ClipAssessment], right_left: Sequence[ClipAssessment]) -> Estimate:
    """Share of cases in which the first of two people is left when forced left, and right when forced right.

    A person who is not found has not moved.
    """
    moved = [
        _is_first_left(straight) is True and _is_first_left(mirrored) is False
        for straight, mirrored in zip(left_right, right_left, strict=True)
    ]
    return bootstrap_mean(np.array(moved, dtype=np.float64), is_rate=True)


def _is_first_left(assessment: ClipAssessment) -> bool | None:
    first, second = assessment.people
    if first.centre is None or second.centre is None:
        return None
    return first.centre[0] < second.centre[0]


def _mean_similarity(assessments: Sequence[ClipAssessment]) -> Estimate:
    return bootstrap_mean(np.array([assessment.mean_similarity for assessment in assessments]))


def _with_interval(estimate: Estimate, *, sign: Literal["", "+"] = "") -> str:
    return f"{estimate.value:{sign}.2f} ({estimate.low:{sign}.2f} to {estimate.high:{sign}.2f})"
