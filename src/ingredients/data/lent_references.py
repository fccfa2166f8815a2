"""References that other clips of the same person lend: pictures that no frame of the own clip shows.

A person is known again by `person_id`. Which clips lend is drawn by names, always the same; which of their frames is
taken is the one that shows the face largest and least turned, of those on which it is whole and nobody else is near.

Legend: F frames, N people, H/W pixels.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from ingredients.core.errors import UserInputError
from ingredients.data.clip_example import ReferencePhoto
from ingredients.data.clip_source import ClipSource
from ingredients.data.record_json import BadRecordError
from ingredients.data.schema import Box, ClipRecord, PersonTrack, Points
from ingredients.faces.photo_quality import estimate_turn, share_outside
from ingredients.media.video import iterate_video

WHOLE_AND_ALONE = "whole and alone"
"""Which faces are lent, in the record of what encoded clips were made from; before, the clearest was in any case."""

_Lender: TypeAlias = tuple[ClipRecord, int]

_MOST_CUT_OFF = 0.08
"""Part of a face that may lie outside of the picture, as with photos that are given."""

_REACH = 1.1
"""Half side of the picture in heights of the face: the whole head."""


class Lenders:
    """The clips of a data set by the people in them.

    Args:
        records: the records of all its clips, whose files stay where they are.
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
        found = (_reference(record, index) for record, index in others)
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


def lendable_frames(
    boxes: Sequence[Box | None],
    landmarks: Sequence[Points | None],
    others: Sequence[Sequence[Box | None]],
    *,
    height: int,
    width: int,
    strangers: Sequence[Sequence[Box]] | None = None,
) -> Iterator[int]:
    """The clearest frames of a track first, without those where the face is cut off, or somebody else's is near.

    Args:
        boxes: (F,) of the person.
        landmarks: (F,) of the person.
        others: (F,) boxes of everybody else with a track.
        height: H of the frames.
        width: W of the frames.
        strangers: in each frame, faces of nobody with a track: passers-by and people far away.
    """
    for frame in clearest_frames(boxes, landmarks):
        box = boxes[frame]
        assert box is not None, "the clearest frames show the face"
        window = head_window(box, height, width)
        near = [_around(each, frame) for each in others] + [strangers[frame] if strangers else ()]
        if any(_meet(each, window) for faces in near for each in faces):
            continue
        if share_outside(width, height, np.asarray(landmarks[frame], np.float32)) <= _MOST_CUT_OFF:
            yield frame


def head_window(box: Box, height: int, width: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the picture around a face, within a frame (H, W)."""
    reach = _REACH * (box[3] - box[1])
    across, down = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    left, right = max(round(across - reach), 0), min(round(across + reach), width)
    top, bottom = max(round(down - reach), 0), min(round(down + reach), height)
    return left, top, right, bottom


def _around(boxes: Sequence[Box | None], frame: int) -> Sequence[Box]:
    """Where a face is in a frame; where it was missed there, the places at which it is seen before and after."""
    if (box := boxes[frame]) is not None:
        return (box,)
    before = next((each for each in reversed(boxes[:frame]) if each is not None), None)
    after = next((each for each in boxes[frame + 1 :] if each is not None), None)
    return () if before is None or after is None else (before, after)


def _meet(box: Box, window: tuple[int, int, int, int]) -> bool:
    """Whether the middle of a face lies in a window, or a good part of the face beside it."""
    across, down = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    slack_across, slack_down = (box[2] - box[0]) / 4, (box[3] - box[1]) / 4
    return (
        window[0] - slack_across < across < window[2] + slack_across
        and window[1] - slack_down < down < window[3] + slack_down
    )


def lot(borrower: str, lender: str) -> str:
    """By which the lenders of a clip are put in order, always the same."""
    return hashlib.sha256(f"{borrower} borrows from {lender}".encode()).hexdigest()


def _reference(record: ClipRecord, number: int) -> ReferencePhoto | None:
    """The clearest frame of one of a clip's people alone; None where there is none, or it cannot be had."""
    person = record.people[number]
    others = [other.boxes for index, other in enumerate(record.people) if index != number]
    found = lendable_frames(person.boxes, person.landmarks, others, height=record.height, width=record.width)
    chosen = next(found, None)
    if chosen is None:
        return None
    try:
        for each in iterate_video(record.video):
            if each.index == chosen:
                landmarks = np.asarray(person.landmarks[chosen], np.float32)
                return ReferencePhoto(image=each.pixels, landmarks=landmarks, kind="photo")
    except UserInputError:
        return None
    return None
