"""A folder of raw films and their truth: `films/NAME.mp4` and so on, and `truth/NAME.json`."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ingredients.core.errors import OutputError
from ingredients.core.files import make_folder
from ingredients.core.output_folders import fills_folder
from ingredients.core.protocols import ProgressCallback
from ingredients.media.video import write_long_video
from ingredients.world.film import PIXEL_ASPECT, DrawnShot, Film, FilmFormat, FilmSettings, draw_frames, plan_films
from ingredients.world.film_truth import (
    FilmTruth,
    ShotTruth,
    describe_shot,
    film_truth,
    read_film_truth,
    write_film_truth,
)

FILMS, TRUTH = "films", "truth"

_CRF = 20
"""As raw films come: not lossless."""

_SUFFIXES: dict[FilmFormat, str] = {"letterbox": ".mkv", "anamorphic": ".mov"}


@fills_folder("raw films", "folder")
def write_films(
    folder: Path, settings: FilmSettings, *, progress: ProgressCallback | None = None
) -> tuple[FilmTruth, ...]:
    """Draws a set of films; those that are there already are kept, so that a stopped run goes on.

    Args:
        folder: where to; made if it is not there.
        settings: what to draw.
        progress: told of the shots done.

    Raises:
        OutputError: if the folder cannot be written to, or holds films of other settings.
        UserInputError: if a truth that is there cannot be read.
    """
    for name in (FILMS, TRUTH):
        make_folder(folder / name)
    films = plan_films(settings)
    total, done = sum(len(film.shots) for film in films), 0
    truths = []
    for film in films:
        truth_file = folder / TRUTH / f"{film.name}.json"
        if truth_file.is_file():
            truths.append(read_film_truth(truth_file))
            if truths[-1].settings != settings:
                raise OutputError(
                    f"The folder {folder} holds films that were drawn with other settings ({truths[-1].settings}); "
                    "choose another folder."
                )
        else:
            truths.append(_write_film(folder, film, progress, done=done, total=total))
        done += len(film.shots)
        if progress is not None:
            progress(done, total)
    return tuple(truths)


def film_file(folder: Path, film: Film | FilmTruth) -> Path:
    """Where the file of a film lies in a set's folder."""
    return folder / FILMS / f"{film.name}{_SUFFIXES.get(film.format, '.mp4')}"


def read_films(folder: Path) -> tuple[FilmTruth, ...]:
    """The truth of every film of a folder that `write_films` filled.

    Raises:
        UserInputError: if one cannot be read.
    """
    return tuple(read_film_truth(path) for path in sorted((folder / TRUTH).glob("*.json")))


def _write_film(folder: Path, film: Film, progress: ProgressCallback | None, *, done: int, total: int) -> FilmTruth:
    from ingredients.world import WORLD_VERSION

    shots: list[ShotTruth] = []

    def on_shot(number: int, drawn: DrawnShot) -> None:
        shots.append(describe_shot(film, number, drawn))
        if progress is not None:
            progress(done + number, total)

    frames = draw_frames(film, on_shot=on_shot)
    is_squeezed = film.format == "anamorphic"
    write_long_video(
        film_file(folder, film),
        map(_squeezed, frames) if is_squeezed else frames,
        fps=film.settings.fps,
        constant_rate_factor=_CRF,
        quarter_turns=1 if film.format == "phone" else 0,
        pixel_aspect=PIXEL_ASPECT if is_squeezed else 1.0,
    )
    truth = film_truth(film, shots, world_version=WORLD_VERSION)
    write_film_truth(folder / TRUTH / f"{film.name}.json", truth)
    return truth


def _squeezed(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A frame as it is stored for pixels that are wider than high."""
    height, width, _ = frame.shape
    size = round(width / PIXEL_ASPECT), height
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS))
