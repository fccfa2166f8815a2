"""Pictures inside of an answer."""

import base64
import io

from PIL import Image

from ingredients.core.arrays import UInt8Array


def png(picture: UInt8Array) -> bytes:
    """A picture (H, W, 3) as a file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG")
    return file.getvalue()


def data_url(picture: UInt8Array) -> str:
    """A picture (H, W, 3) as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png(picture)).decode()}"
