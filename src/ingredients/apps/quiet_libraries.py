"""Nothing but our own words on the terminal, whichever library is imported when, and by whom."""

import contextlib
import sys
import types
import warnings
from collections.abc import Iterator

from ingredients.core.quiet_imports import around_imports
from ingredients.core.warnings_told import Notice

_LOGGING_MODULES = ("diffusers.utils.logging", "transformers.utils.logging")
"""Each has switches for its library's loading bars and hints."""


def silence_libraries() -> None:
    """Keeps the loading bars and hints of libraries off the terminal, also of those that are not imported yet."""
    for name in _LOGGING_MODULES:
        if name in sys.modules:
            _silence(sys.modules[name])
    around_imports(dict.fromkeys(_LOGGING_MODULES, _then_silent))


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


@contextlib.contextmanager
def _then_silent(library: types.ModuleType) -> Iterator[None]:
    yield
    _silence(library)
