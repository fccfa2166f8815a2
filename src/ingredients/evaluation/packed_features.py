"""Rows of features as text, small enough for a record: half precision, base64.

Legend: n rows, D features.
"""

import base64

import numpy as np

from ingredients.core.arrays import Float32Array

INCEPTION_DIM = 2048


def pack_features(features: Float32Array) -> str:
    """Packs rows (n, D)."""
    return base64.b64encode(features.astype("<f2").tobytes()).decode("ascii")


def unpack_features(packed: str, *, dim: int = INCEPTION_DIM) -> Float32Array:
    """The rows (n, D) again."""
    rows = np.frombuffer(base64.b64decode(packed), dtype="<f2").reshape(-1, dim)
    return rows.astype(np.float32)
