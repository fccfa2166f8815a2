"""What an evaluation found, as an object, as JSON and as a page to read."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ingredients.core.config import config_to_dict
from ingredients.core.markdown import markdown_table
from ingredients.evaluation.calibration import JudgeCalibration
from ingredients.evaluation.confusion import Confusion, confusion_matrix
from ingredients.evaluation.generation import GenerationSettings
from ingredients.evaluation.metrics.registry import METRICS
from ingredients.evaluation.metrics.router_accuracy import mean_recall_table
from ingredients.evaluation.records import CaseRecord
from ingredients.evaluation.reported import ReportedCase, ReportPage
from ingredients.evaluation.statistics import Estimate


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """The metrics of one model, and the cases behind them."""

    metrics: Mapping[str, Estimate]
    """Each metric with its interval, by name."""

    cases: Sequence[ReportedCase]
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

    is_normalised: bool = True
    """Whether similarities are normalised; cosines otherwise, for a judge without a scale."""

    @property
    def records(self) -> list[CaseRecord]:
        """What was measured on each case."""
        return [case.record for case in self.cases]

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
        if confusions := self.to_page().confusions:
            values["confusion_matrix"] = confusion_matrix(confusions, self.num_people)
        values["cases"] = [case_to_json(case) for case in self.cases]
        return values

    def to_markdown(self) -> str:
        """A page with all tables."""
        page = self.to_page()
        parts = [
            f"# {page.title}",
            *page.facts,
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
        if page.confusions:
            parts += ["## Who appears as whom", confusion_table(page.confusions, self.num_people)]
        parts += ["## Cases", cases_table(self.cases)]
        return "\n\n".join(parts) + "\n"

    def to_page(self) -> ReportPage:
        """For `report.html`."""
        settings = self.settings
        made = (
            f"Cases version {self.cases_version}, seed {self.seed}, {settings.num_inference_steps} steps, "
            f"guidance {settings.guidance_scale:g}, identity guidance {settings.identity_guidance_scale:g}, "
            f"layout share {settings.layout_share:g}, likeness guidance {settings.likeness_guidance_scale:g}, "
            f"{''.join(f'{name}, ' for name in settings.speed.names())}model {self.model_fingerprint}; "
            f"{self.seconds_per_video:.1f} s a video, {self.num_errors} cases without a video."
        )
        return ReportPage(
            title=f"Evaluation: {len(self.cases)} cases of {self.num_people} people",
            facts=(made,),
            metrics=self.metrics,
            cases=self.cases,
            is_normalised=self.is_normalised,
        )


def metrics_table(metrics: Mapping[str, Estimate]) -> str:
    """Markdown: a row a metric."""
    rows = [[name, *format_estimate(name, estimate), METRICS[name].description] for name, estimate in metrics.items()]
    return markdown_table(["metric", "value", "95 % interval", "what it is"], rows)


def format_estimate(name: str, estimate: Estimate) -> tuple[str, str]:
    """The value of a metric and its interval, in words."""
    if not math.isfinite(estimate.value):
        return ("none", "none") if math.isnan(estimate.value) else ("infinite", "infinite")
    factor, digits, unit = (100, 1, " %") if METRICS[name].is_percentage else (1, 3, "")
    value, low, high = (f"{factor * number:.{digits}f}" for number in (estimate.value, estimate.low, estimate.high))
    return f"{value}{unit}", f"{low} to {high}{unit}"


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
        f"strangers, over {calibration.num_clips} clips of {calibration.width}x{calibration.height}; the "
        f"{'judge' if calibration.has_own_detector else 'generator'}'s detector "
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


def estimate_to_json(estimate: Estimate) -> dict[str, float | None]:
    """Value, low and high; what is not finite becomes None, which JSON can say."""
    values = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return {name: round(value, 5) if math.isfinite(value) else None for name, value in values.items()}


def _timesteps(records: Sequence[CaseRecord]) -> tuple[int, ...]:
    return next(record.routing.timesteps for record in records if record.routing is not None)


def case_to_json(case: ReportedCase) -> dict[str, Any]:
    """Plain values of one case."""
    record, confusion = case.record, case.confusion
    return {
        "index": record.index,
        "case_id": record.label,
        "prompt": record.prompt,
        "people": [
            {
                "name": person.name,
                "found": found.found,
                "similarity": round(found.similarity, 4),
                "raw_similarity": None if found.cosine is None else round(found.cosine, 4),
                "seen_as": case.seen_as(index) if confusion is not None else None,
                "right_person": found.right_person,
                "present": found.present,
                "frames_found": found.frames_found,
            }
            for index, (person, found) in enumerate(zip(case.people, record.people.people, strict=True))
        ],
        "paper_face_similarity": None if record.paper is None else round(record.paper.face_similarity, 4),
        "text_cosine": None if record.text is None else round(record.text.cosine, 4),
        "frame_change": None if record.motion is None else round(record.motion.generated, 5),
        "blended": record.people.blended,
        "doubled": record.people.doubled,
        "swapped": None if confusion is None else confusion.swapped,
        "num_extra": None if confusion is None else confusion.num_extra,
        "switching": None if confusion is None else confusion.switching,
        "seconds": record.seconds,
        "error": record.error,
    }


def cases_table(cases: Sequence[ReportedCase]) -> str:
    """Markdown: a row a case."""
    rows = []
    for case in cases:
        people = case.record.people.people
        rows.append(
            [
                case.record.label,
                case.record.prompt,
                " ".join(f"{person.similarity:.2f}" if person.found else "missing" for person in people),
                f"{sum(person.right_person for person in people)}/{len(people)}",
                f"{sum(person.present for person in people)}/{len(people)}",
                ", ".join(case.remarks()),
            ]
        )
    return markdown_table(["case", "prompt", "similarity", "right person", "present", "remarks"], rows)
