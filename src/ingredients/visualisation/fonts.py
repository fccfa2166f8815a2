"""The font of texts in pictures.

DejaVu Sans, which comes with matplotlib and with many systems, has accented, Greek and Cyrillic letters. Where there
is none, Pillow's own font writes, which has little more than ASCII.
"""

import functools
import importlib.util
import unicodedata
from pathlib import Path

from PIL import ImageFont

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
