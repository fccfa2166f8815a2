"""Nothing but our own words on the terminal, whichever library is imported when, and by whom."""

import contextlib
import importlib.abc
import importlib.machinery
import logging
import sys
import types
import warnings
from collections.abc import Iterator, Sequence

from ingredients.core.warnings_told import Notice

_LOGGING_MODULES = ("diffusers.utils.logging", "transformers.utils.logging")
"""Each has switches for its library's loading bars and hints."""

_QUIET_LOGGERS = ("torchao", "torch.utils._pytree")
"""What torchao says as diffusers imports it where it is installed: of parts for GPUs, and of its own old ways."""


def silence_libraries() -> None:
    """Keeps the loading bars and hints of libraries off the terminal, also of those that are not imported yet."""
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in _LOGGING_MODULES:
        if name in sys.modules:
            _silence(sys.modules[name])
    if not any(isinstance(finder, _SilencingFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _SilencingFinder())


@contextlib.contextmanager
def only_our_words(notice: Notice) -> Iterator[None]:
    """Silences libraries, and hands warnings of this package to `notice` while the block runs; theirs are dropped.

    Who asks Python for warnings, by `-W` or PYTHONWARNINGS, gets them as Python shows them.
    """
    silence_libraries()
    if sys.warnoptions:
        yield
        return
    with warnings.catch_warnings():

        def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
            if category.__module__.partition(".")[0] == __name__.partition(".")[0]:
                notice(str(message))

        warnings.showwarning = show
        yield


def _silence(library: types.ModuleType) -> None:
    library.disable_progress_bar()
    library.set_verbosity_error()


class _SilencingFinder(importlib.abc.MetaPathFinder):
    """Finds the logging modules as Python does, and silences them once they are loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _LOGGING_MODULES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _SilencingLoader(spec.loader.name, spec.loader.path)
        return spec


class _SilencingLoader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: types.ModuleType) -> None:
        super().exec_module(module)
        _silence(module)
