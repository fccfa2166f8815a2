"""Raw films of the drawn world, as a curator meets them: shots of all kinds behind each other, and the truth of each.

A film is planned from a seed, and each of its shots can be drawn by itself, with exact masks; so its truth needs to
keep no mask. Several films make a set: people come back in all of them, and one film repeats shots of another.

Legend: F frames, N people, H/W pixels.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from ingredients.world.backdrops import LIGHTS, PLACES, apply_light, draw_backdrop
from ingredients.world.identity import Identity, Split, sample_identity
from ingredients.world.performance import Journey
from ingredients.world.scenes import Scene, SceneSpec, render_scene, sample_scene
from ingredients.world.shapes import Canvas
from ingredients.world.styles import EACH_OWN

FilmFormat = Literal["plain", "letterbox", "watermark", "phone", "anamorphic"]
"""How a film lies in its file: as it is, between bars, under a station's sign, turned, or squeezed."""

FILM_FORMATS: dict[FilmFormat, float] = {
    "plain": 0.4,
    "letterbox": 0.15,
    "watermark": 0.15,
    "phone": 0.15,
    "anamorphic": 0.15,
}
"""The films of a set, and each one's share of its length."""

ShotKind = Literal[
    "pair",
    "group",
    "extras",
    "return",
    "crossing",
    "long",
    "double",
    "alone",
    "empty",
    "passing",
    "distant",
    "still",
    "short",
    "blurred",
    "dark",
    "subtitled",
]
"""What a shot is there for."""

_DECK: dict[ShotKind, int] = {
    "pair": 6,
    "group": 2,
    "extras": 1,
    "return": 2,
    "crossing": 2,
    "long": 1,
    "double": 2,
    "alone": 3,
    "empty": 2,
    "passing": 1,
    "distant": 1,
    "still": 1,
    "short": 1,
    "blurred": 1,
    "dark": 1,
    "subtitled": 1,
}
"""How often each kind comes in a row of 28 shots, in an order that the seed decides."""

_REPEATABLE: tuple[ShotKind, ...] = ("pair", "group", "extras", "return", "crossing")
_SECONDS: dict[ShotKind, tuple[float, float]] = {"long": (11.0, 13.0), "short": (1.0, 1.6)}
_USUAL_SECONDS = (3.2, 6.5)

_DISSOLVE_SHARE = 0.25
_DISSOLVE_SECONDS = (0.5, 1.0)
_CAST = 12
_DISTANT_ZOOM = 0.42
_WALK = 0.6
"""How far a walker gets in a shot, in parts of the own room: at the pace of clips all would soon be gone."""

_BAR_SHARE = 0.14
"""Height of each bar of a letterboxed film, in parts of the picture's height."""

PIXEL_ASPECT = 4 / 3
"""Width of a pixel of the anamorphic film by its height."""

_SIGN, _SUBTITLES = (
    "DRAWN TV",
    ("What did you say?", "I have been waiting here.", "Look at that!", "Not today, thanks."),
)

BoxPixels = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels of the film as it is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmSettings:
    """What a set of films is drawn from."""

    seed: int = 0
    """Any integer; another one gives other films."""

    minutes: float = 5.0
    """Length of all films together; the last shot of each is drawn to its end."""

    height: int = 96
    """Height of the picture in pixels without its bars; the phone's film has this width. A multiple of 8."""

    width: int = 144
    """Width of the picture; the phone's film has this height. A multiple of 8."""

    fps: float = 24.0
    """Frames a second."""

    split: Split = "eval"
    """The split whose people play."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if self.height % 8 or self.width % 8 or min(self.height, self.width) < 48:
            raise ValueError(
                f"a film's height and width are multiples of 8 from 48 on, not {self.width}x{self.height}"
            )
        if self.minutes <= 0 or not 4 <= self.fps <= 120:
            raise ValueError(
                f"a film is longer than no minute and has 4 to 120 frames a second, not {self.minutes:g} minutes of "
                f"{self.fps:g}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubleOf:
    """The shot that another one repeats."""

    film: str
    """Name of its film."""

    shot: int
    """Its number in that film."""

    is_graded: bool
    """Whether the repetition has other brightness and contrast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A shot before it is drawn."""

    kind: ShotKind
    """What it is there for."""

    start: int
    """Its first frame in the film."""

    num_frames: int
    """How long it is, dissolves at both ends included."""

    dissolve: int
    """Frames that it shares with the shot before; 0 after a hard cut."""

    place: str
    """Where it plays."""

    light: str
    """In which light."""

    seed: int
    """Decides what is left to chance."""

    scene: SceneSpec | None
    """The people and what they do; None where nobody is."""

    people: tuple[str, ...]
    """Who they are, in the order of the scene: names that are the same in all shots and films of a set."""

    subtitle: str | None = None
    """Text that is burnt into it."""

    double_of: DoubleOf | None = None
    """The shot that it repeats."""

    @property
    def stop(self) -> int:
        """The frame after its last one."""
        return self.start + self.num_frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A film before it is drawn."""

    name: str
    """Unique in its set."""

    format: FilmFormat
    """How it lies in its file."""

    settings: FilmSettings
    """Settings of its set."""

    shots: tuple[Shot, ...]
    """The shots, in the order of time; neighbours overlap where one dissolves into the next."""

    @property
    def num_frames(self) -> int:
        """F."""
        return self.shots[-1].stop

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width of the picture between the bars."""
        size = self.settings.height, self.settings.width
        return (size[1], size[0]) if self.format == "phone" else size

    @property
    def bar(self) -> int:
        """Height of the bar above and of that below, in pixels."""
        return 2 * round(_BAR_SHARE * self.picture_size[0] / 2) if self.format == "letterbox" else 0

    @property
    def shown_size(self) -> tuple[int, int]:
        """Height and width as a player shows the film."""
        height, width = self.picture_size
        return height + 2 * self.bar, width


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnShot:
    """A shot and its truth, in pixels of the film as it is shown."""

    frames: NDArray[np.uint8]
    """(F, H, W, 3), RGB, without what dissolves into it."""

    scene: Scene | None
    """Masks, boxes and landmarks of the people; None where nobody is. Sharp masks, also of a blurred shot."""

    texts: tuple[BoxPixels, ...]
    """Where texts are burnt in."""


def plan_films(settings: FilmSettings) -> tuple[Film, ...]:
    """The films of a set, one of each format."""
    films: list[Film] = []
    for number, (film_format, share) in enumerate(FILM_FORMATS.items()):
        rng = np.random.default_rng([abs(settings.seed), int(settings.seed < 0), 61, number])
        name = f"film-{number}-{film_format}"
        lendable = [
            (film.name, index, shot)
            for film in films
            if film_format != "phone"  # its picture has another shape
            for index, shot in enumerate(film.shots)
            if shot.kind in _REPEATABLE
        ]
        num_frames = max(round(settings.minutes * 60 * settings.fps * share), 1)
        shots = _plan_shots(name, settings, num_frames, lendable, rng)
        films.append(Film(name=name, format=film_format, settings=settings, shots=shots))
    return tuple(films)


def _plan_shots(
    film: str,
    settings: FilmSettings,
    num_frames: int,
    lendable: Sequence[tuple[str, int, Shot]],
    rng: np.random.Generator,
) -> tuple[Shot, ...]:
    shots: list[Shot] = []
    deck: list[ShotKind] = []
    taken: set[tuple[str, int]] = set()
    while not shots or shots[-1].stop < num_frames:
        if not deck:
            kinds = [kind for kind, times in _DECK.items() for _ in range(times)]
            deck = [kinds[index] for index in rng.permutation(len(kinds))]
        kind = deck.pop()
        shot_seed = int(rng.integers(2**40))
        drawn = rng.random(4)
        low, high = _SECONDS.get(kind, _USUAL_SECONDS)
        length = round((low + (high - low) * drawn[0]) * settings.fps)
        dissolve = round((_DISSOLVE_SECONDS[0] + drawn[1] * np.ptp(_DISSOLVE_SECONDS)) * settings.fps)
        can_dissolve = bool(shots) and "short" not in (kind, shots[-1].kind)
        dissolve = int(dissolve) if can_dissolve and drawn[2] < _DISSOLVE_SHARE else 0
        start = shots[-1].stop - dissolve if shots else 0
        if kind == "double":
            own = [(film, index, shot) for index, shot in enumerate(shots[:-1]) if shot.kind in _REPEATABLE]
            sources = [each for each in (*lendable, *own) if each[:2] not in taken]
            if not sources:
                continue  # nothing is there yet to repeat
            name, index, source = sources[int(rng.integers(len(sources)))]
            taken.add((name, index))
            double_of = DoubleOf(film=name, shot=index, is_graded=bool(drawn[3] < 0.5))
            shots.append(dataclasses.replace(source, kind=kind, start=start, dissolve=dissolve, double_of=double_of))
        else:
            place = shots[-1].place if shots else ""
            shots.append(_plan_shot(kind, settings, shot_seed, start, length, dissolve, not_at=place))
    return tuple(shots)


def _plan_shot(
    kind: ShotKind, settings: FilmSettings, seed: int, start: int, num_frames: int, dissolve: int, *, not_at: str
) -> Shot:
    """Plans a shot that repeats none. It plays elsewhere than the one before, as a cut shows something else."""
    rng = np.random.default_rng([seed, 62])
    place, light = str(rng.choice([each for each in PLACES if each != not_at])), str(rng.choice(LIGHTS))
    seconds = num_frames / settings.fps
    count = {"alone": 1, "empty": 0, "group": int(rng.integers(3, 5)), "extras": 3}.get(kind, 2)
    num_extras = 1 if kind == "extras" else 0
    chosen = rng.permutation(_CAST)[: count - num_extras].tolist()
    cast = [(f"person-{number:02d}", _cast(settings.seed, settings.split)[number]) for number in chosen]
    cast += [(f"extra-{seed + index}", sample_identity(seed + index, settings.split)) for index in range(num_extras)]
    scene = None
    if cast:
        scene = _stage([who for _, who in cast], place, light, int(rng.integers(2**40)), num_extras, seconds)
        scene = dataclasses.replace(scene, zoom=_DISTANT_ZOOM if kind == "distant" else scene.zoom)
        traveller = int(rng.integers(count))
        journey = {
            "passing": Journey(goal="out", leaves=0.15 * seconds, returns=None, lasts=0.6),
            "return": Journey(goal="out", leaves=0.28 * seconds, returns=0.5 * seconds, lasts=0.6),
            "crossing": Journey(goal="across", leaves=0.2 * seconds, returns=0.6 * seconds, lasts=1.2),
        }.get(kind)
        if journey is not None:
            scene = dataclasses.replace(scene, journeys=((traveller, journey),))
    return Shot(
        kind=kind,
        start=start,
        num_frames=num_frames,
        dissolve=dissolve,
        place=place,
        light=light,
        seed=seed,
        scene=scene,
        people=tuple(name for name, _ in cast),
        subtitle=str(rng.choice(_SUBTITLES)) if kind == "subtitled" else None,
    )


@functools.cache
def _cast(seed: int, split: Split) -> tuple[Identity, ...]:
    """The people who come back in all films of a set."""
    return tuple(sample_identity(1_000_003 * seed + number, split) for number in range(_CAST))


def _stage(
    people: Sequence[Identity], place: str, light: str, seed: int, num_extras: int, seconds: float
) -> SceneSpec:
    """A scene in which everybody stays, so that the kind of shot alone decides who leaves."""
    calm = dataclasses.replace(EACH_OWN.motion, walk=min(EACH_OWN.motion.walk, _WALK / seconds))
    style = dataclasses.replace(EACH_OWN, motion=calm)
    while True:
        spec = sample_scene(seed, people=people, place=place, light=light, style=style, num_extras=num_extras)
        if not {role.action for role in spec.roles} & {"come", "leave"}:
            return spec
        seed += 1


def draw_shot(film: Film, number: int) -> DrawnShot:
    """Draws a shot with its masks, in the size in which the film is shown.

    Args:
        film: its film.
        number: which shot.
    """
    shot, (height, width) = film.shots[number], film.picture_size
    scene = None
    if shot.scene is None:
        frames = _draw_empty(shot, height, width)
    else:
        scene = render_scene(shot.scene, height=height, width=width, num_frames=shot.num_frames, fps=film.settings.fps)
        if shot.kind == "still":
            stands = np.zeros(shot.num_frames, int)  # the first frame again and again
            scene = dataclasses.replace(
                scene,
                frames=scene.frames[stands],
                face_masks=scene.face_masks[stands],
                person_masks=scene.person_masks[stands],
                boxes=scene.boxes[stands],
                landmarks=scene.landmarks[stands],
            )
        frames = scene.frames
    frames = _treated(frames, shot)
    texts = []
    if shot.subtitle is not None:
        size = max(round(0.08 * height), 8)
        texts.append(_burn_in(frames, shot.subtitle, size, at=(0.5, 0.92), opacity=1.0))
    if film.format == "watermark":
        texts.append(_burn_in(frames, _SIGN, max(round(0.09 * height), 8), at=(0.83, 0.09), opacity=0.75))
    bar = film.bar
    if bar:
        frames = np.pad(frames, ((0, 0), (bar, bar), (0, 0), (0, 0)))
        texts = [(left, top + bar, right, bottom + bar) for left, top, right, bottom in texts]
        if scene is not None:
            between = ((0, 0), (0, 0), (bar, bar), (0, 0))
            scene = dataclasses.replace(
                scene,
                face_masks=np.pad(scene.face_masks, between),
                person_masks=np.pad(scene.person_masks, between),
                boxes=scene.boxes + np.array([0, bar, 0, bar], np.float32),
                landmarks=scene.landmarks + np.array([0, bar], np.float32),
            )
    if scene is not None:
        scene = dataclasses.replace(scene, frames=frames)
    return DrawnShot(frames=frames, scene=scene, texts=tuple(texts))


def draw_frames(film: Film, *, on_shot: Callable[[int, DrawnShot], None]) -> Iterator[NDArray[np.uint8]]:
    """The frames (H, W, 3) of a film one by one, dissolves included; one shot at a time is in memory.

    Args:
        film: what to draw.
        on_shot: told of each shot, by its number, before its frames are given.
    """
    held: NDArray[np.uint8] | None = None  # the end of a shot, which the next one dissolves
    for number, shot in enumerate(film.shots):
        drawn = draw_shot(film, number)
        on_shot(number, drawn)
        frames = drawn.frames
        if held is not None and shot.dissolve:
            part = (np.arange(1, shot.dissolve + 1) / (shot.dissolve + 1))[:, None, None, None]
            mixed = held * (1 - part) + frames[: shot.dissolve] * part
            frames = np.concatenate([np.round(mixed).astype(np.uint8), frames[shot.dissolve :]])
        following = film.shots[number + 1].dissolve if number + 1 < len(film.shots) else 0
        yield from frames[: len(frames) - following]
        held = frames[len(frames) - following :]


def _draw_empty(shot: Shot, height: int, width: int) -> NDArray[np.uint8]:
    """A place without people, along which the camera goes."""
    rng = np.random.default_rng([shot.seed, 63])
    wide = Canvas(1, height, width + width // 3)
    draw_backdrop(wide, shot.place, rng)
    apply_light(wide.image, shot.light, rng)
    picture = np.asarray(np.clip(wide.image[0] * 255.0 + 0.5, 0, 255), np.uint8)
    offsets = np.linspace(0, width // 3, shot.num_frames).round().astype(int)
    return np.stack([picture[:, offset : offset + width] for offset in offsets])


def _treated(frames: NDArray[np.uint8], shot: Shot) -> NDArray[np.uint8]:
    """The frames as a bad camera, a bad light or another grading shows them; always a copy."""
    if shot.kind == "blurred":
        blur = ImageFilter.GaussianBlur(frames.shape[1] / 24)
        return np.stack([np.asarray(Image.fromarray(frame).filter(blur)) for frame in frames])
    gain, lift = 1.0, 0.0
    if shot.kind == "dark":
        gain = 0.05
    elif shot.double_of is not None and shot.double_of.is_graded:
        gain, lift = 0.86, 14.0
    return np.clip(np.round(frames * gain + lift), 0, 255).astype(np.uint8)


def _burn_in(frames: NDArray[np.uint8], text: str, size: int, *, at: tuple[float, float], opacity: float) -> BoxPixels:
    """Writes a text on all frames, white with a dark edge, its middle at a part of width and height."""
    _, height, width, _ = frames.shape
    font = ImageFont.load_default(size)
    layers = []
    for edge in (1, 0):
        layer = Image.new("L", (width, height))
        ImageDraw.Draw(layer).text((at[0] * width, at[1] * height), text, 255, font, anchor="mm", stroke_width=edge)
        layers.append(np.asarray(layer, np.float32)[..., None] / 255)
    edged, inner = layers
    frames[:] = np.round(frames * (1 - opacity * edged) + 255 * opacity * edged * inner).astype(np.uint8)
    rows, columns = np.flatnonzero(edged.any((1, 2))), np.flatnonzero(edged.any((0, 2)))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
