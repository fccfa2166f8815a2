"""How many drawn portraits are doubted, as they are and spoilt on purpose.

python benchmarks/photo_doubts.py --portraits 300
"""

import argparse
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from ingredients.core.protocols import Face
from ingredients.faces.drawn_face_stack import load_drawn_face_stack
from ingredients.faces.photo_quality import DRAWN_LIMITS, find_doubts, measure_photo
from ingredients.model_folders.find_model import default_model_path
from ingredients.model_folders.folder_names import FACE_ENCODER
from ingredients.world import render_portrait, sample_identity

_CLOTH = (120, 170, 220)


def main() -> None:
    """Prints a table row for each way to spoil a portrait."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--portraits", type=int, default=300)
    number = parser.parse_args().portraits
    detector = load_drawn_face_stack(default_model_path() / FACE_ENCODER).detector
    print("| portraits of 256 pixels | a face found | doubted, of those |")
    print("|---|---|---|")
    for name, spoil in SPOILT.items():
        found = doubted = 0
        for seed in range(number):
            portrait = render_portrait(sample_identity(seed, "eval"), seed, size=256)
            photo = np.asarray(spoil(Image.fromarray(portrait.image), portrait.landmarks))
            faces = detector.detect(photo)
            if faces:
                found += 1
                doubted += bool(_doubts(photo, faces[0]))
        print(f"| {name} | {found / number:.0%} | {doubted / max(found, 1):.1%} |", flush=True)


def _doubts(photo: np.ndarray, face: Face) -> list[object]:
    quality = measure_photo(photo, face, sharpness_size=DRAWN_LIMITS.sharpness_size)
    return list(find_doubts(quality, DRAWN_LIMITS))


def _cover(part: str) -> Callable[[Image.Image, np.ndarray], Image.Image]:
    def cover(photo: Image.Image, landmarks: np.ndarray) -> Image.Image:
        left_eye, right_eye, nose, left_mouth, right_mouth = landmarks
        unit, mouth = right_eye[0] - left_eye[0], (left_mouth + right_mouth) / 2
        boxes = {
            "eyes": (left_eye[0] - unit, left_eye[1] - unit / 4, right_eye[0] + unit, left_eye[1] + unit / 4),
            "mouth": (mouth[0] - unit, (nose[1] + mouth[1]) / 2, mouth[0] + unit, mouth[1] + unit),
            "side": (left_eye[0] - unit, left_eye[1] - unit, nose[0], mouth[1] + unit),
        }
        ImageDraw.Draw(photo).rectangle(boxes[part], fill=_CLOTH)
        return photo

    return cover


SPOILT: dict[str, Callable[[Image.Image, np.ndarray], Image.Image]] = {
    "as they are": lambda photo, _: photo,
    "an eighth as large": lambda photo, _: photo.resize((32, 32)),
    "blurred by 5 pixels": lambda photo, _: photo.filter(ImageFilter.GaussianBlur(5)),
    "at a quarter of the light": lambda photo, _: ImageEnhance.Brightness(photo).enhance(0.25),
    "at five times the light": lambda photo, _: ImageEnhance.Brightness(photo).enhance(5.0),
    "left half alone": lambda photo, _: photo.crop((0, 0, 128, 256)),
    "one side covered": _cover("side"),
    "mouth covered": _cover("mouth"),
    "eyes covered": _cover("eyes"),
}


if __name__ == "__main__":
    main()
