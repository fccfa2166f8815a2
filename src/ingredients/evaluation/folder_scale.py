"""The scale of any judge, from what a folder of videos has of real people.

Two sources, the better first:

- **Real videos.** Each face that lasts is matched to the people of its video, one to one; its cosines to its own
  person's photos are the same person's, those to the other people of the video are strangers'.
- **Several photos of each person.** Each photo is compared with the mean of the person's other photos, and with the
  other people asked for with them.

Where all videos have one person, the strangers are other people of the folder. Generated videos are never looked at,
so that two systems with the same people get the same scale.

Legend: T tracks, N people, D embedding.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from ingredients.core.arrays import Float32Array
from ingredients.core.config import load_config, save_config
from ingredients.core.errors import UserInputError
from ingredients.evaluation.assessment import (
    Measure,
    SimilarityScale,
    TrackEmbeddings,
    average_faces,
    compare_faces,
    mean_similarities,
)
from ingredients.evaluation.known_people import KnownPerson

MIN_COMPARISONS = 10
"""Fewer comparisons of the same person, or of strangers, make no scale."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FolderScale:
    """A judge's scale and where it comes from; `calibration.json` of an evaluation."""

    judge: str
    """Judge whose it is: kind and hash."""

    source: Literal["real_videos", "photos"]
    """What was compared."""

    same_person_mean: float
    """Mean cosine (dlib: 1 - distance) of the same person."""

    stranger_mean: float
    """The same of two people."""

    num_same: int
    """Comparisons behind the first."""

    num_strangers: int
    """Comparisons behind the second."""

    def __post_init__(self) -> None:
        """Checks that the judge tells people apart."""
        self.scale  # noqa: B018

    @property
    def scale(self) -> SimilarityScale:
        """The scale as the judge takes it."""
        return SimilarityScale(same_person_mean=self.same_person_mean, stranger_mean=self.stranger_mean)


def load_folder_scale(path: Path, *, judge: str) -> FolderScale:
    """Reads a scale that another evaluation wrote.

    Raises:
        UserInputError: if the file is missing, holds something else, or is another judge's.
    """
    try:
        scale = load_config(FolderScale, path)
    except UserInputError as error:
        raise UserInputError(f"The calibration {path} is no scale of a judge: {error}") from error
    if scale.judge != judge:
        raise UserInputError(f"The calibration {path} is of the judge {scale.judge}, not {judge}; name another file.")
    return scale


def save_folder_scale(scale: FolderScale, path: Path) -> None:
    """Writes a scale as JSON."""
    save_config(scale, path)


def scale_from_real_videos(
    videos: Iterable[tuple[Sequence[TrackEmbeddings], Sequence[KnownPerson], int]],
    everybody: Sequence[KnownPerson],
    *,
    judge: str,
    measure: Measure,
) -> FolderScale | None:
    """The scale from real videos; None if they do not suffice.

    Args:
        videos: for each its tracks, the people in it, and its number of frames.
        everybody: all people of the folder.
        judge: its name.
        measure: how faces are compared.
    """
    same: list[float] = []
    strangers: list[float] = []
    for tracks, people, num_frames in videos:
        lasting = [track for track in tracks if 2 * len(track.frame_indices) >= num_frames]
        references = np.stack([person.reference for person in people])
        means = mean_similarities(lasting, references, measure=measure)  # (T, N)
        for track, person in zip(*linear_sum_assignment(means, maximize=True), strict=True):
            faces = lasting[track].embeddings
            same += compare_faces(faces, references[[person]], measure=measure)[:, 0].tolist()
            others = _strangers_of(people[person], people, everybody)
            strangers += compare_faces(faces, others, measure=measure).ravel().tolist()
    return _make(judge, "real_videos", same, strangers)


def scale_from_photos(
    groups: Iterable[Sequence[KnownPerson]], everybody: Sequence[KnownPerson], *, judge: str, measure: Measure
) -> FolderScale | None:
    """The scale from several photos of each person; None if they do not suffice."""
    same: list[float] = []
    strangers: list[float] = []
    seen: set[tuple[str, ...]] = set()
    for people in groups:
        for person in people:
            digests = tuple(photo.digest for photo in person.photos)
            if digests in seen:
                continue
            seen.add(digests)
            # A photo that is given twice is no second photo.
            embeddings = np.stack(list({photo.digest: photo.embedding for photo in person.photos}.values()))
            for index in range(len(embeddings)) if len(embeddings) > 1 else ():
                rest = average_faces(np.delete(embeddings, index, axis=0), measure=measure)
                same += compare_faces(embeddings[[index]], rest[None], measure=measure)[0].tolist()
            others = _strangers_of(person, people, everybody)
            strangers += compare_faces(embeddings, others, measure=measure).ravel().tolist()
    return _make(judge, "photos", same, strangers)


def _strangers_of(
    person: KnownPerson, people: Sequence[KnownPerson], everybody: Sequence[KnownPerson]
) -> Float32Array:
    """References of the other people of the video; where there are none, of the folder."""
    others = [other for other in people if other is not person] or [
        other for other in everybody if not other.is_same(person)
    ]
    return np.array([other.reference for other in others], dtype=np.float32).reshape(-1, len(person.reference))


def _make(
    judge: str, source: Literal["real_videos", "photos"], same: Sequence[float], strangers: Sequence[float]
) -> FolderScale | None:
    if min(len(same), len(strangers)) < MIN_COMPARISONS or np.mean(same) <= np.mean(strangers):
        return None
    return FolderScale(
        judge=judge,
        source=source,
        same_person_mean=float(np.mean(same)),
        stranger_mean=float(np.mean(strangers)),
        num_same=len(same),
        num_strangers=len(strangers),
    )
