"""Runs a module in a Python that lacks libraries, as machines with a GPU do: `bare_machine.py MODULE ARGUMENT...`.

PyAV, typer and rich cannot be imported at all. httpx2 and names that huggingface_hub has from its version 2 on are
refused to this package alone: transformers as it is pinned needs them itself.
"""

import builtins
import runpy
import sys
from typing import Any

ABSENT = ("av", "typer", "rich")
REFUSED = "httpx2"

_import = builtins.__import__


def _refusing(name: str, of_importer: Any = None, *rest: Any, **named: Any) -> Any:
    if name.partition(".")[0] == REFUSED and str((of_importer or {}).get("__name__")).startswith("ingredients"):
        raise ImportError(f"no {REFUSED} here")
    return _import(name, of_importer, *rest, **named)


if __name__ == "__main__":
    for absent in ABSENT:
        sys.modules[absent] = None  # type: ignore[assignment]
    builtins.__import__ = _refusing
    del sys.argv[0]
    sys.path[0] = ""
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
