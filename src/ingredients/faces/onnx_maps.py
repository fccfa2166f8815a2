"""Feature maps out of a recogniser's ONNX file: its residual stages become the outputs.

The file itself stays as it is, weights and all: the graph is read, the stages' tensors are found and named as outputs
in memory. The weights of antelopev2 remain for non-commercial use only, and so do features that they computed.

`glintr100.onnx` is a residual network of four stages, of 3, 13, 30 and 3 blocks, at a half, a quarter, an eighth and a
sixteenth of its input's size; a stage ends with the sum of its last block (Deng et al., "ArcFace", 2019).
"""

import itertools
from pathlib import Path
from typing import Any

from ingredients.core.errors import ModelFolderError, UserInputError
from ingredients.core.optional_dependencies import import_optional

NUM_MAPS = 4
"""Stages of a recogniser of insightface's."""


def with_map_outputs(path: Path) -> bytes:
    """The model of a file, with the maps of its residual stages as its outputs, shallow to deep.

    Raises:
        UserInputError: if it has no four residual stages.
        ModelFolderError: if the file is damaged.
        MissingDependencyError: without onnx.
    """
    onnx: Any = import_optional("onnx", extra="faces")
    try:
        model = onnx.load(str(path))
        shapes = onnx.shape_inference.infer_shapes(model)
    except Exception as error:  # onnx's and protobuf's own exceptions share no class but this one
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelFolderError(f"The network {path} cannot be read ({reason}); copy the file again.") from error
    names = stage_names(shapes)
    if len(names) != NUM_MAPS:
        raise UserInputError(
            f"The recogniser {path} gives no feature maps: it has {len(names) or 'no'} residual stages instead of "
            f"{NUM_MAPS}; take scale_source=clip, or another recogniser, such as antelopev2's glintr100.onnx."
        )
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    content: bytes = model.SerializeToString()
    return content


def stage_names(model: Any) -> list[str]:
    """Names of the tensors that end the residual stages: of each size of map, the last sum.

    Args:
        model: an ONNX model whose shapes are inferred.
    """
    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in itertools.chain(model.graph.value_info, model.graph.output)
    }
    last_of_size: dict[tuple[int, int], str] = {}
    for node in model.graph.node:  # in the order in which they are computed
        shape = shapes.get(node.output[0], [])
        if node.op_type == "Add" and len(shape) == 4 and min(shape[2:]) > 0:
            last_of_size[shape[2], shape[3]] = node.output[0]
    return list(last_of_size.values())
