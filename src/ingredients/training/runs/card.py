"""The card of a model that runs have trained: on what, what was measured, how to use it, and under which terms."""

import dataclasses
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ingredients.core.config import config_to_dict
from ingredients.core.errors import UserInputError
from ingredients.core.markdown import markdown_table
from ingredients.data.encoded_clips import EncodedClips
from ingredients.model_folders.components import build_vae, transformer_part
from ingredients.model_folders.folder_names import TRANSFORMER
from ingredients.model_folders.origin import (
    PartTerms,
    knows_photographs,
    model_origin,
    read_card_metadata,
    terms_of_base,
    terms_of_faces,
)
from ingredients.model_folders.transformer import build_transformer
from ingredients.pipelines.encoding_model import model_bucket
from ingredients.training.runs.export_plan import ExportPlan, Layout, dtype_name
from ingredients.training.runs.folder import RunFolder, checkpoint_step, read_metrics

CURVES_NAME = "curves.png"

_LICENCE_FIELDS = ("license", "license_name", "license_link")
_UNKNOWN_LICENCE = {"license": "other", "license_name": "see-model-card", "license_link": "README.md"}
_WIDTH = 119
_PROMPT = "Two people wave on a beach, smiling."

_CARD = """---
{metadata}---
# {name}

Photos of several people and a sentence become a video in which each of them appears and keeps the own face: the method
of "Ingredients: Blending Custom Photos with Video Diffusion Transformers" (arXiv 2501.01790).

{form}

## Use

```
{commands}
```

## Training

{table}

{runs}
{curves}
## Limits

{limits}

## Responsible use

A video of a person needs that person's consent: what comes out can be taken for a recording. Do not use this to
deceive, to harass, to put words or acts into somebody's mouth or hands, or to make intimate pictures of anybody; do
not use photos of children. Say of what you publish that a model made it; every file that `ingredients generate` writes
carries that in its metadata.

## Licences

In plain words, to the best of our reading; the files' own pages decide. The clips that it was trained on have terms of
their own.

{terms}
"""

_FORMS: dict[Layout, str] = {
    "ours": "This is a whole model folder: the transformer that was trained, any LoRA merged into it, and the other "
    "parts of the model that it was trained from.",
    "published": "This is a whole model folder under the names of the authors' checkpoint: the transformer that was "
    "trained, any LoRA merged into it, and the other parts of the model that it was trained from.",
    "identity": "These are identity weights for use beside that base: the identity modules, what else of the base was "
    "trained, a LoRA, and face networks.",
}
_LIMITS = (
    "- What was measured are losses and routing on clips; how good whole videos are says `ingredients evaluate`.",
    "- More people than the clips show at a time, small or turned faces, and long or fast motion are likely to fail.",
)
_DRAWN_LIMITS = ("- Its face networks know drawn faces only: it is no model for photographs.",)
_PHOTOGRAPH_LIMITS = (
    "- People who differ from those of the clips, in age, skin or dress, may be kept less well; nothing here says how "
    "much.",
)


def run_card(plan: ExportPlan, *, name: str, repo_id: str | None, has_curves: bool) -> str:
    """The text of a model card, with no path of this machine in it."""
    is_drawn = not knows_photographs(plan.face_encoder)
    origin = f"`{plan.origin.name}`"
    if plan.origin.hub_model is not None and str(plan.origin.hub_model) != plan.origin.name:
        origin += f" ({plan.origin.hub_model})"
    after = "" if plan.step is None else f" after step {plan.step:,}"
    return _CARD.format(
        metadata=yaml.safe_dump(_metadata(plan, is_drawn=is_drawn), sort_keys=False),
        name=(repo_id or name).rpartition("/")[2],
        form=textwrap.fill(
            f"Trained by `ingredients train` from {origin}, for {_shape(plan)}. {_FORMS[plan.layout]} The trained "
            f"weights are moving averages{after}, in {dtype_name(plan.dtype)}.",
            width=_WIDTH,
            break_long_words=False,
            break_on_hyphens=False,
        ),
        commands="\n".join(_commands(plan, name, repo_id, is_drawn=is_drawn)),
        table=runs_table(plan),
        runs="\n\n".join(run_section(plan, run) for run in plan.chain),
        curves=f"![losses of the runs]({CURVES_NAME})\n" if has_curves else "",
        limits="\n".join((*_LIMITS, *(_DRAWN_LIMITS if is_drawn else _PHOTOGRAPH_LIMITS))),
        terms=markdown_table(
            ("files", "from", "terms"), [(each.part, each.origin, each.terms) for each in _terms(plan)]
        ),
    )


def _metadata(plan: ExportPlan, *, is_drawn: bool) -> dict[str, Any]:
    of_model = read_card_metadata(plan.model)
    licence = {field: of_model[field] for field in _LICENCE_FIELDS if field in of_model}
    if not licence or not is_drawn:  # the photographs' recogniser is for research only, whatever the rest is
        licence = _UNKNOWN_LICENCE
    metadata = licence | {"library_name": "ingredients", "pipeline_tag": "text-to-video"}
    base = of_model.get("base_model") if plan.origin.hub_model is None else plan.origin.hub_model.repo_id
    if base is not None:
        relation = "adapter" if plan.layout == "identity" else "finetune"
        metadata |= {"base_model": base, "base_model_relation": relation}
    tags = ["video-generation", "identity-preservation", "multiple-people", "arxiv:2501.01790"]
    tags += ["lora"] if plan.layout == "identity" else []
    return metadata | {"tags": [*tags, "drawn-people"] if is_drawn else tags}


def _shape(plan: ExportPlan) -> str:
    source = plan.model / transformer_part(plan.model)
    finished = plan.run.transformer if (plan.run.transformer / "config.json").is_file() else source
    bucket = model_bucket(build_transformer(finished), build_vae(plan.model / "vae"))
    return f"{bucket.num_frames} frames of {bucket.height}x{bucket.width} pixels"


def _commands(plan: ExportPlan, name: str, repo_id: str | None, *, is_drawn: bool) -> list[str]:
    """Two commands: what is needed first, and a video."""
    photos = {person: f"{person}.{'png' if is_drawn else 'jpg'}" for person in ("ana", "ben")}
    model, base = repo_id or name, plan.origin.name
    if plan.layout == "identity":
        if repo_id is not None:
            model = repo_id.rpartition("/")[2]
            first = f"hf download {repo_id} --local-dir {model}"
        else:
            first = "ingredients doctor" if plan.origin.hub_model is None else f"ingredients download {base}"
        options = f"--model {base} --identity {model}"
    else:
        looked_at = f"ingredients faces {' '.join(photos.values())} --model {model}"
        first = looked_at if repo_id is None else f"ingredients download {repo_id}"
        options = f"--model {model}"
    people = " ".join(f"--photo {person}={file}" for person, file in photos.items())
    return [first, f"ingredients generate {options} {people} \\", f'  --prompt "{_PROMPT}" --output out.mp4']


def _terms(plan: ExportPlan) -> list[PartTerms]:
    of_faces = plan.run.config.model.face_encoder
    faces = terms_of_faces(plan.origin if of_faces is None else model_origin(of_faces), plan.face_encoder)
    if plan.layout == "identity":
        (of_base, *_) = terms_of_base(plan.origin, [TRANSFORMER])
        trained = "`identity.safetensors`, `pytorch_lora_weights.safetensors`"
        others = [dataclasses.replace(of_base, part="the base, which is not in here")]
    else:
        trained = f"`{TRANSFORMER}/`, as these runs changed it"
        judge = ["judge"] if (plan.model / "judge").is_dir() else []
        others = terms_of_base(plan.origin, [TRANSFORMER, "vae", "text_encoder", "tokenizer", *judge])
    terms = f"what is made from `{plan.origin.name}` is under the terms of that model, too"
    return [PartTerms(part=trained, origin="these runs", terms=terms), *others, *faces]


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
    for field in ("start", "identity_start", "face_encoder"):
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
