"""Nodes for ComfyUI that make videos of several people from their photos, and judge anybody's; see README.md.

ComfyUI calls `comfy_entrypoint`; without ComfyUI the package can be imported all the same.
"""

from typing import Any


async def comfy_entrypoint() -> Any:
    """Gives ComfyUI the nodes."""
    from .nodes import IngredientsExtension

    return IngredientsExtension()
