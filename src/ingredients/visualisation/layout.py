"""Pieces that pictures are put together from, RGB uint8 (H, W, 3) throughout, and the font of their texts.

DejaVu Sans, which comes with matplotlib and with many systems, has accented, Greek and Cyrillic letters. Where there
is none, Pillow's own font writes, which has little more than ASCII.
"""

import bisect
import functools
import importlib.util
import itertools
import math
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ingredients.core.arrays import UInt8Array

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_FILE = "DejaVuSans.ttf"
_MISSING = "\uffff"
"""No character, which every font draws as it draws those that it lacks."""


@functools.cache
def load_font(size: int) -> Font:
    """The font at a size in pixels."""
    for file in (_matplotlibs_file(), _FILE):  # the bare name is looked up in the system's folders
        try:
            return ImageFont.truetype(file, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def writable(text: str, font: Font) -> str:
    """The text as the font can write it: a letter that it lacks loses its accent, or else becomes a question mark."""
    return "".join(_writable_letter(letter, font) for letter in unicodedata.normalize("NFC", text))


@functools.cache
def _writable_letter(letter: str, font: Font) -> str:
    if letter.isspace():
        return " "  # also for an end of line, at which a line of text would end
    if unicodedata.category(letter) in ("Cc", "Cs"):  # commands and halves of letters, which nothing draws
        return "?"
    if _has(letter, font):
        return letter
    if unicodedata.category(letter) == "Pd":  # dashes
        return "-"
    if unicodedata.combining(letter):
        return ""
    plain = unicodedata.normalize("NFKD", letter)[0]
    return plain if plain != letter and _has(plain, font) else "?"


def _has(letter: str, font: Font) -> bool:
    drawn, missing = font.getmask(letter), font.getmask(_MISSING)
    return drawn.size != missing.size or bytes(drawn) != bytes(missing)


def _matplotlibs_file() -> str:
    """Found without importing matplotlib, which takes a second."""
    found = importlib.util.find_spec("matplotlib")
    if found is None or found.origin is None:
        return _FILE
    return str(Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / _FILE)


Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
INK: Colour = (32, 32, 32)
GAP = 4
"""Pixels between two pieces."""

IDENTITY_COLOURS: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
    (240, 228, 66),
    (110, 110, 110),
)
"""Okabe and Ito's palette, which people with colour blindness can tell apart."""

_SMALL_FRAMES_SHOWN = 256
"""Pixels up to which small frames are enlarged; those of the model that ships, 64 high, four times."""

_MOST_TIMES_AS_WIDE = 8
_MOST_LINES = 12

_LEVELS = (0, 51, 102, 153, 204, 255)


def identity_colour(index: int) -> Colour:
    """The colour of identity number `index`; after eight, each is as far as can be from all before it.

    Raises:
        ValueError: for more identities than there are colours that differ.
    """
    if not 0 <= index < len(IDENTITY_COLOURS) + len(_LEVELS) ** 3 // 2:
        raise ValueError(f"there is no colour for identity {index}")
    return IDENTITY_COLOURS[index] if index < len(IDENTITY_COLOURS) else _further_colour(index)


@functools.cache
def _further_colour(index: int) -> Colour:
    """The web's colour, among 216, that is furthest from the earlier identities', from white and from black."""
    earlier = np.array([WHITE, (0, 0, 0), *map(identity_colour, range(index))], np.float32)
    candidates = np.array(list(itertools.product(_LEVELS, repeat=3)), np.float32)  # (216, 3)
    differences = candidates[:, None] - earlier  # (216, index + 2, 3)
    # "Redmean", a distance that follows the eye more closely than the plain one and needs no other colour space.
    red = (candidates[:, None, 0] + earlier[:, 0]) / 2 / 256
    distances = ((2 + red) * differences[..., 0] ** 2 + 4 * differences[..., 1] ** 2
                 + (3 - red) * differences[..., 2] ** 2)  # fmt: skip
    red_level, green, blue = candidates[distances.min(axis=1).argmax()].astype(int).tolist()
    return red_level, green, blue


def resize(picture: UInt8Array, *, width: int, height: int, smooth: bool = True) -> UInt8Array:
    """Scales a picture; `smooth=False` keeps hard edges, for maps."""
    method = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(picture).resize((width, height), method))


def fit_height(picture: UInt8Array, height: int) -> UInt8Array:
    """Scales a picture to a height, keeping its proportions; a very wide one to less, for it would fill the memory."""
    scale = min(height / picture.shape[0], _MOST_TIMES_AS_WIDE * height / picture.shape[1])
    fitted_height, fitted_width = (max(1, round(length * scale)) for length in picture.shape[:2])
    return resize(picture, width=fitted_width, height=fitted_height)


def enlarge(pictures: UInt8Array, scale: int) -> UInt8Array:
    """Makes each pixel of a picture (H, W, 3), or of frames (F, H, W, 3), a square of `scale` pixels."""
    return pictures if scale == 1 else pictures.repeat(scale, axis=-3).repeat(scale, axis=-2)


def shown_height(height: int, *, usual: int) -> int:
    """How high a frame is shown: small ones by whole pixels, so large that faces are seen; others at the usual height.

    Args:
        height: pixels of the frame.
        usual: pixels at which frames of any size are shown on the sheet.
    """
    return height * max(2, _SMALL_FRAMES_SHOWN // height) if height < usual else usual


def show_frame(frame: UInt8Array, height: int) -> UInt8Array:
    """A frame scaled to a height: by whole pixels where it is a multiple of the frame's own, else smoothly."""
    if height % frame.shape[0] or frame.shape[1] > _MOST_TIMES_AS_WIDE * frame.shape[0]:
        return fit_height(frame, height)
    return enlarge(frame, height // frame.shape[0])


def in_row(pictures: Sequence[UInt8Array], *, gap: int = GAP) -> UInt8Array:
    """Pictures side by side on white, aligned at the top."""
    height = max(picture.shape[0] for picture in pictures)
    width = sum(picture.shape[1] for picture in pictures) + gap * (len(pictures) - 1)
    sheet = blank(height, width)
    left = 0
    for picture in pictures:
        sheet[: picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + gap
    return sheet


def in_column(pictures: Sequence[UInt8Array], *, gap: int = GAP) -> UInt8Array:
    """Pictures below each other on white, aligned at the left."""
    return in_row([picture.transpose(1, 0, 2) for picture in pictures], gap=gap).transpose(1, 0, 2)


def in_lines(pictures: Sequence[UInt8Array], *, max_width: int, gap: int = GAP) -> UInt8Array:
    """Pictures side by side, and on a further line where one does not fit any more, as words are."""
    lines: list[list[UInt8Array]] = [[]]
    for picture in pictures:
        width = sum(each.shape[1] + gap for each in lines[-1]) + picture.shape[1]
        if lines[-1] and width > max_width:
            lines.append([])
        lines[-1].append(picture)
    return in_column([in_row(line, gap=gap) for line in lines], gap=gap)


def in_grid(pictures: Sequence[UInt8Array], *, columns: int, gap: int = GAP) -> UInt8Array:
    """Pictures row by row."""
    return in_column(
        [in_row(pictures[first : first + columns], gap=gap) for first in range(0, len(pictures), columns)], gap=gap
    )


def with_margin(picture: UInt8Array, *, margin: int = 2 * GAP) -> UInt8Array:
    """A picture with white around it."""
    return np.pad(picture, ((margin, margin), (margin, margin), (0, 0)), constant_values=255)


def blank(height: int, width: int) -> UInt8Array:
    """A white picture."""
    return np.full((height, width, 3), 255, dtype=np.uint8)


def at_least_as_wide(picture: UInt8Array, width: int) -> UInt8Array:
    """A picture with white at its right, if it is narrower than that."""
    return in_row([picture, blank(1, width - picture.shape[1])], gap=0) if picture.shape[1] < width else picture


def fit_square(picture: UInt8Array, side: int) -> UInt8Array:
    """Scales a picture so that it just fits into a square, and fills the rest with white."""
    scale = side / max(picture.shape[:2])
    height, width = (max(1, round(length * scale)) for length in picture.shape[:2])
    square = blank(side, side)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = resize(picture, width=width, height=height)
    return square


def in_the_middle(picture: UInt8Array, height: int) -> UInt8Array:
    """A picture with white above and below, in the middle of a height, if it is lower than that."""
    above = max(0, (height - picture.shape[0]) // 2)
    below = max(0, height - picture.shape[0] - above)
    return np.pad(picture, ((above, below), (0, 0), (0, 0)), constant_values=255)


def framed(picture: UInt8Array, colour: Colour, *, width: int = 3) -> UInt8Array:
    """A picture whose edge is covered by a frame."""
    marked = picture.copy()
    marked[:width], marked[-width:], marked[:, :width], marked[:, -width:] = colour, colour, colour, colour
    return marked


def text_width(text: str, *, size: int = 13) -> int:
    """Pixels that `text_line` needs for a text."""
    font = load_font(size)
    return math.ceil(font.getlength(writable(text, font)))


def text_line(text: str, *, width: int, size: int = 13, colour: Colour = INK) -> UInt8Array:
    """A line of text; what does not fit is cut and ends in an ellipsis."""
    font = load_font(size)

    def begin(num_letters: int) -> str:
        return writable(text[:num_letters], font) + ("…" if num_letters < len(text) else "")

    def fits(num_letters: int) -> bool:
        return font.getlength(begin(num_letters)) <= width

    whole = len(text)  # tried first, for without an ellipsis it may be narrower than a little less of it with one
    num_letters = whole if fits(whole) else _most_that_fits(whole, fits)
    line = Image.new("RGB", (width, round(size * 1.4)), WHITE)
    ImageDraw.Draw(line).text((0, 0), begin(num_letters), font=font, fill=colour)
    return np.asarray(line)


def path_line(path: str, *, width: int, size: int = 13) -> UInt8Array:
    """A line with a path; what does not fit is cut at its beginning, for paths differ at their ends."""

    def without(length: int) -> str:
        return f"…{path[length:]}" if length else path

    cut = bisect.bisect_left(
        range(len(path)), True, key=lambda length: text_width(without(length), size=size) <= width
    )
    return text_line(without(cut), width=width, size=size)


def text_block(
    text: str, *, width: int, size: int = 13, colour: Colour = INK, most_lines: int = _MOST_LINES
) -> UInt8Array:
    """A text broken into lines where a word does not fit any more; what needs more lines ends in an ellipsis."""
    words = text.split()
    lines: list[str] = []
    first = 0
    while first < len(words) and len(lines) < most_lines:

        def join(num_words: int, first: int = first) -> str:
            return " ".join(words[first : first + num_words])

        left = len(words) - first
        num_words = max(1, _most_that_fits(left, lambda number: text_width(join(number), size=size) <= width))
        is_cut = len(lines) == most_lines - 1 and num_words < left
        lines.append(join(num_words + 1) if is_cut else join(num_words))  # what is too wide is cut as it is drawn
        first += num_words
    return in_column([text_line(line, width=width, size=size, colour=colour) for line in lines or [""]], gap=0)


def _most_that_fits(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to a limit that fits, where no larger one does; few are tried, however large the limit."""
    least, most = 0, 1
    while most < limit and fits(most):
        least, most = most, 2 * most
    most = min(most, limit)
    if fits(most):
        return most
    while most - least > 1:  # `least` fits, or is nothing; `most` does not
        middle = (least + most) // 2
        if fits(middle):
            least = middle
        else:
            most = middle
    return least


def titled(picture: UInt8Array, title: str, *, size: int = 13, colour: Colour = INK) -> UInt8Array:
    """A picture below a line of text as wide as it."""
    return in_column([text_line(title, width=picture.shape[1], size=size, colour=colour), picture], gap=1)
