"""Strangers' text made fit for a terminal: names, prompts, metadata and paths may hold commands to it."""

import unicodedata

MOST_LETTERS_A_MESSAGE = 600

_ORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Commands to show letters in another order than they stand."""


def is_harmless(letter: str) -> bool:
    """Whether a letter is one to a terminal, not a command, half a character or an end of the line."""
    return unicodedata.category(letter) not in ("Cc", "Cs", "Zl", "Zp") and letter not in _ORDERING


def printable(text: str, *, most: int | None = MOST_LETTERS_A_MESSAGE) -> str:
    """Text as one line: what is not harmless as Python would write it, and a long one without its middle.

    Args:
        text: any.
        most: letters that are kept; None: all.
    """
    return _escape(_shorten(text, most), keep="")


def printable_lines(text: str, *, most: int | None = None) -> str:
    """The same for text of several lines, which keeps its tabs and ends of lines."""
    return _escape(_shorten(text, most), keep="\n\t")


def check_letters(text: str, what: str, *, kind: type[Exception]) -> None:
    """Refuses text that no file can hold: an argument that is not UTF-8 arrives with halves of letters.

    Args:
        text: any.
        what: what it is, at the beginning of a sentence.
        kind: the class of the error.

    Raises:
        Exception: of that kind, if it holds half a letter or a zero byte; the message shows where.
    """
    for place, letter in enumerate(text):
        if letter == "\0" or unicodedata.category(letter) == "Cs":
            before = printable(text[max(0, place - 40) : place])
            found = "a zero byte" if letter == "\0" else "a byte that is not UTF-8"
            raise kind(
                f'{what} holds {found} after "{before}"; write it anew, in a terminal or file that is set to UTF-8.'
            )


def _escape(text: str, *, keep: str) -> str:
    if text.isprintable():
        return text
    return "".join(letter if letter in keep or is_harmless(letter) else ascii(letter)[1:-1] for letter in text)


def _shorten(text: str, most: int | None) -> str:
    """Without the middle: a message begins with what it is about and ends with what helps."""
    if most is None or len(text) <= most:
        return text
    first = (most - 3) // 2
    return f"{text[:first]}...{text[len(text) - (most - 3 - first) :]}"
