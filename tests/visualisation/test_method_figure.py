"""The picture of the method is that of the code as it is."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from ingredients.visualisation.method_figure import BOXES, HEIGHT, WIDTH, method_figure

PICTURE = Path(__file__).parents[2] / "docs/pictures/method.svg"


def test_the_picture_in_the_documentation_is_what_is_drawn() -> None:
    """After a renaming: `python -m ingredients.visualisation.method_figure docs/pictures/method.svg`."""
    assert PICTURE.read_text(encoding="utf-8") == method_figure()


def test_boxes_lie_in_the_picture_and_hold_their_lines() -> None:
    ET.fromstring(method_figure())  # whole XML
    boxes = list(BOXES.values())
    for index, box in enumerate(boxes):
        assert 0 <= box.left < box.left + box.width <= WIDTH
        assert 0 <= box.top < box.top + box.height <= HEIGHT
        assert 18 * (1 + len(box.says)) <= box.height + 6
        assert max(len(line) for line in (box.name, *box.says)) * 7.4 <= box.width + 20
        for other in boxes[index + 1 :]:
            apart = (
                box.left + box.width <= other.left
                or other.left + other.width <= box.left
                or box.top + box.height <= other.top
                or other.top + other.height <= box.top
            )
            assert apart, (box.name, other.name)
    assert len(re.findall("<path d=", method_figure())) > 10
