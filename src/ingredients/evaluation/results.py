"""What an evaluation found, as an object, as JSON and as a page to read."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ingredients.core.config import config_to_dict
from ingredients.evaluation.calibration import JudgeCalibration
from ingredients.evaluation.confusion import Confusion, confusion_matrix
from ingredients.evaluation.generation import GenerationSettings
from ingredients.evaluation.metrics.registry import METRICS
from ingredients.evaluation.metrics.router_accuracy import mean_recall_table
from ingredients.evaluation.records import CaseRecord
from ingredients.evaluation.statistics import Estimate


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """The metrics of one model, and the cases behind them."""

    metrics: Mapping[str, Estimate]
    """Each metric with its interval, by name."""

    records: Sequence[CaseRecord]
    """One a case."""

    num_people: int
    """People in each case."""

    seed: int
    """Added to the cases' own seeds."""

    settings: GenerationSettings
    """How the videos were made."""

    cases_version: int | str
    """Only numbers of the same version can be compared; a text names the benchmark and its version."""

    model_fingerprint: str
    """Hash of the model's weights."""

    calibration: JudgeCalibration | None = None
    """What the judge says about real clips: the ceiling."""

    @property
    def num_errors(self) -> int:
        """Cases without a video, in which everybody counts as missing."""
        return sum(record.error is not None for record in self.records)

    @property
    def seconds_per_video(self) -> float:
        """Mean time that a generation took."""
        made = [record.seconds for record in self.records if record.error is None]
        return sum(made) / len(made) if made else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values: each metric under its name with value, low and high; what is infinite becomes None."""
        values: dict[str, Any] = {name: estimate_to_json(estimate) for name, estimate in self.metrics.items()}
        values |= {
            "num_cases": len(self.records),
            "num_people": self.num_people,
            "num_errors": self.num_errors,
            "seconds_per_video": round(self.seconds_per_video, 3),
            "seed": self.seed,
            "cases_version": self.cases_version,
            "model_fingerprint": self.model_fingerprint,
            "settings": config_to_dict(self.settings),
            "judge": None if self.calibration is None else config_to_dict(self.calibration),
        }
        if "router_accuracy" in self.metrics:
            values["router_table"] = {
                "timesteps": list(_timesteps(self.records)),
                "recall_by_block": [[round(value, 4) for value in row] for row in mean_recall_table(self.records)],
            }
        if confusions := _confusions(self.records):
            values["confusion_matrix"] = confusion_matrix(confusions, self.num_people)
        values["cases"] = [_case_to_json(record) for record in self.records]
        return values

    def to_markdown(self) -> str:
        """A page with all tables."""
        parts = [
            f"# Evaluation: {len(self.records)} cases of {self.num_people} people",
            f"Cases version {self.cases_version}, seed {self.seed}, {self.settings.num_inference_steps} steps, "
            f"guidance {self.settings.guidance_scale:g}, identity guidance "
            f"{self.settings.identity_guidance_scale:g}, layout share {self.settings.layout_share:g}, "
            f"likeness guidance {self.settings.likeness_guidance_scale:g}, "
            f"{''.join(f'{name}, ' for name in self.settings.speed.names())}"
            f"model {self.model_fingerprint}; "
            f"{self.seconds_per_video:.1f} s a video, {self.num_errors} cases without a video.",
            metrics_table(self.metrics),
        ]
        if self.calibration is not None:
            parts += ["## The judge on real clips", calibration_table(self.calibration)]
        if "router_accuracy" in self.metrics:
            timesteps = _timesteps(self.records)
            rows = [
                [f"{block}", *(f"{value:.3f}" for value in row)]
                for block, row in enumerate(mean_recall_table(self.records))
            ]
            parts += [
                "## Router: balanced recall by routed block and timestep",
                markdown_table(["block", *(f"t = {timestep}" for timestep in timesteps)], rows),
            ]
        if confusions := _confusions(self.records):
            parts += ["## Who appears as whom", confusion_table(confusions, self.num_people)]
        parts += ["## Cases", _cases_table(self.records)]
        return "\n\n".join(parts) + "\n"


def metrics_table(metrics: Mapping[str, Estimate]) -> str:
    """Markdown: a row a metric."""
    rows = [
        [name, f"{estimate.value:.3f}", f"{estimate.low:.3f} to {estimate.high:.3f}", METRICS[name].description]
        for name, estimate in metrics.items()
    ]
    return markdown_table(["metric", "value", "95 % interval", "what it is"], rows)


def calibration_table(calibration: JudgeCalibration) -> str:
    """Markdown: the judge's scale, its detector, and the metrics of real clips, as they are and through the VAE."""
    clips = {"real clips": calibration.real, "through the VAE": calibration.after_vae}
    columns = ["normalised_similarity", "right_person_rate", "all_present_rate", "blended_rate", "doubled_rate"]
    rows = [
        [label, *(f"{getattr(summary, column):.3f}" for column in columns)]
        for label, summary in clips.items()
        if summary is not None
    ]
    return (
        f"Mean cosine {calibration.same_person_mean:.3f} for the same person and {calibration.stranger_mean:.3f} for "
        f"strangers, over {calibration.num_clips} clips of {calibration.width}x{calibration.height}; the detector "
        f"finds {calibration.detector_recall:.1%} of the faces, with {calibration.false_positives_per_frame:.3f} "
        "false detections a frame.\n\n" + markdown_table(["", *columns], rows)
    )


def confusion_table(confusions: Sequence[Confusion], num_people: int) -> str:
    """Markdown: a row for each place among the people asked for, a column for who appears there."""
    header = ["asked for", *(f"seen as {person + 1}" for person in range(num_people)), "a stranger", "missing"]
    rows = [
        [str(person + 1), *(str(count) for count in counts)]
        for person, counts in enumerate(confusion_matrix(confusions, num_people))
    ]
    return markdown_table(header, rows)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def estimate_to_json(estimate: Estimate) -> dict[str, float | None]:
    """Value, low and high; what is not finite becomes None, which JSON can say."""
    values = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return {name: round(value, 5) if math.isfinite(value) else None for name, value in values.items()}


def _confusions(records: Sequence[CaseRecord]) -> list[Confusion]:
    return [record.changes.confusion for record in records if record.changes is not None]


def _timesteps(records: Sequence[CaseRecord]) -> tuple[int, ...]:
    return next(record.routing.timesteps for record in records if record.routing is not None)


def _case_to_json(record: CaseRecord) -> dict[str, Any]:
    return {
        "index": record.index,
        "prompt": record.prompt,
        "people": [
            {
                "found": person.found,
                "similarity": round(person.similarity, 4),
                "right_person": person.right_person,
                "present": person.present,
            }
            for person in record.people.people
        ],
        "blended": record.people.blended,
        "doubled": record.people.doubled,
        "seconds": record.seconds,
        "error": record.error,
    }


def _cases_table(records: Sequence[CaseRecord]) -> str:
    rows = []
    for record in records:
        people = record.people.people
        remarks = [name for name in ("blended", "doubled") if getattr(record.people, name)]
        rows.append(
            [
                str(record.index),
                record.prompt,
                " ".join(f"{person.similarity:.2f}" if person.found else "missing" for person in people),
                f"{sum(person.right_person for person in people)}/{len(people)}",
                f"{sum(person.present for person in people)}/{len(people)}",
                ", ".join(remarks + ([record.error] if record.error else [])),
            ]
        )
    return markdown_table(["case", "prompt", "similarity", "right person", "present", "remarks"], rows)
