"""The weight files of a part of a model folder, compared with its config before a tensor is taken.

Weights are safetensors, or PyTorch's own files, of which nothing but tensors is read.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from ingredients.core.errors import ModelFolderError
from ingredients.core.input_files import check_all_regular, check_regular
from ingredients.core.model_files import name_some, read_json
from ingredients.faces.weights import read_tensors
from ingredients.pipelines.out_of_memory import is_out_of_memory

DIFFUSERS_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
"""What diffusers calls a part's weights."""

TRANSFORMERS_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""What transformers calls them."""

Shapes = dict[str, tuple[int, ...]]

_PLAIN_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def weight_files(folder: Path, known_names: Sequence[str]) -> list[Path]:
    """The weights of a part: one file, or the shards that its index names.

    Args:
        folder: Of the part.
        known_names: What a single file may be called; the first that is there is taken.

    Raises:
        ModelFolderError: If there are none, or a shard is missing.
    """
    there = [name for name in known_names if (folder / name).is_file() or (folder / f"{name}.index.json").is_file()]
    name = (there or known_names)[0]
    index = folder / f"{name}.index.json"
    names = sorted(set(read_json(index).get("weight_map", {}).values())) if index.is_file() else [name]
    missing = [each for each in names if not (folder / each).is_file()]
    if missing or not names:
        raise ModelFolderError(f"The model folder lacks {folder / (missing or [name])[0]}; copy the folder again.")
    return [folder / each for each in names]


def check_shapes(folder: Path, stored: Shapes, expected: Shapes) -> None:
    """Compares what a part's files hold with what its config asks for.

    Raises:
        ModelFolderError: If a tensor is missing, unknown or of another shape; it names the first few.
    """
    problems = []
    if missing := [name for name in expected if name not in stored]:
        problems.append(f"lack {name_some(missing)}")
    if unknown := [name for name in stored if name not in expected]:
        problems.append(f"hold the unknown {name_some(unknown)}")
    if misshapen := [name for name in expected if name in stored and stored[name] != expected[name]]:
        problems.append(
            "hold " + name_some([f"{name} of shape {stored[name]} instead of {expected[name]}" for name in misshapen])
        )
    if problems:
        raise ModelFolderError(
            f"The weights in {folder} do not fit its config.json: they {' and '.join(problems)}; "
            "copy the folder again."
        )


def shapes_of(model: torch.nn.Module) -> Shapes:
    """What a model asks of its files."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def stored_shapes(files: Sequence[Path]) -> Shapes:
    """What some files hold, without reading the tensors where the format allows it.

    Raises:
        ModelFolderError: If a file is damaged, or its numbers are not plain floating-point ones.
    """
    shapes: Shapes = {}
    quantised = []
    for path in files:
        if path.suffix == ".safetensors":
            with _open(path) as file:
                for name in file.keys():  # noqa: SIM118 - not a dictionary
                    tensor = file.get_slice(name)
                    shapes[name] = tuple(tensor.get_shape())
                    if tensor.get_dtype() not in _PLAIN_TYPES:
                        quantised.append(f"{name} as {tensor.get_dtype()}")
        else:
            for name, tensor in read_tensors(path).items():
                shapes[name] = tuple(tensor.shape)
                if tensor.dtype not in _PLAIN_TYPES.values():
                    quantised.append(f"{name} as {tensor.dtype}")
    if quantised:
        raise ModelFolderError(
            f"The weights in {files[0].parent} are not plain floating-point numbers ({name_some(quantised)}): their "
            "scales are not known here; take the files in float32, float16 or bfloat16."
        )
    return shapes


def stored_dtypes(files: Sequence[Path]) -> set[torch.dtype]:
    """The types in which some files hold their tensors, which `stored_shapes` has found to be plain.

    Raises:
        ModelFolderError: If a file is damaged.
    """
    found = set()
    for path in files:
        if path.suffix == ".safetensors":
            with _open(path) as file:
                found |= {_PLAIN_TYPES[file.get_slice(name).get_dtype()] for name in file.keys()}  # noqa: SIM118
        else:
            found |= {tensor.dtype for tensor in read_tensors(path).values()}
    return found


def stored_tensors(files: Sequence[Path]) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of some files, one by one.

    Raises:
        ModelFolderError: If a file is damaged.
    """
    for path in files:
        if path.suffix == ".safetensors":
            with _open(path) as file:
                for name in file.keys():  # noqa: SIM118
                    yield name, file.get_tensor(name)
        else:
            yield from read_tensors(path).items()


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turns what a library says of a bad file into one sentence that names the folder; nothing waits for a pipe."""
    try:
        check_all_regular(folder)
        yield
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelFolderError(f"The part {folder} cannot be read ({reason}); copy the folder again.") from error


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise ModelFolderError(f"The weights {path} are damaged ({error}); copy the file again.") from error
