"""What a face detector returns."""

import dataclasses

from ingredients.core.arrays import Float32Array


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Face:
    """One detected face, in pixels of the image it was found in."""

    box: Float32Array
    """(4,): left, top, right, bottom."""

    score: float
    """Confidence of the detector, from 0 to 1."""

    landmarks: Float32Array
    """(5, 2), x then y: the eye at the image's left, the eye at its right, the nose tip, the left and the right
    corner of the mouth (left and right as seen in the image)."""

    @property
    def area(self) -> float:
        """Area of the box in pixels."""
        left, top, right, bottom = self.box.tolist()
        return float(max(right - left, 0.0) * max(bottom - top, 0.0))
