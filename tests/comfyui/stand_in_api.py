"""As much of ComfyUI's interface as the nodes' declarations use, for where there is no ComfyUI.

Inputs and outputs note how they were declared; nothing is checked beyond that a node can be declared so.
"""

import dataclasses
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MODULES = ("comfy", "comfy.model_management", "comfy.utils", "comfy_api", "comfy_api.latest", "folder_paths")


@dataclasses.dataclass(kw_only=True)
class Slot:
    """An input, or an output."""

    kind: str
    id: str | None = None
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)


class Kind:
    """A type of what travels along a wire."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def Input(self, id: str, **settings: Any) -> Slot:  # noqa: A002, N802
        return Slot(kind=self.kind, id=id, settings=settings)

    def Output(self, **settings: Any) -> Slot:  # noqa: N802
        return Slot(kind=self.kind, settings=settings)


@dataclasses.dataclass
class Schema:
    node_id: str
    display_name: str
    category: str
    description: str
    inputs: list[Slot]
    outputs: list[Slot]
    hidden: list[str] = dataclasses.field(default_factory=list)
    is_output_node: bool = False


class NodeOutput:
    def __init__(self, *values: Any, ui: Any = None) -> None:
        self.values, self.ui = values, ui


class Growing(Kind):
    def TemplatePrefix(self, *, input: Slot, prefix: str, min: int, max: int) -> dict[str, Any]:  # noqa: A002, N802
        return {"input": input, "prefix": prefix, "min": min, "max": max}


class ComfyNode:
    hidden: Any = types.SimpleNamespace(prompt=None, extra_pnginfo=None)


@contextmanager
def stand_in_api() -> Iterator[None]:
    """Puts the modules in place while the block runs."""
    before = {name: sys.modules.get(name) for name in MODULES}
    made = {name: types.ModuleType(name) for name in MODULES}
    kinds = {kind: Kind(kind.upper()) for kind in ("String", "Int", "Float", "Boolean", "Combo", "Image")}
    io = types.SimpleNamespace(
        **kinds,
        Custom=Kind,
        Autogrow=Growing("COMFY_AUTOGROW_V3"),
        Schema=Schema,
        NodeOutput=NodeOutput,
        ComfyNode=ComfyNode,
        Hidden=types.SimpleNamespace(prompt="PROMPT", extra_pnginfo="EXTRA_PNGINFO"),
        FolderType=types.SimpleNamespace(output="output"),
    )
    ui = types.SimpleNamespace(
        PreviewText=lambda text: {"text": [text]},
        PreviewVideo=lambda results: {"images": results},
        SavedResult=lambda *parts: parts,
    )
    latest: Any = made["comfy_api.latest"]
    latest.io, latest.ui, latest.ComfyExtension = io, ui, object
    for name, module in made.items():
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(made[parent], child, module)
    try:
        yield
    finally:
        for name, module_before in before.items():
            if module_before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module_before
