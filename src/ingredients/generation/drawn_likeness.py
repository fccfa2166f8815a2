"""The person of a photograph, drawn: as near as the drawn world's own features come.

The world knows eight skins, nine colours of hair and so on; a drawing takes the nearest. Proportions come from dlib's
68 points, colours from places that the points name, or from parts that a network tells apart. All is measured upright,
in units of the distance from the eyes' middle to the chin. What cannot be measured so, such as the style of short
hair, is a guess; every feature can be set by hand. How often it is right, and on whose faces the numbers below were
chosen, says `docs/faces.md`.

Legend: H/W pixels; a/b across and down from the eyes' middle, in those units.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import NoFaceError
from ingredients.faces.dlib_faces import DlibFaceDetector
from ingredients.faces.face_choice import FaceChoice, choose_face
from ingredients.faces.face_parts import FaceParser
from ingredients.generation.likeness_colours import distance, nearest, per_light, shares, to_rgb, which_are
from ingredients.generation.likeness_features import check_features, with_features
from ingredients.generation.likeness_parts import PersonParts, find_parts, hair_colour_of, hat_on
from ingredients.generation.upright_face import ABOVE, PIXELS, UprightFace
from ingredients.visualisation.layout import in_column, in_row, resize, text_block, titled, with_margin
from ingredients.world.identity import Identity
from ingredients.world.portraits import render_portrait

PLAIN_PHOTO = 49
"""Seed of a portrait that looks at the viewer, in plain light, before a plain wall."""


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
    parser: FaceParser | None = None,
) -> DrawnLikeness:
    """Measures the person of a photograph (H, W, 3), and finds who of the drawn world is most like them.

    Args:
        photo: RGB.
        detector: finds the face and its points.
        label: what messages call the photo.
        choice: which of its faces.
        features: those that are set by hand, by name.
        parser: tells hair, hat, glasses and clothes apart; without one, colours and edges near the points tell.

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
    others = [each.box for each in found if each is not face]
    upright = UprightFace(photo, detector.outline(photo, face), face.box, others)
    identity, measured = _measure(upright, None if parser is None else find_parts(upright, parser))
    identity = with_features(identity, features or {})
    return DrawnLikeness(identity=identity, measured=measured, photo=upright.cut_out())


def _words_of_hair(person: Identity) -> str:
    return f"{person.hair_colour} hair ({person.hair_style})"


def _measure(face: UprightFace, parts: PersonParts | None) -> tuple[Identity, dict[str, tuple[int, int, int]]]:
    points = face.points
    is_skin, skin_lab = _skin(face)
    head = _guess_head(face, is_skin, skin_lab)
    if parts is not None:
        head = _see_head(face, parts, guessed=head)
    cloth_name, cloth = _cloth(face, skin_lab, parts)
    iris_name, iris = _iris(face)
    skin = nearest(_as_if_lit(face, skin_lab), "skin")
    measured = {"skin": to_rgb(skin_lab), "iris": iris}
    if head.hair is not None:
        measured["hair"] = to_rgb(head.hair)
    if cloth is not None:
        measured["shirt"] = to_rgb(cloth)
    if head.hat_lab is not None:
        measured["hat"] = to_rgb(head.hat_lab)
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
            hair_style=head.hair_style,
            hair_colour=head.hair_colour,
            hat=head.hat,
            hat_colour=head.hat_colour,
            glasses=_glasses(face, parts),
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Head:
    """What is on a head."""

    hair_style: str
    hair_colour: str = "brown"  # that of the brows of a bald head
    hair: Float32Array | None = None
    hat: str = "none"
    hat_colour: str = "none"
    hat_lab: Float32Array | None = None


def _guess_head(face: UprightFace, is_skin: NDArray[np.bool_], skin: Float32Array) -> _Head:
    """What is on the head, by colours and edges near the points."""
    hairline = _hairline(face, is_skin)
    top = _hat(face, is_skin, hairline)
    hair = _hair(face, is_skin, skin, hairline, has_hat=top is not None)
    if hair is None:
        style = "bald"
    else:
        is_hair = (distance(face.lab, hair, lightness=0.8) < 15) & ~is_skin
        style = _hair_style(face, is_hair, hairline, may_be_wall=True)
    return _Head(
        hair_style="short" if top is not None else style,
        hair_colour="brown" if hair is None else nearest(hair, "hair"),
        hair=hair,
        hat="none" if top is None else ("brim" if _has_brim(face, distance(face.lab, top) < 20) else "cap"),
        hat_colour="none" if top is None else nearest(top, "cloth"),
        hat_lab=top,
    )


def _see_head(face: UprightFace, parts: PersonParts, *, guessed: _Head) -> _Head:
    """What is on the head, by a network that tells hair and hat apart."""
    hair, hat = hair_colour_of(face, parts), hat_on(face, parts)
    style = "bald"
    if hair is not None:
        style = _hair_style(face, parts.hair, _hairline(face, parts.skin), may_be_wall=False)
    name, colour = ("brown", None) if hair is None else hair
    if hat is None:
        return _Head(hair_style=style, hair_colour=name, hair=colour)
    if parts.hair.sum() < _LOCKS * parts.skin.sum():  # in the hat's shadow
        name, colour = guessed.hair_colour, guessed.hair
    hat_name, hat_lab = _main_cloth(face.lab[hat])
    return _Head(
        hair_style=style if style in ("long", "bob") else "short",
        hair_colour=name,
        hair=colour,
        hat="brim" if _has_brim(face, hat) else "cap",
        hat_colour=hat_name,
        hat_lab=hat_lab,
    )


_LOCKS = 0.25
"""Of the skin of the face: less hair than this below a hat does not tell its colour."""


def _mapped(value: float, usual: float, spread: float, low: float, high: float) -> float:
    """A length of a photographed face as one of the drawn world: the usual face of either is in the middle."""
    return float(np.clip((low + high) / 2 + (value - usual) / (2 * spread) * (high - low) / 2, low, high))


_JAWS, _EYES, _MOUTHS = (5, 11), (36, 45), (48, 54)
"""Points at the left and at the right side."""


def _cheek(face: UprightFace, side: int) -> NDArray[np.bool_]:
    a, b = face.points[_EYES[side]] * 0.45 + face.points[_MOUTHS[side]] * 0.55
    return face.disc(float(a), float(b), 0.12)


def _cheeks(face: UprightFace) -> NDArray[np.bool_]:
    return _cheek(face, 0) | _cheek(face, 1)


def _skin(face: UprightFace) -> tuple[NDArray[np.bool_], Float32Array]:
    """Where there is skin, and its colour: that of the cheeks, and of the forehead where that is skin as well."""
    cheeks = face.median(_cheeks(face))
    if cheeks is None:
        cheeks = face.median(face.disc(0, 0.3, 0.3))
    assert cheeks is not None  # the face lies in the photograph
    is_skin = distance(face.lab, cheeks, lightness=0.5) < _SAME_SKIN
    brows = face.points[17:27]
    forehead = face.median(face.disc(float(brows[:, 0].mean()), float(brows[:, 1].min()) - 0.12, 0.06))
    if forehead is not None:
        is_near = float(distance(forehead[None], cheeks, lightness=0.5)[0]) < 0.8 * _SAME_SKIN
        if is_near or forehead[0] > cheeks[0] + 4:  # as it is, or shining
            is_skin |= distance(face.lab, forehead, lightness=0.5) < _SAME_SKIN
    colour = face.median(face.region(-0.45, 0.45, -0.3, 0.75) & is_skin)
    return is_skin, cheeks if colour is None else colour


def _as_if_lit(face: UprightFace, colour: Float32Array) -> Float32Array:
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


def _hairline(face: UprightFace, is_skin: NDArray[np.bool_]) -> float:
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
    face: UprightFace, is_skin: NDArray[np.bool_], skin: Float32Array, hairline: float, *, has_hat: bool
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
    weights = np.where(is_as_far, 0.35, 1.0) * np.where(distance(colours, skin, lightness=0.7) < _AS_SKIN, 0.25, 1.0)
    agree = np.stack([distance(colours, each, lightness=0.7) < _SAME_HAIR for each in colours])
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


def _is_as_far(face: UprightFace, colours: Float32Array) -> NDArray[np.bool_]:
    """Whether each colour (places, 3) is common far from the head, as that of a wall behind it is."""
    is_far = (np.abs(face.a) > _FAR_BESIDE) & (face.b < 0.3) | (face.b < _FAR_ABOVE)
    far = face.lab[is_far & face.inside][::_FAR_STRIDE]
    if not len(far):
        return np.zeros(len(colours), np.bool_)
    return np.array([(distance(far, each, lightness=0.7) < _AS_FAR).mean() > _FAR_SHARE for each in colours])


def _above_forehead(face: UprightFace) -> list[Float32Array]:
    """Colours (3,) above the first edge over the brows, column by column."""
    start = float(face.points[17:27, 1].min()) - 0.04
    colours = []
    for a in np.linspace(-0.22, 0.22, 9):
        strip = np.flatnonzero(np.abs(face.a[0] - a) <= 0.04)
        column = np.median(face.lab[:, strip], axis=1).astype(np.float32)  # (rows, 3)
        lowest = round((start + ABOVE) * PIXELS) - _EDGE_ROWS
        is_there = face.inside[:, strip].mean(axis=1) > 0.5
        rows = np.arange(lowest, _EDGE_ROWS + 4, -1)
        rows = rows[np.minimum.accumulate(is_there[rows - _EDGE_ROWS])]
        changes = np.array(
            [
                float(distance(column[row - _EDGE_ROWS : row].mean(axis=0)[None], column[row : row + _EDGE_ROWS].mean(
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


def _beside_temples(face: UprightFace) -> list[Float32Array]:
    """Colours (3,) of what adjoins the head at either side, from the top down to the eyes."""
    left, right = float(face.points[0, 0]), float(face.points[16, 0])
    colours = []
    for inner, outer in ((left - 0.16, left - 0.04), (right + 0.04, right + 0.16)):
        for top in (-0.45, -0.3, -0.15, 0.0):
            region = face.region(inner, outer, top, top + 0.15)
            if region.sum() > 60:
                colours.append(np.median(face.lab[region], axis=0).astype(np.float32))
    return colours


def _is_bare(face: UprightFace, is_skin: NDArray[np.bool_], skin: Float32Array, hairline: float) -> bool:
    """Whether there is skin up to the top of the head."""
    above = face.region(-0.3, 0.3, hairline - 0.08, hairline - 0.01)
    if not (hairline < _TOP_OF_HEAD or (above.any() and is_skin[above].mean() > 0.7)):
        return False
    top = face.median(face.region(-0.25, 0.25, -0.85, -0.62))  # hair whose colour is near the skin's
    return top is None or float(distance(top[None], skin)[0]) <= _BALD


_TOP_OF_HEAD = -0.9
_BALD = 9.0


def _hat(face: UprightFace, is_skin: NDArray[np.bool_], hairline: float) -> Float32Array | None:
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
    is_of_another_colour = float(distance(on_top[None], temples, lightness=0.0)[0]) > 22
    return on_top if is_darker or is_of_another_colour else None


_LOW_FOREHEAD = 0.28


def _has_brim(face: UprightFace, is_hat: NDArray[np.bool_]) -> bool:
    width = float(face.points[16, 0] - face.points[0, 0]) / 2
    beside = face.both_sides(width + 0.15, width + 0.5, -0.9, -0.3)
    return bool(beside.sum() > 50 and is_hat[beside].mean() > 0.3)


def _hair_style(face: UprightFace, is_hair: NDArray[np.bool_], hairline: float, *, may_be_wall: bool) -> str:
    width = float(face.points[16, 0] - face.points[0, 0]) / 2

    def share(inner: float, outer: float, top: float, bottom: float) -> float:
        """Share of hair at the side that has more of it; a wall of the hair's colour is none."""
        sides = [0.0]
        for side in (face.region(-outer, -inner, top, bottom), face.region(inner, outer, top, bottom)):
            colour = face.median(is_hair & side)
            if colour is not None and not (may_be_wall and _is_as_far(face, colour[None])[0]):
                sides.append(float(is_hair[side].mean()))
        return max(sides)

    behind = share(width + 0.6, width + 1.1, 0.0, 0.9) if may_be_wall else 0.0
    beside, below = share(width + 0.02, width + 0.2, 0.2, 0.7), share(0.5, 0.95, 1.05, 1.45)
    on_top = face.region(-0.4, 0.4, hairline - 0.62, hairline - 0.38)
    if beside > 0.45 + behind and below > 0.4 + behind:
        return "long"
    if beside > 0.45 + behind:
        return "bob"
    volume = float(is_hair[on_top].mean()) if on_top.sum() > 20 else 0.0
    return "side" if volume > 0.5 else "short"


def _iris(face: UprightFace) -> tuple[str, tuple[int, int, int]]:
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
    return name, to_rgb(np.asarray(middle, np.float32))


def _beard(face: UprightFace, skin: Float32Array) -> str:
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


def _brow(face: UprightFace) -> str:
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


def _glasses(face: UprightFace, parts: PersonParts | None) -> str:
    left, right = (float(face.points[some, 0].mean()) for some in (range(36, 42), range(42, 48)))
    if not (_has_rims(face, left, right) if parts is None else parts.has_glasses):
        return "none"
    eyes = face.region(left - 0.09, left + 0.09, -0.05, 0.05) | face.region(right - 0.09, right + 0.09, -0.05, 0.05)
    return "dark" if eyes.any() and float(np.median(face.lab[..., 0][eyes])) < _DARK_LENS else "round"


def _has_rims(face: UprightFace, left: float, right: float) -> bool:
    """Rims are edges across the bridge of the nose and below the eyes; both are there, or neither."""
    lightness = face.lab[..., 0]
    change = np.abs(np.diff(lightness, axis=0, prepend=lightness[:1]))
    middle = float(face.points[27, 0])
    bridge = _usual_edge(change, face.region(middle - 0.07, middle + 0.07, -0.12, 0.1))
    below = _usual_edge(
        change, face.region(left - 0.2, left + 0.2, 0.16, 0.34) | face.region(right - 0.2, right + 0.2, 0.16, 0.34)
    )
    return min(bridge, below) >= _RIM


_RIM = 9.0
"""Change of lightness from one row of the upright picture to the next. In fifteen faces of photographs, the two with
glasses had at least 14.6 at both places, those without at most 3.8 at one of them."""

_DARK_LENS = 18.0


def _usual_edge(change: Float32Array, mask: NDArray[np.bool_]) -> float:
    """The strongest change of each column, the median over columns."""
    columns = mask.any(axis=0)
    return float(np.median(np.where(mask, change, 0).max(axis=0)[columns])) if columns.any() else 0.0


def _cloth(face: UprightFace, skin: Float32Array, parts: PersonParts | None) -> tuple[str, Float32Array | None]:
    """Name of the colour that most of the clothes have, and the colour; None where none are seen.

    Without a network that sees them, or where it sees next to none, they are chest and shoulders but bare skin.
    """
    a = face.a - (face.points[0, 0] + face.points[16, 0]) / 2  # shoulders lie below the head, however it is turned
    is_near = np.abs(a) < 1.35
    below = face.b - _SHOULDERS - _SLOPE * np.maximum(np.abs(a) - _NECK, 0)
    chest = is_near & (below > 0) & (below < 1.2) & face.inside
    if parts is not None and (parts.clothes & is_near).sum() > _LEAST_CLOTHES * PIXELS**2:
        chest = parts.clothes & is_near
    seen = chest & ~_is_bare_skin(face, skin)
    if seen.sum() < max(20, 0.05 * chest.sum()):
        return "black", None
    return _main_cloth(face.lab[seen])


def _main_cloth(pixels: Float32Array) -> tuple[str, Float32Array]:
    """Name and colour (3,) of what most pixels (N, 3) of clothes or of a hat are most like.

    Black is what shadows are, and white what light makes of anything, so that a colour counts for more.
    """
    counts = shares(pixels, "cloth")
    name = max(counts, key=lambda each: counts[each] * (1.0 if each in ("white", "black") else _COLOURED))
    is_so = which_are(pixels, "cloth", name)
    return name, np.asarray(np.median(pixels[is_so], axis=0), np.float32)


_LEAST_CLOTHES = 0.05  # squares of a unit
_SHOULDERS, _NECK, _SLOPE = 1.12, 0.45, 0.28
"""Height of the shoulders' upper edge at the neck, how far that reaches across, and the edge's slope beyond."""

_COLOURED = 1.3


def _is_bare_skin(face: UprightFace, skin: Float32Array) -> NDArray[np.bool_]:
    """Where there is skin in whatever light: of about the face's hue, neither grey nor as colourful as cloth."""
    hue, own_hue = (np.arctan2(lab[..., 2], lab[..., 1]) for lab in (face.lab, skin))
    chroma, own_chroma = (np.linalg.norm(per_light(lab), axis=-1) for lab in (face.lab, skin))
    is_alike = (np.abs(hue - own_hue) < np.radians(20)) & (face.lab[..., 0] > 0.6 * skin[0])
    return np.asarray(is_alike & (chroma > 0.5 * own_chroma) & (chroma < own_chroma + 0.35))


def _shirt(face: UprightFace, is_skin: NDArray[np.bool_], cloth: Float32Array | None) -> str:
    """A collar, where something pale lies at the neck of other clothes; else plain."""
    if cloth is None:
        return "plain"
    neck = face.region(-0.45, 0.45, 1.2, 1.65) & ~is_skin
    pale = (face.lab[..., 0] > 70) & (np.abs(face.lab[..., 1:]).max(axis=-1) < 14)
    return "collar" if cloth[0] < 60 and neck.sum() > 50 and pale[neck].mean() > 0.15 else "plain"
