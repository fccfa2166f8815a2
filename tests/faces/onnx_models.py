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


STAGE_WIDTHS = (5, 6, 7, 8)


def write_residual_network(path: Path, *, embedding_dim: int, num_stages: int = 4) -> dict[str, np.ndarray]:
    """Laid out as `glintr100.onnx` is: stages of two residual blocks, each of half the size of the one before.

    Returns:
        The weights: `STAGE.down`, `STAGE.shortcut` and `STAGE.second`, and `embedding`.
    """
    rng = np.random.default_rng(3)
    nodes, weights, last, width = [], {}, "input.1", 3
    for stage, out_width in enumerate(STAGE_WIDTHS[:num_stages]):
        for name, shape in (
            ("down", (out_width, width, 3, 3)), ("shortcut", (out_width, width, 1, 1)),
            ("second", (out_width, out_width, 3, 3)),
        ):  # fmt: skip
            weights[f"{stage}.{name}"] = rng.normal(0, 0.3, shape).astype(np.float32)
        halved = {"strides": [2, 2]}
        nodes += [
            helper.make_node(
                "Conv", [last, f"{stage}.down"], [f"{stage}.a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], **halved
            ),
            helper.make_node("Conv", [last, f"{stage}.shortcut"], [f"{stage}.b"], kernel_shape=[1, 1], **halved),
            helper.make_node("Add", [f"{stage}.a", f"{stage}.b"], [f"{stage}.first_block"]),
            helper.make_node(
                "Conv", [f"{stage}.first_block", f"{stage}.second"], [f"{stage}.c"], kernel_shape=[3, 3],
                pads=[1, 1, 1, 1],
            ),
            helper.make_node("Add", [f"{stage}.c", f"{stage}.first_block"], [f"{stage}.second_block"]),
        ]  # fmt: skip
        last, width = f"{stage}.second_block", out_width
    weights["embedding"] = rng.normal(size=(width, embedding_dim)).astype(np.float32)
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "embedding"], ["1333"]),
    ]
    crops = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [None, 3, 112, 112])
    embedding = helper.make_tensor_value_info("1333", TensorProto.FLOAT, [None, embedding_dim])
    _write(path, nodes, crops, [embedding], [numpy_helper.from_array(w, name) for name, w in weights.items()])
    return weights


def write_arcface(path: Path, weight: np.ndarray) -> Path:
    """The embedding is the mean colour times `weight` (3, D)."""
    return write_mean_colour(path, weight)


def _write(path: Path, nodes: list, picture: object, outputs: list, tensors: list) -> Path:
    graph = helper.make_graph(nodes, path.stem, [picture], outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
