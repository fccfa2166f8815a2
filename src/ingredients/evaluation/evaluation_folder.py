"""The folder of an evaluation: one file a case, so that an interrupted run goes on where it stopped.

evaluation.json          what the records depend on
cases/whole/0000.json    what was measured on case 0

With videos that are kept, it is one that `ingredients evaluate --videos` reads, so that any judge can have a look:

manifest.jsonl
frames/whole/0000.mkv    the frames without loss, which the manifest names, so that numbers are the evaluation's own
videos/whole/0000.mp4    the same for watching
photos/0000-1-2.png      case 0, person 1, photo 2: the first is the one that the generator got
real/0000.mkv            what the drawn world's own camera would have seen
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ingredients.casebook.cases import Case, Person
from ingredients.core import json_yaml
from ingredients.core.arrays import UInt8Array
from ingredients.core.config import config_to_dict, read_record
from ingredients.core.errors import UserInputError
from ingredients.core.input_files import open_file
from ingredients.core.json_yaml import BadFileError, finite_or_none, found, read_json
from ingredients.core.output_folders import claim_folder
from ingredients.evaluation.case_record import CaseRecord
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.manifest import write_manifest
from ingredients.faces.onnx_faces import OnnxNetwork
from ingredients.media.pictures import write_picture
from ingredients.media.video import write_lossless_video, write_video

_DESCRIPTION = "evaluation.json"


class EvaluationFolder:
    """Records of cases on disk.

    Args:
        path: folder, made if it is not there.
        description: what the records depend on: the model's fingerprint and the settings.

    Raises:
        OutputError: if the folder cannot be made, or holds something else.
        UserInputError: if it holds records of another model or other settings.
    """

    def __init__(self, path: str | Path, *, description: Mapping[str, Any]) -> None:
        self.path = Path(path)
        claim_folder(self.path, "an evaluation")
        check_description(self.path, description)

    def load(self, name: str, index: int) -> CaseRecord | None:
        """The record of a case, or None if it is not done (or its file is damaged)."""
        try:
            record = read_record(CaseRecord, self._record_path(name, index), remedy="it is made again")
        except BadFileError:
            return None
        return record if record.index == index else None

    def save(self, name: str, record: CaseRecord) -> None:
        """Writes the record of a case."""
        path = self._record_path(name, record.index)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, config_to_dict(record))

    def video_path(self, name: str, index: int) -> Path:
        """Where the video of a case goes, for watching."""
        return self.path / "videos" / name / f"{index:04d}.mp4"

    def frames_path(self, name: str, index: int) -> Path:
        """Where the exact frames of a case's video go."""
        return self.path / "frames" / name / f"{index:04d}.mkv"

    def has_video(self, name: str, index: int) -> bool:
        """Whether the video of a case was kept."""
        return self.video_path(name, index).is_file() and self.frames_path(name, index).is_file()

    def save_video(self, name: str, case: Case, frames: UInt8Array, *, fps: float) -> None:
        """Keeps the video (F, H, W, 3) of a case."""
        video, exact = self.video_path(name, case.index), self.frames_path(name, case.index)
        for path in (video, exact):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_video(video, frames, fps=fps, metadata={"title": case.prompt})
        write_lossless_video(exact, frames, fps=fps)

    def _record_path(self, name: str, index: int) -> Path:
        return self.path / "cases" / name / f"{index:04d}.json"


def save_manifest(
    folder: EvaluationFolder,
    cases: Sequence[Case],
    *,
    name: str,
    real_frames: Callable[[Case], UInt8Array | None],
    fps: float,
) -> None:
    """Writes photos and real videos of cases of the drawn world beside the videos that were kept, and the manifest.

    A case without a video is listed too: whoever judges the folder counts everybody in it as missing, as here.

    Raises:
        OutputError: if something cannot be written.
    """
    for part in ("photos", "real"):
        (folder.path / part).mkdir(exist_ok=True)
    listed = []
    for case in cases:
        real = folder.path / "real" / f"{case.index:04d}.mkv"
        if not real.exists() and (frames := real_frames(case)) is not None:
            write_lossless_video(real, frames, fps=fps)
        listed.append(
            dataclasses.replace(
                case,
                file_name=_inside(folder, folder.frames_path(name, case.index)),
                people=tuple(
                    _save_person(folder, case, number, person) for number, person in enumerate(case.people, start=1)
                ),
                real_video=_inside(folder, real),
            )
        )
    write_manifest(folder.path, listed)


def _save_person(folder: EvaluationFolder, case: Case, number: int, person: Person) -> Person:
    """The person of a case with photos in files, and a name that no other case has."""
    names = []
    for photo_number, photo in enumerate(person.known_by(), start=1):
        path = folder.path / "photos" / f"{case.index:04d}-{number}-{photo_number}.png"
        if not path.exists():
            write_picture(path, photo.image)
        names.append(_inside(folder, path))
    return dataclasses.replace(person, name=f"person {case.index}-{number}", photos=tuple(names))


def _inside(folder: EvaluationFolder, path: Path) -> str:
    return path.relative_to(folder.path).as_posix()


def check_description(folder: Path, description: Mapping[str, Any]) -> None:
    """Notes in a folder what its results depend on, the first time, and afterwards refuses anything else.

    Raises:
        UserInputError: if the folder was begun with another description; it names what differs.
    """
    path = folder / _DESCRIPTION
    if not path.exists():
        write_json(path, description)
        return
    before = read_json(path, remedy="choose another output folder, or delete this one")
    if not isinstance(before, dict):
        raise BadFileError(
            f"The file {path} is damaged (it holds {found(before)}); choose another output folder, or delete this one."
        )
    differing = sorted(key for key in {*before, *description} if before.get(key) != description.get(key))
    if differing:
        raise UserInputError(
            f"The folder {folder} holds an evaluation that differs in {', '.join(differing)}; choose another "
            "output folder, or delete this one."
        )


def fingerprint(
    modules: Iterable[torch.nn.Module], configs: Iterable[Mapping[str, Any]] = (), *, files: Iterable[Path] = ()
) -> str:
    """A hash of weights, configurations and files: what was changed has another one, wherever it was loaded from.

    Keys of configurations that begin with an underscore say where from and by which version, and do not count. Nor do
    fused projections, which repeat other weights.
    """
    digest = hashlib.sha256()
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            if ".to_qkv." in name:
                continue
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    for config in configs:
        settings = {key: value for key, value in config.items() if not key.startswith("_")}
        digest.update(json.dumps(settings, sort_keys=True, default=str, allow_nan=False).encode())
    for path in files:
        with open_file(path) as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def held_modules(*parts: object) -> list[torch.nn.Module]:
    """The networks that plain objects, such as detectors and recognisers, hold as attributes."""
    return [
        value
        for part in parts
        for value in getattr(part, "__dict__", {}).values()
        if isinstance(value, torch.nn.Module)
    ]


def judge_fingerprint(judge: Judge) -> str:
    """A hash of all that a judge's answers depend on."""
    parts = (judge.detector, judge.recogniser)
    files = [
        value.path
        for part in parts
        for value in getattr(part, "__dict__", {}).values()
        if isinstance(value, OnnxNetwork)
    ]
    scale = {name: value for name, value in config_to_dict(judge.scale).items() if value is not None}
    others = [type(part).__name__ for part in parts if not held_modules(part)]  # known by their names or files
    return fingerprint(held_modules(*parts), [scale, *([{"parts": others}] if others else [])], files=files)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Writes JSON, whole or not at all."""
    json_yaml.write_json(path, finite_or_none(values))
