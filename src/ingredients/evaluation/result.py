"""What an evaluation found, whoever made the videos: as an object, as JSON and as a page to read."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ingredients.core.config import config_to_dict
from ingredients.evaluation.assessment import Measure, SimilarityScale
from ingredients.evaluation.calibration import JudgeCalibration
from ingredients.evaluation.case_record import RECORD_PARTS, CaseRecord, TextEncoderName
from ingredients.evaluation.changes import Confusion, confusion_matrix
from ingredients.evaluation.folder_scale import FolderScale
from ingredients.evaluation.metrics.motion import motion_by_transition, sharpness_by_frame
from ingredients.evaluation.metrics.registry import METRICS
from ingredients.evaluation.metrics.router import mean_recall_table
from ingredients.evaluation.statistics import Estimate
from ingredients.evaluation.tables import (
    ReportedCase,
    calibration_table,
    cases_table,
    confusion_table,
    metrics_table,
    motion_table,
    probed_timesteps,
    router_table,
    sharpness_table,
    summary_lines,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JudgedBy:
    """Who judged the videos, and how."""

    name: str
    """Who judged the faces."""

    detector: str
    """Who found them."""

    measure: Measure
    """How they were compared."""

    scale: SimilarityScale | None
    """What normalises similarities; None where they are left as they are."""

    limit: float
    """Cosine (or 1 - distance) above which a face is taken for the person."""

    folder_scale: FolderScale | None
    """Where the scale comes from, if it was taken from real people of a folder."""

    calibration: JudgeCalibration | None
    """What the judge that ships with a model says about real clips: the ceiling."""

    text_encoder: TextEncoderName | None
    """Who judged the text."""

    num_known_people: int
    """People of a folder, whom each is told from."""

    max_frames: int | None
    """Frames looked at in a video; None: all."""

    @property
    def scale_source(self) -> str | None:
        """What the scale was taken from."""
        if self.folder_scale is not None:
            return self.folder_scale.source
        return None if self.scale is None else "the drawn world"

    def calibration_values(self) -> dict[str, Any] | None:
        """The calibration as plain values."""
        return None if self.calibration is None else config_to_dict(self.calibration)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the source of the videos says about them."""

    title: str
    """Heading of the reports."""

    facts: tuple[str, ...]
    """Sentences on how the numbers came about."""

    opening: str
    """First line of the terminal's summary."""

    closing: str | None = None
    """What ends that line, if anything does."""

    values: Mapping[str, Any]
    """Plain values for `result.json`."""

    num_listed: int = 0
    """So many cases, if there are no more, are listed one by one on the terminal."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The metrics of some videos, and the cases behind them."""

    metrics: Mapping[str, Estimate]
    """Each metric with its interval, by name."""

    cases: Sequence[ReportedCase]
    """One a video."""

    judged_by: JudgedBy
    """Who judged them."""

    account: Account
    """Where they come from."""

    @property
    def records(self) -> list[CaseRecord]:
        """What was measured on each case."""
        return [case.record for case in self.cases]

    @property
    def num_people(self) -> int:
        """The most that a case asks for."""
        return max(len(case.people) for case in self.cases)

    @property
    def num_errors(self) -> int:
        """Cases without a video that could be judged, in which everybody counts as missing."""
        return sum(record.error is not None for record in self.records)

    @property
    def is_normalised(self) -> bool:
        """Whether similarities are normalised, rather than cosines."""
        return self.judged_by.scale is not None

    @property
    def confusions(self) -> list[Confusion]:
        """Who appears as whom in the cases of which it was asked."""
        return [case.confusion for case in self.cases if case.confusion is not None]

    @property
    def motion(self) -> list[float]:
        """The change at each transition from frame to frame, as a share of that in real clips."""
        return motion_by_transition(self.records)

    @property
    def sharpness(self) -> list[float]:
        """How sharp the faces of each frame are, as a share of those in real clips."""
        return sharpness_by_frame(self.records)

    def to_json(self) -> dict[str, Any]:
        """Plain values: each metric under its name with value, low and high; what is not finite becomes None."""
        values: dict[str, Any] = {name: estimate_to_json(estimate) for name, estimate in self.metrics.items()}
        values |= {"num_cases": len(self.cases), "num_people": self.num_people, "num_errors": self.num_errors}
        values |= self.account.values
        if "router_accuracy" in self.metrics:
            values["router_table"] = {
                "timesteps": list(probed_timesteps(self.records)),
                "recall_by_block": [[round(value, 4) for value in row] for row in mean_recall_table(self.records)],
            }
        if self.confusions:
            values["confusion_matrix"] = confusion_matrix(self.confusions, self.num_people)
        if self.motion:
            values["motion_by_transition"] = [_finite(share) for share in self.motion]
        if self.sharpness:
            values["sharpness_by_frame"] = [_finite(share) for share in self.sharpness]
        values["cases"] = cases_to_json(self.metrics, self.cases)
        return values

    def to_markdown(self) -> str:
        """A page with all tables."""
        parts = [f"# {self.account.title}", *self.account.facts, metrics_table(self.metrics)]
        if self.motion:
            parts += ["## Motion, from frame to frame", motion_table(self.motion)]
        if self.sharpness:
            parts += ["## Sharpness of the faces, frame by frame", sharpness_table(self.sharpness)]
        if self.judged_by.calibration is not None:
            parts += ["## The judge on real clips", calibration_table(self.judged_by.calibration)]
        if "router_accuracy" in self.metrics:
            parts += ["## Router: balanced recall by routed block and timestep", router_table(self.records)]
        if self.confusions:
            parts += ["## Who appears as whom", confusion_table(self.confusions, self.num_people)]
        parts += ["## Cases", cases_table(self.cases)]
        return "\n\n".join(parts) + "\n"

    def to_summary(self) -> str:
        """At most ten lines for the terminal, and few videos one by one; the report has the whole."""
        account = [self.account.opening, *([] if self.account.closing is None else [self.account.closing])]
        lines = ["; ".join(account), *summary_lines(self.metrics, self.cases)]
        if 1 < len(self.cases) <= self.account.num_listed:
            lines += ["", "## Cases", "", cases_table(self.cases)]
        return "\n".join(lines)


def estimate_to_json(estimate: Estimate) -> dict[str, float | None]:
    """Value, low and high, and what there is of real clips, these through the VAE, and chance.

    What is not finite becomes None.
    """
    values = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    beside = {"real_clips": estimate.real_clips, "after_vae": estimate.after_vae, "chance": estimate.chance}
    values |= {name: value for name, value in beside.items() if value is not None}
    return {name: _finite(value) for name, value in values.items()}


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
                "turned": None if record.turns is None else record.turns.turned[index],
                "exchanged": None if record.turns is None else record.turns.exchanged[index],
                "right_person": found.right_person,
                "present": found.present,
                "frames_found": found.frames_found,
                "seen": case.traits_of(index),
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


def _finite(value: float) -> float | None:
    return round(value, 5) if math.isfinite(value) else None
