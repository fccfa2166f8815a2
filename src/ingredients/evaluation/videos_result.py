"""What an evaluation of a folder of videos found, as an object, as JSON and as a page to read."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ingredients.core.config import config_to_dict
from ingredients.evaluation.assessment import SimilarityScale
from ingredients.evaluation.calibration import JudgeCalibration
from ingredients.evaluation.case_record import TextEncoderName
from ingredients.evaluation.changes import confusion_matrix
from ingredients.evaluation.folder_scale import FolderScale
from ingredients.evaluation.reported import ReportedCase, ReportPage
from ingredients.evaluation.results import (
    calibration_table,
    cases_table,
    cases_to_json,
    confusion_table,
    estimate_to_json,
    metrics_table,
    summary_lines,
)
from ingredients.evaluation.similarity import Measure
from ingredients.evaluation.statistics import Estimate

_FEW_VIDEOS = 4
"""So many are listed one by one on the terminal."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VideosResult:
    """The metrics of the videos of a folder, and the cases behind them."""

    metrics: Mapping[str, Estimate]
    """Each metric with its interval, by name."""

    cases: Sequence[ReportedCase]
    """One a video."""

    judge: str
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
    """What is known of the judge that ships with a model."""

    text_encoder: TextEncoderName | None
    """Who judged the text."""

    num_known_people: int
    """People of the folder, whom each is told from."""

    max_frames: int | None
    """Frames looked at in a video; None: all."""

    @property
    def num_people(self) -> int:
        """The most that a video was asked for with."""
        return max(len(case.people) for case in self.cases)

    @property
    def num_errors(self) -> int:
        """Videos that could not be judged, in which everybody counts as missing."""
        return sum(case.record.error is not None for case in self.cases)

    def to_json(self) -> dict[str, Any]:
        """Plain values: each metric under its name with value, low and high; what is not finite becomes None."""
        values: dict[str, Any] = {name: estimate_to_json(estimate) for name, estimate in self.metrics.items()}
        return values | {
            "num_cases": len(self.cases),
            "num_people": self.num_people,
            "num_errors": self.num_errors,
            "judge": {
                "name": self.judge,
                "detector": self.detector,
                "measure": self.measure,
                "same_person_limit": round(self.limit, 5),
                "scale": None
                if self.scale is None
                else {"same_person_mean": self.scale.same_person_mean, "stranger_mean": self.scale.stranger_mean},
                "calibrated_on": self._scale_source,
                "calibration": None if self.folder_scale is None else config_to_dict(self.folder_scale),
            },
            "text_encoder": self.text_encoder,
            "num_known_people": self.num_known_people,
            "max_frames": self.max_frames,
            "confusion_matrix": confusion_matrix(self.to_page().confusions, self.num_people),
            "cases": cases_to_json(self.metrics, self.cases),
        }

    def to_summary(self) -> str:
        """Some ten lines for the terminal, and few videos one by one; the report has the whole."""
        unjudged = f", {self.num_errors} of which could not be judged" if self.num_errors else ""
        lines = [f"{len(self.cases)} videos{unjudged}; judge: {self.judge}"]
        lines += summary_lines(self.metrics, self.cases, motion=())
        if 1 < len(self.cases) <= _FEW_VIDEOS:
            lines += ["", "## Cases", "", cases_table(self.cases)]
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """A page with all tables."""
        page = self.to_page()
        parts = [f"# {page.title}", *page.facts, metrics_table(self.metrics)]
        if self.calibration is not None:
            parts += ["## The judge on real clips", calibration_table(self.calibration)]
        parts += ["## Who appears as whom", confusion_table(page.confusions, self.num_people)]
        parts += ["## Cases", cases_table(self.cases)]
        return "\n\n".join(parts) + "\n"

    def to_page(self) -> ReportPage:
        """For `report.html`."""
        return ReportPage(
            title=f"Evaluation of {len(self.cases)} videos",
            facts=tuple(self._facts()),
            metrics=self.metrics,
            cases=self.cases,
            is_normalised=self.scale is not None,
        )

    @property
    def _scale_source(self) -> str | None:
        if self.folder_scale is not None:
            return self.folder_scale.source
        return None if self.scale is None else "the drawn world"

    def _facts(self) -> list[str]:
        looked_at = "all frames" if self.max_frames is None else f"{self.max_frames} frames of each video"
        facts = [f"Judge: {self.judge}; detector: {self.detector}; {looked_at} looked at."]
        unit = "1 - distance" if self.measure == "distance" else "cosine"
        if self.scale is None:
            facts.append(
                f"The judge is not calibrated, so similarities are raw ({unit}); above {self.limit:.2f} a face is "
                "taken for the person. Real videos, or several photos of enough people, would calibrate it."
            )
        else:
            same, strangers = self.scale.same_person_mean, self.scale.stranger_mean
            facts.append(
                f"Scale of the judge ({unit}): {same:.3f} for the same person, {strangers:.3f} for strangers; from "
                f"{self._words_of_source()}."
            )
        facts.append(
            f"People are told from each other and from those of other videos, {self.num_known_people} in all."
        )
        if self.num_errors:
            facts.append(
                f"{self.num_errors} videos could not be judged; everybody in them counts as missing. Text, motion and "
                "Frechet distances are of the other videos."
            )
        return facts

    def _words_of_source(self) -> str:
        scale = self.folder_scale
        if scale is None:
            return "clips of the drawn world"
        source = {"real_videos": "real videos", "photos": "several photos of each person"}[scale.source]
        return f"{source} ({scale.num_same} comparisons of the same person, {scale.num_strangers} of strangers)"
