"""Libraries that not everybody needs, imported when they are used."""

import importlib
import types

from ingredients.core.errors import MissingDependencyError


def import_optional(module: str, *, extra: str) -> types.ModuleType:
    """Imports `module`, which the extra `extra` of this package installs.

    A broken install (a library that needs another build of torch) raises RuntimeError while importing, and counts as
    missing.

    Raises:
        MissingDependencyError: if it cannot be imported; the message holds the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError) as error:
        raise MissingDependencyError(
            f"This needs the library {module!r}, which cannot be imported ({error}); "
            f'install it with: pip install "ingredients[{extra}]"'
        ) from error
