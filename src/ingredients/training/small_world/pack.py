"""Between the parts' runs and a model folder in the published layout: packs them with a card, and unpacks them."""

import shutil
from pathlib import Path
from typing import TypeVar

import torch
from diffusers import AutoencoderKLCogVideoX, ConfigMixin
from transformers import T5EncoderModel, T5Tokenizer

from ingredients.core.config import load_config, save_config
from ingredients.core.errors import ModelFolderError, OutputError
from ingredients.core.output_folders import claim_folder
from ingredients.faces.detector import HeatmapFaceDetector
from ingredients.faces.drawn_face_stack import (
    CLOSE_UPS_NAME,
    PICTURE_KIND_FOLDER,
    DrawnFaceStack,
    DrawnFaceStackConfig,
    build_judge,
    build_recogniser,
    save_judge,
    save_judge_detector,
)
from ingredients.faces.image_encoder import load_dual_encoder
from ingredients.faces.judge_recogniser import DepthwiseFaceNetwork
from ingredients.faces.picture_kind import WEIGHTS_NAME
from ingredients.faces.recogniser import ArcFaceRecogniser
from ingredients.faces.trait_judges import ACTING_FILES, ATTRIBUTES_FILES
from ingredients.model_folders.components import load_text_encoder, load_vae
from ingredients.model_folders.find_model import default_model_path
from ingredients.model_folders.folder_names import FACE_ENCODER, JUDGE_FOLDER
from ingredients.model_folders.sampling_settings import SAMPLING_DEFAULTS_NAME, load_sampling_defaults
from ingredients.model_folders.speed_defaults import load_speed_defaults, save_speed_defaults
from ingredients.model_folders.time_taps import leave_empty_taps_out
from ingredients.model_folders.transformer import load_transformer
from ingredients.models import IngredientsTransformer3DModel
from ingredients.pipelines import IngredientsPipeline
from ingredients.training.runs.start import base_within
from ingredients.training.small_world.card import TRAINED_PARTS, write_model_card
from ingredients.training.small_world.faces import (
    acting,
    attributes_judge,
    detector,
    image_encoder,
    picture_kind,
    recognition,
)
from ingredients.training.small_world.faces.settings import (
    DetectorTrainingConfig,
    JudgeTrainingConfig,
    RecogniserTrainingConfig,
)
from ingredients.training.small_world.folders import TrainedParts, part_folder
from ingredients.training.small_world.settings import UNPACK_FOLDER, PackConfig, UnpackConfig

SETTINGS_FOLDER = "training"

_UNPACKED_PARTS = ("vae", "text-encoder", "align", "route", "base-t2v")
"""Those that are written whatever the model folder says of its training."""

_DECODER_PART = "vae-decoder"
"""The part that is left out where no decoder was trained further."""

_OF_VIDEOS = {*_UNPACKED_PARTS, _DECODER_PART, "start", "base-i2v", "latents"}
"""The parts that are not about faces."""

_TRAIT_JUDGES = {
    acting.PART: ACTING_FILES,
    attributes_judge.PART: ATTRIBUTES_FILES,
}
"""Files of the judges that tell what people do and look like, which a model folder may lack, by part."""

_ModuleT = TypeVar("_ModuleT", bound=torch.nn.Module)


def pack(config: PackConfig, output: Path, show: bool = False) -> Path:
    """Writes the model folder, weights in half precision; returns where.

    Args:
        config: where to, and which transformer.
        output: folder of the whole small model's runs.
        show: changes nothing; here for the parts' common form.

    Raises:
        ModelFolderError: if a part is not trained yet; the message names the command that does it.
    """
    del show
    folder = config.folder or output / "packed"
    vae_part = _DECODER_PART if (output / _DECODER_PART / "vae").exists() else "vae"
    transformer = part_folder(output, config.transformer_part, "transformer")
    pipeline = IngredientsPipeline(
        tokenizer=T5Tokenizer.from_pretrained(part_folder(output, "text-encoder", "tokenizer")),
        text_encoder=_half(T5EncoderModel.from_pretrained(part_folder(output, "text-encoder", "text_encoder"))),
        vae=_half(AutoencoderKLCogVideoX.from_pretrained(part_folder(output, vae_part, "vae"))),
        transformer=_half(load_transformer(transformer, dtype=torch.float32)),
        scheduler=TrainedParts(output=output).load_scheduler(),
    )
    pipeline.sampling_defaults, pipeline.speed_defaults = config.sampling, config.speed
    folder.mkdir(parents=True, exist_ok=True)
    pipeline.save_pretrained(folder)
    leave_empty_taps_out(folder / "vae")
    pack_face_networks(output, folder)
    _copy_records(output, folder / SETTINGS_FOLDER)
    write_model_card(folder, output, transformer_part=config.transformer_part, vae_part=vae_part)
    return folder


def _copy_records(output: Path, folder: Path) -> None:
    """Keeps every part's settings and metrics with the model, so that it can be unpacked and trained further."""
    folder.mkdir(exist_ok=True)
    for part in (*TRAINED_PARTS, "latents"):
        for name, kept in (("config.yaml", f"{part}.yaml"), ("metrics.json", f"{part}.json")):
            if (output / part / name).exists():
                shutil.copyfile(output / part / name, folder / kept)


def _half(module: _ModuleT) -> _ModuleT:
    """A module in half precision, and without the path that diffusers notes of where a module was read."""
    module.to(torch.float16)
    if isinstance(module, ConfigMixin):
        module.register_to_config(_name_or_path="")
    for name, tensor in module.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} does not fit into half precision")
    return module


def load_trained_face_stack(output: Path) -> DrawnFaceStack:
    """Detector, recogniser, image encoder, and what tells drawings from photographs, from the runs in `output`.

    Raises:
        ModelFolderError: if one of them is not trained yet.
    """
    _require(output, detector.PART, recognition.RECOGNISER_PART, image_encoder.PART, picture_kind.PART)
    detector_config = load_config(DetectorTrainingConfig, output / detector.PART / detector.CONFIG_NAME)
    recogniser_folder = output / recognition.RECOGNISER_PART
    recogniser_config = load_config(RecogniserTrainingConfig, recogniser_folder / recognition.CONFIG_NAME).recogniser
    found: HeatmapFaceDetector = detector.load_trained_detector(output)
    return DrawnFaceStack(
        config=DrawnFaceStackConfig(detector=detector_config.detector, recogniser=recogniser_config),
        detector=found,
        recogniser=build_recogniser(recogniser_config, recogniser_folder / recognition.RECOGNISER_WEIGHTS_NAME),
        image_encoder=load_dual_encoder(output / image_encoder.PART),
        picture_kind=picture_kind.load_trained_picture_kind(output),
    )


def load_trained_judge(output: Path) -> ArcFaceRecogniser:
    """The judge from its run in `output`.

    Raises:
        ModelFolderError: if it is not trained yet.
    """
    _require(output, recognition.JUDGE_PART)
    folder = output / recognition.JUDGE_PART
    config = load_config(JudgeTrainingConfig, folder / recognition.CONFIG_NAME).judge
    return build_judge(config, folder / recognition.JUDGE_WEIGHTS_NAME)


def pack_face_networks(output: Path, model_folder: Path) -> None:
    """Writes `face_encoder/` and `judge/` into a model folder from the runs in `output`, in half precision.

    A judge without a detector of its own finds faces by the one that conditions the generator.

    Raises:
        ModelFolderError: if a part is not trained yet.
    """
    load_trained_face_stack(output).save(model_folder / FACE_ENCODER)
    judge = load_trained_judge(output)
    assert isinstance(judge.network, DepthwiseFaceNetwork)
    config = load_config(JudgeTrainingConfig, output / recognition.JUDGE_PART / recognition.CONFIG_NAME).judge
    save_judge(judge.network, config, model_folder / JUDGE_FOLDER)
    if (output / detector.JUDGE_PART / detector.WEIGHTS_NAME).is_file():
        own = detector.load_trained_detector(output, part=detector.JUDGE_PART)
        save_judge_detector(own, model_folder / JUDGE_FOLDER)
    for part, files in _TRAIT_JUDGES.items():
        if (output / part / "metrics.json").is_file():
            for name in files:
                shutil.copyfile(output / part / name, model_folder / JUDGE_FOLDER / name)


def _require(output: Path, *parts: str) -> None:
    for part in parts:
        if not (output / part / "metrics.json").is_file():
            raise ModelFolderError(
                f"The part {part} is not trained in {output}; run: ingredients world train {part} --output {output}"
            )


def unpack(config: UnpackConfig, output: Path, show: bool = False) -> Path:
    """Writes a part's folder for each part in a model folder: weights, settings and what its training measured.

    The transformer becomes that of `route` and of `align` alike, and the base inside it that of `base-t2v`, so that an
    alignment of another kind has something to begin with. That is not the base whose settings and metrics lie beside
    it: the stages have trained it further. How the model is sampled and runs by default is kept as well, and `pack`
    takes it where nobody says otherwise. An image-to-video base, encoded clips, optimisers and logs are not in a
    model folder; what needs them says which command makes them.

    Args:
        config: which model.
        output: folder of all runs; must not hold a trained part yet.
        show: changes nothing; here for the parts' common form.

    Raises:
        ModelFolderError: if the folder lacks a part or says nothing about its training.
        OutputError: if a trained part is there already, or something else.
    """
    del show
    folder = config.folder or default_model_path()
    settings = sorted((folder / SETTINGS_FOLDER).glob("*.yaml"))
    if not settings:
        raise ModelFolderError(
            f"{folder} has no {SETTINGS_FOLDER}/, which says how its parts were trained; take a folder that "
            "`ingredients world train pack` wrote."
        )
    if trained := sorted(path.parent.name for path in output.glob("*/metrics.json")):
        raise OutputError(f"{output} holds trained parts already ({', '.join(trained)}); choose another --output.")
    parts = {*_UNPACKED_PARTS, *(path.stem for path in settings)}
    if config.faces_only:
        parts -= _OF_VIDEOS
    for name in parts:
        claim_folder(output / name, "a training run")
    for path in settings:
        if path.stem not in parts:
            continue
        shutil.copyfile(path, output / path.stem / "config.yaml")
        if path.with_suffix(".json").exists():
            shutil.copyfile(path.with_suffix(".json"), output / path.stem / "metrics.json")
    if not config.faces_only:
        _unpack_videos(folder, output)
    for part_name, home, weights in (
        (detector.PART, FACE_ENCODER, detector.WEIGHTS_NAME),
        (recognition.RECOGNISER_PART, FACE_ENCODER, recognition.RECOGNISER_WEIGHTS_NAME),
        (recognition.JUDGE_PART, JUDGE_FOLDER, recognition.JUDGE_WEIGHTS_NAME),
        (detector.JUDGE_PART, JUDGE_FOLDER, detector.WEIGHTS_NAME),
    ):
        if part_name == detector.JUDGE_PART and not (folder / home / weights).exists():
            continue  # models from before the judge had a detector of its own
        shutil.copyfile(folder / home / weights, output / part_name / weights)
    for part_name, files in _TRAIT_JUDGES.items():
        for name in files:
            if (folder / JUDGE_FOLDER / name).exists():  # older models have none
                shutil.copyfile(folder / JUDGE_FOLDER / name, output / part_name / name)
    shutil.copytree(folder / FACE_ENCODER / "image_encoder", output / image_encoder.PART, dirs_exist_ok=True)
    for part_name, weights in ((picture_kind.PART, WEIGHTS_NAME), (picture_kind.CLOSE_UP_PART, CLOSE_UPS_NAME)):
        kind_weights = folder / FACE_ENCODER / PICTURE_KIND_FOLDER / weights
        if kind_weights.exists():  # older models have none, or one
            shutil.copyfile(kind_weights, output / part_name / WEIGHTS_NAME)
    return output


def _unpack_videos(folder: Path, output: Path) -> None:
    """Writes the parts that make videos, and how the model is sampled and runs by default."""
    vae: AutoencoderKLCogVideoX = load_vae(folder / "vae", dtype=torch.float32)
    for name in ("vae", _DECODER_PART):
        if (output / name).is_dir():
            vae.save_pretrained(output / name / "vae")
    text_encoder: T5EncoderModel = load_text_encoder(folder / "text_encoder", dtype=torch.float32)
    text_encoder.save_pretrained(output / "text-encoder" / "text_encoder")
    shutil.copytree(folder / "tokenizer", output / "text-encoder" / "tokenizer", dirs_exist_ok=True)
    transformer: IngredientsTransformer3DModel = load_transformer(folder / "transformer", dtype=torch.float32)
    for name in ("align", "route"):
        transformer.save_pretrained(output / name / "transformer")
    base_within(transformer).save_pretrained(output / "base-t2v" / "transformer")
    kept = output / UNPACK_FOLDER
    kept.mkdir(exist_ok=True)
    save_config(load_sampling_defaults(folder), kept / SAMPLING_DEFAULTS_NAME)  # those of the published model, too
    save_speed_defaults(load_speed_defaults(folder), kept)
