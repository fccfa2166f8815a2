"""How surely drawn people are told from photographs and from drawings of other styles.

Drawn people nobody trained on, spoilt in the ways that photos of them come in; photographs and their variations, from
scikit-image, from matplotlib where it is installed, and from folders that are named; drawings of other styles.
Photographs are read where they lie.

python benchmarks/picture_kinds.py --portraits 3700 --photographs FOLDER
"""

import argparse
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import skimage
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from ingredients.core.arrays import UInt8Array
from ingredients.faces.drawn_face_stack import load_drawn_face_stack
from ingredients.faces.face_choice import largest_face
from ingredients.faces.picture_kind import PictureKind, PictureLook
from ingredients.model_folders.folder_names import FACE_ENCODER
from ingredients.model_folders.places import default_model_path
from ingredients.training.small_world.faces.foreign_pictures import draw_other_style
from ingredients.world import render_portrait, render_scene, sample_identity, sample_scene
from ingredients.world.styles import STYLES

_FIRST_SEED = 2_000_000_000
_PHOTOGRAPHS = (
    "astronaut.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png", "coins.png",
    "brick.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png",
    "motorcycle_right.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip

Change = Callable[[Image.Image], Image.Image]


def main() -> None:
    """Prints a table row for each group of pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--portraits", type=int, default=3700)
    parser.add_argument("--drawings", type=int, default=200)
    parser.add_argument("--photographs", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    print("| pictures | a face found | score as drawn here: lowest, 1 %, 99 %, highest | taken | doubted | refused |")
    print("|---|---|---|---|---|---|")
    number = arguments.portraits // len(DRAWN)
    for index, (name, draw) in enumerate(DRAWN.items()):
        seeds = range(_FIRST_SEED + index * number, _FIRST_SEED + (index + 1) * number)
        report(f"drawn people, {name}", (draw(seed) for seed in seeds))
    for path in photographs(arguments.photographs):
        photo = Image.open(path).convert("RGB")
        report(f"photograph `{path.name}`, {len(VARIED)} variations", (change(photo) for change in VARIED.values()))
    rng = np.random.default_rng(_FIRST_SEED)
    drawings = (Image.fromarray(draw_other_style(rng, 128)) for _ in range(arguments.drawings))
    report("drawings of other styles", (ImageOps.expand(each, 64, each.getpixel((0, 0))) for each in drawings))


def photographs(folders: list[Path]) -> Iterator[Path]:
    """Files of photographs that lie on this machine."""
    data = Path(skimage.__file__).parent / "data"
    yield from (data / name for name in _PHOTOGRAPHS if (data / name).is_file())
    try:
        import matplotlib

        yield Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    except ImportError:
        pass
    for folder in folders:
        yield from sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))


STACK = load_drawn_face_stack(default_model_path() / FACE_ENCODER)


def report(name: str, pictures: Iterator[Image.Image]) -> None:
    """Looks at some pictures as `ingredients generate` does."""
    number, looks = 0, []
    for picture in pictures:
        number += 1
        if (look := look_at(np.asarray(picture.convert("RGB")))) is not None:
            looks.append(look)
    if not looks:
        print(f"| {name} | 0 of {number} | - | - | - | - |", flush=True)
        return
    scores = np.quantile([look.drawn_world for look in looks], [0.0, 0.01, 0.99, 1.0])
    counts = [sum(look.kind is kind for look in looks) for kind in PictureKind]
    shown = ", ".join(f"{score:.3f}" for score in scores)
    print(f"| {name} | {len(looks)} of {number} | {shown} | {' | '.join(map(str, counts))} |", flush=True)


def look_at(picture: UInt8Array) -> PictureLook | None:
    """What is seen in the face that is taken; None where there is none."""
    faces = STACK.detector.detect(picture)
    assert STACK.picture_kind is not None
    return STACK.picture_kind.look(picture, largest_face(faces).landmarks) if faces else None


def portrait(seed: int, size: int = 256) -> Image.Image:
    """Somebody nobody trained on."""
    return Image.fromarray(render_portrait(sample_identity(seed, "eval"), seed, size=size).image)


def before_photograph(seed: int) -> Image.Image:
    """Somebody drawn, before a piece of a photograph."""
    drawn = render_portrait(sample_identity(seed, "eval"), seed, size=256)
    paths = list(photographs([]))
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
