"""Numbers and cases as text: the terminal's summary, tables in Markdown, and CSV for other programs.

`cases.csv` has a row a video, `people.csv` a row a person of a video.
"""

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from ingredients.core.arrays import UInt8Array
from ingredients.core.markdown import markdown_table
from ingredients.evaluation.calibration import JudgeCalibration
from ingredients.evaluation.case_record import CaseRecord
from ingredients.evaluation.changes import MISSING, STRANGER, Confusion, confusion_matrix
from ingredients.evaluation.metrics.motion import STILL_LIMIT
from ingredients.evaluation.metrics.registry import METRICS
from ingredients.evaluation.metrics.router import mean_recall_table
from ingredients.evaluation.metrics.text import ATTRIBUTE_CHOICES
from ingredients.evaluation.statistics import Estimate
from ingredients.evaluation.traits import ACTS

CASES_NAME = "cases.csv"
PEOPLE_NAME = "people.csv"

_BEGINNINGS_OF_FORMULAS = ("=", "+", "-", "@", "|", "%")

_Row = Mapping[str, str | int | float | bool | None]

_SUMMARISED = {
    "normalised_similarity": "similarity (0 a stranger, 1 the person in a real clip)",
    "raw_similarity": "raw similarity",
}
"""Metrics that have a line of the terminal's summary, and what it calls them."""

_SUMMARISED_RATES = {
    "right_person_rate": "right person",
    "all_present_rate": "everyone present",
    "found_rate": "a face found",
    "router_accuracy": "router",
}
"""Metrics that share one."""

_SUMMARISED_TRAITS = {
    "who does what": {"action_right": "action", "expression_right": "expression", "who_does_what": "all right"},
    "looks, as in the photo": {"attributes_right": "all", "hat_right": "hat", "glasses_right": "glasses"},
}
"""Metrics of judges that share a line of it, by what it begins with."""

_SUMMARISED_MOTION = {
    "motion_within": "within a latent frame",
    "motion_across": "across two",
    "landmark_motion": "landmarks",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportedPerson:
    """Somebody who was asked for."""

    name: str
    """Name of the person."""

    photos: tuple[Path | UInt8Array, ...]
    """Files, or pictures (H, W, 3)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportedCase:
    """A case with what there is to show of it."""

    record: CaseRecord
    """What was measured."""

    people: tuple[ReportedPerson, ...]
    """The people, in the order asked for."""

    video: Path | None = None
    """The video, if it was kept."""

    file_name: str | None = None
    """What the video is called in tables."""

    @property
    def confusion(self) -> Confusion | None:
        """Who appears as whom, if it was measured."""
        return None if self.record.changes is None else self.record.changes.confusion

    def seen_as(self, person: int) -> str:
        """As whom a person appears, by name."""
        if self.confusion is None:
            return ""
        seen = self.confusion.seen_as[person]
        return {STRANGER: "a stranger", MISSING: "missing"}.get(seen) or self.people[seen].name

    def traits_of(self, person: int) -> dict[str, dict[str, str]] | None:
        """What a person should do and look like and what is seen of it, trait by trait, if it was measured."""
        traits = self.record.traits
        if traits is None:
            return None
        seen = traits.generated[person] or {}
        return {name: {"asked": value, "seen": seen.get(name, "")} for name, value in traits.truth[person].items()}

    def remarks(self) -> list[str]:
        """What went wrong, in words."""
        record, confusion = self.record, self.confusion
        if record.error is not None:
            return [record.error]
        remarks = [word for word in ("blended", "doubled") if getattr(record.people, word)]
        if confusion is not None:
            for person, seen in enumerate(confusion.seen_as):
                if seen != person:
                    as_whom = "is missing" if seen == MISSING else f"appears as {self.seen_as(person)}"
                    remarks.append(f"{self.people[person].name} {as_whom}")
            remarks += ["swapped"] if confusion.swapped else []
            remarks += ["switching"] if confusion.switching else []
            remarks += [f"{confusion.num_extra} extra"] if confusion.num_extra else []
        if record.turns is not None:
            for person, (turned, exchanged) in enumerate(
                zip(record.turns.turned, record.turns.exchanged, strict=True)
            ):
                what = "is exchanged" if exchanged else "becomes somebody else" if turned else None
                remarks += [] if what is None else [f"{self.people[person].name} {what} on the way"]
        if record.motion is not None and record.motion.generated < STILL_LIMIT:
            remarks.append("still")
        return remarks


def summary_lines(metrics: Mapping[str, Estimate], cases: Sequence[ReportedCase]) -> list[str]:
    """What matters most of any evaluation, in nine lines at most: people, text, acting, motion, the worst case."""

    def with_interval(name: str, words: str) -> str:
        value, interval = format_estimate(name, metrics[name])
        return f"{words}: {value} ({interval})"

    likeness = [name for name in _SUMMARISED if name in metrics][:1]
    lines = [with_interval(name, _SUMMARISED[name]) for name in likeness]
    rates = [with_interval(name, words) for name, words in _SUMMARISED_RATES.items() if name in metrics]
    lines += [", ".join(rates)] if rates else []
    by_judges = {"action", "expression"} if "action_right" in metrics else set()  # who tell these better
    attributes = {
        choice.attribute: metrics[choice.name]
        for choice in ATTRIBUTE_CHOICES
        if choice.name in metrics and choice.attribute not in by_judges and math.isfinite(metrics[choice.name].value)
    }
    if attributes:
        told = [f"{name} {_beside(estimate)}" for name, estimate in attributes.items()]
        lines.append(f"text, each attribute told right among all: {', '.join(told)}")
    elif "text_relevance" in metrics:
        lines.append(f"text relevance: {format_estimate('text_relevance', metrics['text_relevance'])[0]}")
    for heading, names in _SUMMARISED_TRAITS.items():
        told = [
            f"{words} {_beside(metrics[name])}"
            for name, words in names.items()
            if name in metrics and math.isfinite(metrics[name].value)
        ]
        if told:
            lines.append(f"{heading}: {', '.join(told)}")
    if "motion_amount" in metrics and math.isfinite(metrics["motion_amount"].value):
        parts = [f"{metrics['motion_amount'].value:.0%} of real clips'"]
        for name, words in _SUMMARISED_MOTION.items():
            if name in metrics and math.isfinite(metrics[name].value):
                parts.append(f"{words} {metrics[name].value:.0%}")
        if "still_people" in metrics and math.isfinite(metrics["still_people"].value):
            parts.append(f"people who stand still {_beside(metrics['still_people'])}")
        lines.append(f"motion: {', '.join(parts)}")
    if "face_sharpness" in metrics and math.isfinite(metrics["face_sharpness"].value):
        sharpness = metrics["face_sharpness"]
        ceiling = "" if sharpness.after_vae is None else f" (the VAE alone {sharpness.after_vae:.0%})"
        lines.append(f"sharpness of faces: {sharpness.value:.0%} of real clips'{ceiling}")
    worst = min(cases, key=lambda case: case.record.people.mean_similarity)
    remarks = "; ".join(worst.remarks()) or worst.record.prompt
    lines.append(f"worst case: {worst.record.label}, {worst.record.people.mean_similarity:.2f}: {remarks}")
    return lines


def _beside(estimate: Estimate) -> str:
    """A share with what it is to be compared with."""
    numbers = (("real clips", estimate.real_clips), ("the VAE", estimate.after_vae), ("chance", estimate.chance))
    known = [f"{words} {number:.0%}" for words, number in numbers if number is not None and math.isfinite(number)]
    return f"{estimate.value:.0%}" + (f" ({', '.join(known)})" if known else "")


def format_estimate(name: str, estimate: Estimate) -> tuple[str, str]:
    """The value of a metric and its interval, in words."""
    if not math.isfinite(estimate.value):
        return ("none", "none") if math.isnan(estimate.value) else ("infinite", "infinite")
    value, low, high = (_format(name, number) for number in (estimate.value, estimate.low, estimate.high))
    unit = " %" if METRICS[name].is_percentage else ""
    return f"{value}{unit}", f"{low} to {high}{unit}"


def format_beside(name: str, estimate: Estimate) -> tuple[str, str, str]:
    """What real clips have, what the VAE leaves of it, and what guessing gives; empty where nothing is said of it."""
    real, after_vae, chance = (
        "" if number is None or not math.isfinite(number) else _format(name, number)
        for number in (estimate.real_clips, estimate.after_vae, estimate.chance)
    )
    return real, after_vae, chance


def metrics_table(metrics: Mapping[str, Estimate]) -> str:
    """Markdown: a row a metric."""
    rows = [
        [name, *format_estimate(name, estimate), *format_beside(name, estimate), METRICS[name].description]
        for name, estimate in metrics.items()
    ]
    header = ["metric", "value", "95 % interval", "real clips", "through the VAE", "chance", "what it is"]
    return markdown_table(header, rows)


def motion_table(motion: Sequence[float]) -> str:
    """Markdown: the change at each transition, as a share of that in the real clips."""
    header = ["", *(f"{index} to {index + 1}" for index in range(len(motion)))]
    return markdown_table(header, [["share of real clips' change", *(f"{share:.0%}" for share in motion)]])


def sharpness_table(shares: Sequence[float]) -> str:
    """Markdown: how sharp the faces of each frame are, as a share of those in the real clips."""
    header = ["", *(str(index) for index in range(len(shares)))]
    return markdown_table(header, [["share of real clips' energy", *(f"{share:.0%}" for share in shares)]])


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
    if calibration.vae_sharpness is not None:
        psnr = calibration.vae_sharpness.psnr_by_frame
        text += (
            "\n\nHow near the VAE alone comes to each frame (PSNR, in dB), and how sharp it leaves the faces.\n\n"
            + markdown_table(
                ["frame", *(str(index) for index in range(len(psnr)))],
                [
                    ["PSNR", *(f"{each:.1f}" for each in psnr)],
                    [
                        "faces' energy",
                        *("-" if each is None else f"{each:.0%}" for each in calibration.vae_sharpness.faces_by_frame),
                    ],
                ],
            )
        )
    return text


def router_table(records: Sequence[CaseRecord]) -> str:
    """Markdown: the router's balanced recall, a row a routed block, a column a timestep."""
    rows = [[f"{block}", *(f"{value:.3f}" for value in row)] for block, row in enumerate(mean_recall_table(records))]
    return markdown_table(["block", *(f"t = {timestep}" for timestep in probed_timesteps(records))], rows)


def probed_timesteps(records: Sequence[CaseRecord]) -> tuple[int, ...]:
    """The noise levels at which the router was asked."""
    return next(record.routing.timesteps for record in records if record.routing is not None)


def confusion_table(confusions: Sequence[Confusion], num_people: int) -> str:
    """Markdown: a row for each place among the people asked for, a column for who appears there."""
    header = ["asked for", *(f"seen as {person + 1}" for person in range(num_people)), "a stranger", "missing"]
    rows = [
        [str(person + 1), *(str(count) for count in counts)]
        for person, counts in enumerate(confusion_matrix(confusions, num_people))
    ]
    return markdown_table(header, rows)


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


def case_tables(cases: Sequence[ReportedCase]) -> dict[str, str]:
    """Both tables, by the names of their files; what was not measured is an empty cell.

    A text that a spreadsheet would take for a formula has an apostrophe before it, which spreadsheets do not show.
    """
    return {
        CASES_NAME: _table([case_row(case) for case in cases]),
        PEOPLE_NAME: _table([row for case in cases for row in people_rows(case)]),
    }


def case_row(case: ReportedCase) -> _Row:
    """One video."""
    record, confusion, people = case.record, case.confusion, case.record.people
    return {
        "case": record.label,
        "file_name": case.file_name,
        "prompt": record.prompt,
        "num_people": len(case.people),
        "similarity": people.mean_similarity,
        "similarity_minimum": people.greedy_minimum,
        "paper_face_similarity": None if record.paper is None else record.paper.face_similarity,
        "text_cosine": None if record.text is None else record.text.cosine,
        "frame_change": None if record.motion is None else record.motion.generated,
        "real_frame_change": None if record.motion is None else record.motion.real,
        "num_right": None if confusion is None else confusion.num_right,
        "num_dominated": None if confusion is None else confusion.num_dominated,
        "num_strangers": None if confusion is None else confusion.num_strangers,
        "num_missing": None if confusion is None else confusion.num_missing,
        "num_extra": None if confusion is None else confusion.num_extra,
        "swapped": None if confusion is None else confusion.swapped,
        "switching": None if confusion is None else confusion.switching,
        "num_turned": None if record.turns is None else sum(record.turns.turned),
        "num_exchanged": None if record.turns is None else sum(record.turns.exchanged),
        "blended": people.blended,
        "doubled": people.doubled,
        "remarks": "; ".join(case.remarks()),
        "error": record.error,
    }


def people_rows(case: ReportedCase) -> list[_Row]:
    """One video's people."""
    rows: list[_Row] = []
    for index, (person, found) in enumerate(zip(case.people, case.record.people.people, strict=True)):
        changes = None if case.record.changes is None else case.record.changes.faces[index]
        rows.append(
            {
                "case": case.record.label,
                "person": index + 1,
                "name": person.name,
                "found": found.found,
                "similarity": found.similarity,
                "raw_similarity": found.cosine,
                "seen_as": case.seen_as(index),
                "right_person": found.right_person,
                "present": found.present,
                "frames_found": found.frames_found,
                "frames_ranked_first": found.frames_ranked_first,
                "centre_x": None if found.centre is None else found.centre[0],
                "centre_y": None if found.centre is None else found.centre[1],
                **{
                    f"{name}_{side}": value
                    for name, sides in (case.traits_of(index) or {}).items()
                    if name in ACTS
                    for side, value in sides.items()
                },
                "drift": None if changes is None else changes.drift,
                "copy_paste": None if changes is None else changes.copy_paste,
                "variety": None if changes is None else changes.variety,
            }
        )
    return rows


def _format(name: str, number: float) -> str:
    factor, digits = (100, 1) if METRICS[name].is_percentage else (1, 3)
    return f"{factor * number:.{digits}f}"


def _table(rows: Sequence[_Row]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows([{name: _cell(value) for name, value in row.items()} for row in rows])
    return text.getvalue()


def _cell(value: str | int | float | bool | None) -> str | int:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value}" if value.lstrip().startswith(_BEGINNINGS_OF_FORMULAS) else value
    return f"{value:.5f}" if isinstance(value, float) else value
