"""MediaPipe's selfie segmentation: which pixels are a person's, on any processor, from a file of 250 kB.

The network (Apache-2.0) lies in the npm package `@mediapipe/selfie_segmentation` as `selfie_segmentation.tflite`; it
is read as it is by ai-edge-litert. It says of each pixel how probably it is of a person; cut by the box of a face,
that is the face with the hair inside the box.

Legend: N faces, H/W pixels.
"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import UserInputError
from ingredients.core.optional_dependencies import import_optional

NETWORK_NAME = "selfie_segmentation.tflite"
_PACKAGE = "@mediapipe/selfie_segmentation"
_SURROUNDINGS = 1.2
"""How far around a box the network looks, in boxes: it was made for one person before a camera, from the chest up."""

_LEAST = 1e-6
_OUTSIDE = -20.0


class SelfieSegmenter:
    """A `FaceSegmenter` of `ingredients.faces.segmenters`.

    Args:
        path: the network's file, or a folder with it; None is an error that says where it is from.

    Raises:
        UserInputError: if the file is not there or is none.
        MissingDependencyError: without ai-edge-litert.
    """

    def __init__(self, path: str | None) -> None:
        file = None if path is None else Path(path) / NETWORK_NAME if Path(path).is_dir() else Path(path)
        if file is None or not file.is_file():
            raise UserInputError(
                f"Masks by person segmentation need the file {NETWORK_NAME}"
                + ("" if file is None else f", which is not at {file}")
                + f"; get it with: npm pack {_PACKAGE} && tar xf mediapipe-selfie_segmentation-*.tgz, and name it "
                f"with masks.model=package/{NETWORK_NAME}. Or take masks.by=box."
            )
        litert: Any = import_optional("ai_edge_litert.interpreter", extra="segment")
        try:
            self._network = litert.Interpreter(model_content=file.read_bytes(), num_threads=1)
            self._network.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise UserInputError(f"The file {file} is no network that can be read ({error}); get it again.") from error
        self._input, self._output = self._network.get_input_details()[0], self._network.get_output_details()[0]

    def segment(self, image: UInt8Array, boxes: Float32Array) -> Float32Array:
        """Logits (N, H, W) of the faces in boxes (N, 4): of being a person's, and far below 0 outside of the box."""
        height, width = image.shape[:2]
        logits = np.full((len(boxes), height, width), _OUTSIDE, np.float32)
        for number, (left, top, right, bottom) in enumerate(boxes.tolist()):
            across, down = (right - left) * _SURROUNDINGS, (bottom - top) * _SURROUNDINGS
            frame = (
                max(int(left - across), 0),
                max(int(top - down), 0),
                min(int(right + across) + 1, width),
                min(int(bottom + down) + 1, height),
            )
            inside = (max(round(left), 0), max(round(top), 0), min(round(right), width), min(round(bottom), height))
            if frame[0] >= frame[2] or frame[1] >= frame[3] or inside[0] >= inside[2] or inside[1] >= inside[3]:
                continue
            probability = self._person(image[frame[1] : frame[3], frame[0] : frame[2]])
            part = probability[
                inside[1] - frame[1] : inside[3] - frame[1], inside[0] - frame[0] : inside[2] - frame[0]
            ]
            part = np.clip(part, _LEAST, 1 - _LEAST)
            logits[number, inside[1] : inside[3], inside[0] : inside[2]] = np.log(part / (1 - part))
        return logits

    def _person(self, picture: UInt8Array) -> Float32Array:
        """How probably each pixel (H, W) is a person's."""
        _, rows, columns, _ = self._input["shape"]
        scaled = Image.fromarray(picture).resize((int(columns), int(rows)), Image.Resampling.BILINEAR)
        self._network.set_tensor(self._input["index"], np.asarray(scaled, np.float32)[None] / 255)
        self._network.invoke()
        found = Image.fromarray(self._network.get_tensor(self._output["index"])[0, ..., 0])
        return np.asarray(found.resize(picture.shape[1::-1], Image.Resampling.BILINEAR), np.float32)
