"""Reads and writes the weights of one network, strictly in both directions."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from ingredients.core.errors import ModelFolderError, NotFiniteError
from ingredients.core.files import atomic_path
from ingredients.core.finite import all_finite
from ingredients.core.model_files import name_some


def load_weights(network: nn.Module, path: Path) -> None:
    """Fills a network from a safetensors file; every tensor must be there, fit, and be asked for.

    Half-precision weights become the network's own precision.

    Raises:
        ModelFolderError: if the file is missing or damaged, or a tensor is missing, unknown or of another shape.
    """
    fill_network(network, read_tensors(path), path)


def read_tensors(path: Path) -> Mapping[str, torch.Tensor]:
    """The tensors of a safetensors file; of any other, those that PyTorch reads without running code from it.

    Raises:
        ModelFolderError: if the file is missing or damaged, or holds anything but tensors.
    """
    if not path.is_file():
        raise ModelFolderError(f"The model folder lacks {path}; copy the folder again or name another one.")
    try:
        if path.suffix == ".safetensors":
            tensors: dict[str, torch.Tensor] = load_file(path)
            return tensors
        stored = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:  # whose message advises to read it all the same
        raise ModelFolderError(
            f"The weights {path} are damaged, or hold more than tensors by name: such a file can run programs, so it "
            "is not read; copy it again, or name one in safetensors."
        ) from error
    except (SafetensorError, OSError, RuntimeError, EOFError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelFolderError(f"The weights {path} are damaged ({reason}); copy the file again.") from error
    for key in ("state_dict", "module", "model"):  # where training code often puts them
        if isinstance(stored, Mapping) and isinstance(stored.get(key), Mapping):
            stored = stored[key]
    if not isinstance(stored, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in stored.values()):
        raise ModelFolderError(f"The weights {path} hold something else than tensors by name; name another file.")
    return cast(Mapping[str, torch.Tensor], stored)


def fill_network(network: nn.Module, stored: Mapping[str, torch.Tensor], path: Path) -> None:
    """Fills a network with tensors; all must be there, fit, and be asked for.

    Args:
        network: on the meta device, it takes the tensors over as they are; otherwise it keeps its own precision.
        stored: by the network's names.
        path: where they came from, for errors.

    Raises:
        ModelFolderError: if a tensor is missing, unknown or of another shape; it lists the first few.
    """
    expected = network.state_dict()
    missing = [name for name in expected if name not in stored]
    unknown = [name for name in stored if name not in expected]
    if missing or unknown:
        problems = [f"lack tensor {name_some(missing)}"] if missing else []
        problems += [f"hold the unknown tensor {name_some(unknown)}"] if unknown else []
        raise ModelFolderError(f"The weights {path} {' and '.join(problems)}; they belong to another model.")
    for name, tensor in expected.items():
        if stored[name].shape != tensor.shape:
            raise ModelFolderError(
                f"The tensor {name} in {path} has shape {tuple(stored[name].shape)}, "
                f"but the model needs {tuple(tensor.shape)}; the file belongs to another model."
            )
    check_stored(stored, path)
    network.load_state_dict(stored, assign=any(tensor.is_meta for tensor in expected.values()))


def check_stored(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Refuses weights that hold something else than finite numbers: whatever they compute is nothing.

    Raises:
        NotFiniteError: if a tensor does; it names the first few.
    """
    if broken := [name for name, tensor in tensors.items() if not all_finite(tensor)]:
        raise NotFiniteError(
            f"The weights {path} hold values that are not finite (NaN or infinite) in {name_some(broken)}; copy the "
            "file again, or take an earlier checkpoint."
        )


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
