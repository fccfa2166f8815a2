"""A video and the photos it was made from, on one picture.

Legend: F frames, H/W pixels.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from ingredients.core.arrays import UInt8Array
from ingredients.core.protocols import Face
from ingredients.faces.alignment import crop_ffhq
from ingredients.visualisation.layout import (
    INK,
    Colour,
    at_least_as_wide,
    fit_height,
    identity_colour,
    in_column,
    in_grid,
    in_row,
    show_frame,
    shown_height,
    text_line,
    text_width,
    titled,
    with_margin,
)

FRAME_HEIGHT = 160
"""Pixels of a frame on the sheet; smaller ones are enlarged by whole pixels."""

_MOST_TITLE_WIDTH = 480


def contact_sheet(
    frames: UInt8Array,
    references: Mapping[str, Sequence[UInt8Array]],
    *,
    prompt: str | None = None,
    captions: Mapping[str, str] | None = None,
    columns: int = 3,
    max_frames: int = 12,
    frame_height: int | None = None,
) -> UInt8Array:
    """Puts the photos of each person in a row above the frames.

    Args:
        frames: (F, H, W, 3).
        references: photos (H, W, 3) by name, one or several a person; may be empty.
        prompt: a line above all.
        captions: what to write over a person's photos beside the name, say the similarity.
        columns: frames side by side.
        max_frames: frames shown, spread evenly over longer videos.
        frame_height: pixels of a frame and of a photo on the sheet; by default `sheet_frame_height`.

    Returns:
        A picture (height, width, 3).

    Raises:
        ValueError: if there is no frame, or a number is below 1.
    """
    if frame_height is None:
        frame_height = sheet_frame_height(frames)
    if len(frames) < 1 or min(columns, max_frames, frame_height) < 1:
        raise ValueError(
            f"a contact sheet needs frames, columns, max_frames and frame_height of at least 1, not {len(frames)}, "
            f"{columns}, {max_frames} and {frame_height}"
        )
    people = []
    for index, (name, photos) in enumerate(references.items()):
        caption = (captions or {}).get(name)
        title = name if caption is None else f"{name}: {caption}"
        pictures = in_row([fit_height(photo, frame_height) for photo in photos])
        people.append(
            titled(
                at_least_as_wide(pictures, min(text_width(title), _MOST_TITLE_WIDTH)),
                title,
                colour=identity_colour(index),
            )
        )
    shown = [frames[index] for index in evenly_spread(len(frames), max_frames)]
    grid = in_grid([show_frame(frame, frame_height) for frame in shown], columns=columns)
    parts = [in_grid(people, columns=columns, gap=12), grid] if people else [grid]
    sheet = in_column(parts, gap=12)
    if prompt is not None:
        sheet = in_column([text_line(prompt, width=sheet.shape[1], size=15), sheet], gap=8)
    return with_margin(sheet)


def sheet_frame_height(frames: UInt8Array) -> int:
    """Pixels of a frame of (F, H, W, 3) on the sheet."""
    return shown_height(frames.shape[1], usual=FRAME_HEIGHT)


def mark_reference(
    photo: UInt8Array, faces: Sequence[Face], meant: Face, *, colour: Colour, height: int = FRAME_HEIGHT
) -> UInt8Array:
    """A photo (H, W, 3) scaled to a height; where it shows several people, who is meant is framed and cut out."""
    scaled = fit_height(photo, height)
    if len(faces) < 2:
        return scaled
    picture = Image.fromarray(scaled)
    left, top, right, bottom = (meant.box * (scaled.shape[0] / photo.shape[0])).tolist()
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left - 4, top - 4, right + 4, bottom + 4), outline=INK)  # seen on any ground
    draw.rectangle((left - 3, top - 3, right + 3, bottom + 3), outline=colour, width=3)
    return in_row([np.asarray(picture), crop_ffhq(photo, meant.landmarks, size=height)])


def evenly_spread(num_items: int, max_items: int) -> list[int]:
    """Indices of at most `max_items` of `num_items`, the first and the last among them."""
    if num_items <= max_items:
        return list(range(num_items))
    if max_items == 1:
        return [0]
    return [round(index * (num_items - 1) / (max_items - 1)) for index in range(max_items)]
