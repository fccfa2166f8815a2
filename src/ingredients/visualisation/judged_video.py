"""A video under the eyes of a judge: who is who in its frames, and when.

Legend: H/W pixels, S side of a crop.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.visualisation.layout import (
    GAP,
    INK,
    Colour,
    blank,
    fit_square,
    framed,
    in_column,
    in_grid,
    in_lines,
    in_row,
    load_font,
    show_frame,
    text_block,
    text_line,
    text_width,
    titled,
    with_margin,
    writable,
)

STRANGER_COLOUR: Colour = (120, 120, 120)

_CROP_SIDE = 160
_WIDTH = 1080
_ROW_HEIGHT = 20
_LABEL_SIZE = 12
_PALE: Colour = (238, 238, 238)
_MOST_ROWS = 16
"""Faces of the timeline; a film has hundreds."""

_COLUMNS = 3
_MOST_HEIGHT = 420
"""Pixels of a frame on the sheet, where it is upright."""

_GOOD_TICKS = (0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceMark:
    """A face in a frame."""

    box: Float32Array
    """(4,): left, top, right, bottom in pixels of the frame."""

    label: str
    """Who it is."""

    colour: Colour
    """The person's colour."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MarkedFrame:
    """A frame with what was seen in it."""

    title: str
    """When it is shown."""

    pixels: UInt8Array
    """(H, W, 3)."""

    marks: Sequence[FaceMark]
    """Its faces."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PersonPanel:
    """A person beside the face that is most like them."""

    title: str
    """The name, and the verdict."""

    colour: Colour
    """The person's colour."""

    photo: UInt8Array
    """(S, S, 3): the face of the first photo."""

    best: UInt8Array | None
    """(S, S, 3): the face in the video; None if there is none."""

    note: str
    """Below the second picture: which frame it is of, or that there is none."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TimelineBar:
    """Some time in which a face shows one person."""

    first: float
    """Seconds at which it begins."""

    last: float
    """Seconds at which it ends."""

    colour: Colour
    """The person's colour."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TimelineRow:
    """When one face is seen, and as whom."""

    label: str
    """The words at the left."""

    bars: Sequence[TimelineBar]
    """The times, in their order."""


def judged_sheet(
    title: str,
    remarks: Sequence[str],
    people: Sequence[PersonPanel],
    rows: Sequence[TimelineRow],
    frames: Sequence[MarkedFrame],
    *,
    seconds: float,
    cuts: Sequence[float] = (),
) -> UInt8Array:
    """Puts people, timeline and marked frames on one picture.

    Args:
        title: a line above all.
        remarks: sentences below it.
        people: those who were asked for.
        rows: the rows of the timeline.
        frames: the frames of the video, in their order.
        seconds: length of the video.
        cuts: when one shot ends and another begins.
    """
    panels = in_lines([_person(panel) for panel in people], max_width=_WIDTH, gap=16)
    parts = [text_block(title, width=_WIDTH, size=15)]
    if remarks:
        parts.append(in_column([text_block(remark, width=_WIDTH) for remark in remarks], gap=2))
    parts.append(panels)
    parts.append(timeline(rows, seconds=seconds, cuts=cuts, width=_WIDTH))
    if frames:
        parts.append(_frames(frames))
    return with_margin(in_column(parts, gap=14), margin=12)


def mark_frame(frame: MarkedFrame, *, height: int) -> UInt8Array:
    """A frame scaled to a height, with a box and a name at each face."""
    picture = Image.fromarray(show_frame(frame.pixels, height))
    scale = picture.height / frame.pixels.shape[0]
    draw, font = ImageDraw.Draw(picture), load_font(_LABEL_SIZE)
    for mark in frame.marks:
        left, top, right, bottom = (mark.box * scale).tolist()
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=INK)  # seen on any ground
        draw.rectangle((left, top, right, bottom), outline=mark.colour, width=3)
    for mark in frame.marks:  # over all boxes
        left, top, right, _ = (mark.box * scale).tolist()
        text = writable(mark.label, font)
        wide = font.getlength(text) + 6
        left = float(np.clip((left + right - wide) / 2, 0, max(0, picture.width - wide)))
        above = max(0.0, top - 18)
        draw.rectangle((left, above, left + wide, above + 17), fill=mark.colour)
        draw.text((left + 3, above + 1), text, font=font, fill=_readable_on(mark.colour))
    return np.asarray(picture)


def timeline(
    rows: Sequence[TimelineRow], *, seconds: float, cuts: Sequence[float] = (), width: int = _WIDTH
) -> UInt8Array:
    """Bars that say when each face is seen, over an axis of seconds.

    Args:
        rows: one a face; those beyond some are only counted.
        seconds: length of the axis.
        cuts: when one shot ends and another begins.
        width: pixels.
    """
    shown = rows[:_MOST_ROWS]
    labels = [row.label for row in shown] or [""]
    left = min(width // 2, max(text_width(label, size=_LABEL_SIZE) for label in labels) + 12)
    picture = Image.fromarray(blank(len(shown) * _ROW_HEIGHT + 26, width))
    draw, font = ImageDraw.Draw(picture), load_font(_LABEL_SIZE)

    def place(time: float) -> float:
        return left + (width - left - 8) * min(1.0, time / max(seconds, 1e-6))

    bottom = len(shown) * _ROW_HEIGHT
    for index, row in enumerate(shown):
        top = index * _ROW_HEIGHT
        picture.paste(Image.fromarray(text_line(row.label, width=left - 4, size=_LABEL_SIZE)), (0, top + 1))
        draw.rectangle((place(0), top + 3, place(seconds), top + _ROW_HEIGHT - 4), fill=_PALE)
        for bar in row.bars:
            end = max(place(bar.first) + 2, place(bar.last))
            draw.rectangle((place(bar.first), top + 3, end, top + _ROW_HEIGHT - 4), fill=bar.colour)
    for cut in cuts:
        draw.line((place(cut), 0, place(cut), bottom), fill=INK)
    tick = next((each for each in _GOOD_TICKS if seconds / each <= 12), _GOOD_TICKS[-1])
    for number in range(int(seconds / tick + 1e-6) + 1):
        time = number * tick
        draw.line((place(time), bottom, place(time), bottom + 4), fill=INK)
        text = f"{time:g} s"
        draw.text((min(place(time) - 4, width - font.getlength(text) - 2), bottom + 6), text, font=font, fill=INK)
    sheet = np.asarray(picture)
    if len(rows) > len(shown):
        more = text_line(f"and {len(rows) - len(shown)} more", width=width, size=_LABEL_SIZE)
        sheet = in_column([sheet, more])
    return sheet


def _person(panel: PersonPanel) -> UInt8Array:
    best = np.full((_CROP_SIDE, _CROP_SIDE, 3), 225, np.uint8) if panel.best is None else panel.best
    pictures = in_row(
        [
            titled(framed(fit_square(panel.photo, _CROP_SIDE), panel.colour), "photo", size=_LABEL_SIZE),
            titled(fit_square(best, _CROP_SIDE), panel.note, size=_LABEL_SIZE),
        ]
    )
    title = text_block(panel.title, width=pictures.shape[1], size=13, most_lines=3)
    swatch = np.full((4, pictures.shape[1], 3), panel.colour, np.uint8)
    return in_column([title, swatch, pictures])


def _frames(frames: Sequence[MarkedFrame]) -> UInt8Array:
    height = _frame_height(*frames[0].pixels.shape[:2], columns=min(_COLUMNS, len(frames)))
    shown = [titled(mark_frame(frame, height=height), frame.title, size=_LABEL_SIZE) for frame in frames]
    return in_grid(shown, columns=_COLUMNS)


def _frame_height(height: int, width: int, *, columns: int) -> int:
    """Pixels at which so many frames fill a row: small ones are enlarged by whole pixels."""
    most = (_WIDTH - GAP * (columns - 1)) // columns  # wide
    if width <= most:
        return height * min(most // width, max(1, _MOST_HEIGHT // height))
    return max(1, min(_MOST_HEIGHT, height * most // width))


def _readable_on(colour: Colour) -> Colour:
    """Black or white, whichever is read more easily on a ground."""
    red, green, blue = colour
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else (255, 255, 255)
