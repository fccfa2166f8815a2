"""The person of a photograph, drawn: as near as the drawn world's own features come.

The world knows eight skins, nine colours of hair and so on; a drawing takes the nearest. Proportions come from dlib's
68 points, colours from places that the points name. All is measured upright, in units of the distance from the eyes'
middle to the chin. What cannot be measured so, such as the style of short hair, is a guess; every feature can be set
by hand. How often it is right, and on whose faces the numbers below were chosen, says `docs/faces.md`.

Legend: H/W pixels; a/b across and down from the eyes' middle, in those units.
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import NoFaceError
from ingredients.faces.dlib_faces import DlibFaceDetector
from ingredients.faces.face_choice import FaceChoice, choose_face
from ingredients.generation.likeness_features import check_features, with_features
from ingredients.visualisation.layout import in_column, in_row, resize, text_block, titled, with_margin
from ingredients.world.identity import Identity
from ingredients.world.portraits import render_portrait

PLAIN_PHOTO = 49
"""Seed of a portrait that looks at the viewer, in plain light, before a plain wall."""

_PIXELS = 100
"""Pixels of a unit in the upright picture."""

_ACROSS, _ABOVE, _BELOW = 2.0, 1.6, 2.4
"""How far the upright picture reaches, in units."""

_Rgb: TypeAlias = tuple[int, int, int]

# How the world's colours look in photographs: paler or darker than the flat ones that it paints with.
_PHOTOGRAPHED_SKINS: dict[str, _Rgb] = {
    "pale": (240, 212, 196),
    "fair": (224, 180, 154),
    "rosy": (222, 142, 124),
    "olive": (192, 152, 108),
    "tan": (178, 126, 92),
    "brown": (142, 96, 70),
    "dark": (98, 66, 50),
    "deep": (60, 42, 36),
}
_PHOTOGRAPHED_HAIR: dict[str, _Rgb] = {
    "black": (34, 30, 30),
    "brown": (84, 60, 44),
    "auburn": (120, 58, 38),
    "ginger": (176, 96, 46),
    "blond": (188, 150, 96),
    "grey": (132, 128, 126),
    "white": (208, 204, 200),
    "blue": (50, 80, 170),
    "pink": (214, 110, 160),
}
_PHOTOGRAPHED_CLOTHS: dict[str, _Rgb] = {
    "red": (160, 36, 42),
    "orange": (214, 118, 44),
    "yellow": (206, 172, 56),
    "green": (58, 112, 66),
    "teal": (32, 124, 130),
    "blue": (44, 70, 150),
    "purple": (112, 64, 140),
    "white": (214, 214, 214),
    "black": (36, 36, 42),
}

_Kind: TypeAlias = Literal["skin", "hair", "cloth"]
_PALETTES: dict[_Kind, dict[str, _Rgb]] = {
    "skin": _PHOTOGRAPHED_SKINS,
    "hair": _PHOTOGRAPHED_HAIR,
    "cloth": _PHOTOGRAPHED_CLOTHS,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnLikeness:
    """A person of the drawn world who is like the one of a photograph."""

    identity: Identity
    """Whom to draw."""

    measured: Mapping[str, tuple[int, int, int]]
    """Colours (R, G, B) that were measured in the photograph, by feature; those of what is not seen are missing."""

    photo: UInt8Array
    """(S, S, 3): the person cut out of the photograph, upright."""

    @property
    def description(self) -> str:
        """What is drawn, in words, and that it is a drawing."""
        person = self.identity
        parts = [f"{person.skin} skin", "no hair" if person.hair_style == "bald" else _words_of_hair(person)]
        parts.append(f"{person.iris} eyes")
        parts += [f"a {person.hat_colour} {person.hat}"] if person.hat != "none" else []
        parts += [f"{person.glasses} glasses"] if person.glasses != "none" else []
        parts += [f"beard: {person.beard}"] if person.beard != "none" else []
        parts.append(f"{person.shirt_colour} clothes")
        return (
            f"A drawing, not a likeness to be told by: {', '.join(parts)}. Colours and proportions were measured; set "
            "what is wrong by hand."
        )

    def portrait(self, *, size: int = 256, seed: int | None = None) -> UInt8Array:
        """The drawing (size, size, 3); a seed gives another pose, light and backdrop, None a plain one."""
        return render_portrait(self.identity, PLAIN_PHOTO if seed is None else seed, size=size).image

    def beside(self, drawing: UInt8Array) -> UInt8Array:
        """The photograph and the drawing on one picture."""
        photo = resize(self.photo, width=drawing.shape[1], height=drawing.shape[0])
        pictures = in_row([titled(photo, "photograph"), titled(drawing, "drawing")], gap=12)
        words = text_block(self.description, width=pictures.shape[1])
        return with_margin(in_column([pictures, words], gap=8))


def draw_like(
    photo: UInt8Array,
    detector: DlibFaceDetector,
    *,
    label: str,
    choice: FaceChoice = "largest",
    features: Mapping[str, str] | None = None,
) -> DrawnLikeness:
    """Measures the person of a photograph (H, W, 3), and finds who of the drawn world is most like them.

    Args:
        photo: RGB.
        detector: finds the face and its points.
        label: what messages call the photo.
        choice: which of its faces.
        features: those that are set by hand, by name.

    Raises:
        NoFaceError: if no face is found.
        UserInputError: for a feature, or a value of one, that the drawn world does not know.
    """
    check_features(features or {})
    found = detector.detect(photo)
    if not found:
        raise NoFaceError(
            f"dlib finds no face in {label}; give a photograph that shows one from the front, and larger."
        )
    face = choose_face(found, choice, label=label)
    upright = _Upright(photo, detector.outline(photo, face))
    identity, measured = _measure(upright)
    identity = with_features(identity, features or {})
    return DrawnLikeness(identity=identity, measured=measured, photo=upright.cut_out())


def _words_of_hair(person: Identity) -> str:
    return f"{person.hair_colour} hair ({person.hair_style})"


class _Upright:
    """A face turned upright and brought to one size, with its points in units from the eyes' middle."""

    def __init__(self, photo: UInt8Array, points: Float32Array) -> None:
        left, right = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
        middle = (left + right) / 2
        across = (right - left) / np.linalg.norm(right - left)
        down = np.array([-across[1], across[0]], np.float32)
        self.unit = float(max(8.0, (points[8] - middle) @ down))  # pixels of the photograph
        offsets = (points - middle) / self.unit
        self.points = np.stack([offsets @ across, offsets @ down], axis=-1)  # (68, 2): a, b
        scale = self.unit / _PIXELS
        corner = middle - across * (_ACROSS * self.unit) - down * (_ABOVE * self.unit)
        size = (int(2 * _ACROSS * _PIXELS), int((_ABOVE + _BELOW) * _PIXELS))
        matrix = (
            float(across[0] * scale), float(down[0] * scale), float(corner[0]),
            float(across[1] * scale), float(down[1] * scale), float(corner[1]),
        )  # fmt: skip
        picture = _shrunk(photo, scale)
        shrunk = picture.width / photo.shape[1]
        matrix = tuple(number * shrunk for number in matrix)
        turned = picture.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        inside = Image.new("L", picture.size, 255).transform(size, Image.Transform.AFFINE, matrix)
        self.pixels: UInt8Array = np.asarray(turned)
        self.inside: NDArray[np.bool_] = np.asarray(inside) > 0
        self.lab = _to_lab(self.pixels)
        rows, columns = np.mgrid[: size[1], : size[0]].astype(np.float32) / _PIXELS
        self.a, self.b = columns - _ACROSS, rows - _ABOVE

    def region(self, left: float, right: float, top: float, bottom: float) -> NDArray[np.bool_]:
        """A rectangle, where the photograph reaches it."""
        across, down = (self.a >= left) & (self.a < right), (self.b >= top) & (self.b < bottom)
        return np.asarray(across & down & self.inside, dtype=np.bool_)

    def both_sides(self, inner: float, outer: float, top: float, bottom: float) -> NDArray[np.bool_]:
        """A rectangle at either side."""
        return self.region(-outer, -inner, top, bottom) | self.region(inner, outer, top, bottom)

    def disc(self, a: float, b: float, radius: float) -> NDArray[np.bool_]:
        """A disc, where the photograph reaches it."""
        is_near = (self.a - a) ** 2 + (self.b - b) ** 2 <= radius**2
        return np.asarray(is_near & self.inside, dtype=np.bool_)

    def median(self, mask: NDArray[np.bool_]) -> Float32Array | None:
        """The median colour in Lab (3,); None of too few pixels."""
        if mask.sum() < 20:
            return None
        return np.asarray(np.median(self.lab[mask], axis=0), dtype=np.float32)

    def cut_out(self) -> UInt8Array:
        """Head and shoulders (S, S, 3)."""
        side = int(3.0 * _PIXELS)
        top, left = int((_ABOVE - 1.4) * _PIXELS), int((_ACROSS - 1.5) * _PIXELS)
        return self.pixels[top : top + side, left : left + side]


def _shrunk(photo: UInt8Array, scale: float) -> Image.Image:
    """The photograph made smaller where its face is larger than in the upright picture: no pixel is left out then."""
    picture = Image.fromarray(photo)
    if scale <= 1:
        return picture
    return picture.resize(
        (max(1, round(picture.width / scale)), max(1, round(picture.height / scale))), Image.Resampling.BOX
    )


def _measure(face: _Upright) -> tuple[Identity, dict[str, tuple[int, int, int]]]:
    points = face.points
    is_skin, skin_lab = _skin(face)
    hairline = _hairline(face, is_skin)
    top = _hat(face, is_skin, hairline)
    hair = _hair(face, is_skin, skin_lab, hairline, has_hat=top is not None)
    cloth_name, cloth = _cloth(face, skin_lab)
    iris_name, iris = _iris(face)
    skin = _nearest(_as_if_lit(face, skin_lab), "skin")
    measured = {"skin": _to_rgb(skin_lab), "iris": iris}
    if hair is not None:
        measured["hair"] = _to_rgb(hair)
    if cloth is not None:
        measured["shirt"] = _to_rgb(cloth)
    if top is not None:
        measured["hat"] = _to_rgb(top)
    jaw_width = float(points[16, 0] - points[0, 0])
    lower_width = float(points[12, 0] - points[4, 0])
    eyes = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    eye_width = float((points[39, 0] - points[36, 0] + points[45, 0] - points[42, 0]) / 2)
    mouth_width = float(points[54, 0] - points[48, 0])
    lips = float((points[62, 1] - points[51, 1]) + (points[57, 1] - points[66, 1])) / 2
    nose_length, nose_width = float(points[33, 1] - points[27, 1]), float(points[35, 0] - points[31, 0])
    return (
        Identity(
            skin=skin,
            hair_style="short" if top is not None else _hair_style(face, is_skin, hair, hairline),
            hair_colour="brown" if hair is None else _nearest(hair, "hair"),
            hat="none" if top is None else ("brim" if _has_brim(face, top) else "cap"),
            hat_colour="none" if top is None else _nearest(top, "cloth"),
            glasses=_glasses(face),
            beard=_beard(face, skin_lab),
            nose="wide" if nose_width > 0.46 * nose_length + 0.11 else "long" if nose_length > 0.47 else "button",
            brow=_brow(face),
            iris=iris_name,
            shirt=_shirt(face, is_skin, cloth),
            shirt_colour=cloth_name,
            freckles=False,
            face_width=_mapped(jaw_width, 1.30, 0.12, 0.38, 0.48),
            jaw=_mapped(lower_width / max(jaw_width, 1e-3), 0.80, 0.05, 0.0, 1.0),
            eye_spacing=_mapped(float(eyes[1][0] - eyes[0][0]), 0.58, 0.05, 0.155, 0.225),
            eye_size=_mapped(eye_width, 0.27, 0.03, 0.07, 0.11),
            eye_height=0.07,
            nose_length=_mapped(nose_length, 0.44, 0.05, 0.10, 0.20),
            mouth_width=_mapped(mouth_width, 0.48, 0.08, 0.12, 0.22),
            lip=_mapped(lips, 0.075, 0.03, 0.014, 0.034),
            ear=0.085,
            tint=0.0,
        ),
        measured,
    )


def _mapped(value: float, usual: float, spread: float, low: float, high: float) -> float:
    """A length of a photographed face as one of the drawn world: the usual face of either is in the middle."""
    return float(np.clip((low + high) / 2 + (value - usual) / (2 * spread) * (high - low) / 2, low, high))


_JAWS, _EYES, _MOUTHS = (5, 11), (36, 45), (48, 54)
"""Points at the left and at the right side."""


def _cheek(face: _Upright, side: int) -> NDArray[np.bool_]:
    a, b = face.points[_EYES[side]] * 0.45 + face.points[_MOUTHS[side]] * 0.55
    return face.disc(float(a), float(b), 0.12)


def _cheeks(face: _Upright) -> NDArray[np.bool_]:
    return _cheek(face, 0) | _cheek(face, 1)


def _skin(face: _Upright) -> tuple[NDArray[np.bool_], Float32Array]:
    """Where there is skin, and its colour: that of the cheeks, and of the forehead where that is skin as well."""
    cheeks = face.median(_cheeks(face))
    if cheeks is None:
        cheeks = face.median(face.disc(0, 0.3, 0.3))
    assert cheeks is not None  # the face lies in the photograph
    is_skin = _distance(face.lab, cheeks, lightness=0.5) < _SAME_SKIN
    brows = face.points[17:27]
    forehead = face.median(face.disc(float(brows[:, 0].mean()), float(brows[:, 1].min()) - 0.12, 0.06))
    if forehead is not None:
        is_near = float(_distance(forehead[None], cheeks, lightness=0.5)[0]) < 0.8 * _SAME_SKIN
        if is_near or forehead[0] > cheeks[0] + 4:  # as it is, or shining
            is_skin |= _distance(face.lab, forehead, lightness=0.5) < _SAME_SKIN
    colour = face.median(face.region(-0.45, 0.45, -0.3, 0.75) & is_skin)
    return is_skin, cheeks if colour is None else colour


def _as_if_lit(face: _Upright, colour: Float32Array) -> Float32Array:
    """A colour as it would be if the whites near the face, such as those of a shirt, were as light as whites are."""
    near = face.region(-0.7, 0.7, 1.05, 1.8)
    grey = near & (np.abs(face.lab[..., 1:]).max(axis=-1) < 12)
    if grey.sum() <= 0.02 * near.sum():
        return colour
    white = float(np.percentile(face.lab[grey][:, 0], 95))
    if white < 55:  # black clothes alone say nothing
        return colour
    return colour * np.array([float(np.clip(_WHITE_LIGHTNESS / white, 1.0, 1.3)), 1.0, 1.0], np.float32)


_SAME_SKIN = 13.0
_WHITE_LIGHTNESS = 94.0


def _hairline(face: _Upright, is_skin: NDArray[np.bool_]) -> float:
    """Height at which the forehead ends, b < 0."""
    brows = float(face.points[17:27, 1].min())
    heights = []
    for a in np.linspace(-0.25, 0.25, 11):
        strip = face.region(float(a) - 0.03, float(a) + 0.03, -1.3, brows - 0.06)
        rows = np.flatnonzero(strip.any(axis=1))[::-1]
        missing = 0
        height = brows - 0.06
        for row in rows:
            of_row = strip[row]
            missing = 0 if is_skin[row][of_row].mean() > 0.5 else missing + 1
            if missing > 6:
                break
            height = float(face.b[row, 0])
        heights.append(height)
    return float(np.median(heights))


def _hair(
    face: _Upright, is_skin: NDArray[np.bool_], skin: Float32Array, hairline: float, *, has_hat: bool
) -> Float32Array | None:
    """Colour of the hair, on which most places around the face agree; None of a head without.

    The places are those just above the edge at which the forehead ends, and those beside the temples. What is seen far
    from the head, or is like the skin, counts for less: it may be a wall, or a bald head.
    """
    beside = _beside_temples(face)
    colours = np.array([*([] if has_hat else _above_forehead(face)), *beside], np.float32)  # (places, 3)
    if not len(colours):
        return None
    is_as_far = _is_as_far(face, colours)
    weights = np.where(is_as_far, 0.35, 1.0) * np.where(_distance(colours, skin, lightness=0.7) < _AS_SKIN, 0.25, 1.0)
    agree = np.stack([_distance(colours, each, lightness=0.7) < _SAME_HAIR for each in colours])
    together = agree[int((agree * weights).sum(axis=1).argmax())]
    num_beside = int((together & ~is_as_far)[len(colours) - len(beside) :].sum())
    if num_beside < _HAIR_BESIDE and not has_hat and _is_bare(face, is_skin, skin, hairline):
        return None
    is_above = np.arange(len(colours)) < len(colours) - len(beside)
    if (together & is_above).sum() >= _HAIR_ABOVE:  # in the light of the forehead, while the temples lie in shadow
        together &= is_above
    return np.asarray(np.average(colours[together], axis=0, weights=weights[together]), np.float32)


_FAR_BESIDE, _FAR_ABOVE, _FAR_STRIDE = 1.4, -1.25, 20
_AS_FAR, _FAR_SHARE = 8.0, 0.15
_AS_SKIN, _SAME_HAIR = 10.0, 16.0
_HAIR_ABOVE = _HAIR_BESIDE = 3


def _is_as_far(face: _Upright, colours: Float32Array) -> NDArray[np.bool_]:
    """Whether each colour (places, 3) is common far from the head, as that of a wall behind it is."""
    is_far = (np.abs(face.a) > _FAR_BESIDE) & (face.b < 0.3) | (face.b < _FAR_ABOVE)
    far = face.lab[is_far & face.inside][::_FAR_STRIDE]
    if not len(far):
        return np.zeros(len(colours), np.bool_)
    return np.array([(_distance(far, each, lightness=0.7) < _AS_FAR).mean() > _FAR_SHARE for each in colours])


def _above_forehead(face: _Upright) -> list[Float32Array]:
    """Colours (3,) above the first edge over the brows, column by column."""
    start = float(face.points[17:27, 1].min()) - 0.04
    colours = []
    for a in np.linspace(-0.22, 0.22, 9):
        strip = np.flatnonzero(np.abs(face.a[0] - a) <= 0.04)
        column = np.median(face.lab[:, strip], axis=1).astype(np.float32)  # (rows, 3)
        lowest = round((start + _ABOVE) * _PIXELS) - _EDGE_ROWS
        is_there = face.inside[:, strip].mean(axis=1) > 0.5
        rows = np.arange(lowest, _EDGE_ROWS + 4, -1)
        rows = rows[np.minimum.accumulate(is_there[rows - _EDGE_ROWS])]
        changes = np.array(
            [
                float(_distance(column[row - _EDGE_ROWS : row].mean(axis=0)[None], column[row : row + _EDGE_ROWS].mean(
                    axis=0), lightness=0.7)[0])
                for row in rows
            ]
        )  # fmt: skip
        for index, change in enumerate(changes):
            if change > _EDGE and change == changes[max(0, index - 6) : index + 7].max():
                row = int(rows[index])
                colours.append(column[max(row - 12, 0) : row - 2].mean(axis=0))
                break
    return colours


_EDGE, _EDGE_ROWS = 10.0, 8


def _beside_temples(face: _Upright) -> list[Float32Array]:
    """Colours (3,) of what adjoins the head at either side, from the top down to the eyes."""
    left, right = float(face.points[0, 0]), float(face.points[16, 0])
    colours = []
    for inner, outer in ((left - 0.16, left - 0.04), (right + 0.04, right + 0.16)):
        for top in (-0.45, -0.3, -0.15, 0.0):
            region = face.region(inner, outer, top, top + 0.15)
            if region.sum() > 60:
                colours.append(np.median(face.lab[region], axis=0).astype(np.float32))
    return colours


def _is_bare(face: _Upright, is_skin: NDArray[np.bool_], skin: Float32Array, hairline: float) -> bool:
    """Whether there is skin up to the top of the head."""
    above = face.region(-0.3, 0.3, hairline - 0.08, hairline - 0.01)
    if not (hairline < _TOP_OF_HEAD or (above.any() and is_skin[above].mean() > 0.7)):
        return False
    top = face.median(face.region(-0.25, 0.25, -0.85, -0.62))  # hair whose colour is near the skin's
    return top is None or float(_distance(top[None], skin)[0]) <= _BALD


_TOP_OF_HEAD = -0.9
_BALD = 9.0


def _hat(face: _Upright, is_skin: NDArray[np.bool_], hairline: float) -> Float32Array | None:
    """Colour of a hat; None without one."""
    brows = float(face.points[17:27, 1].min())
    above = face.region(-0.35, 0.35, hairline - 0.35, hairline - 0.05)
    left, right = float(face.points[0, 0]), float(face.points[16, 0])
    beside = face.region(left - 0.1, left + 0.02, -0.15, 0.25) | face.region(right - 0.02, right + 0.1, -0.15, 0.25)
    temples = face.median(beside & ~is_skin)
    on_top = face.median(above)
    if on_top is None or temples is None or brows - hairline > _LOW_FOREHEAD or is_skin[above].mean() > 0.4:
        return None
    if _is_as_far(face, temples[None])[0]:  # a wall beside short hair, which says nothing of what is on the head
        return None
    is_darker = float(temples[0] - on_top[0]) > 20  # hair at the temples lies in the shadow of a hat, not above it
    is_of_another_colour = float(_distance(on_top[None], temples, lightness=0.0)[0]) > 22
    return on_top if is_darker or is_of_another_colour else None


_LOW_FOREHEAD = 0.28


def _has_brim(face: _Upright, top: Float32Array) -> bool:
    width = float(face.points[16, 0] - face.points[0, 0]) / 2
    beside = face.both_sides(width + 0.15, width + 0.5, -0.9, -0.3)
    return bool(beside.sum() > 50 and (_distance(face.lab, top)[beside] < 20).mean() > 0.3)


def _hair_style(face: _Upright, is_skin: NDArray[np.bool_], hair: Float32Array | None, hairline: float) -> str:
    if hair is None:
        return "bald"
    width = float(face.points[16, 0] - face.points[0, 0]) / 2
    is_hair = (_distance(face.lab, hair, lightness=0.8) < 15) & ~is_skin

    def share(inner: float, outer: float, top: float, bottom: float) -> float:
        """Share of hair at the side that has more of it; a wall of the hair's colour is none."""
        shares = [0.0]
        for side in (face.region(-outer, -inner, top, bottom), face.region(inner, outer, top, bottom)):
            colour = face.median(is_hair & side)
            if colour is not None and not _is_as_far(face, colour[None])[0]:
                shares.append(float(is_hair[side].mean()))
        return max(shares)

    behind = share(width + 0.6, width + 1.1, 0.0, 0.9)  # of the same colour, it cannot be told from hair
    beside, below = share(width + 0.02, width + 0.2, 0.2, 0.7), share(0.5, 0.95, 1.05, 1.45)
    on_top = face.region(-0.4, 0.4, hairline - 0.62, hairline - 0.38)
    if beside > 0.45 + behind and below > 0.4 + behind:
        return "long"
    if beside > 0.45 + behind:
        return "bob"
    volume = float(is_hair[on_top].mean()) if on_top.sum() > 20 else 0.0
    return "side" if volume > 0.5 else "short"


def _iris(face: _Upright) -> tuple[str, tuple[int, int, int]]:
    """Name and colour of the iris: what is dark in the eyes, the pupil and the lashes left out."""
    colours = []
    for first in (36, 42):
        centre = face.points[first : first + 6].mean(axis=0)
        height = float(np.ptp(face.points[first : first + 6, 1]))
        mask = face.disc(float(centre[0]), float(centre[1]), max(0.03, 0.5 * height))
        colours.append(face.lab[mask])
    lab = np.concatenate(colours)
    lab = lab[np.argsort(lab[:, 0])]
    middle = np.median(lab[len(lab) // 6 : len(lab) // 2], axis=0) if len(lab) > 11 else np.array([20.0, 5.0, 5.0])
    lightness, green_red, blue_yellow = middle.tolist()
    if lightness < 8:
        name = "black"
    elif blue_yellow < -6 and green_red < 8:
        name = "blue"
    elif green_red < -3:
        name = "green"
    else:
        name = "brown"
    return name, _to_rgb(np.asarray(middle, np.float32))


def _beard(face: _Upright, skin: Float32Array) -> str:
    """Where hair darkens the skin around the mouth."""
    points = face.points
    left, right = (points[33] + (points[corner] - points[33]) * 0.6 for corner in (48, 54))
    lip = face.region(left[0], right[0], points[33, 1] + 0.06, points[51, 1] - 0.03)
    chin = face.region(left[0], right[0], points[57, 1] + 0.08, points[8, 1] - 0.08)

    def is_dark(mask: NDArray[np.bool_], by: float, than: Float32Array | None = skin) -> bool:
        colour = face.median(mask)
        return colour is not None and than is not None and float(than[0] - colour[0]) > by

    def is_dark_at_side(side: int) -> bool:
        a, b = points[33] + (points[_JAWS[side]] - points[33]) * 0.85
        return is_dark(face.disc(float(a), float(b), 0.09), 26, face.median(_cheek(face, side)))

    above, below = is_dark(lip, 20), is_dark(chin, 20)
    if above and below and all(is_dark_at_side(side) for side in (0, 1)):  # shadow darkens one side, and its cheek
        return "full"
    if above and below:
        return "goatee"
    return "moustache" if above and is_dark(lip, 28) else "none"


def _brow(face: _Upright) -> str:
    arches, slants = [], []
    for brow in (face.points[17:22], face.points[22:27][::-1]):
        outer, inner = brow[0, 1], brow[4, 1]
        arches.append((outer + inner) / 2 - brow[:, 1].min())
        slants.append(inner - outer)
    if float(np.mean(slants)) > 0.05:
        return "slanted"
    if float(np.mean(arches)) > 0.09:
        return "arched"
    dark = face.region(-0.5, 0.5, float(face.points[17:27, 1].min()) - 0.08, float(face.points[36:48, 1].min()) - 0.02)
    skin = face.median(_cheeks(face))
    is_thick = skin is not None and dark.sum() > 0 and (skin[0] - face.lab[dark][:, 0] > 20).mean() > 0.3
    return "thick" if is_thick else "thin"


def _glasses(face: _Upright) -> str:
    """Rims are edges across the bridge of the nose and below the eyes; both are there, or neither."""
    lightness = face.lab[..., 0]
    change = np.abs(np.diff(lightness, axis=0, prepend=lightness[:1]))
    left, middle, right = (float(face.points[some, 0].mean()) for some in (range(36, 42), (27,), range(42, 48)))
    bridge = _usual_edge(change, face.region(middle - 0.07, middle + 0.07, -0.12, 0.1))
    below = _usual_edge(
        change, face.region(left - 0.2, left + 0.2, 0.16, 0.34) | face.region(right - 0.2, right + 0.2, 0.16, 0.34)
    )
    if min(bridge, below) < _RIM:
        return "none"
    eyes = face.region(left - 0.09, left + 0.09, -0.05, 0.05) | face.region(right - 0.09, right + 0.09, -0.05, 0.05)
    return "dark" if eyes.any() and float(np.median(lightness[eyes])) < _DARK_LENS else "round"


_RIM = 9.0
"""Change of lightness from one row of the upright picture to the next. In fifteen faces of photographs, the two with
glasses had at least 14.6 at both places, those without at most 3.8 at one of them."""

_DARK_LENS = 18.0


def _usual_edge(change: Float32Array, mask: NDArray[np.bool_]) -> float:
    """The strongest change of each column, the median over columns."""
    columns = mask.any(axis=0)
    return float(np.median(np.where(mask, change, 0).max(axis=0)[columns])) if columns.any() else 0.0


def _cloth(face: _Upright, skin: Float32Array) -> tuple[str, Float32Array | None]:
    """Name of the colour that most of the clothes have, and the colour; None where none are seen.

    Each place of chest and shoulders but bare skin says which it is most like. Black is what shadows are, and white
    what light makes of anything, so that a colour counts for more.
    """
    a = face.a - (face.points[0, 0] + face.points[16, 0]) / 2  # shoulders lie below the head, however it is turned
    below = face.b - _SHOULDERS - _SLOPE * np.maximum(np.abs(a) - _NECK, 0)
    chest = (np.abs(a) < 1.35) & (below > 0) & (below < 1.2) & face.inside
    seen = chest & ~_is_bare_skin(face, skin)
    if seen.sum() < max(20, 0.05 * chest.sum()):
        return "black", None
    pixels = face.lab[seen]
    colours = _to_lab(np.array([list(_PHOTOGRAPHED_CLOTHS.values())], np.uint8))[0]
    most_like = np.stack([_distance(pixels, colour, lightness=0.7) for colour in colours]).argmin(axis=0)
    counts = np.bincount(most_like, minlength=len(colours)) * [
        1.0 if name in ("white", "black") else _COLOURED for name in _PHOTOGRAPHED_CLOTHS
    ]
    winner = int(counts.argmax())
    return list(_PHOTOGRAPHED_CLOTHS)[winner], np.asarray(np.median(pixels[most_like == winner], axis=0), np.float32)


_SHOULDERS, _NECK, _SLOPE = 1.12, 0.45, 0.28
"""Height of the shoulders' upper edge at the neck, how far that reaches across, and the edge's slope beyond."""

_COLOURED = 1.3


def _is_bare_skin(face: _Upright, skin: Float32Array) -> NDArray[np.bool_]:
    """Where there is skin in whatever light: of about the face's hue, neither grey nor as colourful as cloth."""
    hue, own_hue = (np.arctan2(lab[..., 2], lab[..., 1]) for lab in (face.lab, skin))
    chroma, own_chroma = (np.linalg.norm(_per_light(lab), axis=-1) for lab in (face.lab, skin))
    is_alike = (np.abs(hue - own_hue) < np.radians(20)) & (face.lab[..., 0] > 0.6 * skin[0])
    return np.asarray(is_alike & (chroma > 0.5 * own_chroma) & (chroma < own_chroma + 0.35))


def _shirt(face: _Upright, is_skin: NDArray[np.bool_], cloth: Float32Array | None) -> str:
    """A collar, where something pale lies at the neck of other clothes; else plain."""
    if cloth is None:
        return "plain"
    neck = face.region(-0.45, 0.45, 1.2, 1.65) & ~is_skin
    pale = (face.lab[..., 0] > 70) & (np.abs(face.lab[..., 1:]).max(axis=-1) < 14)
    return "collar" if cloth[0] < 60 and neck.sum() > 50 and pale[neck].mean() > 0.15 else "plain"


def _nearest(lab: Float32Array, kind: _Kind) -> str:
    """The name of the colour that is most like another (3,).

    What skin and hair are, the light may have changed: they are as red and as yellow for their lightness still.
    """
    palette = _PALETTES[kind]
    colours = _to_lab(np.array([list(palette.values())], np.uint8))[0]
    if kind == "cloth":
        distances = _distance(colours, lab, lightness=0.7)
    else:
        hues = np.linalg.norm(_per_light(colours) - _per_light(lab), axis=-1)
        distances = np.hypot(_HUE * hues, _LIGHTNESS * (colours[:, 0] - lab[0]))
    if kind == "hair":
        distances += [_RARE * (name in _DYED) for name in palette]
    return list(palette)[int(np.argmin(distances))]


_DYED, _RARE = ("blue", "pink"), 20.0
_HUE, _LIGHTNESS = 65.0, 0.5
"""What a difference counts of how red and yellow a skin or hair is for its lightness, and of the lightness itself."""


def _per_light(lab: Float32Array) -> Float32Array:
    """How red and how yellow colours (..., 3) are for their lightness (..., 2), which is the same in any light.

    Less light makes all three of L + 16, a and b smaller by the same part, as long as they are no near-blacks.
    """
    return np.asarray(lab[..., 1:] / (lab[..., :1] + 16), dtype=np.float32)


def _distance(lab: Float32Array, colour: Float32Array, *, lightness: float = 1.0) -> Float32Array:
    """How far colours (..., 3) in Lab lie from one (3,)."""
    difference = (lab - colour) * np.array([lightness, 1.0, 1.0], np.float32)
    return np.asarray(np.linalg.norm(difference, axis=-1), dtype=np.float32)


_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32)
_WHITE = np.array([0.9505, 1.0, 1.089], np.float32)


def _to_lab(pixels: UInt8Array) -> Float32Array:
    """SRGB (..., 3) as CIE 1976 L*a*b* (..., 3)."""
    values = pixels.astype(np.float32) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T / _WHITE
    curved = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = np.moveaxis(curved, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def _to_rgb(lab: Float32Array) -> tuple[int, int, int]:
    """A colour (3,) in Lab as sRGB."""
    lightness, a, b = (float(number) for number in lab)
    y = (lightness + 16) / 116
    curved = np.array([y + a / 500, y, y - b / 200])
    xyz = np.where(curved**3 > 0.008856, curved**3, (curved - 16 / 116) / 7.787) * _WHITE
    linear = np.clip(np.linalg.solve(_TO_XYZ.astype(np.float64), xyz), 0, 1)
    values = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = np.round(values * 255).astype(int).tolist()
    return red, green, blue
