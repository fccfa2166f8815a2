"""Libraries that not everybody needs, imported when they are used."""

import importlib
import types
from typing import Any

from ingredients.core.errors import MissingDependencyError


def import_optional(module: str, *, extra: str) -> types.ModuleType:
    """Imports `module`, which the extra `extra` of this package installs.

    A broken install (a library that needs another build of torch) raises RuntimeError while importing, and counts as
    missing.

    Raises:
        MissingDependencyError: if it cannot be imported; the message holds the command that installs it.
    """
    return _import(module, install=f'"ingredients[{extra}]"')


def import_library(module: str, *, install: str) -> types.ModuleType:
    """Imports `module` of a library that is in none of this package's extras.

    Args:
        module: its name.
        install: what `pip install` takes.

    Raises:
        MissingDependencyError: as `import_optional`.
    """
    return _import(module, install=install)


class LazyLibrary(types.ModuleType):
    """Stands for a library that is imported with its first attribute, so that who never uses it need not have it.

    Args:
        module: its name.
        install: what `pip install` takes.

    Raises:
        MissingDependencyError: where an attribute is used and the library cannot be imported.
    """

    def __init__(self, module: str, *, install: str) -> None:
        super().__init__(module)
        self._install = install

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what inspect and its like ask of every module
            raise AttributeError(name)
        return getattr(_import(self.__name__, install=self._install), name)


def _import(module: str, *, install: str) -> types.ModuleType:
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError) as error:
        raise MissingDependencyError(
            f"This needs the library {module!r}, which cannot be imported ({error}); "
            f"install it with: pip install {install}"
        ) from error
