"""Burnt-in text is found where it stands still, whatever touches it, and nothing else is."""

import dataclasses

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ingredients.curation.config import TextConfig
from ingredients.curation.text import SteadyEdges

pytest.importorskip("cv2")
HEIGHT, WIDTH = 96, 144


def film(*, text: str = "", moves: bool = False, outline: bool = False) -> np.ndarray:
    """Six frames (F, H, W, 3): a plain picture, the outline of somebody, and a text."""
    frames = []
    for frame in range(6):
        picture = Image.new("RGB", (WIDTH, HEIGHT), (90, 140, 90))
        draw = ImageDraw.Draw(picture)
        if outline:
            draw.ellipse((30, 4, 84, 60), outline=(250, 250, 250), width=2)
            draw.rectangle((20, 58, 100, 96), outline=(250, 250, 250), width=2)
            draw.line((20, 66, 100, 66), fill=(250, 250, 250), width=2)
        if text:
            at, font = (WIDTH / 2 + 3 * frame * moves, 84), ImageFont.load_default(10)
            draw.text(at, text, (255, 255, 255), font, anchor="mm", stroke_width=1, stroke_fill=0)
        frames.append(np.asarray(picture))
    return np.stack(frames)


def found(frames: np.ndarray, **settings: object) -> list[tuple[int, int, int, int]]:
    return SteadyEdges(config=dataclasses.replace(TextConfig(), **settings)).find(frames)  # type: ignore[arg-type]


@pytest.mark.parametrize("outline", [False, True])
def test_a_subtitle_is_found_also_where_a_head_touches_it(outline: bool) -> None:
    [(left, top, right, bottom)] = found(film(text="Where have you been?", outline=outline))
    assert (left < 40, right > 104, 74 <= top <= 82, 86 <= bottom <= 94) == (True, True, True, True)


def test_what_moves_and_what_is_no_line_is_none() -> None:
    assert found(film(outline=True)) == []
    assert found(film(text="Where have you been?", moves=True)) == []
    assert found(film(text="He")) == []


def test_the_settings_decide() -> None:
    frames = film(text="Where have you been?")
    assert found(frames, min_letters=40) == []
    assert found(frames, max_height=0.05) == []
    assert found(frames, min_height=0.14) == []
    with pytest.raises(ValueError, match=r"max_height is 0.1, below min_height, 0.2"):
        TextConfig(min_height=0.2, max_height=0.1)
