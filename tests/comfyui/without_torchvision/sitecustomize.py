"""Empty modules for torchvision and torchaudio where they are missing: ComfyUI imports them for nodes not used here.

Python runs this at its start, where the folder is in `PYTHONPATH`. Whoever asks whether they are installed hears no.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from typing import Any

_find_spec = importlib.util.find_spec
_MISSING = [name for name in ("torchvision", "torchaudio") if not _find_spec(name)]


class _Empty(types.ModuleType):
    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Empty(f"{self.__name__}.{name}")


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.partition(".")[0] in _MISSING:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Empty(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def _find_what_is_there(name: str, package: str | None = None) -> Any:
    return None if name.partition(".")[0] in _MISSING else _find_spec(name, package)


sys.meta_path.insert(0, _Finder())
importlib.util.find_spec = _find_what_is_there
