"""Where the videos of an evaluation come from: a source yields each case with its frames, whoever made them.

| source | its videos |
|---|---|
| `pipeline_source.PipelineSource` | a model makes them |
| `folder_source.FolderSource` | any system made them; a manifest says what each was asked for with |
| `DrawnClips` | the drawn world's own camera filmed them: what a perfect model would make |

Legend: F frames, H/W pixels.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ingredients.casebook.cases import CASES_VERSION, Case
from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import UserInputError
from ingredients.evaluation.assessment import SimilarityScale
from ingredients.evaluation.case_record import CaseRecord, Need, RoutingRecord
from ingredients.evaluation.evaluation_folder import EvaluationFolder
from ingredients.evaluation.folder_scale import FolderScale
from ingredients.evaluation.judges import Judges
from ingredients.evaluation.known_people import NUM_DISTRACTORS, KnownPeople
from ingredients.evaluation.measure import Measurer
from ingredients.evaluation.result import Account, JudgedBy
from ingredients.evaluation.tables import ReportedCase, ReportedPerson
from ingredients.evaluation.text_encoders import TextImageEncoder
from ingredients.pipelines.video_shape import FPS
from ingredients.world.scenes import Scene, render_scene


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceVideo:
    """A video as it is measured."""

    frames: UInt8Array
    """(F, H, W, 3) RGB."""

    seconds: float = 0.0
    """Time that the generation took."""


class VideoSource(Protocol):
    """Cases and their videos; what a source has nothing to say about is as here."""

    name: str
    """Under which the records are kept."""

    whose: str
    """Who lacks what a metric needs, in messages."""

    cases: Sequence[Case]
    """The questions, in the order of the report."""

    max_frames: int | None = None
    """Frames of a video that are looked at for faces and text, spread evenly; None: all."""

    def describe(self) -> Mapping[str, object]:
        """What all records depend on, beside the judges."""
        ...

    def lacking(self) -> Mapping[Need, str]:
        """What metrics may need and this source does not have, in words."""
        ...

    def digest(self, case: Case) -> str | None:
        """Changes with a case's video, and with what was asked for; None where the description says it all."""
        return None

    def own_text_encoder(self) -> TextImageEncoder | None:
        """Who judges text where the judges have nobody for it."""
        return None

    def know_people(self, judges: Judges) -> KnownPeople:
        """The people of the cases, as the judge knows them."""
        ...

    def find_scale(self, measurer: Measurer, output: Path) -> FolderScale | SimilarityScale | None:
        """Another scale than the judge's own, if there is one; it may be kept in the folder of the evaluation."""
        return None

    def videos(self, cases: Sequence[Case], known: KnownPeople) -> Iterator[tuple[Case, SourceVideo | UserInputError]]:
        """The videos of some of the cases, one by one; or why there is none, in which everybody counts as missing."""
        ...

    def real_frames(self, case: Case) -> UInt8Array | None:
        """A real video (F, H, W, 3) of the same people and prompt, if there is one."""
        ...

    def through_vae(self, case: Case) -> UInt8Array | None:
        """The real video as the model's VAE leaves it, the ceiling of what the model can make, if there are both."""
        return None

    def probe_router(self, case: Case) -> RoutingRecord:
        """What the model's router does on the real video; asked only where `lacking` does not say `routing`."""
        raise AssertionError(f"{self.whose} has no router to ask")

    def report(self, case: Case, record: CaseRecord, folder: EvaluationFolder) -> ReportedCase:
        """What there is to show of a case."""
        ...

    def account(self, records: Sequence[CaseRecord], judged_by: JudgedBy) -> Account:
        """How the videos came about and were judged."""
        ...


def lacking_of_cases(cases: Sequence[Case]) -> dict[Need, str]:
    """What metrics of who does what and of who stands where may need, and these cases do not have."""
    lacking: dict[Need, str] = {}
    if not any(case.roles for case in cases):
        lacking["roles"] = "prompts that ask different things of people"
    if not any(case.ordered or case.places for case in cases):
        lacking["order"] = "people who were asked for in an order from left to right, or at places"
    return lacking


class DrawnClips(VideoSource):
    """A `VideoSource`: the real clips of cases of the drawn world, what a perfect model would make."""

    whose = "the drawn world"

    def __init__(
        self,
        cases: Sequence[Case],
        *,
        height: int = 64,
        width: int = 96,
        num_frames: int = 9,
        num_distractors: int = NUM_DISTRACTORS,
        name: str = "real",
    ) -> None:
        self.name = name
        self.cases = cases
        self.num_distractors = num_distractors
        self._shape = {"height": height, "width": width, "num_frames": num_frames}
        self._last: tuple[Case, Scene] | None = None

    def scene(self, case: Case) -> Scene:
        """The clip with the truth about it; the last one is kept."""
        if self._last is None or self._last[0] is not case:
            self._last = case, render_scene(case.scene(), fps=FPS, **self._shape)
        return self._last[1]

    def describe(self) -> Mapping[str, object]:
        """The size, and how many people there are."""
        return {
            "kind": "clips of the drawn world",
            "number of people": len(self.cases[0].people),
            "number of distractors": self.num_distractors,
            "version of the cases": CASES_VERSION,
            "style": self.cases[0].style,
            **self._shape,
        }

    def lacking(self) -> Mapping[Need, str]:
        """There is no model."""
        lacking: dict[Need, str] = {"routing": "a model whose router can be asked", "latent_frames": "latent frames"}
        return lacking | lacking_of_cases(self.cases)

    def know_people(self, judges: Judges) -> KnownPeople:
        """The people, among distractors of the drawn world."""
        return KnownPeople(judges.judge, inception=judges.inception, num_distractors=self.num_distractors)

    def videos(self, cases: Sequence[Case], known: KnownPeople) -> Iterator[tuple[Case, SourceVideo | UserInputError]]:
        """Draws the clips."""
        for case in cases:
            yield case, SourceVideo(frames=self.scene(case).frames)

    def real_frames(self, case: Case) -> UInt8Array | None:
        """The clip itself."""
        return self.scene(case).frames

    def report(self, case: Case, record: CaseRecord, folder: EvaluationFolder) -> ReportedCase:
        """The photos, and the video if it was kept."""
        video = folder.video_path(self.name, case.index)
        return ReportedCase(
            record=record,
            people=tuple(
                ReportedPerson(name=person.name, photos=(person.portrait().image,)) for person in case.people
            ),
            video=video if video.is_file() else None,
            file_name=video.relative_to(folder.path).as_posix() if video.is_file() else None,
        )

    def account(self, records: Sequence[CaseRecord], judged_by: JudgedBy) -> Account:
        """How many clips there are."""
        num_people = len(self.cases[0].people)
        values: dict[str, Any] = {"judge": judged_by.calibration_values()}
        return Account(
            title=f"Evaluation: {len(records)} real clips of {num_people} people",
            facts=("The drawn world's own camera filmed them: what a perfect model would make.",),
            opening=f"{len(records)} real clips of {num_people} people",
            values=values,
        )
