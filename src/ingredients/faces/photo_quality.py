"""How much a photo shows of a face, as numbers, and what to do where it is too little.

Measured on the photo and its five landmarks, so that it holds for any detector. What cannot be seen this way: a
covering with a pattern of its own (a scarf, a hand's fingers, printed cloth), lenses that are only tinted, and blur
under noise, which looks like detail.

Legend: H/W pixels, S side of a crop.
"""

import dataclasses
import math

import numpy as np

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.protocols import Face
from ingredients.faces.alignment import ARCFACE_TEMPLATE, crop_arcface, similarity_transform

_NOSE_DEPTH = 0.43
"""How far the tip of the nose stands before the plane of eyes and mouth, in distances between the eyes."""

_OVAL_MIDDLE, _OVAL_RADII = (0.5, 0.56), (0.36, 0.49)
"""The face from hairline to chin, in parts of the ArcFace crop's side."""

_OVAL_STEPS = 64

_PARTS_SIZE, _SUPERSAMPLING = 56, 4
_EYE_RADII, _MOUTH_RADII = (0.09, 0.05), (0.11, 0.06)
"""Half width and half height of what is looked at around an eye and the mouth, in parts of the ArcFace crop's side."""

_SPREAD = (20, 80)
"""Percentiles between which a part's contrast is taken: an edge that only crosses the part does not count."""

_BRIGHT_PERCENTILE = 95
"""Brightness is that of the face's brightest parts: dark skin in good light has bright ones, a dark photo has not."""

_WHITE = 250.0
_FAINTEST = 2.0
"""Grey levels; where no part of a face has more contrast, none can be compared."""

_LUMA = np.array([0.299, 0.587, 0.114])
_PART_NAMES = ("the eye at the left", "the eye at the right", "the mouth")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PhotoLimits:
    """From where on a photo is doubtful; None: not looked at."""

    min_size: float
    """Pixels."""

    min_confidence: float | None
    """Confidence of the detector; told where nothing else explains it."""

    max_turn: float | None
    """Degrees to either side."""

    sharpness_size: int
    """Side in pixels of the crop on which sharpness is measured: finer detail than a model sees does not count."""

    min_sharpness: float
    """As `PhotoQuality.sharpness`."""

    min_brightness: float
    """As `PhotoQuality.brightness`."""

    max_overexposed: float
    """Share of the face."""

    max_cut_off: float
    """Share of the face."""

    min_contrast: float | None
    """As `PhotoQuality.contrasts`."""


PHOTOGRAPH_LIMITS = PhotoLimits(
    min_size=64.0,
    min_confidence=None,
    max_turn=35.0,
    sharpness_size=48,
    min_sharpness=0.15,
    min_brightness=0.25,
    max_overexposed=0.25,
    max_cut_off=0.08,
    min_contrast=0.3,
)
"""For photographs. A face of 64 pixels has less than half of what the published image encoder reads."""

DRAWN_LIMITS = PhotoLimits(
    min_size=24.0,
    min_confidence=0.55,
    max_turn=None,
    sharpness_size=32,
    min_sharpness=0.2,
    min_brightness=0.2,
    max_overexposed=0.35,
    max_cut_off=0.08,
    min_contrast=None,
)
"""For the drawn world. Its detector's landmarks hardly follow a turned head; its faces are plain by nature, so a
covered one shows in the detector's confidence instead."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PhotoQuality:
    """What was measured about one face of one photo."""

    size: float
    """Pixels: square root of the box's area."""

    confidence: float
    """The detector's, 0 to 1."""

    turn: float
    """Degrees by which the head is turned; positive towards the right of the picture."""

    sharpness: float
    """Variance of the Laplacian of the aligned grey face over the variance of its grey values."""

    brightness: float
    """Brightness of the face's brightest parts, 0 to 1."""

    overexposed: float
    """Share of the face that is plain white."""

    cut_off: float
    """Share of the face that lies outside of the photo."""

    contrasts: tuple[float, float, float]
    """Contrast of the eye at the left, the eye at the right, and the mouth; the strongest of them is 1."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PhotoDoubt:
    """One thing that makes a photo doubtful."""

    reason: str
    """What was measured; completes "The face is ..."."""

    remedy: str
    """What to do, a clause."""

    def sentence(self, *, person: str, label: str) -> str:
        """The warning about a person's photo."""
        return f"The face of {person} in {label} is {self.reason}; {self.remedy}."


def measure_photo(image: UInt8Array, face: Face, *, sharpness_size: int) -> PhotoQuality:
    """Measures one face of an RGB photo (H, W, 3)."""
    parts = _cut(image, face.landmarks, _PARTS_SIZE)  # (S, S)
    return PhotoQuality(
        size=math.sqrt(face.area),
        confidence=face.score,
        turn=estimate_turn(face.landmarks),
        sharpness=_relative_sharpness(_cut(image, face.landmarks, sharpness_size)),
        brightness=float(np.percentile(parts, _BRIGHT_PERCENTILE)) / 255.0,
        overexposed=float((parts >= _WHITE).mean()),
        cut_off=share_outside(image.shape[1], image.shape[0], face.landmarks),
        contrasts=_part_contrasts(parts, face.landmarks),
    )


def find_doubts(quality: PhotoQuality, limits: PhotoLimits) -> list[PhotoDoubt]:
    """What of a photo is beyond the limits."""
    doubts = []

    def doubt(reason: str, remedy: str) -> None:
        doubts.append(PhotoDoubt(reason=reason, remedy=remedy))

    is_small = quality.size < limits.min_size
    if is_small:
        doubt(f"only {quality.size:.0f} pixels wide", "a larger photo keeps more")
    if limits.max_turn is not None and abs(quality.turn) > limits.max_turn:
        doubt(f"turned to the side by about {abs(quality.turn):.0f} degrees", "a photo more from the front keeps more")
    if quality.sharpness < limits.min_sharpness and not is_small:  # a small face is soft where it is enlarged
        doubt(
            f"blurred (sharpness {quality.sharpness:.2f}, less than {limits.min_sharpness:g})",
            "a sharper photo keeps more",
        )
    if quality.brightness < limits.min_brightness:
        doubt(
            f"dark (its brightest parts reach {quality.brightness:.0%} of white)", "a photo in more light keeps more"
        )
    if quality.overexposed > limits.max_overexposed:
        doubt(f"overexposed ({quality.overexposed:.0%} of it is plain white)", "a photo in softer light keeps more")
    if quality.cut_off > limits.max_cut_off:
        doubt(
            f"cut off by the photo's edge ({quality.cut_off:.0%} of it is outside)",
            "a photo of the whole face keeps more",
        )
    if limits.min_contrast is not None:
        covered = [index for index, contrast in enumerate(quality.contrasts) if contrast < limits.min_contrast]
        if covered:
            least = min(quality.contrasts[index] for index in covered)
            names = "both eyes" if covered == [0, 1] else " and ".join(_PART_NAMES[index] for index in covered)
            doubt(
                f"covered at {names}, it seems ({least:.0%} of the contrast elsewhere in the face)",
                "a photo with nothing before the face keeps more",
            )
    if limits.min_confidence is not None and quality.confidence < limits.min_confidence and not doubts:
        doubt(
            f"doubtful to the detector (confidence {quality.confidence:.2f}, less than {limits.min_confidence:g}), "
            "as one that is covered or cut off",
            "a photo that shows all of it keeps more",
        )
    return doubts


def estimate_turn(landmarks: Float32Array) -> float:
    """Degrees by which a head is turned to the side, from five landmarks (5, 2); positive towards the picture's right.

    Eyes and mouth are taken to lie in a plane, and the tip of the nose d = 0.43 eye distances before it. Turned by an
    angle a, the nose moves by d sin(a) off the axis from between the eyes to the mouth's middle, while the eyes'
    distance shrinks by cos(a), so that offset / distance = d tan(a). Noses differ, so the angle is a rough one.
    """
    left_eye, right_eye, nose, left_mouth, right_mouth = landmarks.astype(np.float64)
    eyes_middle = (left_eye + right_eye) / 2
    axis = (left_mouth + right_mouth) / 2 - eyes_middle
    across = np.array([axis[1], -axis[0]]) / max(float(np.hypot(*axis)), 1e-6)  # at right angles, towards the right
    offset, distance = float((nose - eyes_middle) @ across), abs(float((right_eye - left_eye) @ across))
    return math.degrees(math.atan2(offset, _NOSE_DEPTH * distance))


def _cut(image: UInt8Array, landmarks: Float32Array, size: int) -> Float32Array:
    """The grey face (size, size), cut four times as large and averaged, so that nothing aliases."""
    crop = crop_arcface(image, landmarks, size=size * _SUPERSAMPLING) @ _LUMA
    return np.asarray(crop.reshape(size, _SUPERSAMPLING, size, _SUPERSAMPLING).mean(axis=(1, 3)), dtype=np.float32)


def _relative_sharpness(grey: Float32Array) -> float:
    neighbours = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    laplacian = neighbours - 4 * grey[1:-1, 1:-1]
    return float(laplacian.var() / max(float(grey.var()), 1.0))


def share_outside(width: int, height: int, landmarks: Float32Array) -> float:
    """Share of a face, by its landmarks (5, 2), that lies outside of a picture of so many pixels."""
    steps = (np.arange(_OVAL_STEPS) + 0.5) / _OVAL_STEPS * 2 - 1
    across, down = np.meshgrid(steps, steps)
    inside = across**2 + down**2 <= 1
    oval = np.stack([across[inside], down[inside]], axis=-1) * _OVAL_RADII + _OVAL_MIDDLE  # (points, 2)
    to_photo = similarity_transform(np.asarray(ARCFACE_TEMPLATE, np.float32), landmarks)
    points = oval @ to_photo[:, :2].T + to_photo[:, 2]
    is_outside = (points < 0).any(axis=-1) | (points[:, 0] >= width) | (points[:, 1] >= height)
    return float(is_outside.mean())


def _part_contrasts(grey: Float32Array, landmarks: Float32Array) -> tuple[float, float, float]:
    """The spread of grey values around each eye and the mouth of a crop (S, S), by the largest of them."""
    size = len(grey)
    to_crop = similarity_transform(landmarks, np.asarray(ARCFACE_TEMPLATE, np.float32))
    left_eye, right_eye, _, left_mouth, right_mouth = landmarks @ to_crop[:, :2].T + to_crop[:, 2]
    spreads = []
    for middle, radii in (
        (left_eye, _EYE_RADII),
        (right_eye, _EYE_RADII),
        ((left_mouth + right_mouth) / 2, _MOUTH_RADII),
    ):
        left, top = np.clip(np.floor((middle - radii) * size), 0, size - 1).astype(int)
        right, bottom = np.clip(np.ceil((middle + radii) * size), 1, size).astype(int)
        low, high = np.percentile(grey[top:bottom, left:right], _SPREAD)
        spreads.append(float(high - low))
    strongest = max(spreads)
    if strongest < _FAINTEST:
        return (1.0, 1.0, 1.0)
    left_share, right_share, mouth_share = (spread / strongest for spread in spreads)
    return left_share, right_share, mouth_share
