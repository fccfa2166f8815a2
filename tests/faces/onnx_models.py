"""Small ONNX files with the signatures of insightface's networks, whose answers can be worked out by hand."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STRIDES = (8, 16, 32)
SHARPNESS = 10.0
BOX = (1.5, 1.0, 2.0, 2.5)
"""Distances to the left, top, right and bottom edge, in strides."""

LANDMARKS = (-1.0, -0.5, 1.0, -0.5, 0.0, 0.0, -0.5, 1.0, 0.5, 1.25)
"""Five offsets x, y, in strides."""


def write_scrfd(path: Path, *, num_anchors: int = 2) -> Path:
    """Stride 8 sees red cells, 16 green ones and 32 blue ones; boxes and landmarks are the same everywhere.

    A cell of the pure colour scores the sigmoid of `SHARPNESS`, any grey one that of its negative. The second anchor
    of a cell is a little less sure than the first.
    """
    nodes, tensors, names = [], [], {"score": [], "box": [], "landmark": []}
    for channel, stride in enumerate(STRIDES):
        cells = f"cells_{stride}"
        pool = {"kernel_shape": [stride, stride], "strides": [stride, stride]}
        nodes.append(helper.make_node("AveragePool", ["input"], [cells], **pool))
        for kind, constants in (("score", (0.0,)), ("box", BOX), ("landmark", LANDMARKS)):
            weight = np.zeros((num_anchors * len(constants), 3, 1, 1), np.float32)
            bias = np.tile(np.float32(constants), num_anchors)
            if kind == "score":
                weight[:] = -SHARPNESS / 2
                weight[:, channel] = SHARPNESS
                bias -= np.arange(num_anchors, dtype=np.float32) + SHARPNESS
            name = f"{kind}_{stride}"
            tensors += [numpy_helper.from_array(weight, f"{name}_w"), numpy_helper.from_array(bias, f"{name}_b")]
            nodes.append(helper.make_node("Conv", [cells, f"{name}_w", f"{name}_b"], [f"{name}_map"]))
            nodes.append(helper.make_node("Transpose", [f"{name}_map"], [f"{name}_last"], perm=[0, 2, 3, 1]))
            tensors.append(numpy_helper.from_array(np.array([-1, len(constants)]), f"{name}_shape"))
            rows = f"{name}_rows" if kind == "score" else name
            nodes.append(helper.make_node("Reshape", [f"{name}_last", f"{name}_shape"], [rows]))
            if kind == "score":
                nodes.append(helper.make_node("Sigmoid", [rows], [name]))
            names[kind].append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, len(constants)]))
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, None, None])
    return _write(path, nodes, picture, names["score"] + names["box"] + names["landmark"], tensors)


def write_mean_colour(path: Path, weight: np.ndarray, *, size: int | None = 112, batch: int | None = None) -> Path:
    """Pictures (batch, 3, size, size) in; the mean colour times `weight` (3, D) out."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["colour"]),
        helper.make_node("MatMul", ["colour", "weight"], ["embedding"]),
    ]
    crops = helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, size, size])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch, weight.shape[1]])
    return _write(path, nodes, crops, [embedding], [numpy_helper.from_array(weight.astype(np.float32), "weight")])


def write_arcface(path: Path, weight: np.ndarray) -> Path:
    """The embedding is the mean colour times `weight` (3, D)."""
    return write_mean_colour(path, weight)


def _write(path: Path, nodes: list, picture: object, outputs: list, tensors: list) -> Path:
    graph = helper.make_graph(nodes, path.stem, [picture], outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
