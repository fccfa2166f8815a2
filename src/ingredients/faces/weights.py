"""Reads and writes the weights of one network, strictly in both directions."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from ingredients.core.errors import ModelFolderError
from ingredients.core.files import atomic_path


def load_weights(network: nn.Module, path: Path) -> None:
    """Fills a network from a safetensors file; every tensor must be there, fit, and be asked for.

    Half-precision weights become the network's own precision.

    Raises:
        ModelFolderError: if the file is missing or damaged, or a tensor is missing, unknown or of another shape.
    """
    if not path.is_file():
        raise ModelFolderError(f"The model folder lacks {path}; copy the folder again or name another one.")
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelFolderError(f"The weights {path} are damaged ({error}); copy the file again.") from error
    expected = network.state_dict()
    missing = [name for name in expected if name not in stored]
    unknown = [name for name in stored if name not in expected]
    if missing or unknown:
        kind, name = ("lack", missing[0]) if missing else ("hold the unknown", unknown[0])
        raise ModelFolderError(f"The weights {path} {kind} tensor {name}; they belong to another model.")
    for name, tensor in expected.items():
        if stored[name].shape != tensor.shape:
            raise ModelFolderError(
                f"The tensor {name} in {path} has shape {tuple(stored[name].shape)}, "
                f"but the model needs {tuple(tensor.shape)}; the file belongs to another model."
            )
    network.load_state_dict(stored)


def use_channels_last(network: nn.Module) -> None:
    """Lays convolution weights out as the CPU's kernels like them."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def save_weights(network: nn.Module, path: Path, *, dtype: torch.dtype = torch.float16) -> None:
    """Writes a network's weights as safetensors, floating-point tensors in `dtype`.

    Raises:
        OutputError: if the folder does not exist or the disk is full.
    """
    tensors = {
        name: (tensor.to(dtype) if tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in network.state_dict().items()
    }
    with atomic_path(path) as temporary:
        save_file(tensors, temporary)
