"""What an evaluation found, as an object, as JSON and as a page to read."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ingredients.core.config import config_to_dict
from ingredients.core.markdown import markdown_table
from ingredients.evaluation.calibration import JudgeCalibration
from ingredients.evaluation.case_record import RECORD_PARTS, CaseRecord
from ingredients.evaluation.changes import Confusion, confusion_matrix
from ingredients.evaluation.generation import GenerationSettings
from ingredients.evaluation.metrics.motion import motion_by_transition
from ingredients.evaluation.metrics.registry import METRICS
from ingredients.evaluation.metrics.router import mean_recall_table
from ingredients.evaluation.metrics.text import ATTRIBUTE_CHOICES
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
        if shares := motion_by_transition(self.records):
            values["motion_by_transition"] = [_finite(share) for share in shares]
        values["cases"] = cases_to_json(self.metrics, self.cases)
        return values

    def to_markdown(self) -> str:
        """A page with all tables."""
        page = self.to_page()
        parts = [
            f"# {page.title}",
            *page.facts,
            metrics_table(self.metrics),
        ]
        if page.motion:
            parts += ["## Motion, from frame to frame", motion_table(page.motion)]
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

    def to_summary(self) -> str:
        """Some ten lines for the terminal; the report has the whole."""
        lines = [f"{len(self.cases)} cases of {self.num_people} people, seed {self.seed}"]
        lines += summary_lines(self.metrics, self.cases, motion=motion_by_transition(self.records))
        return "\n".join([*lines, f"time: {self.seconds_per_video:.1f} s a video"])

    def to_page(self) -> ReportPage:
        """For `report.html`."""
        settings = self.settings
        made = (
            f"Cases version {self.cases_version}, seed {self.seed}, {settings.describe()}, "
            f"{''.join(f'{name}, ' for name in settings.speed.names())}model {self.model_fingerprint}; "
            f"{self.seconds_per_video:.1f} s a video, {self.num_errors} cases without a video."
        )
        return ReportPage(
            title=f"Evaluation: {len(self.cases)} cases of {self.num_people} people",
            facts=(made,),
            metrics=self.metrics,
            cases=self.cases,
            is_normalised=self.is_normalised,
            motion=motion_by_transition(self.records),
        )


def metrics_table(metrics: Mapping[str, Estimate]) -> str:
    """Markdown: a row a metric."""
    rows = [
        [name, *format_estimate(name, estimate), *format_beside(name, estimate), METRICS[name].description]
        for name, estimate in metrics.items()
    ]
    return markdown_table(["metric", "value", "95 % interval", "real clips", "chance", "what it is"], rows)


SUMMARISED = {
    "normalised_similarity": "similarity (0 a stranger, 1 the person in a real clip)",
    "raw_similarity": "raw similarity",
    "right_person_rate": "right person",
    "all_present_rate": "everyone present",
    "found_rate": "a face found",
    "router_accuracy": "router",
}
"""Metrics that have a line of the terminal's summary, and what it calls them."""


def summary_lines(
    metrics: Mapping[str, Estimate], cases: Sequence[ReportedCase], *, motion: Sequence[float]
) -> list[str]:
    """What matters most of any evaluation, a line each: people, text by attribute, motion, the worst case."""
    lines = []
    for name, words in SUMMARISED.items():
        if name in metrics and not (name == "raw_similarity" and "normalised_similarity" in metrics):
            value, interval = format_estimate(name, metrics[name])
            lines.append(f"{words}: {value} ({interval})")
    attributes = {
        choice.attribute: metrics[choice.name]
        for choice in ATTRIBUTE_CHOICES
        if choice.name in metrics and math.isfinite(metrics[choice.name].value)
    }
    if attributes:
        told = []
        for name, estimate in attributes.items():
            real = "" if estimate.real_clips is None else f"real clips {estimate.real_clips:.0%}, "
            told.append(f"{name} {estimate.value:.0%} ({real}chance {estimate.chance:.0%})")
        lines.append(f"text, each attribute told right among all: {', '.join(told)}")
    elif "text_relevance" in metrics:
        lines.append(f"text relevance: {format_estimate('text_relevance', metrics['text_relevance'])[0]}")
    if "motion_amount" in metrics and math.isfinite(metrics["motion_amount"].value):
        parts = [f"{metrics['motion_amount'].value:.0%} of real clips'"]
        for name, words in (("motion_within", "within a latent frame"), ("motion_across", "across two")):
            if name in metrics and math.isfinite(metrics[name].value):
                parts.append(f"{words} {metrics[name].value:.0%}")
        lines.append(f"motion: {', '.join(parts)}")
    if motion:
        lines.append(f"motion at each transition: {', '.join(f'{share:.0%}' for share in motion)}")
    worst = min(cases, key=lambda case: case.record.people.mean_similarity)
    remarks = "; ".join(worst.remarks()) or worst.record.prompt
    lines.append(f"worst case: {worst.record.label}, {worst.record.people.mean_similarity:.2f}: {remarks}")
    return lines


def motion_table(motion: Sequence[float]) -> str:
    """Markdown: the change at each transition, as a share of that in the real clips."""
    header = ["", *(f"{index} to {index + 1}" for index in range(len(motion)))]
    return markdown_table(header, [["share of real clips' change", *(f"{share:.0%}" for share in motion)]])


def format_estimate(name: str, estimate: Estimate) -> tuple[str, str]:
    """The value of a metric and its interval, in words."""
    if not math.isfinite(estimate.value):
        return ("none", "none") if math.isnan(estimate.value) else ("infinite", "infinite")
    value, low, high = (_format(name, number) for number in (estimate.value, estimate.low, estimate.high))
    unit = " %" if METRICS[name].is_percentage else ""
    return f"{value}{unit}", f"{low} to {high}{unit}"


def format_beside(name: str, estimate: Estimate) -> tuple[str, str]:
    """What real clips have, and what guessing gives, in words; empty where nothing is said of it."""
    real, chance = (
        "" if number is None or not math.isfinite(number) else _format(name, number)
        for number in (estimate.real_clips, estimate.chance)
    )
    return real, chance


def _format(name: str, number: float) -> str:
    factor, digits = (100, 1) if METRICS[name].is_percentage else (1, 3)
    return f"{factor * number:.{digits}f}"


def calibration_table(calibration: JudgeCalibration) -> str:
    """Markdown: the judge's scale, its detector, and the metrics of real clips, as they are and through the VAE."""
    clips = {"real clips": calibration.real, "through the VAE": calibration.after_vae}
    columns = ["normalised_similarity", "right_person_rate", "all_present_rate", "blended_rate", "doubled_rate"]
    rows = [
        [label, *(f"{getattr(summary, column):.3f}" for column in columns)]
        for label, summary in clips.items()
        if summary is not None
    ]
    text = (
        f"Mean cosine {calibration.same_person_mean:.3f} for the same person and {calibration.stranger_mean:.3f} for "
        f"strangers, over {calibration.num_clips} clips of {calibration.width}x{calibration.height}; the "
        f"{'judge' if calibration.has_own_detector else 'generator'}'s detector "
        f"finds {calibration.detector_recall:.1%} of the faces, with {calibration.false_positives_per_frame:.3f} "
        "false detections a frame.\n\n" + markdown_table(["", *columns], rows)
    )
    motion = calibration.vae_motion
    if motion is not None:
        within, across = (
            "-" if share is None else f"{share:.0%}" for share in (motion.motion_within, motion.motion_across)
        )
        text += (
            f"\n\nOf the change from frame to frame the VAE alone keeps {within} within a latent frame and {across} "
            f"across two.\n\n{motion_table(motion.by_transition)}"
        )
    return text


def confusion_table(confusions: Sequence[Confusion], num_people: int) -> str:
    """Markdown: a row for each place among the people asked for, a column for who appears there."""
    header = ["asked for", *(f"seen as {person + 1}" for person in range(num_people)), "a stranger", "missing"]
    rows = [
        [str(person + 1), *(str(count) for count in counts)]
        for person, counts in enumerate(confusion_matrix(confusions, num_people))
    ]
    return markdown_table(header, rows)


def estimate_to_json(estimate: Estimate) -> dict[str, float | None]:
    """Value, low and high, and where there are such real clips and chance; what is not finite becomes None."""
    values = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    beside = {"real_clips": estimate.real_clips, "chance": estimate.chance}
    values |= {name: value for name, value in beside.items() if value is not None}
    return {name: _finite(value) for name, value in values.items()}


def _finite(value: float) -> float | None:
    return round(value, 5) if math.isfinite(value) else None


def _timesteps(records: Sequence[CaseRecord]) -> tuple[int, ...]:
    return next(record.routing.timesteps for record in records if record.routing is not None)


def cases_to_json(metrics: Iterable[str], cases: Sequence[ReportedCase]) -> list[dict[str, Any]]:
    """Plain values of all cases; `numbers` holds what each metric that is a mean over cases says of this one."""
    values = [case_to_json(case) for case in cases]
    numbers: list[dict[str, float | None]] = [{} for _ in cases]
    for name in metrics:
        metric = METRICS[name]
        readable = [index for index, case in enumerate(cases) if metric.needs & RECORD_PARTS <= case.record.parts]
        of_cases = metric.of_cases([cases[index].record for index in readable])
        for index, number in zip(readable, of_cases or (), strict=of_cases is not None):
            numbers[index][name] = None if number is None else _finite(number)
    return [value | {"numbers": of_case} for value, of_case in zip(values, numbers, strict=True)]


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
