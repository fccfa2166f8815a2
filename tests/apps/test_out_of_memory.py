"""Running out of memory anywhere in `ingredients generate` ends with one sentence that says what to try."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLCogVideoX
from transformers import T5EncoderModel

from ingredients.core.errors import OutOfMemoryError
from ingredients.core.memory_mode import MemoryMode
from ingredients.core.out_of_memory import explained_out_of_memory, is_out_of_memory
from ingredients.models.block_ingredients import IngredientsBlock
from tests.apps.conftest import Run

ALLOCATOR = "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried ..."


@pytest.fixture
def run_out(monkeypatch: pytest.MonkeyPatch) -> Callable[[type, BaseException], None]:
    """Lets every part of a class run out of memory when it is next called."""

    def register(part_type: type, error: BaseException) -> None:
        initialise = part_type.__init__

        def fail(*_: object) -> None:
            raise error

        def with_hook(part: torch.nn.Module, *arguments: Any, **options: Any) -> None:
            initialise(part, *arguments, **options)
            part.register_forward_pre_hook(fail)

        monkeypatch.setattr(part_type, "__init__", with_hook)

    return register


@pytest.fixture
def generate(run: Run, tiny_model: Path, photos: dict[str, Path]) -> Callable[..., Any]:
    def run_generate(*options: object) -> Any:
        people = [f"--photo=ana={photos['ana']}", f"--photo=ben={photos['ben']}"]
        return run("generate", *people, "--prompt=Two people wave.", f"--model={tiny_model}", *options)

    return run_generate


@pytest.mark.parametrize(
    ("memory", "remedy"),
    [
        ("auto", "mode full; try --memory balanced."),
        ("full", "mode full; try --memory balanced."),
        ("balanced", "mode balanced; try --memory minimal."),  # on the processor low does the same
        ("low", "mode low; try --memory minimal."),
        (
            "minimal",
            "mode minimal; make fewer frames with --num-frames, or a smaller video with --height and --width.",
        ),
    ],
)
@pytest.mark.parametrize(
    ("part_type", "error"),
    [
        (IngredientsBlock, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")),
        (T5EncoderModel, RuntimeError(ALLOCATOR)),
    ],
)
def test_one_sentence_names_what_to_try(
    generate: Callable[..., Any],
    run_out: Callable[[type, BaseException], None],
    part_type: type,
    error: BaseException,
    memory: str,
    remedy: str,
) -> None:
    run_out(part_type, error)
    result = generate(f"--memory={memory}")
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.strip().splitlines()[-1] == f"Error: The machine ran out of memory in the memory {remedy}"
    assert "Traceback" not in result.stderr
    assert not list(Path.cwd().iterdir())


def test_while_the_model_is_read(generate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(ALLOCATOR)

    monkeypatch.setattr(AutoencoderKLCogVideoX, "__init__", fail)
    result = generate()
    assert result.exit_code == 2
    last = result.stderr.strip().splitlines()[-1]
    assert last == (
        "Error: The machine ran out of memory while the model was read; close other programs, or use a larger machine."
    )


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError(), RuntimeError("CUDA error: out of memory"), RuntimeError(ALLOCATOR)],
)
def test_on_a_device(error: BaseException) -> None:
    with (
        pytest.raises(OutOfMemoryError, match=r"^The device ran out of memory in the memory mode balanced; .* low\.$"),
        explained_out_of_memory(MemoryMode.BALANCED, on_processor=False),
    ):
        raise error


def test_other_errors_pass() -> None:
    assert not is_out_of_memory(ValueError("out of memory"))
    with pytest.raises(RuntimeError, match="shape"), explained_out_of_memory(MemoryMode.FULL, on_processor=True):
        raise RuntimeError("a shape does not fit")
