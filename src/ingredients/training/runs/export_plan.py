"""What an export of a run takes from where, settled before anything is loaded or written."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import torch

from ingredients.core.errors import UserInputError
from ingredients.core.json_yaml import BadFileError, read_json
from ingredients.core.model_files import digest_files
from ingredients.core.warnings_told import Notice
from ingredients.model_folders.components import transformer_part
from ingredients.model_folders.find_model import find_model
from ingredients.model_folders.new_folder_parts import stored_dtype
from ingredients.model_folders.origin import ModelOrigin, model_origin
from ingredients.model_folders.transformer import is_base
from ingredients.pipelines.encoding_model import find_face_encoder
from ingredients.training.runs.folder import RunFolder, checkpoint_step, find_checkpoint, read_metrics, run_chain

Layout = Literal["ours", "published", "identity"]
WeightType = Literal["float16", "bfloat16", "float32"]

RECORD_NAME = "export.json"
_RECORD_FORMAT = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExportPlan:
    """Which weights go into which form, and what goes with them."""

    run: RunFolder
    """The run whose weights are exported."""

    chain: tuple[RunFolder, ...]
    """It and the runs that it went on from, the oldest first."""

    layout: Layout
    """The form in which they are written."""

    dtype: torch.dtype
    """Type of the trained weights."""

    dtype_of_parts: torch.dtype | None
    """Type of the other parts' weights; None leaves them in theirs."""

    checkpoint: Path | None
    """Whose averages are taken; None: what the run exported at its end."""

    step: int | None
    """After which the weights are as they are; None if the run does not say."""

    model: Path
    """Folder of the model that the other parts are taken from."""

    face_encoder: Path
    """Folder of the face networks."""

    origin: ModelOrigin
    """Where the model is from."""

    def record(self) -> dict[str, Any]:
        """What an exported folder says of itself: another export with the same record would hold the same."""
        sources = [self.checkpoint or self.run.transformer]
        if self.layout == "identity":
            sources += [find_checkpoint(run, "last") for run in self.chain[:-1]]
        return {
            "format": _RECORD_FORMAT,
            "run": self.run.name,
            "stage": self.run.kind.name,
            "step": self.step,
            "layout": self.layout,
            "dtype": dtype_name(self.dtype),
            "dtype_of_parts": None if self.dtype_of_parts is None else dtype_name(self.dtype_of_parts),
            "weights": [digest_files(source) for source in sources],
        }

    def is_exported_to(self, folder: Path) -> bool:
        """Whether a folder holds this very export."""
        path = folder / RECORD_NAME
        try:
            return bool(read_json(path, remedy="export again") == self.record())
        except BadFileError:
            return False


def plan_export(
    run: RunFolder,
    *,
    layout: Layout = "ours",
    dtype: WeightType | None = None,
    checkpoint: str | None = None,
    notice: Notice | None = None,
) -> ExportPlan:
    """Settles what an export takes.

    Args:
        run: Whose weights are exported.
        layout: `ours` and `published` are whole model folders, with our names and the authors'; `identity` is a folder
            of identity weights, for use beside the base.
        dtype: Of all weights; None: that of the model's own transformer, and the other parts as they are.
        checkpoint: `last`, `best` or the number of a step; None: what the run exported at its end.
        notice: Told of a download before it begins.

    Raises:
        UserInputError: If the weights are not there, or cannot have that form.
        ModelFolderError: If a part of the model is missing.
    """
    path = None if checkpoint is None else find_checkpoint(run, checkpoint)
    if path is None and not (run.transformer / "config.json").is_file():
        raise UserInputError(
            f"The run {run.folder} has not ended, so it has no {run.transformer.name}/; let it finish, or export "
            "--checkpoint last."
        )
    model = find_model(run.config.model.folder, notice=notice)
    chain = run_chain(run)
    if layout == "identity":
        _check_identity_layout(chain, model)
    given = None if dtype is None else getattr(torch, dtype)
    return ExportPlan(
        run=run,
        chain=chain,
        layout=layout,
        dtype=given or stored_dtype(model / transformer_part(model)),
        dtype_of_parts=given,
        checkpoint=path,
        step=read_metrics(run).get("steps") if path is None else checkpoint_step(path),
        model=model,
        face_encoder=find_face_encoder(model, run.config.model.face_encoder),
        origin=model_origin(run.config.model.folder),
    )


def dtype_name(dtype: torch.dtype) -> str:
    """A type in words."""
    return str(dtype).removeprefix("torch.")


def _check_identity_layout(chain: tuple[RunFolder, ...], model: Path) -> None:
    first = chain[0]
    if first.config.model.start is not None:
        raise UserInputError(
            f"The run {first.folder} began with {first.config.model.start}, which is no run's folder, so nothing says "
            "what was trained of the base; export with --layout ours."
        )
    if not is_base(model / transformer_part(model)):
        raise UserInputError(
            f"The run {first.folder} began with {model_origin(first.config.model.folder).name}, which has identity "
            "modules of its own and is no CogVideoX base to lay identity weights beside; export with --layout ours."
        )
    tuned = next((run for run in chain if run.config.stage.tuning == "full"), None)
    if tuned is not None:
        raise UserInputError(
            f"The run {tuned.folder} tuned the base in full (stage.tuning=full), so there is no LoRA to lay beside "
            "it, and identity weights with all of the base's would be a whole model; export with --layout ours."
        )
