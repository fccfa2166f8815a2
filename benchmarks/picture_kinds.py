"""How surely drawn people are told from photographs and from drawings of other styles.

Drawn people nobody trained on, spoilt in the ways that photos of them come in; photographs and their variations, from
scikit-image, from matplotlib where it is installed, and from folders that are named; drawings of other styles.
Photographs are read where they lie. The limits of the decision were chosen on the pictures of the split `calibration`,
which shares no person, picture or drawing with the split `test`, whose numbers are reported.

python benchmarks/picture_kinds.py --portraits 3700
python benchmarks/picture_kinds.py --split calibration --photographs FOLDER
"""

import argparse
import dataclasses
import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import skimage
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.faces.drawn_face_stack import load_drawn_face_stack
from ingredients.faces.face_choice import largest_face
from ingredients.faces.picture_kind import PictureKind, PictureKindClassifier, PictureLook
from ingredients.model_folders.find_model import default_model_path
from ingredients.model_folders.folder_names import FACE_ENCODER
from ingredients.training.small_world.faces.foreign_pictures import draw_other_style, restyled
from ingredients.world import render_portrait, render_scene, sample_identity, sample_scene
from ingredients.world.styles import STYLES

_FIRST_SEED = {"calibration": 3_000_000_000, "test": 2_000_000_000}
_PHOTOGRAPHS = {
    "calibration": (
        "grace_hopper.jpg", "brick.png", "cell.png", "clock_motion.png", "coins.png", "gravel.png",
        "hubble_deep_field.jpg", "microaneurysms.png", "moon.png",
    ),
    "test": (
        "astronaut.png", "camera.png", "chelsea.png", "coffee.png", "grass.png", "ihc.png", "motorcycle_left.png",
        "motorcycle_right.png", "no_time_for_that_tiny.gif", "retina.jpg", "rocket.jpg",
    ),
}  # fmt: skip
"""Whole pictures are in one split; the two halves of a stereo pair are one picture."""

_SMALL_FACES = "lfw_subset.npy"
"""A hundred faces of 25 x 25 pixels, then a hundred other pieces of photographs, grey: every second is in a split."""

Change = Callable[[Image.Image], Image.Image]


def main() -> None:
    """Prints a table row for each group of pictures, and how far each kind stays from the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=tuple(_FIRST_SEED), default="test")
    parser.add_argument("--portraits", type=int, default=3700)
    parser.add_argument("--drawings", type=int, default=200, help="of each group of other styles")
    parser.add_argument("--photographs", type=Path, nargs="*", default=[], help="folders of more of them")
    arguments = parser.parse_args()
    print("| pictures | a face found | score as drawn here: lowest, 1 %, 99 %, highest | taken | doubted | refused |")
    print("|---|---|---|---|---|---|")
    first_seed, number = _FIRST_SEED[arguments.split], arguments.portraits // len(DRAWN)
    drawn, photographed, other = Group("drawn people"), Group("photographs"), Group("drawings of other styles")
    for index, (name, draw) in enumerate(DRAWN.items()):
        seeds = range(first_seed + index * number, first_seed + (index + 1) * number)
        drawn.report(f"drawn people, {name}", (draw(seed) for seed in seeds))
    for path in photographs(arguments.split, arguments.photographs):
        photo = Image.open(path).convert("RGB")
        name = f"photograph `{path.name}`, {len(VARIED)} variations"
        photographed.report(name, (change(photo) for change in VARIED.values()))
    for name, small in small_photographs(arguments.split).items():
        photographed.report(name, small)
    for name, restyle in OTHER_STYLES.items():
        seeds = range(first_seed, first_seed + arguments.drawings)
        other.report(f"drawings of other styles, {name}", (restyle(seed) for seed in seeds))
    print()
    for group in (drawn, photographed, other):
        print(group.summary())


def photographs(split: str, folders: Sequence[Path] = ()) -> Iterator[Path]:
    """Files of photographs that lie on this machine."""
    places = [Path(skimage.__file__).parent / "data"]
    try:
        import matplotlib

        places.append(Path(matplotlib.get_data_path()) / "sample_data")
    except ImportError:
        pass
    yield from (place / name for name in _PHOTOGRAPHS[split] for place in places if (place / name).is_file())
    endings = (".jpg", ".jpeg", ".png", ".ppm", ".gif")
    for folder in folders:
        yield from sorted(path for path in folder.rglob("*") if path.suffix.lower() in endings)


def small_photographs(split: str) -> dict[str, Iterator[Image.Image]]:
    """Pieces of photographs of 25 x 25 pixels, enlarged eight times."""
    path = Path(skimage.__file__).parent / "data" / _SMALL_FACES
    if not path.is_file():
        return {}
    pieces = np.load(path)[tuple(_PHOTOGRAPHS).index(split) :: 2]
    enlarged = [scaled(Image.fromarray((piece * 255).astype(np.uint8)), 8.0) for piece in pieces]
    half = len(enlarged) // 2
    return {
        f"{half} photographed faces of `{_SMALL_FACES}`": iter(enlarged[:half]),
        f"{half} other pieces of photographs of `{_SMALL_FACES}`": iter(enlarged[half:]),
    }


STACK = load_drawn_face_stack(default_model_path() / FACE_ENCODER)
KINDS = STACK.picture_kind
assert KINDS is not None
assert KINDS.second is not None
NETWORKS = {"first": PictureKindClassifier(KINDS.network, KINDS.config), "second": KINDS.second}
"""Each network by itself; a photograph is what either is sure of, unless both together know it for a drawing."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """What was said of a face."""

    look: PictureLook
    """By both networks."""

    alone: dict[str, PictureLook]
    """By each of them."""

    @property
    def odds(self) -> dict[str, float]:
        """How many times a photograph's score is the drawn world's, as a logarithm, by each network."""
        return {name: math.log(look.photograph / look.drawn_world) for name, look in self.alone.items()}

    @property
    def sureness(self) -> float:
        """By how much the surer network's odds are above its limit, as a logarithm."""
        return max(self.odds[name] - LIMITS[name] for name in NETWORKS)


LIMITS = {name: math.log(network.config.min_photograph_odds) for name, network in NETWORKS.items()}


@dataclasses.dataclass
class Group:
    """All pictures of a kind, and what was said of their faces."""

    name: str
    seen: list[Seen] = dataclasses.field(default_factory=list)

    def report(self, name: str, pictures: Iterable[Image.Image]) -> None:
        """Looks at some pictures as `ingredients generate` does, and prints their row."""
        looked = [look_at(np.asarray(picture.convert("RGB"))) for picture in pictures]
        seen = [face for face in looked if face is not None]
        self.seen += seen
        if not seen:
            print(f"| {name} | 0 of {len(looked)} | - | - | - | - |", flush=True)
            return
        scores = np.quantile([face.look.drawn_world for face in seen], [0.0, 0.01, 0.99, 1.0])
        shown = ", ".join(f"{score:.3f}" for score in scores)
        print(f"| {name} | {len(seen)} of {len(looked)} | {shown} | {_counted(seen)} |", flush=True)

    def summary(self) -> str:
        """What was said of them by both networks and by each, and how far they are from a limit."""
        lines = [f"{self.name}: {len(self.seen)} with a face; taken | doubted | refused: {_counted(self.seen)}"]
        for name in NETWORKS:
            refused = sum(face.alone[name].kind is PictureKind.PHOTOGRAPH for face in self.seen)
            odds = [face.odds[name] for face in self.seen]
            lines.append(
                f"  {name} network alone: {refused} refused; log odds of a photograph {min(odds):.2f} to "
                f"{max(odds):.2f}, limit {LIMITS[name]:.2f}"
            )
        sureness = np.quantile([face.sureness for face in self.seen], [0.0, 0.01, 0.5, 0.99, 1.0])
        shown = ", ".join(f"{each:.2f}" for each in sureness)
        lines.append(f"  the surer one's log odds above its limit: lowest, 1 %, half, 99 %, highest: {shown}")
        return "\n".join(lines)


def _counted(seen: Sequence[Seen]) -> str:
    return " | ".join(str(sum(face.look.kind is kind for face in seen)) for kind in PictureKind)


def look_at(picture: UInt8Array) -> Seen | None:
    """What is seen in the face that is taken; None where there is none."""
    faces = STACK.detector.detect(picture)
    if not faces:
        return None
    landmarks: Float32Array = largest_face(faces).landmarks
    alone = {name: network.look(picture, landmarks) for name, network in NETWORKS.items()}
    assert KINDS is not None
    return Seen(KINDS.look(picture, landmarks), alone)


def portrait(seed: int, size: int = 256) -> Image.Image:
    """Somebody nobody trained on."""
    return Image.fromarray(render_portrait(sample_identity(seed, "eval"), seed, size=size).image)


def before_photograph(seed: int) -> Image.Image:
    """Somebody drawn, before a piece of a photograph."""
    drawn = render_portrait(sample_identity(seed, "eval"), seed, size=256)
    paths = list(photographs(next(split for split, first in _FIRST_SEED.items() if first // 10**9 == seed // 10**9)))
    photo = ImageOps.fit(Image.open(paths[seed % len(paths)]).convert("RGB"), (256, 256))
    return Image.fromarray(np.where(drawn.person_mask[..., None], drawn.image, np.asarray(photo)))


def frame(seed: int, height: int) -> Image.Image:
    """The last frame of a clip."""
    style = tuple(STYLES.values())[seed % len(STYLES)]
    spec = sample_scene(seed, split="eval", num_people=seed % 2 + 1, style=style)
    return Image.fromarray(render_scene(spec, height=height, width=height * 3 // 2).frames[-1])


def cropped(photo: Image.Image, seed: int) -> Image.Image:
    """Up to a sixth is missing at each side."""
    edges = np.random.default_rng(seed).uniform(0, 1 / 6, 4) * photo.width
    left, top, right, bottom = edges.astype(int).tolist()
    return photo.crop((left, top, photo.width - right, photo.height - bottom))


def jpeg(photo: Image.Image, quality: int) -> Image.Image:
    """Written and read."""
    stored = io.BytesIO()
    photo.save(stored, "JPEG", quality=quality)
    return Image.open(stored)


def scaled(photo: Image.Image, factor: float) -> Image.Image:
    """Of another size."""
    return photo.resize((max(round(photo.width * factor), 8), max(round(photo.height * factor), 8)))


def tinted(photo: Image.Image) -> Image.Image:
    """In warm light."""
    return Image.fromarray(np.clip(np.asarray(photo) * np.array([1.2, 1.0, 0.7]), 0, 255).astype(np.uint8))


def other_style(seed: int) -> Image.Image:
    """A drawing in a style of its own, before a ground of one colour."""
    drawing = Image.fromarray(draw_other_style(np.random.default_rng(seed), 128))
    return ImageOps.expand(drawing, 64, drawing.getpixel((0, 0)))


def in_another_style(seed: int) -> Image.Image:
    """A portrait as lines, in negative, in two colours, or with outlines."""
    return Image.fromarray(restyled(np.asarray(portrait(seed)), np.random.default_rng(seed)))


DRAWN: dict[str, Callable[[int], Image.Image]] = {
    "portraits of 256 pixels": portrait,
    "of 96 pixels": lambda seed: portrait(seed, 96),
    "as JPEG of quality 40": lambda seed: jpeg(portrait(seed), 40),
    "half as large, as JPEG of quality 40": lambda seed: jpeg(scaled(portrait(seed), 0.5), 40),
    "a quarter as large": lambda seed: scaled(portrait(seed), 0.25),
    "three times as large": lambda seed: scaled(portrait(seed, 128), 3.0),
    "cropped": lambda seed: cropped(portrait(seed), seed),
    "grey": lambda seed: portrait(seed).convert("L"),
    "before a photograph": before_photograph,
    "before a photograph, as JPEG of quality 40": lambda seed: jpeg(before_photograph(seed), 40),
    "turned by up to 15 degrees": lambda seed: portrait(seed).rotate(seed % 31 - 15, Image.Resampling.BICUBIC),
    "at half the light": lambda seed: ImageEnhance.Brightness(portrait(seed)).enhance(0.5),
    "at one and a half times the light": lambda seed: ImageEnhance.Brightness(portrait(seed)).enhance(1.5),
    "blurred by a pixel": lambda seed: portrait(seed).filter(ImageFilter.GaussianBlur(1)),
    "frames of 64 x 96": lambda seed: frame(seed, 64),
    "frames of 128 x 192": lambda seed: frame(seed, 128),
}
OTHER_STYLES: dict[str, Callable[[int], Image.Image]] = {
    "as they are": other_style,
    "as JPEG of quality 40": lambda seed: jpeg(other_style(seed), 40),
    "as JPEG of quality 15": lambda seed: jpeg(other_style(seed), 15),
    "half as large, as JPEG of quality 40": lambda seed: jpeg(scaled(other_style(seed), 0.5), 40),
    "portraits in another style": in_another_style,
    "portraits in another style, as JPEG of quality 40": lambda seed: jpeg(in_another_style(seed), 40),
}
VARIED: dict[str, Change] = {
    "as it is": lambda photo: photo,
    "upper half": lambda photo: photo.crop((0, 0, photo.width, photo.height // 2)),
    "middle": lambda photo: ImageOps.crop(photo, photo.width // 4),
    "mirrored": ImageOps.mirror,
    "grey": lambda photo: photo.convert("L"),
    "tinted": tinted,
    "as JPEG of quality 30": lambda photo: jpeg(photo, 30),
    "half as large": lambda photo: scaled(photo, 0.5),
    "a quarter as large": lambda photo: scaled(photo, 0.25),
    "twice as large": lambda photo: scaled(photo, 2.0),
    "blurred by 2 pixels": lambda photo: photo.filter(ImageFilter.GaussianBlur(2)),
    "blurred by 4 pixels": lambda photo: photo.filter(ImageFilter.GaussianBlur(4)),
    "at half the light": lambda photo: ImageEnhance.Brightness(photo).enhance(0.5),
    "at one and a half times the light": lambda photo: ImageEnhance.Brightness(photo).enhance(1.5),
    "with more contrast": lambda photo: ImageEnhance.Contrast(photo).enhance(1.5),
    "with less contrast": lambda photo: ImageEnhance.Contrast(photo).enhance(0.6),
    "turned by 10 degrees": lambda photo: photo.rotate(10, Image.Resampling.BICUBIC),
}


if __name__ == "__main__":
    main()
