"""Who is where in a video, as a file to be edited and taken back: a picture to paint in, or text.

`.png` shows the frames of tokens side by side, each person in a colour, white for nobody, with a grey bar of a token's
width between two frames. `.json` holds the same as numbers: of a person in the list of names, or -1.

Legend: f/h/w grid of video tokens, N people.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ingredients.core.arrays import Int64Array, UInt8Array
from ingredients.core.config import config_from_dict, config_to_dict, read_record
from ingredients.core.errors import OutputError, PhotoError, ShapeError, UserInputError
from ingredients.core.files import check_output_path
from ingredients.core.json_yaml import to_json, write_json
from ingredients.media.photos import load_photo
from ingredients.media.pictures import write_picture
from ingredients.pipelines.names import which_person
from ingredients.visualisation.layout import WHITE, Colour, blank, identity_colour
from ingredients.visualisation.routing_maps import paint_map

ROUTING_SUFFIXES = (".png", ".json")

_TOKEN_PIXELS = 16
_BAR: Colour = (128, 128, 128)
_REMEDY = "edit a map that --save-routing wrote for the same people and size"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RoutingFile:
    """A map as JSON."""

    people: tuple[str, ...]
    """Names, by which the numbers go."""

    tokens: tuple[tuple[tuple[int, ...], ...], ...]
    """By frame, row and column of tokens: the number of a person, from 0, or -1 for nobody."""


def check_routing_path(path: Path, *, overwrite: bool = True) -> Path:
    """Checks that a map can be written there.

    Raises:
        OutputError: if not, or if the name ends in something else.
    """
    if path.suffix.lower() not in ROUTING_SUFFIXES:
        raise OutputError(f"The routing map {path} must have a name that ends in {' or '.join(ROUTING_SUFFIXES)}.")
    return check_output_path(path, overwrite=overwrite)


def save_routing(path: Path, routing: Int64Array, names: Sequence[str]) -> None:
    """Writes a map (f, h, w) of N people, -1 for nobody, in the form that the name ends in.

    Raises:
        OutputError: as `check_routing_path`.
    """
    check_routing_path(path)
    if path.suffix.lower() == ".json":
        write_json(path, config_to_dict(_record(routing, names)))
        return
    bar = blank(routing.shape[1], 1)
    bar[:] = _BAR
    pieces = [piece for frame in routing for piece in (bar, paint_map(frame))][1:]
    strip = np.concatenate(pieces, axis=1)
    write_picture(path, strip.repeat(_TOKEN_PIXELS, axis=0).repeat(_TOKEN_PIXELS, axis=1))


def routing_bytes(routing: Int64Array, names: Sequence[str]) -> bytes:
    """A map (f, h, w) as JSON, as `save_routing` writes it."""
    return to_json(config_to_dict(_record(routing, names))).encode()


def parse_routing(values: object, names: Sequence[str], token_grid: tuple[int, int, int]) -> Int64Array:
    """Reads a map for some people from what JSON held, as `load_routing` does from a file.

    Raises:
        ShapeError: as `load_routing`.
        UserInputError: as `load_routing`.
    """
    try:
        record = config_from_dict(RoutingFile, values)  # type: ignore[arg-type] # it says what does not fit
    except UserInputError as error:
        raise UserInputError(
            f'The routing map must be an object such as {{"people": ["ana"], "tokens": [[[0, -1]]]}} ({error}).'
        ) from error
    return _from_record(record, "that was sent", names, token_grid)


def _record(routing: Int64Array, names: Sequence[str]) -> RoutingFile:
    tokens = tuple(tuple(tuple(map(int, row)) for row in frame) for frame in routing)
    return RoutingFile(people=tuple(names), tokens=tokens)


def load_routing(path: Path, names: Sequence[str], token_grid: tuple[int, int, int]) -> Int64Array:
    """Reads a map for some people.

    Args:
        path: the file, a `.png` or `.json`.
        names: the people of the video.
        token_grid: f, h, w of the video.

    Returns:
        (f, h, w), the index of a person of `names`, -1 for nobody.

    Raises:
        ShapeError: if it is of other frames, rows or columns.
        UserInputError: if it is no map, or holds a colour, a name or a number that is nobody's.
    """
    found = read_routing(path)
    if isinstance(found, RoutingFile):
        return _from_record(found, path, names, token_grid)
    return _from_picture(found, path, names, token_grid)


def read_routing(path: Path) -> RoutingFile | UInt8Array:
    """What a map's file holds, before anybody knows for whom and for which size: numbers, or a picture.

    Raises:
        UserInputError: if there is none, or it is neither.
    """
    if path.suffix.lower() not in ROUTING_SUFFIXES:
        raise UserInputError(f"The routing map {path} is no .png and no .json; {_REMEDY}.")
    if not path.is_file():
        raise UserInputError(f"There is no routing map {path}; write one with --save-routing first.")
    if path.suffix.lower() == ".json":
        return read_record(RoutingFile, path, remedy=_REMEDY)
    try:
        return load_photo(path)
    except PhotoError as error:
        raise UserInputError(f"The routing map {path} is no picture that can be read; {_REMEDY}.") from error


def _from_record(
    record: RoutingFile, path: Path | str, names: Sequence[str], token_grid: tuple[int, int, int]
) -> Int64Array:
    people = [which_person(name, names) for name in record.people]
    for name, person in zip(record.people, people, strict=True):
        if person is None:
            raise UserInputError(
                f"The routing map {path} speaks of {name}, but the photos are of {', '.join(names)}; use one name."
            )
    frames, rows, columns = token_grid
    if [[len(row) for row in frame] for frame in record.tokens] != [[columns] * rows] * frames:
        raise ShapeError(
            f"The routing map {path} must hold {frames} frames of {rows} rows of {columns} numbers each; {_REMEDY}."
        )
    tokens = np.array(record.tokens, np.int64)
    if strangers := sorted(set(tokens.flat) - set(range(-1, len(people)))):
        raise UserInputError(
            f"The routing map {path} holds {strangers[0]}, and numbers are -1 for nobody or those of "
            f"{', '.join(f'{index} for {name}' for index, name in enumerate(record.people))}."
        )
    return np.array([*people, -1], np.int64)[tokens]


def _from_picture(
    picture: UInt8Array, path: Path, names: Sequence[str], token_grid: tuple[int, int, int]
) -> Int64Array:
    frames, rows, columns = token_grid
    height, width = picture.shape[:2]
    cells_across = frames * (columns + 1) - 1
    size = height // rows
    if size < 1 or (height, width) != (size * rows, size * cells_across):
        raise ShapeError(
            f"The routing map {path} is {width}x{height}, and one of {frames} frames of {columns}x{rows} tokens, with "
            f"bars between them, is a multiple of {cells_across}x{rows}; {_REMEDY}."
        )
    colours = [WHITE, *(identity_colour(index) for index in range(len(names)))]
    cells = picture.reshape(rows, size, cells_across, size, 3).swapaxes(1, 2)  # (rows, across, size, size, 3)
    routing = np.empty(token_grid, np.int64)
    for frame, row, column in np.ndindex(*token_grid):
        pixels = cells[row, frame * (columns + 1) + column].reshape(-1, 3)
        found, counts = np.unique(pixels, axis=0, return_counts=True)
        colour: Colour = tuple(found[counts.argmax()].tolist())
        if colour not in colours:
            known = [f"{_hex(each)} for {name}" for each, name in zip(colours, ("nobody", *names), strict=True)]
            raise UserInputError(
                f"The routing map {path} has the colour {_hex(colour)} in frame {frame + 1}, row {row + 1}, column "
                f"{column + 1}, which is nobody's; paint {', '.join(known)}, with a hard brush."
            )
        routing[frame, row, column] = colours.index(colour) - 1
    return routing


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour)
