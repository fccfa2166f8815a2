"""Videos that any system made, as a folder with `manifest.jsonl`, for `ingredients evaluate --videos`.

manifest.jsonl    one line a video
everything else   wherever the lines say, within the folder

A line is a JSON object:

| field | what it is |
|---|---|
| `file_name` | the video |
| `prompt` | what it was asked for with |
| `people` | a list, in the order asked for, of `{"name": ..., "photos": [...]}` |
| `case_id` | optional: its name in reports; the file's name without the ending otherwise |
| `real_video` | optional: a real video of the same people and prompt, for motion, variety, FID and the judge's scale |
| `ordered` | optional: true, if the people were asked for from left to right in this order |
| `temporal_ratio` | optional: frames in each latent frame of the video's VAE but the first, which holds one |

A person may also carry `identity_seed`, where it is one of the drawn world's evaluation split: a model's own judge
then knows it, and tells it from others, exactly as in `ingredients evaluate`. The first photo is the one that copying
is measured against.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ingredients.core.config import config_from_dict
from ingredients.core.errors import UserInputError
from ingredients.core.json_yaml import NotPlainError, read_json_lines, write_json_lines
from ingredients.core.model_files import name_some

MANIFEST_NAME = "manifest.jsonl"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ManifestPerson:
    """Somebody who was asked for."""

    name: str
    """Unique in the video. In other videos the same name is taken for the same person, as are the same photos."""

    photos: tuple[str, ...]
    """Files that show the person as their largest face, relative to the folder."""

    identity_seed: int | None = None
    """Seed of a person of the drawn world's evaluation split."""

    def __post_init__(self) -> None:
        """Checks that there is something to know the person by."""
        if not self.name.strip():
            raise ValueError("a person has no name")
        if not self.photos:
            raise ValueError(f"{self.name} has no photos")
        for photo in self.photos:
            _check_inside(photo, "a photo")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ManifestVideo:
    """One video and what it was asked for with."""

    file_name: str
    """The video, relative to the folder."""

    prompt: str
    """The sentence."""

    people: tuple[ManifestPerson, ...]
    """In the order asked for."""

    case_id: str | None = None
    """Its name in reports."""

    real_video: str | None = None
    """A real video of the same people and prompt, relative to the folder."""

    ordered: bool = False
    """Whether the people were asked for from left to right in this order."""

    temporal_ratio: int | None = None
    """Frames in each latent frame of the video's VAE but the first, which holds one; with it, motion is told by where
    it happens."""

    def __post_init__(self) -> None:
        """Checks that a question was asked."""
        _check_inside(self.file_name, "file_name")
        if self.real_video is not None:
            _check_inside(self.real_video, "real_video")
        if not self.prompt.strip():
            raise ValueError("the prompt is empty")
        if self.case_id is not None and not self.case_id.strip():
            raise ValueError("case_id is empty")
        if self.temporal_ratio is not None and self.temporal_ratio < 1:
            raise ValueError(f"temporal_ratio must be at least 1, not {self.temporal_ratio}")
        if not self.people:
            raise ValueError("nobody is asked for")
        names = [person.name for person in self.people]
        if len(set(names)) < len(names):
            raise ValueError(f"two people have one name: {', '.join(names)}")

    @property
    def label(self) -> str:
        """The case's name."""
        return PurePosixPath(self.file_name).stem if self.case_id is None else self.case_id


def read_manifest(folder: Path) -> list[ManifestVideo]:
    """Reads the manifest of a folder of videos; whether the files are there and sound is another question.

    Raises:
        UserInputError: if there is no manifest or nothing in it, for lines that describe no video, or for two lines
            with one name; it names the lines.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise UserInputError(
            f"The folder {folder} lacks {MANIFEST_NAME}, which says what its videos were asked for with; "
            "docs/evaluation.md describes it, and `ingredients evaluate --save-videos` writes one."
        )
    videos: list[ManifestVideo] = []
    faults: list[str] = []
    first_lines: dict[str, int] = {}
    for number, values in read_json_lines(path, remedy="docs/evaluation.md describes it"):
        try:
            if isinstance(values, NotPlainError):
                raise values
            if not isinstance(values, dict):
                raise NotPlainError(f"a video is a JSON object, not {type(values).__name__}")
            video = config_from_dict(ManifestVideo, values)
        except (NotPlainError, UserInputError) as error:
            faults.append(f"line {number} ({str(error).rstrip('.')})")
            continue
        if video.label in first_lines:
            faults.append(f"line {number} (the case {video.label!r} is already in line {first_lines[video.label]})")
            continue
        first_lines[video.label] = number
        videos.append(video)
    if faults:
        raise UserInputError(f"The manifest {path} has faults that must be mended first: {name_some(faults)}.")
    if not videos:
        raise UserInputError(f"The manifest {path} lists no video; give it one line a video.")
    return videos


def write_manifest(folder: Path, videos: Sequence[ManifestVideo]) -> None:
    """Writes the manifest of a folder, whole or not at all; the files that it names are the caller's.

    Raises:
        OutputError: if it cannot be written.
    """
    write_json_lines(folder / MANIFEST_NAME, map(_to_json, videos))


def _to_json(video: ManifestVideo) -> dict[str, Any]:
    """Without what was left at its default."""
    values = {name: value for name, value in dataclasses.asdict(video).items() if value not in (None, False)}
    values["people"] = [
        {name: value for name, value in person.items() if value is not None} for person in values["people"]
    ]
    return values


def _check_inside(name: str, what: str) -> None:
    relative = PurePosixPath(name)
    if not name.strip() or relative.is_absolute() or ".." in relative.parts:
        raise ValueError(f"{what} must be a file in the folder, not {name!r}")
