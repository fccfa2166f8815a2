"""One step taken again with one clip, on what the steps before it saved: to look into a step by itself."""

import dataclasses
import tempfile
from pathlib import Path

from ingredients.core.errors import UserInputError
from ingredients.core.json_yaml import NotPlainError, read_json_lines
from ingredients.curation.config import CurationConfig
from ingredients.curation.engine import WORK_NAME
from ingredients.curation.source_work import SourceTask, open_clip, take_step
from ingredients.curation.step import Measured, Rejection
from ingredients.curation.write import CLIPS_NAME, SOURCES_NAME

_REMEDY = "curate the videos again"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came out."""

    measured: Measured
    """What the step measures now."""

    saved: Measured | None
    """What it had measured; None where nothing was saved."""

    rejection: Rejection | None
    """What it decides."""


def replay_step(folder: Path, clip_id: str, step_name: str, config: CurationConfig) -> Replayed:
    """Takes a step again; the store stays as it is.

    Args:
        folder: the folder of the data set.
        clip_id: name of a clip, kept or not.
        step_name: the name of a step that looks at frames.
        config: all settings.

    Raises:
        UserInputError: if there is no such clip or step, or what the step needs was not saved.
    """
    path = _line(folder / CLIPS_NAME, "clip_id", clip_id)["source"]
    source = _line(folder / SOURCES_NAME, "path", path)
    task = SourceTask(
        path=Path(path),
        digest=source["digest"],
        num_bytes=0,
        work=folder / WORK_NAME,
        config=config,
        num_threads=0,
    )
    clip, _, steps, _ = open_clip(task, clip_id)
    step = next((each for each in steps if each.name == step_name), None)
    if step is None:
        raise UserInputError(
            f"There is no step {step_name!r} that looks at frames; choose one of "
            f"{', '.join(each.name for each in steps)}."
        )
    if missing := [name for name in step.needs if name not in clip.results]:
        raise UserInputError(
            f"The clip {clip_id} was left out before the step {step_name}: nothing of {missing[0]} was saved."
        )
    saved = clip.results.pop(step_name, None)
    with tempfile.TemporaryDirectory(prefix="ingredients-") as scratch:
        if "cut" in step.needs:
            _ = clip.frames  # from the store, before the step's own files go elsewhere
        clip.folder = Path(scratch)
        rejection = take_step(step, "replayed", clip, None)
    return Replayed(measured=clip.results.get(step_name, {}), saved=saved, rejection=rejection)


def _line(path: Path, name: str, value: str) -> dict[str, str]:
    for _, line in read_json_lines(path, remedy=_REMEDY):
        if not isinstance(line, NotPlainError) and line.get(name) == value:
            return dict(line)
    raise UserInputError(f"The table {path} has no line whose {name} is {value!r}.")
