import importlib.util
import itertools

import numpy as np
import pytest
from PIL import ImageFont

from ingredients.visualisation.layout import WHITE, identity_colour, load_font, text_block, text_line, writable


def test_matplotlibs_font_writes_accented_letters():
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("matplotlib is not installed")
    font = load_font(13)
    assert font.getname()[0] == "DejaVu Sans"
    text = "Zoë, Łukasz, Søren, Жанна: λ ≥ 1…"
    assert writable(text, font) == text
    assert writable("Zoe\u0308", font) == "Zoë"  # composed


def test_where_the_font_lacks_letters_they_lose_their_accents():
    font = ImageFont.load_default(13)  # Pillow's own
    assert writable("Zoë and Ñu \u2013 漢", font) == "Zoe and Nu - ?"


def test_no_text_holds_boxes():
    np.testing.assert_array_equal(text_line("漢", width=40), text_line("?", width=40))
    assert not np.array_equal(text_line("ë", width=40), text_line("?", width=40))


def test_words_are_kept_whole_where_lines_are_broken():
    line = text_line("one", width=60).shape[0]
    assert text_block("one two", width=200).shape == (line, 200, 3)
    assert text_block("one two " * 9, width=60).shape[0] % line == 0
    assert text_block("one two " * 9, width=60).shape[0] >= 9 * line
    assert text_block("", width=60).shape == (line, 60, 3)


def test_every_identity_has_a_colour_of_its_own():
    colours = [WHITE, *map(identity_colour, range(40))]
    assert len(set(colours)) == 41
    nearest = min(np.abs(np.subtract(one, other)).max() for one, other in itertools.combinations(colours, 2))
    assert nearest >= 40
    with pytest.raises(ValueError, match="no colour for identity 500"):
        identity_colour(500)
