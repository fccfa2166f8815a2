"""Which tests a machine can run that lacks libraries: those whose imports, and the imports of those, are all there."""

import ast
import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACES = {"tests": ROOT / "tests", "ingredients": ROOT / "src" / "ingredients"}

LIBRARIES = (
    "av", "dlib", "httpx2", "hypothesis", "matplotlib", "onnx", "onnxruntime", "rich", "skimage", "tensorboard",
    "typer", "webdataset",
)  # fmt: skip
"""Those that machines with a GPU and a PyTorch of their own have been seen without."""


@functools.cache
def missing_libraries() -> frozenset[str]:
    """Those that this machine lacks."""
    return frozenset(name for name in LIBRARIES if importlib.util.find_spec(name) is None)


def lacks_something(path: Path) -> bool:
    """Whether a test file, or the conftest of a folder, cannot be imported here."""
    if not missing_libraries():
        return False
    file = path / "conftest.py" if path.is_dir() else path
    return file.is_file() and not missing_libraries().isdisjoint(_needs(file))


def _needs(file: Path) -> frozenset[str]:
    """All libraries that a file imports as it is imported itself."""
    libraries, seen, waiting = set(), {file}, [file]
    while waiting:
        for module in _imports(waiting.pop()):
            top, *rest = module.split(".")
            if top not in PLACES:
                libraries.add(top)
                continue
            path = PLACES[top].joinpath(*rest)
            found = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            if found.is_file() and found not in seen:
                seen.add(found)
                waiting.append(found)
    return frozenset(libraries)


@functools.cache
def _imports(file: Path) -> tuple[str, ...]:
    return tuple(_imports_of(ast.parse(file.read_text(encoding="utf-8")).body))


def _imports_of(statements: list[ast.stmt]) -> Iterator[str]:
    """Modules that statements import at once: neither in a function nor for types alone."""
    for statement in statements:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module is not None:
            yield statement.module
            yield from (f"{statement.module}.{alias.name}" for alias in statement.names)
        elif isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            yield from _imports_of(statement.orelse)
        elif isinstance(statement, ast.If | ast.With):
            yield from _imports_of(statement.body)
