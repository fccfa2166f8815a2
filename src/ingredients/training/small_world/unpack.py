"""Lays a model folder out as the runs that made it, so that any part can be trained further."""

import dataclasses
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX
from transformers import T5EncoderModel

from ingredients.core.errors import ModelFolderError, OutputError
from ingredients.core.output_folders import claim_folder
from ingredients.faces.drawn_face_stack import PICTURE_KIND_FOLDER
from ingredients.faces.picture_kind import WEIGHTS_NAME
from ingredients.model_folders.components import load_text_encoder, load_vae
from ingredients.model_folders.folder_names import FACE_ENCODER
from ingredients.model_folders.places import default_model_path
from ingredients.model_folders.transformer import load_transformer
from ingredients.models import IngredientsTransformer3DModel
from ingredients.training.runs.start import base_within
from ingredients.training.small_world.faces import detector, image_encoder, picture_kind, recognition
from ingredients.training.small_world.faces.pack import JUDGE_FOLDER
from ingredients.training.small_world.pack import SETTINGS_FOLDER

_PARTS = ("vae", "vae-decoder", "text-encoder", "align", "route", "base-t2v")
"""Those that are written whatever the model folder says of its training."""


@dataclasses.dataclass(slots=True, kw_only=True)
class UnpackConfig:
    """Which model folder is laid out."""

    folder: Path | None = None
    """The model folder; None takes the one that ships."""


def unpack(config: UnpackConfig, output: Path, resume: bool = False, *, show: bool = True) -> Path:
    """Writes a part's folder for each part in a model folder: weights, settings and what its training measured.

    The transformer becomes that of `route` and of `align` alike, and the base inside it that of `base-t2v`, so that an
    alignment of another kind has something to begin with. That is not the base whose settings and metrics lie beside
    it: the stages have trained it further. An image-to-video base, encoded clips, optimisers and logs are not in a
    model folder; what needs them says which command makes them.

    Args:
        config: which model.
        output: folder of all runs; must not hold a trained part yet.
        resume: changes nothing; here for the parts' common form.
        show: as `resume`.

    Raises:
        ModelFolderError: if the folder lacks a part or says nothing about its training.
        OutputError: if a trained part is there already, or something else.
    """
    del resume, show
    folder = config.folder or default_model_path()
    settings = sorted((folder / SETTINGS_FOLDER).glob("*.yaml"))
    if not settings:
        raise ModelFolderError(
            f"{folder} has no {SETTINGS_FOLDER}/, which says how its parts were trained; take a folder that "
            "`ingredients world train pack` wrote."
        )
    if trained := sorted(path.parent.name for path in output.glob("*/metrics.json")):
        raise OutputError(f"{output} holds trained parts already ({', '.join(trained)}); choose another --output.")
    for name in {*_PARTS, *(path.stem for path in settings)}:
        claim_folder(output / name, "a training run")
    for path in settings:
        part = output / path.stem
        shutil.copyfile(path, part / "config.yaml")
        if path.with_suffix(".json").exists():
            shutil.copyfile(path.with_suffix(".json"), part / "metrics.json")
    vae: AutoencoderKLCogVideoX = load_vae(folder / "vae", dtype=torch.float32)
    for name in ("vae", "vae-decoder"):
        vae.save_pretrained(output / name / "vae")
    text_encoder: T5EncoderModel = load_text_encoder(folder / "text_encoder", dtype=torch.float32)
    text_encoder.save_pretrained(output / "text-encoder" / "text_encoder")
    shutil.copytree(folder / "tokenizer", output / "text-encoder" / "tokenizer", dirs_exist_ok=True)
    transformer: IngredientsTransformer3DModel = load_transformer(folder / "transformer", dtype=torch.float32)
    for name in ("align", "route"):
        transformer.save_pretrained(output / name / "transformer")
    base_within(transformer).save_pretrained(output / "base-t2v" / "transformer")
    for part_name, home, weights in (
        (detector.PART, FACE_ENCODER, detector.WEIGHTS_NAME),
        (recognition.RECOGNISER_PART, FACE_ENCODER, recognition.RECOGNISER_WEIGHTS_NAME),
        (recognition.JUDGE_PART, JUDGE_FOLDER, recognition.JUDGE_WEIGHTS_NAME),
        (detector.JUDGE_PART, JUDGE_FOLDER, detector.WEIGHTS_NAME),
    ):
        if part_name == detector.JUDGE_PART and not (folder / home / weights).exists():
            continue  # models from before the judge had a detector of its own
        shutil.copyfile(folder / home / weights, output / part_name / weights)
    shutil.copytree(folder / FACE_ENCODER / "image_encoder", output / image_encoder.PART, dirs_exist_ok=True)
    kind_weights = folder / FACE_ENCODER / PICTURE_KIND_FOLDER / WEIGHTS_NAME
    if kind_weights.exists():  # older models have none
        shutil.copyfile(kind_weights, output / picture_kind.PART / WEIGHTS_NAME)
    return output
