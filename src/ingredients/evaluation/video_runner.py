"""Judges the videos of a folder, a record each; what is on disk already is not done again.

Legend: F frames, H/W pixels, N people, M other people, D embedding.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import UserInputError
from ingredients.core.protocols import ProgressCallback
from ingredients.evaluation.assessment import TrackEmbeddings
from ingredients.evaluation.case_record import (
    CaseRecord,
    FacesRecord,
    InceptionRecord,
    PaperRecord,
    Vector,
    failed_case,
    pack_features,
)
from ingredients.evaluation.evaluation_folder import EvaluationFolder
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.judges import Backends
from ingredients.evaluation.known_people import NUM_DISTRACTORS, KnownPerson, PeopleOfFolder, digest_of, file_digest
from ingredients.evaluation.manifest import ManifestVideo
from ingredients.evaluation.measurements import (
    face_vectors,
    follow_changes,
    mean_variety,
    measure_motion,
    region_features,
)
from ingredients.evaluation.metrics.motion import frame_changes
from ingredients.evaluation.similarity import paper_face_similarity
from ingredients.evaluation.text_encoders import compare_with_prompt, embed_clip
from ingredients.media.video import read_video

OnError = Literal["skip", "stop"]
"""Whether a video that cannot be judged counts as one in which everybody is missing, or ends the evaluation."""

FOLDER_VARIANT = "videos"
"""Under which the records are kept."""

_MAX_BYTES = 4 * 2**30
"""Of a video's frames in memory: 50 seconds of 1280 x 720 at 30 frames a second."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RealView:
    """What counts of a real video."""

    tracks: Sequence[TrackEmbeddings]
    """Its faces."""

    num_frames: int
    """Frames that were looked at."""

    changes: tuple[float, ...]
    """Mean change of a pixel at each transition from one frame to the next."""

    text: Vector | None
    """Embeddings of its frames, averaged; None where nobody judges text."""

    vectors: tuple[Vector, ...]
    """The judge's embeddings of its faces."""

    features: str | None
    """InceptionV3's features of its face regions, packed; None without the network."""


class VideoRunner:
    """Judges videos.

    Args:
        folder: where the manifest's files are.
        backends: everybody who judges.
        records: keeps the records.
        people: knows the people of the videos.
        max_frames: frames of a video that are looked at for faces and text, spread evenly; None: all.
        on_error: what becomes of a video that cannot be judged.
    """

    def __init__(
        self,
        folder: Path,
        backends: Backends,
        records: EvaluationFolder,
        people: PeopleOfFolder,
        *,
        max_frames: int | None = None,
        on_error: OnError = "skip",
    ) -> None:
        self.folder = folder
        self.backends = backends
        self.judge: Judge = backends.judge
        self.records = records
        self.people = people
        self.max_frames = max_frames
        self.on_error = on_error
        self._real_views: dict[str, RealView] = {}

    def run(self, videos: Sequence[ManifestVideo], *, progress: ProgressCallback | None = None) -> list[CaseRecord]:
        """The records of all videos, in their order; an interrupted run loses the video that it was at.

        Raises:
            UserInputError: for a video that cannot be judged, if that ends the evaluation.
            OutputError: if the disk is full.
        """
        records = []
        for index, video in enumerate(videos):
            if progress is not None:
                progress(index, len(videos))
            source = self._source(video)
            record = self.records.load(FOLDER_VARIANT, index)
            if record is None or record.error is not None or record.source != source:
                record = self._judge(index, video, source)
                self.records.save(FOLDER_VARIANT, record)
            records.append(record)
        if progress is not None:
            progress(len(videos), len(videos))
        return records

    def view_real(self, name: str) -> RealView:
        """What counts of a real video, which is looked at once.

        Raises:
            UserInputError: if it cannot be read.
        """
        if name not in self._real_views:
            frames = read_video(self.folder / name, max_bytes=_MAX_BYTES).frames
            seen = self._spread(frames)
            view, inception, encoder = self.judge.look(seen), self.backends.inception, self.backends.text_encoder
            self._real_views[name] = RealView(
                tracks=view.tracks,
                num_frames=len(seen),
                changes=tuple(frame_changes(frames)),
                text=None if encoder is None else embed_clip(encoder, seen),
                vectors=face_vectors(view.tracks),
                features=None if inception is None else region_features(inception, seen, view.faces),
            )
        return self._real_views[name]

    def _source(self, video: ManifestVideo) -> str:
        """Changes with the video and with what was asked for; photos and real videos stand for the whole folder."""
        return digest_of([file_digest(self.folder / video.file_name), video])

    def _judge(self, index: int, video: ManifestVideo, source: str) -> CaseRecord:
        try:
            record = self._measure(index, video)
        except UserInputError as error:
            if self.on_error == "stop":
                raise UserInputError(f"Case {video.label}: {error}") from error
            record = failed_case(index, video.prompt, num_people=len(video.people), error=str(error))
        return dataclasses.replace(record, case_id=video.label, source=source)

    def _measure(self, index: int, video: ManifestVideo) -> CaseRecord:
        people = self.people.of_video(video)
        references = np.stack([person.reference for person in people])  # (N, D)
        real = None if video.real_video is None else self.view_real(video.real_video)
        frames = read_video(self.folder / video.file_name, max_bytes=_MAX_BYTES).frames
        seen = self._spread(frames)
        view = self.judge.look(seen)
        others = [self.people.others(person) for person in people]
        assessment = self.judge.assess_tracks(
            view.tracks,
            references,
            num_frames=len(seen),
            distractors=others,
            needs_limit=min(map(len, others)) < NUM_DISTRACTORS,
        )
        similarity = paper_face_similarity(view.embeddings, references, measure=self.judge.measure)
        record = CaseRecord(
            index=index,
            prompt=video.prompt,
            people=assessment,
            paper=PaperRecord(face_similarity=round(similarity, 5)),
            motion=measure_motion(frames, None if real is None else real.changes, temporal_ratio=video.temporal_ratio),
            changes=follow_changes(
                assessment,
                view.tracks,
                references,
                [person.photos[0].landmarks for person in people],
                scale=self.judge.scale,
                measure=self.judge.measure,
                num_frames=len(seen),
                ordered=video.ordered,
                real_variety=None if real is None else mean_variety(real.tracks),
            ),
        )
        if self.backends.text_encoder is not None:
            text = compare_with_prompt(
                self.backends.text_encoder, seen, video.prompt, real_frames=None if real is None else real.text
            )
            record = dataclasses.replace(record, text=text)
        if real is not None:
            faces = FacesRecord(generated=face_vectors(view.tracks), real=real.vectors)
            record = dataclasses.replace(record, faces=faces)
        if self.backends.inception is not None:
            inception = InceptionRecord(
                generated=region_features(self.backends.inception, seen, view.faces),
                photos=_photo_features(people),
                real=None if real is None else real.features,
            )
            record = dataclasses.replace(record, inception=inception)
        return record

    def _spread(self, frames: UInt8Array) -> UInt8Array:
        if self.max_frames is None or len(frames) <= self.max_frames:
            return frames
        chosen = np.linspace(0, len(frames) - 1, num=self.max_frames).round().astype(int)
        return np.asarray(frames[chosen], dtype=np.uint8)


def _photo_features(people: Sequence[KnownPerson]) -> str:
    features: list[Float32Array] = [photo.features for person in people for photo in person.photos]
    return pack_features(np.concatenate(features))
