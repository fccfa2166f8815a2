"""The bodies of requests as the OpenAPI page shows them: its examples are sent as they stand, so they have to work."""

import base64
import functools
import io
from typing import Any

from PIL import Image

from ingredients.apps.server.schemas import VideoRequest

_SIZE = 96
_QUALITY = 92


@functools.cache
def example_photo(seed: int) -> str:
    """A drawn portrait as a data URL."""
    from ingredients.world import render_portrait, sample_identity

    file = io.BytesIO()
    picture = render_portrait(sample_identity(seed, "eval"), seed, size=_SIZE).image
    Image.fromarray(picture).save(file, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def request_body() -> dict[str, Any]:
    """What OpenAPI says of the body of a request for a video."""
    schema = VideoRequest.model_json_schema()
    form = {**schema, "properties": dict(schema["properties"])}
    form["properties"]["input_references"] = {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "description": "Photos, as files.",
    }
    form["properties"]["place"] = {
        "type": "array",
        "items": {"type": "string"},
        "description": schema["properties"]["place"]["description"],
    }
    one = {"prompt": "A person waves on a beach.", "input_references": [example_photo(0)], "num_inference_steps": 4}
    two = {
        "prompt": "Two people wave on a beach.",
        "people": ["ana", "ben"],
        "input_references": [example_photo(0), example_photo(1)],
        "seed": 7,
        "num_inference_steps": 4,
        "scale": 4,
    }
    placed = {**two, "place": {"ana": "right", "ben": [0, 0, 0.5, 1]}, "takes": 2}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": schema,
                    "examples": {
                        "one person": {"summary": "One person", "value": one},
                        "two people": {"summary": "Two people, by name, enlarged", "value": two},
                        "places and takes": {"summary": "The same, placed, the better of two takes", "value": placed},
                    },
                },
                "multipart/form-data": {
                    "schema": form,
                    "encoding": {name: {"style": "form", "explode": True} for name in ("people", "place")},
                },
            },
        }
    }
