"""The service that makes videos: one warm model, one request after another; every front end calls it.

studio = Studio.load()
result = studio.make(StudioRequest(people={"ana": "ana.png"}, prompt="A person waves on a beach"))
result.frames, result.people
"""

from typing import TYPE_CHECKING

from ingredients.core.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from ingredients.generation.people_report import PersonReport
    from ingredients.generation.request import StudioRequest
    from ingredients.generation.studio import Studio, StudioResult
    from ingredients.generation.takes import Take, Takes

__all__ = ["PersonReport", "Studio", "StudioRequest", "StudioResult", "Take", "Takes"]

if not TYPE_CHECKING:
    __getattr__ = lazy_exports(
        __name__,
        {
            "PersonReport": "ingredients.generation.people_report",
            "Studio": "ingredients.generation.studio",
            "StudioRequest": "ingredients.generation.request",
            "StudioResult": "ingredients.generation.studio",
            "Take": "ingredients.generation.takes",
            "Takes": "ingredients.generation.takes",
        },
    )
