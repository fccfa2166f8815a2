"""The method in one picture (Figure 2), as SVG, in which every box bears the name that the code has for it.

python -m ingredients.visualisation.method_figure docs/pictures/method.svg
"""

import dataclasses
import sys
from html import escape
from pathlib import Path
from typing import Literal

from ingredients.core.files import atomic_path
from ingredients.faces.canvas import compose_canvas
from ingredients.faces.facial_extractor import FacialExtractor
from ingredients.models.block_ingredients import IngredientsBlock
from ingredients.models.id_router import IDRouter, assign_identities
from ingredients.models.identity_layer import IdentityLayer
from ingredients.models.multi_scale_projector import IdentityCrossAttention, MultiScaleProjector
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline

WIDTH, HEIGHT = 1180, 640

Kind = Literal["data", "frozen", "projector", "router"]

COLOURS: dict[Kind, tuple[str, str]] = {
    "data": ("#f4f4f1", "#8a8a83"),
    "frozen": ("#dfe9f5", "#44719f"),
    "projector": ("#fde7cf", "#b4690e"),
    "router": ("#e2f2df", "#3c7d34"),
}
"""Fill and line of the boxes."""

LEGEND: dict[Kind, str] = {
    "frozen": "frozen (the backbone has a LoRA in the first stage)",
    "projector": "trained in the alignment stage (Eq. 1)",
    "router": "trained in the router stage (Eq. 5)",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A part of the method."""

    name: str
    """The name in the code, or what goes in or out."""

    kind: Kind
    """Whether and when it is trained."""

    left: int
    """Pixels, as the next three."""

    top: int
    width: int
    height: int

    says: tuple[str, ...]
    """Lines below the name."""

    @property
    def middle(self) -> tuple[int, int]:
        """Its middle."""
        return self.left + self.width // 2, self.top + self.height // 2

    def to_svg(self) -> str:
        """A rounded box with its lines in the middle."""
        fill, line = COLOURS[self.kind]
        x, y = self.middle
        first = y - 8 * len(self.says) + 5
        texts = [f'<text x="{x}" y="{first}" font-weight="bold">{escape(self.name)}</text>']
        texts += [
            f'<text x="{x}" y="{first + 16 * number}" font-size="12">{escape(each)}</text>'
            for number, each in enumerate(self.says, start=1)
        ]
        return (
            f'<rect x="{self.left}" y="{self.top}" width="{self.width}" height="{self.height}" rx="8" fill="{fill}" '
            f'stroke="{line}" stroke-width="1.5"/>' + "".join(texts)
        )


def _box(part: object, kind: Kind, place: tuple[int, int], size: tuple[int, int], *says: str) -> Box:
    """A box that bears the name of a class or function of the code, or a word of its own."""
    name = part if isinstance(part, str) else str(getattr(part, "__name__", part))
    return Box(name=name, kind=kind, left=place[0], top=place[1], width=size[0], height=size[1], says=says)


_HEARS = "each token hears the identity k* (Eq. 2)"
_CHOOSES = ("phi(H, F) for each video token (Eq. 3)", f"k*: {assign_identities.__name__}")
_LOOKS = ("detect, align, recognise, encode", "one identity at a time")
_PASTES = ("global: all faces on one white", "picture, then the VAE")
_PROJECTS = ("local: embeddings and five feature", "maps become tokens, person by person")
_ATTENDS = ("joint attention over text and video,", "feed-forward: the backbone's own block")

BOXES = {
    "photos": _box("photos of each person", "data", (20, 40), (190, 64)),
    "prompt": _box("prompt", "data", (20, 470), (190, 44)),
    "noise": _box("noise", "data", (20, 390), (190, 44)),
    "extractor": _box(FacialExtractor, "frozen", (250, 30), (230, 84), *_LOOKS),
    "canvas": _box(compose_canvas, "frozen", (250, 200), (230, 84), *_PASTES),
    "projector": _box(MultiScaleProjector, "projector", (550, 30), (280, 84), *_PROJECTS),
    "text": _box("T5EncoderModel", "frozen", (250, 460), (230, 64), "text tokens"),
    "attention": _box(IngredientsBlock, "frozen", (550, 400), (280, 74), *_ATTENDS),
    "router": _box(IDRouter, "router", (550, 300), (280, 74), *_CHOOSES),
    "cross": _box(IdentityCrossAttention, "projector", (550, 220), (280, 58), _HEARS),
    "residual": _box(
        IdentityLayer.add_identities, "data", (550, 158), (280, 46), "H + alpha times what was heard (Eq. 4)"
    ),
    "video": _box("video", "data", (960, 330), (190, 64), "latents, decoded by the VAE"),
    "maps": _box("routing maps", "data", (960, 200), (190, 64), "who is where"),
}

_Point = tuple[int, int]

ARROWS: tuple[tuple[tuple[_Point, ...], str], ...] = (
    (((210, 72), (250, 72)), ""),
    (((365, 114), (365, 200)), "crops"),
    (((480, 72), (550, 72)), ""),
    (((480, 242), (510, 242), (510, 420), (550, 420)), ""),
    (((210, 412), (512, 412)), ""),
    (((210, 492), (250, 492)), ""),
    (((480, 492), (520, 492), (520, 455), (550, 455)), ""),
    (((690, 400), (690, 374)), "H"),
    (((690, 300), (690, 278)), "k*"),
    (((690, 220), (690, 204)), ""),
    (((830, 72), (880, 72), (880, 249), (830, 249)), "F"),
    (((880, 249), (880, 337), (830, 337)), ""),
    (((550, 181), (534, 181), (534, 437), (550, 437)), ""),
    (((830, 437), (920, 437), (920, 362), (960, 362)), ""),
    (((830, 320), (905, 320), (905, 232), (960, 232)), ""),
)
"""Corners of each arrow, and what stands at its middle."""


def method_figure() -> str:
    """The picture, as the text of an SVG file."""
    frame = (
        '<rect x="526" y="136" width="330" height="362" rx="12" fill="none" stroke="#44719f" stroke-dasharray="6 5"/>'
        f'<text x="706" y="518" font-size="13">{IngredientsTransformer3DModel.__name__}: such a block, again and again'
        "</text>"
    )
    lines = []
    for corners, label in ARROWS:
        path = " ".join(f"{'M' if index == 0 else 'L'}{x} {y}" for index, (x, y) in enumerate(corners))
        lines.append(f'<path d="{path}" fill="none" stroke="#333" stroke-width="1.5" marker-end="url(#head)"/>')
        if label:
            (left, top), (right, bottom) = corners[len(corners) // 2 - 1 : len(corners) // 2 + 1]
            x, y = (left + right) // 2 + 8, (top + bottom) // 2 + 4
            lines.append(f'<text x="{x}" y="{y}" font-size="12" text-anchor="start">{escape(label)}</text>')
    legend = []
    for number, (kind, says) in enumerate(LEGEND.items()):
        fill, line = COLOURS[kind]
        top = 556 + 24 * number
        legend.append(
            f'<rect x="20" y="{top}" width="26" height="16" rx="4" fill="{fill}" stroke="{line}"/>'
            f'<text x="56" y="{top + 13}" font-size="13" text-anchor="start">{escape(says)}</text>'
        )
    title = f"{IngredientsPipeline.__name__}: from photos and a sentence to a video (Figure 2)"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="DejaVu Sans, Verdana, sans-serif" font-size="14" text-anchor="middle" fill="#1b1b1b" role="img" '
        f'aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>"
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        'orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" fill="#333"/></marker></defs>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
        + frame
        + "".join(lines)
        + "".join(box.to_svg() for box in BOXES.values())
        + "".join(legend)
        + f'<text x="1160" y="{HEIGHT - 18}" font-size="13" text-anchor="end" fill="#555">{escape(title)}</text>'
        + "</svg>\n"
    )


if __name__ == "__main__":
    with atomic_path(Path(sys.argv[1])) as temporary:
        temporary.write_text(method_figure(), encoding="utf-8")
