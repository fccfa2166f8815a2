"""Cuts a face out of an image so that its five landmarks lie where a template says.

Coordinates are continuous pixels, x then y: the image's left upper corner is (0, 0), the middle of its first pixel
(0.5, 0.5).
"""

import math

import numpy as np
from PIL import Image

from ingredients.core.arrays import Float32Array, UInt8Array

FFHQ_TEMPLATE = (
    (192.98138 / 512, 239.94708 / 512),
    (318.90277 / 512, 240.1936 / 512),
    (256.63416 / 512, 314.01935 / 512),
    (201.26117 / 512, 371.41043 / 512),
    (313.08905 / 512, 371.15118 / 512),
)
"""Landmarks of the wide FFHQ crop (hair and hat in view), in parts of the crop's side."""

ARCFACE_TEMPLATE = (
    (38.2946 / 112, 51.6963 / 112),
    (73.5318 / 112, 51.5014 / 112),
    (56.0252 / 112, 71.7366 / 112),
    (41.5493 / 112, 92.3655 / 112),
    (70.7299 / 112, 92.2041 / 112),
)
"""Landmarks of the tighter ArcFace crop, in parts of the crop's side."""

FFHQ_FILL = (132, 133, 135)
"""RGB of what lies outside the photo; the published code fills with BGR (135, 133, 132)."""

Template = tuple[tuple[float, float], ...]


def similarity_transform(source: Float32Array, target: Float32Array) -> Float32Array:
    """Fits the similarity (scale, rotation, translation; no mirroring) that takes source points to target points.

    Least squares in closed form, after Umeyama, "Least-squares estimation of transformation parameters between two
    point patterns" (1991). In the plane, with points as complex numbers, the answer is one complex division.

    Args:
        source: (points, 2).
        target: (points, 2).

    Returns:
        (2, 3): `target ~= matrix[:, :2] @ source + matrix[:, 2]`.

    Raises:
        ValueError: if the shapes differ, or the source points all coincide.
    """
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2:
        raise ValueError(f"source and target must both be (points, 2), not {source.shape} and {target.shape}")
    source_mean, target_mean = source.mean(0, dtype=np.float64), target.mean(0, dtype=np.float64)
    centred_source = (source - source_mean) @ np.array([1.0, 1.0j])
    centred_target = (target - target_mean) @ np.array([1.0, 1.0j])
    spread = float(np.vdot(centred_source, centred_source).real)
    if spread == 0.0:
        raise ValueError("the source points all coincide, so no similarity can be fitted")
    scaled_rotation = complex(np.vdot(centred_source, centred_target)) / spread
    cosine, sine = scaled_rotation.real, scaled_rotation.imag
    linear = np.array([[cosine, -sine], [sine, cosine]])
    offset = target_mean - linear @ source_mean
    return np.concatenate([linear, offset[:, None]], axis=1).astype(np.float32)


def align_face(
    image: UInt8Array,
    landmarks: Float32Array,
    *,
    template: Template,
    size: int,
    fill: tuple[int, int, int] = FFHQ_FILL,
) -> UInt8Array:
    """Warps a face onto a template, bilinearly.

    An image much larger than the crop is box-filtered by a whole factor first, so that the warp does not alias.

    Args:
        image: (H, W, 3) RGB.
        landmarks: (5, 2) pixels of the image.
        template: five points in parts of the crop's side.
        size: side of the crop in pixels.
        fill: RGB of what lies outside the image.

    Returns:
        (size, size, 3).
    """
    target = np.asarray(template, np.float32) * np.float32(size)
    photo = Image.fromarray(image)
    matrix = similarity_transform(landmarks, target)
    reduction = math.floor(1.0 / math.hypot(float(matrix[0, 0]), float(matrix[1, 0])))
    if reduction > 1:
        photo = photo.reduce(reduction)
        matrix = similarity_transform(landmarks / np.float32(reduction), target)
    inverse = np.linalg.inv(np.vstack([matrix.astype(np.float64), [0.0, 0.0, 1.0]]))
    crop = photo.transform(
        (size, size),
        Image.Transform.AFFINE,
        tuple(inverse[:2].ravel().tolist()),
        resample=Image.Resampling.BILINEAR,
        fillcolor=fill,
    )
    return np.asarray(crop)


def crop_ffhq(image: UInt8Array, landmarks: Float32Array, *, size: int) -> UInt8Array:
    """The crop (size, size, 3) that the image encoder and the canvas take."""
    return align_face(image, landmarks, template=FFHQ_TEMPLATE, size=size)


def crop_arcface(image: UInt8Array, landmarks: Float32Array, *, size: int) -> UInt8Array:
    """The tighter crop (size, size, 3) that the recognisers take."""
    return align_face(image, landmarks, template=ARCFACE_TEMPLATE, size=size)


def sharpness(crop: UInt8Array) -> float:
    """Variance of the Laplacian of the grey crop: among aligned crops of one face, the sharpest has the largest."""
    grey = crop.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)  # (H, W)
    laplacian = (
        grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4.0 * grey[1:-1, 1:-1]
    )  # (H - 2, W - 2)
    return float(laplacian.var())
