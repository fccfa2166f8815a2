"""The small model's card: what it is, how each part was made, and what each part's training measured."""

from pathlib import Path

from ingredients.core.json_yaml import read_json, read_yaml
from ingredients.core.training_log import read_metrics_file
from ingredients.model_folders.folder_names import TRANSFORMER_CONFIG
from ingredients.pipelines.video_shape import VideoGeometry
from ingredients.training.runs.configuration import CONFIG_NAME

MODEL_CARD_NAME = "README.md"
TRAINED_PARTS = {
    "detector": "face detector with five landmarks",
    "recogniser": "face recogniser (ArcFace loss)",
    "image-encoder": "CLIP-style dual encoder",
    "picture-kind": "what tells the drawn world from photographs and other drawings",
    "picture-kind-close-ups": "a second one of these, which looks from close up",
    "judge": "another recogniser, which only measures",
    "judge-detector": "another face detector, which only measures",
    "acting-judge": "the judge of actions and expressions, which only measures",
    "attributes-judge": "the judge of what people look like, which only measures",
    "text-encoder": "T5 encoder over the world's words",
    "vae": "3D causal VAE",
    "vae-decoder": "its decoder, trained further",
    "start": "what the transformer began with, and the VAE: a smaller model's, laid over a finer grid",
    "base-t2v": "text-to-video base",
    "base-i2v": "image-to-video base",
    "align": "multi-scale projector and base, first stage of section 3.3",
    "route": "router and LoRA, second stage of section 3.3",
}
_BOOKKEEPING = ("steps", "minutes", "num_threads", "precision", "seed", "num_parameters")
_MAX_METRICS = 8

_CARD = """---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-video
---
# Ingredients, the small model of the drawn world

Photos of drawn people and a sentence become a video{shape} in which those people appear.{roles}
This model shows the method of "Ingredients: Blending Custom Photos with Video Diffusion Transformers" (arXiv
2501.01790) end to end on a plain computer, in the folder layout of the authors' checkpoint. It knows drawn faces only:
it is no model for photographs, and its pictures are small and soft.

All data is drawn by `ingredients.world`; no photograph and no pretrained weight went in. People for training, judging
and evaluation never overlap. Weights are moving averages in half precision; the LoRA is merged into the transformer.

## How it was made

Each part was trained by `ingredients world train PART --config training/PART.yaml`, in this order; the files in
`training/` hold every setting. Where one names a `start`, the part went on from an earlier round of its own, which is
not kept. {faces}`ingredients world train pack` wrote this folder.

| part | what | steps | minutes | threads | precision | seed | parameters |
|---|---|---|---|---|---|---|---|
{parts}

The minutes are wall-clock time on a shared computer with two processor cores and no GPU. The identity transformer here
is that of the part `{transformer_part}`, the VAE that of `{vae_part}`.

## What each part's training measured

On held-out people, clips and sentences; how good whole videos are says `ingredients evaluate`.

| part | measured |
|---|---|
{metrics}
"""


def write_model_card(folder: Path, output: Path, *, transformer_part: str, vae_part: str) -> None:
    """Writes `README.md` into the model folder from the metrics that the parts' training left in `output`."""
    part_rows, metric_rows = [], []
    for part, makes in TRAINED_PARTS.items():
        path = output / part / "metrics.json"
        if not path.exists():
            continue
        metrics = read_metrics_file(path)
        bookkeeping = " | ".join(_number(metrics[name]) if name in metrics else "-" for name in _BOOKKEEPING)
        part_rows.append(f"| {part} | {makes} | {bookkeeping} |")
        measured = {name: value for name, value in metrics.items() if name not in _BOOKKEEPING and "_t" not in name}
        shown = ", ".join(f"{name} {_number(value)}" for name, value in list(measured.items())[:_MAX_METRICS])
        metric_rows.append(f"| {part} | {shown} |")
    card = _CARD.format(
        shape=_describe_shape(folder),
        roles=_describe_roles(folder / TRANSFORMER_CONFIG),
        faces=_describe_faces(output / "align" / CONFIG_NAME),
        parts="\n".join(part_rows),
        metrics="\n".join(metric_rows),
        transformer_part=transformer_part,
        vae_part=vae_part,
    )
    (folder / MODEL_CARD_NAME).write_text(card, encoding="utf-8")


def _describe_shape(folder: Path) -> str:
    """Says how large and how long the model's videos are; nothing where its parts do not tell."""
    geometry = VideoGeometry.peek(folder)
    if geometry is None:
        return ""
    own = geometry.own_shape
    return f" of {own.num_frames} frames of {own.width}x{own.height} pixels"


def _describe_roles(path: Path) -> str:
    """Says of a model whose words hear of the photos what its sentences may say; nothing of others."""
    config = read_json(path, remedy="pack the model again") if path.exists() else {}
    if not config.get("id_phrases"):
        return ""
    return "\nA sentence may ask something else of each of them, and call them by the names of their photos."


def _describe_faces(path: Path) -> str:
    """Says of an alignment that began with faces that another model had learnt whose they were; nothing of others."""
    start = read_yaml(path, remedy="put it back as it was").get("identity_start") if path.exists() else None
    if start is None:
        return ""
    return (
        "The projector, and what the identity attentions read of people,\nbegan as those of another trained model, "
        f"`{Path(start).resolve().name}`.\n"
    )


def _number(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
