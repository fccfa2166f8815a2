"""What is to happen around the import of one module of a library, whoever imports it, and when."""

import contextlib
import importlib.abc
import importlib.machinery
import logging
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence

Around = Callable[[types.ModuleType], contextlib.AbstractContextManager[None]]
"""Gives a context that is entered before a module's code runs, and left after it."""

_IMPORTERS_OF_TORCHAO = (
    "accelerate.utils.dataclasses",
    "diffusers.quantizers.torchao.torchao_quantizer",
    "transformers.quantizers.quantizer_torchao",
)
"""Modules of other libraries that import torchao where it is installed, whether or not it is used."""

_TOLD_ABOUT_TORCHAO = ("torchao", "torch.utils._pytree", *_IMPORTERS_OF_TORCHAO)
"""The loggers that then speak of parts for GPUs, of torchao's own old ways, and of kinds of tensors that it lost."""


def around_imports(around: Mapping[str, Around]) -> None:
    """Has the import of each named module happen within what is given for it; modules that are there stay as they are.

    Asking for the same once more changes nothing.
    """
    finder = _Finder(around)
    if finder not in sys.meta_path:
        sys.meta_path.insert(0, finder)


def import_torchao_quietly() -> None:
    """Keeps what is said as other libraries import torchao off the terminal, and nothing else.

    The loggers are as before when the import is done, and who imports torchao is told everything.
    """
    around_imports(dict.fromkeys(_IMPORTERS_OF_TORCHAO, _only_errors))


@contextlib.contextmanager
def _only_errors(_: types.ModuleType) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _TOLD_ABOUT_TORCHAO]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the named modules as Python does, and gives them another loader."""

    def __init__(self, around: Mapping[str, Around]) -> None:
        self._around = dict(around)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Finder) and self._around == other._around

    def __hash__(self) -> int:
        return hash(frozenset(self._around))

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._around:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path, self._around[fullname])
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, around: Around) -> None:
        super().__init__(name, path)
        self._around = around

    def exec_module(self, module: types.ModuleType) -> None:
        with self._around(module):
            super().exec_module(module)
