"""Videos that any system made, as the source of an evaluation: a folder with a manifest.

Legend: F frames, H/W pixels.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ingredients.casebook.cases import Case
from ingredients.core.arrays import UInt8Array
from ingredients.core.config import config_to_dict
from ingredients.core.errors import UserInputError
from ingredients.evaluation.assessment import SimilarityScale
from ingredients.evaluation.case_record import CaseRecord, Need
from ingredients.evaluation.evaluation_folder import EvaluationFolder
from ingredients.evaluation.folder_scale import (
    FolderScale,
    load_folder_scale,
    save_folder_scale,
    scale_from_photos,
    scale_from_real_videos,
)
from ingredients.evaluation.judges import Judges
from ingredients.evaluation.known_people import KnownPeople, KnownPerson, file_digest
from ingredients.evaluation.manifest import read_manifest
from ingredients.evaluation.measure import Measurer
from ingredients.evaluation.result import Account, JudgedBy
from ingredients.evaluation.sources import SourceVideo, VideoSource, lacking_of_cases
from ingredients.evaluation.tables import ReportedCase, ReportedPerson
from ingredients.media.video import read_video
from ingredients.world.captions import other_sentences

FOLDER_SCALE_NAME = "calibration.json"

_FEW_VIDEOS = 4
"""So many are listed one by one on the terminal."""

_MAX_BYTES = 4 * 2**30
"""Size of a video's frames in memory: 50 seconds of 1280 x 720 at 30 frames a second."""


class FolderSource(VideoSource):
    """A `VideoSource`: the videos of a folder.

    Args:
        folder: holds `manifest.jsonl` and what it names.
        calibration: the `calibration.json` of another evaluation by the same judge, so that both have one scale.
            Without it, a judge without a scale of its own gets one from the real videos of the folder or from several
            photos of each person, where there are enough.
        max_frames: frames of a video that are looked at, spread evenly; None: all.

    Raises:
        UserInputError: for a manifest with faults.
    """

    name = "videos"
    whose = "this evaluation"

    def __init__(
        self, folder: str | Path, *, calibration: str | Path | None = None, max_frames: int | None = None
    ) -> None:
        self.folder = Path(folder)
        self.calibration = None if calibration is None else Path(calibration)
        self.max_frames = max_frames
        self.cases = read_manifest(self.folder)
        self._last_real: tuple[str, UInt8Array] | None = None
        self._real_errors: dict[str, UserInputError | None] = {}

    def describe(self) -> Mapping[str, object]:
        """Photos and real videos; the videos themselves, each record remembers."""
        photos = sorted(
            {(person.name, photo, file_digest(self.folder / photo)) for case in self.cases for person in case.people
             for photo in person.photos}
        )  # fmt: skip
        real = sorted({case.real_video for case in self.cases if case.real_video is not None})
        return {
            "kind": "videos of a folder",
            "photos": _digest_of(photos),
            "real videos": _digest_of([(name, file_digest(self.folder / name)) for name in real]),
            "frames looked at": self.max_frames,
            "calibration": None if self.calibration is None else file_digest(self.calibration),
        }

    def lacking(self) -> Mapping[Need, str]:
        """What neither the manifest nor the videos tell."""
        lacking: dict[Need, str] = {
            "routing": "a model whose router can be asked",
            "traits": "the truth about what people do and look like",
        }
        if all(case.temporal_ratio is None for case in self.cases):
            lacking["latent_frames"] = "videos whose temporal_ratio is known"
        if not any(other_sentences(case.prompt) for case in self.cases):
            lacking["attributes"] = "prompts that are sentences of the drawn world"
        if all(case.real_video is None for case in self.cases):
            lacking["real_video"] = "real videos"
            lacking["faces"] = "real videos"
        return lacking | lacking_of_cases(self.cases)

    def digest(self, case: Case) -> str | None:
        """Changes with the video and with what was asked for; photos and real videos stand for the whole folder."""
        return _digest_of([file_digest(self._path(case)), case])

    def know_people(self, judges: Judges) -> KnownPeople:
        """The people of all videos; as those of the drawn world only where the judge ships with a model of it."""
        known = KnownPeople(
            judges.judge,
            folder=self.folder,
            inception=judges.inception,
            use_drawn_world=judges.calibration is not None,
        )
        known.meet(self.cases)
        return known

    def find_scale(self, measurer: Measurer, output: Path) -> FolderScale | SimilarityScale | None:
        """The scale of the judge: one that was given, the model's own, or what the folder has of real people."""
        judges = measurer.judges
        if self.calibration is not None:
            return load_folder_scale(self.calibration, judge=judges.judge_id)
        if judges.judge.is_calibrated:
            one_photo_each = all(len(person.photos) == 1 for case in self.cases for person in case.people)
            return judges.judge.one_photo_scale if one_photo_each else judges.judge.scale
        path = output / FOLDER_SCALE_NAME
        if path.is_file():  # the folder's description says that it is of these photos and real videos
            return load_folder_scale(path, judge=judges.judge_id)
        scale = self._measure_scale(measurer)
        if scale is not None:
            save_folder_scale(scale, path)
        return scale

    def _measure_scale(self, measurer: Measurer) -> FolderScale | None:
        judges, known = measurer.judges, measurer.known
        people: list[list[KnownPerson]] = []
        real = []
        for case in self.cases:
            try:
                people.append(known.of_case(case))
                view = measurer.view_real(case, with_faces=True)
            except UserInputError:
                continue  # said when the video's turn comes
            if view is not None:
                real.append((view.tracks, people[-1], view.num_frames))
        name, measure = judges.judge_id, judges.judge.measure
        from_real = scale_from_real_videos(real, known.everybody, judge=name, measure=measure)
        return from_real or scale_from_photos(people, known.everybody, judge=name, measure=measure)

    def videos(self, cases: Sequence[Case], known: KnownPeople) -> Iterator[tuple[Case, SourceVideo | UserInputError]]:
        """Reads the videos; where a photo, the real video or the video itself cannot be used, says which."""
        for case in cases:
            try:
                known.of_case(case)
                self._check_real_video(case)
                yield case, SourceVideo(frames=_read(self._path(case)))
            except UserInputError as error:
                yield case, error

    def real_frames(self, case: Case) -> UInt8Array | None:
        """The real video that the manifest names; the last one is kept.

        Raises:
            UserInputError: if it cannot be read.
        """
        if case.real_video is None:
            return None
        if self._last_real is None or self._last_real[0] != case.real_video:
            self._last_real = case.real_video, _read(self.folder / case.real_video)
        return self._last_real[1]

    def _check_real_video(self, case: Case) -> None:
        """Raises what is wrong with the real video, which is read once for it."""
        name = case.real_video
        if name is not None and name not in self._real_errors:
            self._real_errors[name] = None
            try:
                self.real_frames(case)
            except UserInputError as problem:
                self._real_errors[name] = problem
        if name is not None and (error := self._real_errors[name]) is not None:
            raise error

    def report(self, case: Case, record: CaseRecord, folder: EvaluationFolder) -> ReportedCase:
        """The photos and the video that the manifest names."""
        return ReportedCase(
            record=record,
            people=tuple(
                ReportedPerson(name=person.name, photos=tuple(self.folder / photo for photo in person.photos))
                for person in case.people
            ),
            video=self._path(case),
            file_name=case.file_name,
        )

    def account(self, records: Sequence[CaseRecord], judged_by: JudgedBy) -> Account:
        """Who judged the videos, and how."""
        num_errors = sum(record.error is not None for record in records)
        unjudged = f", {num_errors} of which could not be judged" if num_errors else ""
        scale = judged_by.scale
        return Account(
            title=f"Evaluation of {len(records)} videos",
            facts=tuple(_facts(judged_by, num_errors)),
            opening=f"{len(records)} videos{unjudged}; judge: {judged_by.name}",
            num_listed=_FEW_VIDEOS,
            values={
                "judge": {
                    "name": judged_by.name,
                    "detector": judged_by.detector,
                    "measure": judged_by.measure,
                    "same_person_limit": round(judged_by.limit, 5),
                    "scale": None
                    if scale is None
                    else {"same_person_mean": scale.same_person_mean, "stranger_mean": scale.stranger_mean},
                    "calibrated_on": judged_by.scale_source,
                    "calibration": None if judged_by.folder_scale is None else config_to_dict(judged_by.folder_scale),
                },
                "text_encoder": judged_by.text_encoder,
                "num_known_people": judged_by.num_known_people,
                "max_frames": judged_by.max_frames,
            },
        )

    def _path(self, case: Case) -> Path:
        assert case.file_name is not None  # a manifest names the video
        return self.folder / case.file_name


def _facts(judged_by: JudgedBy, num_errors: int) -> list[str]:
    frames = judged_by.max_frames
    looked_at = "all frames" if frames is None else f"{frames} frames of each video"
    facts = [f"Judge: {judged_by.name}; detector: {judged_by.detector}; {looked_at} looked at."]
    unit = "1 - distance" if judged_by.measure == "distance" else "cosine"
    if judged_by.scale is None:
        facts.append(
            f"The judge is not calibrated, so similarities are raw ({unit}); above {judged_by.limit:.2f} a face is "
            "taken for the person. Real videos, or several photos of enough people, would calibrate it."
        )
    else:
        same, strangers = judged_by.scale.same_person_mean, judged_by.scale.stranger_mean
        facts.append(
            f"Scale of the judge ({unit}): {same:.3f} for the same person, {strangers:.3f} for strangers; from "
            f"{_words_of_source(judged_by.folder_scale)}."
        )
    facts.append(
        f"People are told from each other and from those of other videos, {judged_by.num_known_people} in all."
    )
    if num_errors:
        facts.append(
            f"{num_errors} videos could not be judged; everybody in them counts as missing. Text, motion and "
            "Frechet distances are of the other videos."
        )
    return facts


def _words_of_source(scale: FolderScale | None) -> str:
    if scale is None:
        return "clips of the drawn world"
    source = {"real_videos": "real videos", "photos": "several photos of each person"}[scale.source]
    return f"{source} ({scale.num_same} comparisons of the same person, {scale.num_strangers} of strangers)"


def _read(path: Path) -> UInt8Array:
    return read_video(path, max_bytes=_MAX_BYTES).frames


def _digest_of(values: Sequence[object]) -> str:
    """Short hash of plain values."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]
