"""The truth of a drawn film as JSON: what a curator should find in it, and where; masks are drawn again on demand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ingredients.core.config import config_to_dict, read_record
from ingredients.core.errors import UserInputError
from ingredients.core.json_yaml import write_json
from ingredients.world.film import (
    BoxPixels,
    DoubleOf,
    DrawnShot,
    Film,
    FilmFormat,
    FilmSettings,
    ShotKind,
    draw_shot,
    plan_films,
)
from ingredients.world.scenes import VISIBLE, face_states

Transition = Literal["start", "cut", "dissolve"]
_REMEDY = "draw the films again with: ingredients world film"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonTruth:
    """One person of a shot."""

    person: str
    """Who it is, in all films of the set."""

    name: str
    """What the scene's sentence may call the person."""

    spot: str
    """Where the person stands."""

    action: str
    """What the person does."""

    expression: str
    """What the face shows."""

    to: str | None
    """The `person` for whom the action is meant, or None."""

    is_extra: bool
    """Whether it is a stranger who appears nowhere else."""

    boxes: list[list[float] | None]
    """The visible face in each frame of the shot: left, top, right, bottom; None where none of it is seen."""

    is_visible: list[bool]
    """Whether the face is in view in each frame: at least four of its five landmarks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotTruth:
    """One shot of a film."""

    kind: ShotKind
    """What it is there for."""

    start: int
    """Its first frame in the film, the dissolve before it included."""

    stop: int
    """The frame after its last one, the dissolve after it included."""

    transition: Transition
    """How it begins."""

    dissolve: int
    """Frames of that dissolve, from `start` on."""

    place: str
    """Where it plays."""

    light: str
    """In which light."""

    caption: str | None
    """The world's own sentence for it; None where nobody is."""

    people: list[PersonTruth]
    """Everybody who takes part."""

    double_of: DoubleOf | None
    """The shot that it repeats."""

    texts: list[BoxPixels]
    """Where texts are burnt in, a station's sign included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmTruth:
    """A film as it should be understood. All pixels are those of the film as a player shows it."""

    name: str
    """Name of the film; its file is called so."""

    format: FilmFormat
    """How it lies in its file."""

    height: int
    """H, bars included."""

    width: int
    """W."""

    num_frames: int
    """F."""

    bar: int
    """Height of the black bar above and of that below the picture."""

    settings: FilmSettings
    """Settings of the set of films, from which every mask can be drawn again."""

    world_version: str
    """The world that drew it."""

    shots: list[ShotTruth]
    """The shots, in the order of time."""

    def draw_shot(self, number: int) -> DrawnShot:
        """Draws a shot again, with its masks."""
        film = next(film for film in plan_films(self.settings) if film.name == self.name)
        return draw_shot(film, number)


def describe_shot(film: Film, number: int, drawn: DrawnShot) -> ShotTruth:
    """The truth of a shot that was drawn."""
    shot = film.shots[number]
    people = []
    if shot.scene is not None and drawn.scene is not None:
        seen: NDArray[np.bool_] = face_states(drawn.scene) == VISIBLE
        for index, person in enumerate(shot.people):
            role = shot.scene.roles[index]
            people.append(
                PersonTruth(
                    person=person,
                    name=role.name,
                    spot=role.spot,
                    action=role.action,
                    expression=role.expression,
                    to=None if role.to is None else shot.people[role.to],
                    is_extra=role.is_extra,
                    boxes=[
                        [round(edge, 1) for edge in box.tolist()] if np.isfinite(box).all() else None
                        for box in drawn.scene.boxes[:, index]
                    ],
                    is_visible=seen[:, index].tolist(),
                )
            )
    return ShotTruth(
        kind=shot.kind,
        start=shot.start,
        stop=shot.stop,
        transition="start" if number == 0 else "dissolve" if shot.dissolve else "cut",
        dissolve=shot.dissolve,
        place=shot.place,
        light=shot.light,
        caption=None if shot.scene is None else shot.scene.caption,
        people=people,
        double_of=shot.double_of,
        texts=list(drawn.texts),
    )


def film_truth(film: Film, shots: list[ShotTruth], *, world_version: str) -> FilmTruth:
    """The truth of a film, from that of its shots."""
    height, width = film.shown_size
    return FilmTruth(
        name=film.name,
        format=film.format,
        height=height,
        width=width,
        num_frames=film.num_frames,
        bar=film.bar,
        settings=film.settings,
        world_version=world_version,
        shots=shots,
    )


def write_film_truth(path: Path, truth: FilmTruth) -> None:
    """Writes the truth of a film.

    Raises:
        OutputError: if it cannot be written.
    """
    write_json(path, config_to_dict(truth))


def read_film_truth(path: Path) -> FilmTruth:
    """Reads the truth of a film.

    Raises:
        UserInputError: if the file is none, or says that another version of the world drew it.
    """
    from ingredients.world import WORLD_VERSION

    truth = read_record(FilmTruth, path, remedy=_REMEDY)
    if truth.world_version != WORLD_VERSION:
        raise UserInputError(
            f"The film of {path} was drawn by version {truth.world_version} of the world, not {WORLD_VERSION}; "
            f"{_REMEDY}."
        )
    return truth
