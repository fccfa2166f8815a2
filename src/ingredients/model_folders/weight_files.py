"""The weight files of a part of a model folder, compared with its config before a tensor is taken.

Weights are safetensors, or PyTorch's own files, of which nothing but tensors is read.
"""

import contextlib
import dataclasses
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch.nn.modules.module import register_module_parameter_registration_hook

from ingredients.core.errors import IngredientsError, ModelFolderError, NotFiniteError
from ingredients.core.finite import all_finite
from ingredients.core.input_files import check_all_regular, check_regular
from ingredients.core.model_files import name_some, read_json
from ingredients.core.out_of_memory import is_out_of_memory
from ingredients.faces.weights import check_stored, read_tensors

DIFFUSERS_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
"""What diffusers calls a part's weights."""

TRANSFORMERS_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""What transformers calls them."""

Shapes = dict[str, tuple[int, ...]]

_PLAIN_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WeightChoice:
    """Which of the files that hold a part's weights are read."""

    variant: str | None = None
    """A word between name and suffix, as in `model.fp16.safetensors`; parts without such files are read without it."""

    safetensors_only: bool = False
    """Whether PyTorch's own files are passed over."""


ANY_WEIGHTS = WeightChoice()


def weight_files(folder: Path, known_names: Sequence[str], choice: WeightChoice = ANY_WEIGHTS) -> list[Path]:
    """The weights of a part: one file, or the shards that its index names.

    Args:
        folder: The part's folder.
        known_names: What a single file may be called; the first that is there is taken.
        choice: Which of them are read.

    Raises:
        ModelFolderError: If there are none, or a shard is missing.
    """
    wanted = [name for name in known_names if not choice.safetensors_only or name.endswith(".safetensors")]
    candidates = [(name, f"{name}.index.json") for name in wanted]
    if choice.variant is not None:
        candidates = [_names_of_variant(name, choice.variant) for name in wanted] + candidates
    there = [names for names in candidates if any((folder / name).is_file() for name in names)]
    name, index_name = (there or candidates)[0]
    names = _shards(folder / index_name) if (folder / index_name).is_file() else [name]
    missing = [each for each in names if not (folder / each).is_file()]
    if missing or not names:
        raise ModelFolderError(
            f"The model folder lacks {folder / (missing or [name])[0]}; {_remedy(folder, known_names, wanted)}."
        )
    return [folder / each for each in names]


def has_variant(folder: Path, known_names: Sequence[str], variant: str) -> bool:
    """Whether a part has weights of a variant."""
    return any((folder / name).is_file() for each in known_names for name in _names_of_variant(each, variant))


def _names_of_variant(name: str, variant: str) -> tuple[str, str]:
    """What diffusers and transformers call a variant's file, and its index."""
    stem, suffix = name.rsplit(".", 1)
    return f"{stem}.{variant}.{suffix}", f"{name}.index.{variant}.json"


def _shards(index: Path) -> list[str]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise ModelFolderError(f"The file {index} must say in weight_map which file holds each tensor; copy it again.")
    if strange := [name for name in weight_map.values() if Path(name).name != name]:
        raise ModelFolderError(f"The file {index} names {strange[0]}, which is no file of its folder; copy it again.")
    return sorted(set(weight_map.values()))


def _remedy(folder: Path, known_names: Sequence[str], wanted: Sequence[str]) -> str:
    """What to do about missing weights."""
    if any((folder / name).is_file() for name in known_names if name not in wanted):
        return "there is a .bin file, which use_safetensors=True passes over"
    for name in wanted:
        stem, suffix = name.rsplit(".", 1)
        if others := sorted(folder.glob(f"{stem}.*.{suffix}")):
            variant = others[0].name.removeprefix(f"{stem}.").removesuffix(f".{suffix}")
            return f"it has the variant {variant}: load it with variant={variant!r}"
    return "copy the folder again"


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
        NotFiniteError: If a tensor holds a value that is no number.
    """
    for path in files:
        if path.suffix == ".safetensors":
            with _open(path) as file:
                for name in file.keys():  # noqa: SIM118
                    tensor = file.get_tensor(name)
                    check_stored({name: tensor}, path)
                    yield name, tensor
        else:
            tensors = read_tensors(path)
            check_stored(tensors, path)
            yield from tensors.items()


@contextlib.contextmanager
def without_weights() -> Iterator[None]:
    """Puts the parameters of modules that are built within a block on the meta device; buffers stay what they are.

    It holds for its own thread alone: what others build meanwhile, such as a judge while a page asks what a video
    needs, has its weights.
    """
    _leave_out_weights_where_asked()
    before = getattr(_THIS_THREAD, "leaves_out_weights", False)
    _THIS_THREAD.leaves_out_weights = True
    try:
        yield
    finally:
        _THIS_THREAD.leaves_out_weights = before


_THIS_THREAD = threading.local()


@functools.cache
def _leave_out_weights_where_asked() -> None:
    """Has PyTorch ask about each parameter of any module, from now on: to add and remove that would race."""
    register_module_parameter_registration_hook(_left_out)  # type: ignore[arg-type] # PyTorch takes what it returns


def _left_out(_: torch.nn.Module, __: str, parameter: torch.nn.Parameter | None) -> torch.nn.Parameter | None:
    """The same parameter without its numbers; None leaves it as it is."""
    if parameter is None or not getattr(_THIS_THREAD, "leaves_out_weights", False):
        return None
    return torch.nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)


def fill(
    module: torch.nn.Module,
    files: Sequence[Path],
    dtype_of: Callable[[str], torch.dtype],
    *,
    complete: Callable[[str, torch.Tensor], torch.Tensor] = lambda _, tensor: tensor,
) -> None:
    """Gives a module without weights those of some files, whose names and shapes are known to fit.

    Args:
        module: On the meta device; it is put into evaluation mode.
        files: The weights.
        dtype_of: In which type a tensor is kept, by its name.
        complete: Makes the tensor of a name of what lies in the files.

    Raises:
        ModelFolderError: If a file is damaged.
        NotFiniteError: If a tensor holds a value that is no number, or does not fit into its type.
    """
    weights = {}
    for name, tensor in stored_tensors(files):
        dtype = dtype_of(name)
        weights[name] = complete(name, tensor).to(dtype)
        if dtype != tensor.dtype and not all_finite(weights[name]):
            raise NotFiniteError(
                f"The weights {name} in {files[0].parent} do not fit into {str(dtype).removeprefix('torch.')}; take "
                "bfloat16 or float32."
            )
    module.load_state_dict(weights, strict=False, assign=True)
    module.eval()


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turns what a library says of a bad file into one sentence that names the folder; nothing waits for a pipe."""
    with in_one_sentence(f"The part {folder} cannot be read", "copy the folder again"):
        check_all_regular(folder)
        yield


@contextlib.contextmanager
def in_one_sentence(what: str, remedy: str) -> Iterator[None]:
    """Turns whatever a library says of a bad file into one sentence: `what`, its first line, and a remedy."""
    try:
        yield
    except IngredientsError:
        raise
    except Exception as error:  # libraries fail on bad files in as many ways as there are
        if is_out_of_memory(error):
            raise
        raise ModelFolderError(f"{what} ({first_line(error)}); {remedy}.") from error


def first_line(error: BaseException) -> str:
    """What a library says of a failure, at most a line of it."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300].rstrip(" .:;")


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise ModelFolderError(f"The weights {path} are damaged ({error}); copy the file again.") from error
