"""Where people are to stand: a part of the picture for each, which may move while the video goes on.

    places = {"ana": "left", "ben": (0.55, 0.2, 0.95, 0.9)}
    places = {"ana": {0: "left", 16: "right"}}

In the first steps, the planned ones, a place is forced: its tokens are that person's, and those who have no place
share what is left. After them it is a prior on the router's logits: nobody else gets the tokens of a place that is
taken, and outside it the person's own logits are lowered by a strength, inside raised.

Legend: N people, f/h/w grid of video tokens.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np

from ingredients.core.arrays import BoolArray, Float32Array, Int64Array
from ingredients.core.errors import ArgumentError
from ingredients.core.ranges import Share, Weight, check_number, check_ranges
from ingredients.pipelines.names import which_person

PlaceName = Literal["left", "middle", "right"]
PLACE_NAMES = get_args(PlaceName)

PLACE_STRENGTH = 4.0
"""By how much the logits of a placed person differ inside and outside, each way, by default."""

_STRENGTH = "strength"

_TAKEN = -1e4
"""What is added to the logits of others where a place is taken: more than any logit."""

_FORMS = "left, middle or right, or left, top, right and bottom in parts of the picture, such as 0.55,0.2,0.95,0.9"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A part of the picture; 0 is its left or upper edge, 1 the right or lower one."""

    left: Share = 0.0
    """Left edge."""

    top: Share = 0.0
    """Upper edge."""

    right: Share = 1.0
    """Right edge."""

    bottom: Share = 1.0
    """Lower edge."""

    def __post_init__(self) -> None:
        """Checks that there is something between the edges.

        Raises:
            ValueError: if there is nothing, or an edge lies outside the picture.
        """
        check_ranges(self)
        if self.left >= self.right or self.top >= self.bottom:
            raise ValueError(f"the edges {self.edges} hold nothing: left comes before right, and top before bottom")

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlacePath:
    """Where a person stands: at each key frame a place, between them on the straight way from one to the next."""

    places: Mapping[int, Place | PlaceName]
    """By frame of the video, from 0; before the first and after the last the person stays."""

    strength: Weight = PLACE_STRENGTH
    """How much the router is told of it after the planned steps; 0 leaves only that the place is taken."""

    def __post_init__(self) -> None:
        """Checks that there is a place, and that frames are frames.

        Raises:
            ValueError: if not.
        """
        check_number("strength", self.strength)
        check_ranges(self)
        if not self.places or min(self.places) < 0:
            raise ValueError("a path holds at least one place, at a frame from 0 on")

    @classmethod
    def parse(cls, given: "PlaceInput", *, name: str, strength: float = PLACE_STRENGTH) -> Self:
        """Reads a place, or places by key frame, in any of its forms; what JSON holds is one.

        Args:
            given: what a caller gave.
            name: the name of the person, for errors.
            strength: the strength of a place that has none yet.

        Raises:
            ArgumentError: for anything else.
        """
        if isinstance(given, cls):
            return given
        at: dict[Any, Any] = dict(given) if isinstance(given, Mapping) else {0: given}
        try:
            strength = check_number("strength", at.pop(_STRENGTH, strength))
            places = {_frame(frame): _parse_place(place) for frame, place in at.items()}
            return cls(places=dict(sorted(places.items())), strength=strength)
        except (ValueError, TypeError) as error:
            raise ArgumentError(
                f"The place of {name} cannot be {_shown(given)}; give {_FORMS} ({error}).".replace("\n", " ")
            ) from error

    def to_json(self) -> dict[str, Any]:
        """What `parse` reads again, of what JSON can hold."""
        places = {
            str(frame): place if isinstance(place, str) else list(place.edges) for frame, place in self.places.items()
        }
        return {**places, _STRENGTH: self.strength}

    def at(self, frame: float, *, num_people: int) -> Place:
        """The place at a moment.

        Args:
            frame: the frame of the video; a half one lies between two.
            num_people: N, of whom left and right have a share each.
        """
        boxes = [named_place(place, num_people) if isinstance(place, str) else place for place in self.places.values()]
        frames = np.array(list(self.places), np.float64)
        left, top, right, bottom = (
            float(np.interp(frame, frames, edge)) for edge in zip(*(box.edges for box in boxes), strict=True)
        )
        return Place(left=left, top=top, right=right, bottom=bottom)


PlaceInput: TypeAlias = PlacePath | Place | PlaceName | Sequence[float] | Mapping[Any, Any]
"""A path; a place, as its name or as its edges left, top, right and bottom; or such places by key frame."""

PlacesInput: TypeAlias = Mapping[str, PlaceInput]
"""Places by the person's name; whoever has none is placed by the layout, or by the router."""


def named_place(name: PlaceName, num_people: int) -> Place:
    """The part of the picture that a name means: of as many columns as there are people, at least two, one."""
    width = 1 / max(num_people, 2)
    left = {"left": 0.0, "middle": 0.5 - width / 2, "right": 1 - width}[name]
    return Place(left=left, right=left + width)


def parse_places(places: PlacesInput, names: Sequence[str]) -> list[PlacePath | None]:
    """The place of each person, None for whoever has none.

    Raises:
        ArgumentError: if there is nobody of a name, or a place is none.
    """
    paths: list[PlacePath | None] = [None] * len(names)
    for name, given in places.items():
        person = which_person(name, names)
        if person is None or paths[person] is not None:
            what = "is placed twice" if person is not None else "has a place and no photo"
            raise ArgumentError(f"{name} {what}; give one place to each of {', '.join(names)} at most.")
        paths[person] = PlacePath.parse(given, name=name)
    return paths


def read_place_options(
    options: Iterable[str], *, strength: float = PLACE_STRENGTH, called: str = "--place"
) -> dict[str, PlacePath]:
    """Reads `ana=left`, `ben=0.55,0.2,0.95,0.9` and key frames `ana@0=left ana@16=right`.

    Args:
        options: each of one or several placings.
        strength: the strength of all of them.
        called: what errors call an option.

    Raises:
        ArgumentError: for an option of another form.
    """
    found: dict[str, dict[int, str | list[float]]] = {}
    for option in (part for each in options for part in _split(each)):
        match = re.fullmatch(r"@?(?P<name>[^=]*?[^=@\s])(?:@(?P<frame>\d+))?\s*=\s*(?P<place>.*)", option.strip())
        if match is None:
            raise ArgumentError(
                f"{called} {_shortened(option)} must be NAME=PLACE or NAME@FRAME=PLACE, with {_FORMS}."
            )
        place, frame = match["place"].strip(), int(match["frame"] or 0)
        at = found.setdefault(match["name"].strip(), {})
        if frame in at:
            raise ArgumentError(
                f"{called} {_shortened(option)} places {match['name']} twice at frame {frame}; leave one out."
            )
        try:
            at[frame] = place if place in PLACE_NAMES else [float(edge) for edge in place.split(",")]
        except ValueError:
            raise ArgumentError(f"{called} {_shortened(option)} names no place; give {_FORMS}.") from None
    return {name: PlacePath.parse(at, name=name, strength=strength) for name, at in found.items()}


def _split(option: str) -> list[str]:
    """Several placings in one option, such as "ana@0=left ana@16=right"."""
    words = option.split()
    return words if words and all("=" in word for word in words) else [option]


def check_frames(paths: Sequence[PlacePath | None], names: Sequence[str], num_frames: int) -> None:
    """Checks that key frames are frames of the video.

    Raises:
        ArgumentError: if one lies behind the last.
    """
    for name, path in zip(names, paths, strict=True):
        if path is not None and max(path.places) >= num_frames:
            raise ArgumentError(
                f"{name} has a place at frame {max(path.places)}, but the last of the video's frames is "
                f"{num_frames - 1}; give an earlier one."
            )


def place_people(
    paths: Sequence[PlacePath | None], token_grid: tuple[int, int, int], token_frames: Sequence[range]
) -> Int64Array:
    """A person for each token (f, h, w), -1 for none.

    A place's tokens are its person's, where places overlap those of the nearest middle. The others get columns of
    equal width, from left to right, of what nobody's place ever covers; where places leave nothing all the time, of
    what they leave in each frame.

    Args:
        paths: the place of each of N people; None for those without one.
        token_grid: f, h, w.
        token_frames: the frames of the video that each of f stands for.

    Raises:
        ArgumentError: if somebody is left without room.
    """
    inside, distances = _places_on_grid(paths, token_grid, token_frames)
    nearest = np.where(inside, distances, np.inf).argmin(axis=-1)
    layout = np.where(inside.any(axis=-1), nearest, -1)  # (f, h, w)
    others = [person for person, path in enumerate(paths) if path is None]
    is_free = np.asarray(~inside.any(axis=(1, 3)))  # (f, w), columns
    always_free = np.asarray(is_free.all(axis=0))
    is_enough = 2 * always_free.sum() >= is_free.sum(axis=1).min()
    for frame, free in enumerate(is_free):
        columns = _share_columns(always_free if is_enough else np.asarray(free), others)
        layout[frame] = np.where(columns >= 0, columns, layout[frame])
    if left_out := set(range(len(paths))) - set(layout.flat):
        raise ArgumentError(
            f"The places leave no room for {len(left_out)} of {len(paths)} people; make them smaller, or place "
            "everybody."
        )
    return np.asarray(layout, np.int64)


def left_to_right(layout: Int64Array, num_people: int) -> list[int]:
    """The people, by index, from left to right as a layout (f, h, w) puts them when they are first seen."""
    middles = []
    for person in range(num_people):
        frames, _, columns = (layout == person).nonzero()
        middles.append(float(columns[frames == frames.min(initial=len(layout))].mean()) if len(frames) else np.inf)
    return sorted(range(num_people), key=lambda person: middles[person])


def place_bias(
    paths: Sequence[PlacePath | None], token_grid: tuple[int, int, int], token_frames: Sequence[range]
) -> Float32Array:
    """What is added to the routing logits (f * h * w, N); arguments as `place_people` has them."""
    inside, _ = _places_on_grid(paths, token_grid, token_frames)
    strengths = np.array([0.0 if path is None else path.strength for path in paths])  # (N)
    own = np.where(inside, strengths, -strengths)
    is_taken = inside.any(axis=-1, keepdims=True) & ~inside
    return np.asarray(np.where(is_taken, _TAKEN, own), np.float32).reshape(-1, len(paths))


def _places_on_grid(
    paths: Sequence[PlacePath | None], token_grid: tuple[int, int, int], token_frames: Sequence[range]
) -> tuple[BoolArray, Float32Array]:
    """Whether each token's middle lies inside each place, and how far from its middle, in half sides: (f, h, w, N)."""
    _, num_rows, num_columns = token_grid
    across, down = (np.arange(num_columns) + 0.5) / num_columns, (np.arange(num_rows) + 0.5) / num_rows
    distances = np.full((*token_grid, len(paths)), np.inf, np.float32)
    for person, path in enumerate(paths):
        for index, frames in enumerate(token_frames if path is not None else ()):
            assert path is not None
            place = path.at((frames.start + frames.stop - 1) / 2, num_people=len(paths))
            horizontal = np.abs(across * 2 - place.left - place.right) / (place.right - place.left)  # (w)
            vertical = np.abs(down * 2 - place.top - place.bottom) / (place.bottom - place.top)  # (h)
            # a place between the middles of tokens has the nearest row, or column
            horizontal, vertical = horizontal / max(1, horizontal.min()), vertical / max(1, vertical.min())
            distances[index, ..., person] = np.maximum(horizontal, vertical[:, None])
    return np.asarray(distances <= 1), distances


def _share_columns(free: BoolArray, people: Sequence[int]) -> Int64Array:
    """A person for each column (w) that is free, -1 for the others and for what is too little to be shared."""
    columns = np.full(len(free), -1, np.int64)
    bounds = np.flatnonzero(np.diff(np.concatenate([[0], free.astype(int), [0]])))
    runs = [(int(start), int(end)) for start, end in zip(bounds[::2], bounds[1::2], strict=True)]
    seats = [0] * len(runs)
    for _ in people if runs else ():  # the next goes where there is most room for one more
        widths = [(end - start) / (1 + seat) for (start, end), seat in zip(runs, seats, strict=True)]
        seats[int(np.argmax(widths))] += 1
    remaining = list(people)
    for (start, end), seat in zip(runs, seats, strict=True):
        here, remaining = remaining[:seat], remaining[seat:]
        for index in range(end - start if here else 0):
            columns[start + index] = here[index * len(here) // (end - start)]
    return columns


def _frame(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int | str):
        raise ValueError(f"{given!r} is no frame")
    return int(given)


def _parse_place(given: object) -> Place | PlaceName:
    if isinstance(given, Place):
        return given
    if isinstance(given, str):
        if given not in PLACE_NAMES:
            raise ValueError(f"there is no place called {_shown(given)}")
        return given  # type: ignore[return-value] # one of the names
    if not isinstance(given, Sequence) or len(given) != 4:
        raise ValueError("a place has four edges")
    left, top, right, bottom = (check_number("an edge", edge) for edge in given)
    return Place(left=left, top=top, right=right, bottom=bottom)


def _shown(given: object) -> str:
    return _shortened(repr(given))


def _shortened(text: str) -> str:
    return text if len(text) < 80 else f"{text[:80]}..."
