"""The folder of an evaluation: one file a case, so that an interrupted run goes on where it stopped."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from ingredients.core import json_yaml
from ingredients.core.config import config_to_dict, read_record
from ingredients.core.errors import UserInputError
from ingredients.core.input_files import open_file
from ingredients.core.json_yaml import BadFileError, finite_or_none, found, read_json
from ingredients.core.output_folders import claim_folder
from ingredients.evaluation.case_record import CaseRecord
from ingredients.evaluation.judge import Judge
from ingredients.faces.onnx_faces import OnnxNetwork

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

    def load(self, variant: str, index: int) -> CaseRecord | None:
        """The record of a case, or None if it is not done (or its file is damaged)."""
        try:
            record = read_record(CaseRecord, self._record_path(variant, index), remedy="it is made again")
        except BadFileError:
            return None
        return record if record.index == index else None

    def save(self, variant: str, record: CaseRecord) -> None:
        """Writes the record of a case."""
        path = self._record_path(variant, record.index)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, config_to_dict(record))

    def video_path(self, variant: str, index: int) -> Path:
        """Where the video of a case goes, for watching."""
        return self.path / "videos" / variant / f"{index:04d}.mp4"

    def frames_path(self, variant: str, index: int) -> Path:
        """Where the exact frames of a case's video go."""
        return self.path / "frames" / variant / f"{index:04d}.mkv"

    def _record_path(self, variant: str, index: int) -> Path:
        return self.path / "cases" / variant / f"{index:04d}.json"


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
