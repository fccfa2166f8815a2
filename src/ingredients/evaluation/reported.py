"""The cases of an evaluation as reports and tables show them, whoever made the videos."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from ingredients.core.arrays import UInt8Array
from ingredients.evaluation.case_record import CaseRecord
from ingredients.evaluation.changes import MISSING, STRANGER, Confusion
from ingredients.evaluation.metrics.motion import STILL_LIMIT
from ingredients.evaluation.statistics import Estimate


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportedPerson:
    """Somebody who was asked for."""

    name: str
    """Of the person."""

    photos: tuple[Path | UInt8Array, ...]
    """Files, or pictures (H, W, 3)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportedCase:
    """A case with what there is to show of it."""

    record: CaseRecord
    """What was measured."""

    people: tuple[ReportedPerson, ...]
    """In the order asked for."""

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
        if record.motion is not None and record.motion.generated < STILL_LIMIT:
            remarks.append("still")
        return remarks


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportPage:
    """All that `report.html` shows."""

    title: str
    """Its heading."""

    facts: tuple[str, ...]
    """Sentences on how the numbers came about."""

    metrics: Mapping[str, Estimate]
    """Each metric with its interval, by name."""

    cases: Sequence[ReportedCase]
    """All of them."""

    is_normalised: bool
    """Whether similarities are normalised, rather than cosines."""

    motion: Sequence[float] = ()
    """Change at each transition from frame to frame, as a share of that in real clips."""

    @property
    def num_people(self) -> int:
        """The most that a case asks for."""
        return max(len(case.people) for case in self.cases)

    @property
    def confusions(self) -> list[Confusion]:
        """Those of all cases."""
        return [case.confusion for case in self.cases if case.confusion is not None]
