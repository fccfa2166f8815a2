"""What an evaluation set is made of (Figure 8 of the paper): people by attributes, prompts by what they ask for."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from ingredients.core.arrays import UInt8Array
from ingredients.visualisation.plots import new_figure, to_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Attributes = Mapping[str, str]
Pair = tuple[str, str]

_MAX_LEVELS = 3
_MAX_VALUES = 12
_MAX_LETTERS = 18
_LABEL_SIZE = 6.5
"""Points."""

_RADIUS = 220
"""Points of the tree, about."""

_NOT_STATED = "not stated"
_HOLE = 0.28
"""Radius of the tree's middle, of a picture whose radius is 1."""


def evaluation_set_figure(
    people: Sequence[Attributes],
    prompts: Sequence[Attributes],
    *,
    held_out_pairs: Collection[Pair] = (),
    title: str = "",
) -> UInt8Array:
    """Draws the tree of the people's attributes as rings at the left, the prompts' as bars at the right.

    Args:
        people: attributes of each, say domain, region and age group; the rings, from the inside, are the first three.
        prompts: expression, action, background and whatever else each of them says.
        held_out_pairs: (action, background), for a third part: how many prompts ask for which pair, and those that
            training leaves out in frames.
        title: a line above all.

    Returns:
        A picture (height, width, 3).

    Raises:
        ValueError: if there are no people or no prompts.
        MissingDependencyError: if matplotlib is not installed.
    """
    if not people or not prompts:
        raise ValueError(f"a distribution needs people and prompts, not {len(people)} and {len(prompts)}")
    figure = new_figure(width=17.0 if held_out_pairs else 12.0, height=6.6)
    if title:
        figure.suptitle(title, fontsize="x-large")
    widths = [6, 5, 5] if held_out_pairs else [6, 5]
    parts = figure.subfigures(1, len(widths), squeeze=False, width_ratios=widths).flatten()
    levels = list(dict.fromkeys(name for attributes in people for name in attributes))[:_MAX_LEVELS]
    _draw_rings(parts[0].subplots(), people, levels)
    names = list(dict.fromkeys(name for attributes in prompts for name in attributes))
    counts = {name: Counter(attributes.get(name, _NOT_STATED) for attributes in prompts) for name in names}
    heights = [min(len(of_name), _MAX_VALUES + 1) + 1.5 for of_name in counts.values()]
    panels = parts[1].subplots(len(names), 1, squeeze=False, height_ratios=heights, sharex=True).flatten()
    for number, (panel, name) in enumerate(zip(panels, names, strict=True)):
        _draw_bars(panel, name, counts[name], colour=f"C{number}")
    if held_out_pairs:
        _draw_pairs(parts[2].subplots(), prompts, held_out_pairs)
    return to_picture(figure)


def _draw_rings(panel: "Axes", people: Sequence[Attributes], levels: Sequence[str]) -> None:
    """One ring a level; a wedge is as wide as the people in it are many, and lies outside of the one it belongs to."""
    from matplotlib import colormaps
    from matplotlib.patches import Wedge

    panel.set_title(f"{len(people)} people" + (f" by {', '.join(levels)}" if levels else ", no attributes given"))
    panel.set_aspect("equal")
    panel.set_axis_off()
    panel.set_xlim(-1.02, 1.02)
    panel.set_ylim(-1.02, 1.02)
    thickness = (1.0 - _HOLE) / max(1, len(levels))
    colours = colormaps["tab10"]
    paths = sorted(tuple(attributes.get(level, _NOT_STATED) for level in levels) for attributes in people)
    trunks = list(dict.fromkeys(path[:1] for path in paths))
    degrees = 360.0 / len(people)
    for depth in range(len(levels)):
        outer = _HOLE + thickness * (depth + 1)
        start = 0
        for path, count in Counter(path[: depth + 1] for path in paths).items():
            shade = colours(trunks.index(path[:1]) % colours.N)[:3]
            paleness = 0.25 + 0.22 * depth
            first, last = start * degrees, (start + count) * degrees
            panel.add_patch(
                Wedge(
                    (0, 0),
                    outer,
                    first,
                    last,
                    width=thickness,
                    facecolor=[paleness + (1 - paleness) * part for part in shade],
                    edgecolor="white",
                    linewidth=0.8,
                )
            )
            if math.radians(last - first) * (outer - thickness / 2) * _RADIUS > _LABEL_SIZE:
                label = path[-1] if count == 1 else f"{path[-1]} {count}"
                label = _shorten(label, int(thickness * _RADIUS / (0.6 * _LABEL_SIZE)))
                _label_wedge(panel, label, middle=(first + last) / 2, radius=outer - thickness / 2)
            start += count
    panel.text(0, 0, str(len(people)), ha="center", va="center", fontsize="x-large")


def _label_wedge(panel: "Axes", label: str, *, middle: float, radius: float) -> None:
    """Writes along the radius, never upside down."""
    angle = math.radians(middle)
    rotation = middle + 180 if 90 < middle < 270 else middle
    panel.text(
        radius * math.cos(angle),
        radius * math.sin(angle),
        label,
        rotation=rotation,
        rotation_mode="anchor",
        ha="center",
        va="center",
        fontsize=_LABEL_SIZE,
    )


def _draw_bars(panel: "Axes", name: str, counts: Mapping[str, int], *, colour: str) -> None:
    commonest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown, others = commonest[:_MAX_VALUES], commonest[_MAX_VALUES:]
    labels = [_shorten(value) for value, _ in shown]
    numbers = [number for _, number in shown]
    if others:
        labels.append(f"{len(others)} more")
        numbers.append(sum(number for _, number in others))
    bars = panel.barh(labels, numbers, color=colour, alpha=0.8)
    panel.bar_label(bars, padding=2, fontsize="small")
    panel.invert_yaxis()
    panel.margins(x=0.08)
    panel.tick_params(labelsize="small", labelbottom=False, bottom=False)
    panel.set_title(f"prompts by {name}", fontsize="medium", loc="left")
    panel.spines[["top", "right", "bottom"]].set_visible(False)


def _draw_pairs(panel: "Axes", prompts: Sequence[Attributes], held_out_pairs: Collection[Pair]) -> None:
    """How many prompts ask for each action (rows) at each background (columns)."""
    from matplotlib.patches import Rectangle

    asked = Counter((prompt.get("action", _NOT_STATED), prompt.get("background", _NOT_STATED)) for prompt in prompts)
    actions = sorted({action for action, _ in (*asked, *held_out_pairs)})
    backgrounds = sorted({background for _, background in (*asked, *held_out_pairs)})
    table = [[asked[action, background] for background in backgrounds] for action in actions]
    panel.imshow(table, cmap="Blues", vmin=0, vmax=max(3, *asked.values()), aspect="equal")
    for row, action in enumerate(actions):
        for column, background in enumerate(backgrounds):
            panel.text(column, row, str(asked[action, background]), ha="center", va="center", fontsize="small")
            if (action, background) in held_out_pairs:
                frame = Rectangle((column - 0.44, row - 0.44), 0.88, 0.88, fill=False, edgecolor="C3", linewidth=2)
                panel.add_patch(frame)
    panel.set_xticks(range(len(backgrounds)), [_shorten(name) for name in backgrounds], rotation=45, ha="right")
    panel.set_yticks(range(len(actions)), [_shorten(name) for name in actions])
    panel.tick_params(labelsize="small", length=0)
    panel.set_title("prompts by action and background\n(framed: held out of training)", fontsize="medium")


def _shorten(text: str, max_letters: int = _MAX_LETTERS) -> str:
    return text if len(text) <= max_letters else text[: max_letters - 1] + "…"
