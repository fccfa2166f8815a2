import pytest

from ingredients.core.errors import ArgumentError, OutputError
from ingredients.core.printable import printable, printable_lines


def test_what_is_printed_is_harmless() -> None:
    assert printable("a\x1b[2J\nb\ud800é") == r"a\x1b[2J\nb\ud800é"
    assert printable("小明 \u202egnp.exe\x9b1m") == r"小明 \u202egnp.exe\x9b1m"
    assert printable_lines("one\n\ttwo\r\x07") == "one\n\ttwo\\r\\x07"


@pytest.mark.parametrize("kind", [OutputError, ArgumentError])
def test_messages_of_errors_are_harmless_whatever_they_quote(kind: type[Exception]) -> None:
    assert str(kind("The folder a holds \x1b[31mred;\n\u202eb")) == "The folder a holds \\x1b[31mred;\n\\u202eb"


def test_harmless_text_stays() -> None:
    for text in ("a b", "ünïcödé", "👩\u200d👧", "\u0645\u06cc\u200c\u062e\u0648\u0627", "a\xa0b"):
        assert printable(text) == text


@pytest.mark.parametrize("most", [10, 11, 600])
def test_the_middle_of_a_long_text_is_left_out(most: int) -> None:
    text = "begin" + "x" * 4000 + "remedy"
    shown = printable(text, most=most)
    assert len(shown) == most
    assert "..." in shown
    assert text.startswith(shown.partition("...")[0])
    assert text.endswith(shown.partition("...")[2])
    assert printable_lines(text) == text
