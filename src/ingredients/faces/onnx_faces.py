"""Detector and recogniser of insightface's model packs (antelopev2: SCRFD and glintr100), run by onnxruntime.

SCRFD: Guo et al. 2021, "Sample and Computation Redistribution for Efficient Face Detection" (arXiv 2105.04714). What
the networks are fed, resizing included, is what insightface feeds them. Their weights are for non-commercial use only.

Legend: H/W pixels, B crops, S side of a crop, I side of the detector's input, A anchors of a cell, M candidates,
D embedding.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ingredients.core.arrays import Float32Array, Int64Array, UInt8Array
from ingredients.core.errors import ModelFolderError, NotFiniteError
from ingredients.core.optional_dependencies import import_optional
from ingredients.core.protocols import Face
from ingredients.faces.alignment import crop_arcface, crop_ffhq
from ingredients.faces.onnx_maps import NUM_MAPS, with_map_outputs
from ingredients.faces.recogniser import maps_to_tokens

RecognitionInput = Literal["published", "aligned"]

_STRIDES = (8, 16, 32)
_OUTPUTS_OF_A_STRIDE = (1, 4, 10)
"""Score, distances to the box's edges, five landmarks."""

_DETECTOR_MEAN, _DETECTOR_SCALE = 127.5, 128.0
_RECOGNISER_MEAN, _RECOGNISER_SCALE = 127.5, 127.5
_PUBLISHED_CROP_SIZE = 512
_BATCH = 32
_FATAL = 4  # of onnxruntime's levels of what is worth a line, the last


class OnnxNetwork:
    """An ONNX file with one input, on a GPU if onnxruntime can use one.

    Args:
        path: the file.
        num_outputs: how many it must have.
        model: the file's content with more outputs, to be run in its place.

    Raises:
        MissingDependencyError: without onnxruntime.
        ModelFolderError: if the file is missing, damaged, not in float32, or has another number of outputs.
    """

    def __init__(self, path: Path, *, num_outputs: int, model: bytes | None = None) -> None:
        onnxruntime = import_optional("onnxruntime", extra="faces")
        if not path.is_file():
            raise ModelFolderError(f"The model folder lacks {path}; copy the folder again or name another one.")
        usable = onnxruntime.get_available_providers()
        providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in usable]
        try:
            content = str(path) if model is None else model
            self._session: Any = onnxruntime.InferenceSession(content, _quiet(onnxruntime), providers=providers)
        except Exception as error:  # onnxruntime's own exceptions share no class but this one
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelFolderError(f"The network {path} cannot be read ({reason}); copy the file again.") from error
        outputs, inputs = self._session.get_outputs(), self._session.get_inputs()
        if len(outputs) != num_outputs or len(inputs) != 1:
            raise ModelFolderError(
                f"The network {path} has {len(inputs)} inputs and {len(outputs)} outputs instead of 1 and "
                f"{num_outputs}; name another file."
            )
        if inputs[0].type != "tensor(float)":
            raise ModelFolderError(
                f"The network {path} takes {inputs[0].type} instead of tensor(float); name the file in full precision."
            )
        self.path = path
        self._input_name = inputs[0].name
        self._input_shape: list[int | str | None] = inputs[0].shape
        self._output_shape: list[int | str | None] = outputs[0].shape

    @property
    def width(self) -> int | None:
        """Last axis of the first output, where the file says it."""
        last = self._output_shape[-1] if self._output_shape else None
        return last if isinstance(last, int) else None

    def check_input_size(self, size: int) -> None:
        """Says whether the network takes RGB pictures (B, 3, size, size), as far as the file tells.

        Raises:
            ModelFolderError: if it does not.
        """
        expected = (None, 3, size, size)
        fits = len(self._input_shape) == len(expected) and all(
            wanted is None or not isinstance(given, int) or given == wanted
            for given, wanted in zip(self._input_shape, expected, strict=True)
        )
        if not fits:
            raise ModelFolderError(
                f"The network {self.path} takes {self._input_shape} instead of pictures (B, 3, {size}, {size}); name "
                "another file."
            )

    def run_in_batches(self, pixel_values: Float32Array) -> Float32Array:
        """The first output for any number of pictures, a few at a time; one by one, if the file is fixed to one."""
        size = 1 if self._input_shape[0] == 1 else _BATCH
        batches = [self(pixel_values[first : first + size])[0] for first in range(0, len(pixel_values), size)]
        return np.concatenate(batches).astype(np.float32)

    def __call__(self, pixel_values: Float32Array) -> list[Float32Array]:
        """The outputs, in the file's order.

        Raises:
            NotFiniteError: if one holds a value that is no number.
        """
        results: list[Float32Array] = self._session.run(None, {self._input_name: pixel_values})
        if not all(np.isfinite(result).all() for result in results):
            raise NotFiniteError(
                f"The network {self.path} gives values that are not finite (NaN or infinite); copy the file again."
            )
        return results


def _quiet(onnxruntime: Any) -> Any:
    """Settings of a session that writes no lines of its own: what goes wrong comes as an exception as well."""
    onnxruntime.set_default_logger_severity(_FATAL)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL
    return options


class ScrfdFaceDetector:
    """A `FaceDetector` of `ingredients.core.protocols`.

    Args:
        path: an SCRFD network with landmarks, such as `scrfd_10g_bnkps.onnx`.
        input_size: I, to which a photo's longer side is brought; a multiple of 32.
        score_threshold: candidates below it are no faces.
        overlap_threshold: of two candidates that overlap by more (intersection over union), the better one stays.

    Raises:
        MissingDependencyError: as `OnnxNetwork`, as are the others.
    """

    def __init__(
        self, path: Path, *, input_size: int = 640, score_threshold: float = 0.5, overlap_threshold: float = 0.4
    ) -> None:
        if input_size % _STRIDES[-1]:
            raise ValueError(f"input_size must be a multiple of {_STRIDES[-1]}, not {input_size}")
        self.network = OnnxNetwork(path, num_outputs=len(_STRIDES) * len(_OUTPUTS_OF_A_STRIDE))
        self.input_size = input_size
        self.score_threshold = score_threshold
        self.overlap_threshold = overlap_threshold

    def detect(self, image: UInt8Array) -> list[Face]:
        """Finds the faces in one RGB image (H, W, 3), the largest first."""
        height, width = image.shape[:2]
        scale = self.input_size / max(height, width)
        fitted_height, fitted_width = max(1, int(height * scale)), max(1, int(width * scale))
        padded = np.zeros((self.input_size, self.input_size, 3), np.uint8)
        padded[:fitted_height, :fitted_width] = resize_bilinear(image[None], fitted_height, fitted_width)[0]
        outputs = self.network(_to_input(padded[None], _DETECTOR_MEAN, _DETECTOR_SCALE))
        scores, boxes, landmarks = decode_scrfd(outputs, self.input_size)
        likely = np.flatnonzero(scores >= self.score_threshold)
        kept = likely[suppress_overlaps(boxes[likely], scores[likely], self.overlap_threshold)]
        vertical = fitted_height / height
        faces = [
            Face(box=boxes[index] / vertical, score=float(scores[index]), landmarks=landmarks[index] / vertical)
            for index in kept
        ]
        return sorted(faces, key=lambda face: -face.area)


class OnnxFaceRecogniser:
    """A `FaceRecogniser` of `ingredients.core.protocols`.

    Args:
        path: an ArcFace network, such as `glintr100.onnx`.
        recognition_input: `published` embeds the whole wide FFHQ crop of 512 pixels, as the published code does;
            `aligned` the tight crop that such networks were trained on.
        embedding_dim: D.
        input_size: side of the network's input.

    Raises:
        MissingDependencyError: as `OnnxNetwork`, as are the others.
    """

    def __init__(
        self,
        path: Path,
        *,
        recognition_input: RecognitionInput = "published",
        embedding_dim: int = 512,
        input_size: int = 112,
    ) -> None:
        self.network = OnnxNetwork(path, num_outputs=1)
        self.recognition_input = recognition_input
        self.input_size = input_size
        self._embedding_dim = embedding_dim
        self._map_network: OnnxNetwork | None = None  # made when it is first asked for

    @property
    def crop_size(self) -> int:
        """Side S of the crops in pixels."""
        return _PUBLISHED_CROP_SIZE if self.recognition_input == "published" else self.input_size

    @property
    def embedding_dim(self) -> int:
        """Width D of the embedding."""
        return self._embedding_dim

    def align(self, image: UInt8Array, landmarks: Float32Array) -> UInt8Array:
        """Cuts the face with landmarks (5, 2) out of an RGB image (H, W, 3), as a crop (S, S, 3)."""
        crop = crop_ffhq if self.recognition_input == "published" else crop_arcface
        return crop(image, landmarks, size=self.crop_size)

    def embed(self, crops: UInt8Array) -> Tensor:
        """Embeds crops (B, S, S, 3) as float32 (B, D), not normalised."""
        resized = resize_bilinear(crops, self.input_size, self.input_size)
        (embeds,) = self.network(_to_input(resized, _RECOGNISER_MEAN, _RECOGNISER_SCALE))
        return torch.from_numpy(np.asarray(embeds, np.float32))

    def scale_features(self, crops: UInt8Array, *, num_patches: int) -> tuple[Tensor, ...]:
        """Feature maps of the backbone on the token grid of an image encoder (paper, 3.2), as `maps_to_tokens`.

        Args:
            crops: (B, S, S, 3).
            num_patches: P.

        Raises:
            UserInputError: if the network has no four residual stages.
            MissingDependencyError: without onnx.
        """
        if self._map_network is None:
            self._map_network = OnnxNetwork(
                self.network.path, num_outputs=NUM_MAPS, model=with_map_outputs(self.network.path)
            )
        resized = resize_bilinear(crops, self.input_size, self.input_size)
        maps = self._map_network(_to_input(resized, _RECOGNISER_MEAN, _RECOGNISER_SCALE))
        return maps_to_tokens(
            [torch.from_numpy(np.asarray(each, np.float32)) for each in maps], num_patches=num_patches
        )


def decode_scrfd(outputs: list[Float32Array], input_size: int) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Candidates of all strides: scores (M,), boxes (M, 4) and landmarks (M, 5, 2) in pixels of the input.

    Args:
        outputs: the scores of each stride, then the boxes, then the landmarks; rows ordered by cell (row by row), then
            anchor.
        input_size: I.
    """
    scores, boxes, landmarks = [], [], []
    for index, stride in enumerate(_STRIDES):
        score, distances, offsets = (
            outputs[index + kind * len(_STRIDES)].reshape(-1, width) for kind, width in enumerate(_OUTPUTS_OF_A_STRIDE)
        )
        cells = input_size // stride
        rows, columns = np.mgrid[:cells, :cells]
        corners = np.stack([columns, rows], axis=-1).reshape(-1, 2) * stride
        corners = np.repeat(corners, len(score) // len(corners), axis=0).astype(np.float32)  # one for each anchor
        scores.append(score[:, 0])
        edges = distances * stride
        boxes.append(np.concatenate([corners - edges[:, :2], corners + edges[:, 2:]], axis=1))
        landmarks.append(corners[:, None] + offsets.reshape(-1, 5, 2) * stride)
    return np.concatenate(scores), np.concatenate(boxes), np.concatenate(landmarks)


def suppress_overlaps(boxes: Float32Array, scores: Float32Array, threshold: float) -> Int64Array:
    """Indices of the boxes (M, 4) that overlap no better one by more than the threshold, best first."""
    order = np.argsort(-scores, kind="stable")
    areas = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)  # in whole pixels, as in insightface
    kept = []
    while len(order):
        best, others = order[0], order[1:]
        kept.append(best)
        upper, lower = np.maximum(boxes[best, :2], boxes[others, :2]), np.minimum(boxes[best, 2:], boxes[others, 2:])
        shared = np.maximum(lower - upper + 1, 0).prod(axis=1)
        order = others[shared / (areas[best] + areas[others] - shared) <= threshold]
    return np.array(kept, dtype=np.int64)


def resize_bilinear(images: UInt8Array, height: int, width: int) -> UInt8Array:
    """Images (B, H, W, 3) at another size, without antialiasing, rounded to whole values: what OpenCV does."""
    pixels = torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, 1))).float()
    resized = F.interpolate(pixels, size=(height, width), mode="bilinear", align_corners=False)
    return np.moveaxis(resized.round().to(torch.uint8).numpy(), 1, -1)


def _to_input(images: UInt8Array, mean: float, scale: float) -> Float32Array:
    """RGB images (B, H, W, 3) as (B, 3, H, W) around zero."""
    return np.ascontiguousarray((np.moveaxis(images, -1, 1).astype(np.float32) - mean) / scale)
