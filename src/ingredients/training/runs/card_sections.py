"""What a model card says of each run that the model comes from: its data, what was measured, and all settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ingredients.core.config import config_to_dict
from ingredients.core.errors import UserInputError
from ingredients.core.markdown import markdown_table
from ingredients.data.encoded_clips import EncodedClips
from ingredients.model_folders.origin import model_origin
from ingredients.training.runs.export_plan import ExportPlan
from ingredients.training.runs.folder import RunFolder, checkpoint_step, read_metrics

_STAGES = {"align": "facial embedding alignment", "route": "router fine-tuning"}


def runs_table(plan: ExportPlan) -> str:
    """The runs, one a row."""
    rows = []
    for run in plan.chain:
        metrics = _metrics(plan, run)
        steps = plan.step if run is plan.run else metrics.get("steps")
        rows.append(
            (
                f"`{run.name}`",
                f"{_STAGES[run.kind.name]} (3.3)",
                "-" if steps is None else f"{steps:,}",
                f"{run.config.trainer.num_steps:,}",
                _number(metrics["minutes"]) if "minutes" in metrics else "-",
                "in full" if run.config.stage.tuning == "full" else f"LoRA of rank {run.config.stage.lora_rank}",
            )
        )
    return markdown_table(("run", "stage", "steps", "of", "minutes", "base tuned by"), rows)


def run_section(plan: ExportPlan, run: RunFolder) -> str:
    """What a run learnt from, what it measured and all that was set, with no path of this machine in it."""
    lines = [f"### `{run.name}`: {_STAGES[run.kind.name]}", ""]
    descriptions = {}
    for role, folders in (("Learnt from", run.config.data.train), ("Held out", run.config.data.validation)):
        for folder in folders:
            clips = _open_clips(folder)
            lines.append(f"- {role}: {_count_clips(folder, clips)}")
            if clips is not None:
                descriptions[folder.resolve().name] = _without_paths(clips.descriptions[0])
    metrics = _metrics(plan, run)
    by_noise_level = {name: value for name, value in metrics.items() if _is_by_noise_level(name)}
    rows = [(name, _number(value)) for name, value in metrics.items() if name not in by_noise_level]
    if rows:
        lines += ["", markdown_table(("measured", "value"), rows)]
    if by_noise_level:
        lines += ["", _folded("Measured by noise level", by_noise_level)]
    if descriptions:
        lines += ["", _folded("How the clips were encoded: by which parts, with which settings", descriptions)]
    lines += ["", _folded("All settings", _shown_settings(run))]
    return "\n".join(lines)


def _metrics(plan: ExportPlan, run: RunFolder) -> dict[str, Any]:
    if run is plan.run and plan.checkpoint is not None:
        return read_metrics(run, step=checkpoint_step(plan.checkpoint))
    return read_metrics(run)


def _open_clips(folder: Path) -> EncodedClips | None:
    try:
        return EncodedClips([folder])
    except UserInputError:
        return None  # they may lie on another machine by now


def _count_clips(folder: Path, clips: EncodedClips | None) -> str:
    name = f"`{folder.resolve().name}`"
    if clips is None:
        return f"{name}, which was not at hand when this card was written"
    num_people, num_appearances = len(clips.by_person), sum(len(entry.person_ids) for entry in clips.entries)
    people = (
        f"{num_people:,} people who appear {num_appearances:,} times" if num_people else f"{num_appearances:,} faces"
    )
    made_by = ", ".join(f"{part} {digest}" for part, digest in clips.descriptions[0]["parts"].items())
    return f"{name}, {len(clips):,} clips of {people}, encoded by {made_by}"


def _shown_settings(run: RunFolder) -> dict[str, Any]:
    """All settings, with names in the place of paths."""
    values = config_to_dict(run.config)
    model, data = values["model"], values["data"]
    model["folder"] = model_origin(run.config.model.folder).name
    for field in ("start", "face_encoder"):
        model[field] = None if model[field] is None else Path(model[field]).resolve().name
    for field in ("train", "validation"):
        data[field] = [Path(folder).resolve().name for folder in data[field]]
    return {name: _without_paths(value) for name, value in values.items()}


def _is_by_noise_level(name: str) -> bool:
    return name.rpartition("_t")[2].isdigit()


def _without_paths(value: Any) -> Any:
    """Plain values with names in the place of paths."""
    if isinstance(value, Mapping):
        return {key: _without_paths(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_paths(each) for each in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _folded(title: str, values: Mapping[str, Any]) -> str:
    text = yaml.safe_dump(dict(values), sort_keys=False)
    return f"<details><summary>{title}</summary>\n\n```yaml\n{text}```\n\n</details>"


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{int(value):,}" if value.is_integer() else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
