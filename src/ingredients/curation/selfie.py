"""MediaPipe's selfie segmentation: which pixels are a person's, on any processor, from a file of 250 kB.

Two networks (Apache-2.0) lie in the npm package `@mediapipe/selfie_segmentation`, for square and for wide pictures;
they are read as they are by ai-edge-litert. Each says of a pixel how probably it is of a person. Of these, the face is
what lies in the ellipse in its box.

Legend: N faces, H/W pixels.
"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import UserInputError
from ingredients.core.optional_dependencies import import_optional

NETWORK_NAMES = ("selfie_segmentation.tflite", "selfie_segmentation_landscape.tflite")
_PACKAGE = "@mediapipe/selfie_segmentation"
_SURROUNDINGS = 1.2
"""How far around a box the network looks, in boxes: it was made for one person before a camera, from the chest up."""

_STRETCH = 1.05
"""Diameters of the ellipse, in sides of the box: the found boxes of drawn faces are about as much too small."""

_STEEPNESS = 6.0
"""Logit of the ellipse's middle; it falls to 0 at its rim, so that `masks.rim` has a band to find edges in."""

_LEAST = 1e-6
_OUTSIDE = -20.0


class SelfieSegmenter:
    """A `FaceSegmenter` of `ingredients.faces.segmenters`.

    Args:
        path: a network's file, or the folder with one or both of them, of which the surer one is believed; None is
            an error that says where they are from.

    Raises:
        UserInputError: if no such file is there, or it is none.
        MissingDependencyError: without ai-edge-litert.
    """

    def __init__(self, path: str | None) -> None:
        named = [] if path is None else [Path(path)]
        if named and named[0].is_dir():
            named = [named[0] / name for name in NETWORK_NAMES]
        files = [file for file in named if file.is_file()]
        if not files:
            raise UserInputError(
                f"Masks by person segmentation need the file {NETWORK_NAMES[0]}"
                + (f", which is not at {named[0]}" if named else "")
                + f"; get it with: npm pack {_PACKAGE} && tar xf mediapipe-selfie_segmentation-*.tgz, and name its "
                "folder with masks.model=package. Or take masks.by=box."
            )
        self._networks = [_read(file) for file in files]

    def segment(self, image: UInt8Array, boxes: Float32Array) -> Float32Array:
        """Logits (N, H, W) of the faces in boxes (N, 4): of being a person's, negative beyond the box's ellipse."""
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
            if frame[0] >= frame[2] or frame[1] >= frame[3]:
                continue
            seen = (slice(frame[1], frame[3]), slice(frame[0], frame[2]))
            probability = np.clip(self._person(image[seen]), _LEAST, 1 - _LEAST)
            rows, columns = np.mgrid[seen] + 0.5
            # Squared distance from the middle, 1 at the rim of the ellipse.
            distance = ((2 * columns - left - right) / (right - left)) ** 2
            distance = (distance + ((2 * rows - top - bottom) / (bottom - top)) ** 2) / _STRETCH**2
            logits[number][seen] = np.minimum(np.log(probability / (1 - probability)), _STEEPNESS * (1 - distance))
        return logits

    def _person(self, picture: UInt8Array) -> Float32Array:
        """How probably each pixel (H, W) is a person's, by the network that is surer of one."""
        found: Float32Array = np.max([_look(network, picture) for network in self._networks], axis=0)
        return found


def _read(file: Path) -> Any:
    """The network of a file."""
    litert: Any = import_optional("ai_edge_litert.interpreter", extra="segment")
    try:
        network = litert.Interpreter(model_content=file.read_bytes(), num_threads=1)
        network.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise UserInputError(f"The file {file} is no network that can be read ({error}); get it again.") from error
    return network


def _look(network: Any, picture: UInt8Array) -> Float32Array:
    """How probably each pixel (H, W) of a picture (H, W, 3) is a person's, by one network."""
    read, written = network.get_input_details()[0], network.get_output_details()[0]
    _, rows, columns, _ = read["shape"]
    scaled = Image.fromarray(picture).resize((int(columns), int(rows)), Image.Resampling.BILINEAR)
    network.set_tensor(read["index"], np.asarray(scaled, np.float32)[None] / 255)
    network.invoke()
    found = Image.fromarray(network.get_tensor(written["index"])[0, ..., 0])
    return np.asarray(found.resize(picture.shape[1::-1], Image.Resampling.BILINEAR), np.float32)
