"""Folders of videos in which people are patches of one colour, for judges of `stand_ins`."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from ingredients.casebook.cases import Case, Person
from ingredients.core.arrays import UInt8Array
from ingredients.core.protocols import Face
from ingredients.evaluation.assessment import SimilarityScale
from ingredients.evaluation.evaluate import evaluate
from ingredients.evaluation.folder_source import FolderSource
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.judges import Judges
from ingredients.evaluation.manifest import write_manifest
from ingredients.evaluation.result import Result
from ingredients.media.pictures import write_picture
from ingredients.media.video import write_video
from tests.evaluation.stand_ins import COLOURS, ColourPatchDetector, MeanColourRecogniser, make_frames

RED, GREEN, BLUE = COLOURS.values()
LEFT, RIGHT = 4, 40
COSINES = SimilarityScale(same_person_mean=1.0, stranger_mean=0.0)


class EncodedPatchDetector(ColourPatchDetector):
    """Finds patches in videos, whose black is not quite black."""

    def detect(self, image: UInt8Array) -> list[Face]:
        return super().detect(np.where(image.max(axis=-1, keepdims=True) > 100, image, 0))


def make_judges(scale: SimilarityScale | None = COSINES) -> Judges:
    judge = Judge(detector=EncodedPatchDetector(), recogniser=MeanColourRecogniser(), scale=scale)
    return Judges(judge=judge, judge_name="colour", detector_name="patch")


def wave(patches: dict[int, tuple[int, int, int]], *, num_frames: int = 6) -> UInt8Array:
    """Patches that move by a pixel from frame to frame."""
    return np.concatenate(
        [make_frames(1, {left + index % 2: colour for left, colour in patches.items()}) for index in range(num_frames)]
    )


def judge_videos(
    folder: Path,
    judges: Judges,
    output: Path,
    *,
    calibration: Path | None = None,
    max_frames: int | None = None,
    **options: Any,
) -> Result:
    source = FolderSource(folder, calibration=calibration, max_frames=max_frames)
    return evaluate(source, judges, output, **options)


@dataclasses.dataclass(frozen=True)
class VideoFolder:
    """Writes videos, photos and the manifest."""

    path: Path

    def photo(self, name: str, colour: tuple[int, int, int]) -> str:
        (self.path / "photos").mkdir(exist_ok=True)
        write_picture(self.path / "photos" / name, make_frames(1, {20: colour})[0])
        return f"photos/{name}"

    def video(self, name: str, frames: UInt8Array) -> str:
        write_video(self.path / name, frames, fps=8, constant_rate_factor=4)
        return name

    def person(self, name: str, *colours: tuple[int, int, int]) -> Person:
        photos = tuple(self.photo(f"{name}-{number}.png", colour) for number, colour in enumerate(colours))
        return Person(name=name, photos=photos)

    def write(self, *videos: Case) -> Path:
        write_manifest(self.path, videos)
        return self.path
