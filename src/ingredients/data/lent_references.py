"""References that other clips of the same person lend: pictures that no frame of the own clip shows.

A person is known again by `person_id`. Which clips lend is drawn by names, always the same; which of their frames is
taken is the one that shows the face largest and least turned.

Legend: F frames, N people.
"""

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np

from ingredients.core.errors import UserInputError
from ingredients.data.clip_example import ReferencePhoto
from ingredients.data.clip_source import ClipSource
from ingredients.data.record_json import BadRecordError
from ingredients.data.schema import Box, ClipRecord, PersonTrack, Points
from ingredients.faces.photo_quality import estimate_turn
from ingredients.media.video import iterate_video

_Lender: TypeAlias = tuple[ClipRecord, int]


class Lenders:
    """The clips of a data set by the people in them.

    Args:
        records: of all its clips, whose files stay where they are.
    """

    def __init__(self, records: Iterable[ClipRecord]) -> None:
        self._of_person: dict[str, list[_Lender]] = {}
        for record in records:
            for number, person in enumerate(record.people):
                if person.person_id is not None and person.frames_with_face:
                    self._of_person.setdefault(person.person_id, []).append((record, number))

    def lend(self, borrower: ClipRecord, person: PersonTrack, number: int) -> tuple[ReferencePhoto, ...]:
        """Up to so many references of a person from as many other clips; fewer where there are fewer.

        Args:
            borrower: the clip that they are for.
            person: one of its people.
            number: how many are wanted.
        """
        if person.person_id is None:
            return ()
        others = [each for each in self._of_person.get(person.person_id, []) if each[0].clip_id != borrower.clip_id]
        others.sort(key=lambda lender: lot(borrower.clip_id, lender[0].clip_id))
        found = (_reference(record, record.people[index]) for record, index in others)
        return tuple(itertools.islice((photo for photo in found if photo is not None), number))


def open_lenders(source: ClipSource) -> Lenders:
    """The lenders of a data set; what of it cannot be read lends nothing.

    Raises:
        UserInputError: if its files are unpacked one clip at a time.
    """
    if not source.keeps_files:
        raise UserInputError(
            f"The shards {source.path} are unpacked a clip at a time, so that no clip can lend another one "
            "references; encode the folder that they were packed from, or curate it with people.lent_references=1."
        )
    return Lenders(record for _, record in source if not isinstance(record, BadRecordError))


def clearest_frames(boxes: Sequence[Box | None], landmarks: Sequence[Points | None]) -> list[int]:
    """Frames of a track with a face, those first that show it largest and least turned."""
    clear = {}
    for frame, (box, points) in enumerate(zip(boxes, landmarks, strict=True)):
        if box is not None and points is not None:
            turn = estimate_turn(np.asarray(points, np.float32))
            clear[frame] = (box[3] - box[1]) * max(float(np.cos(np.radians(turn))), 0.0)
    return sorted(clear, key=lambda frame: (-clear[frame], frame))


def lot(borrower: str, lender: str) -> str:
    """By which the lenders of a clip are put in order, always the same."""
    return hashlib.sha256(f"{borrower} borrows from {lender}".encode()).hexdigest()


def _reference(record: ClipRecord, person: PersonTrack) -> ReferencePhoto | None:
    """The clearest frame of a person's clip; None where it cannot be had."""
    frames = clearest_frames(person.boxes, person.landmarks)
    if not frames:
        return None
    try:
        for each in iterate_video(record.video):
            if each.index == frames[0]:
                landmarks = np.asarray(person.landmarks[frames[0]], np.float32)
                return ReferencePhoto(image=each.pixels, landmarks=landmarks, kind="photo")
    except UserInputError:
        return None
    return None
