"""Where the people of a case are asked to stand, by `evaluate --places`, and whether somebody stands there.

| placing | what is asked for |
|---|---|
| `columns` | a column of equal width for each, from left to right, as `generate --place` gives one by its name |
| `boxes` | a box in each column, of other sizes and heights from case to case, dealt to the people by lot |
| `moving` | columns that move on by their width from the first frame to the last, all to the right or to the left |

A face is in its place if its middle lies inside in at least half of the frames that show it; where the place moves, in
those nearest to its key frames as well, so that nobody who stands still can be in all of a place that goes on.

Legend: F frames, N people.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from ingredients.core.arrays import Float32Array
from ingredients.pipelines.places import Place, PlacePath

Placing = Literal["columns", "boxes", "moving"]
PLACINGS: tuple[Placing, ...] = get_args(Placing)

_SALT = 23

_BOX_WIDTHS, _BOX_HEIGHTS = (0.8, 1.0), (0.5, 0.75)
"""Smallest and largest width of a box in parts of its column, and height in parts of the picture."""


def deal_places(
    placing: Placing, num_people: int, *, seed: int, num_frames: int, in_order: bool = False
) -> tuple[PlacePath, ...]:
    """A place for each person.

    Args:
        placing: the kind of places.
        num_people: N.
        seed: the seed of the case.
        num_frames: F, of the video.
        in_order: whether the people must stand from left to right, as the prompt says.
    """
    rng = np.random.default_rng([seed, _SALT])
    if placing == "columns":
        return tuple(PlacePath(places={0: _column(person, num_people)}) for person in range(num_people))
    if placing == "moving":
        step = int(rng.integers(2))  # to the right where it is 0
        ways = [(person + step, person + 1 - step) for person in range(num_people)]
        return tuple(
            PlacePath(places={0: _column(first, num_people + 1), num_frames - 1: _column(last, num_people + 1)})
            for first, last in ways
        )
    columns = range(num_people) if in_order else rng.permutation(num_people).tolist()
    return tuple(PlacePath(places={0: _box(column, num_people, rng)}) for column in columns)


def _column(index: int, number: int) -> Place:
    return Place(left=index / number, right=(index + 1) / number)


def _box(column: int, num_columns: int, rng: np.random.Generator) -> Place:
    """A box somewhere in a column, which is never wider than half of the picture."""
    room = 1 / max(num_columns, 2)
    width, height = rng.uniform(*_BOX_WIDTHS) * room, rng.uniform(*_BOX_HEIGHTS)
    left, top = (
        column / num_columns + rng.uniform(0, 1 / num_columns - width),
        rng.uniform(0, 1 - height),
    )
    edges = (round(float(edge), 3) for edge in (left, top, left + width, top + height))
    return Place(**dict(zip(("left", "top", "right", "bottom"), edges, strict=True)))


def is_in_place(path: PlacePath, middles: Float32Array, frame_indices: Sequence[int], *, num_people: int) -> bool:
    """Whether a face is where it was asked for.

    Args:
        path: the place.
        middles: (frames, 2), of the face, x then y, in parts of the frame's width and height.
        frame_indices: the frames that show the face.
        num_people: N, of whom left and right have a share each.
    """
    inside = []
    for frame, (across, down) in zip(frame_indices, middles.tolist(), strict=True):
        place = path.at(frame, num_people=num_people)
        inside.append(place.left <= across <= place.right and place.top <= down <= place.bottom)
    key_frames = path.places if len(path.places) > 1 else ()
    nearest = [int(np.abs(np.asarray(frame_indices) - frame).argmin()) for frame in key_frames]
    return float(np.mean(inside)) >= 0.5 and all(inside[index] for index in nearest)
