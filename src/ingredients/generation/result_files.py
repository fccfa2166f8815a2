"""The files of a video that was made, whoever asked for it."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from ingredients.media.pictures import write_picture
from ingredients.media.video import write_video
from ingredients.pipelines.video_shape import FPS
from ingredients.visualisation.layout import enlarge

if TYPE_CHECKING:  # which needs PyTorch
    from ingredients.generation.studio import StudioResult


def write_result(
    result: "StudioResult",
    *,
    video: Path,
    contact_sheet: Path | None = None,
    routing_map: Path | None = None,
    fps: float = FPS,
    scale: int = 1,
    with_prompt: bool = True,
) -> None:
    """Writes a video and its pictures; all is drawn before anything is written.

    Args:
        result: what was made.
        video: file to write.
        contact_sheet: picture to write; None, here and below, does without.
        routing_map: picture to write, if there are routing maps.
        fps: frames a second.
        scale: by how many whole pixels each pixel of the video is enlarged.
        with_prompt: whether the files say what was asked for; that a model made them they always say.

    Raises:
        OutputError: if a file cannot be written.
    """
    provenance = result.provenance if with_prompt else dataclasses.replace(result.provenance, prompt=None)
    pictures = {
        contact_sheet: None if contact_sheet is None else result.contact_sheet(with_prompt=with_prompt),
        routing_map: None if routing_map is None else result.routing_sheet(),
    }
    write_video(video, enlarge(result.frames, scale), fps=fps, metadata=provenance.to_tags())
    for path, picture in pictures.items():
        if path is not None and picture is not None:
            write_picture(path, picture, description=provenance.to_json())
