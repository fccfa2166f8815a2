"""Assembles the trained parts of the small model into a model folder in the published layout, with its card."""

import dataclasses
from pathlib import Path
from typing import TypeVar

import torch
from diffusers import AutoencoderKLCogVideoX
from transformers import T5EncoderModel, T5Tokenizer

from ingredients.core.config import load_config
from ingredients.faces.face_stack import (
    FaceStack,
    FaceStackConfig,
    build_detector,
    build_judge,
    build_recogniser,
    save_face_stack,
    save_judge,
)
from ingredients.faces.image_encoder import load_dual_encoder
from ingredients.faces.judge_recogniser import DepthwiseFaceNetwork
from ingredients.pipelines import IngredientsPipeline
from ingredients.training.faces.detector import DetectorTrainingConfig
from ingredients.training.faces.recognition import JudgeTrainingConfig, RecogniserTrainingConfig
from ingredients.training.model_card import write_model_card
from ingredients.training.noise import build_scheduler
from ingredients.training.world_folders import load_transformer, part_folder

_ConfigT = TypeVar("_ConfigT", DetectorTrainingConfig, RecogniserTrainingConfig, JudgeTrainingConfig)
_ModuleT = TypeVar("_ModuleT", bound=torch.nn.Module)


@dataclasses.dataclass(slots=True, kw_only=True)
class PackConfig:
    """Where the model folder goes and what goes in."""

    folder: Path | None = None
    """The model folder; None takes `OUTPUT/packed`."""

    transformer_part: str = "route"
    """The part whose transformer goes in."""


def pack(config: PackConfig, output: Path, resume: bool = False, *, show: bool = True) -> Path:
    """Writes the model folder, weights in half precision; returns where.

    Args:
        config: where to, and which transformer.
        output: folder of the whole small model's runs.
        resume: changes nothing; here for the parts' common form.
        show: as `resume`.

    Raises:
        ModelFolderError: if a part is not trained yet; the message names the command that does it.
    """
    del resume, show
    folder = config.folder or output / "packed"
    vae_part = "vae-decoder" if (output / "vae-decoder" / "vae").exists() else "vae"
    pipeline = IngredientsPipeline(
        tokenizer=T5Tokenizer.from_pretrained(part_folder(output, "text-encoder", "tokenizer")),
        text_encoder=_half(T5EncoderModel.from_pretrained(part_folder(output, "text-encoder", "text_encoder"))),
        vae=_half(AutoencoderKLCogVideoX.from_pretrained(part_folder(output, vae_part, "vae"))),
        transformer=_half(load_transformer(output, config.transformer_part)),
        scheduler=build_scheduler(),
    )
    folder.mkdir(parents=True, exist_ok=True)
    pipeline.save_pretrained(folder)
    save_face_stack(_load_face_stack(output), folder / "face_encoder")
    judge_config = _part_config(JudgeTrainingConfig, output, "judge").judge
    judge = build_judge(judge_config, part_folder(output, "judge", "judge.safetensors"))
    assert isinstance(judge.network, DepthwiseFaceNetwork)
    save_judge(judge.network, judge_config, folder / "judge")
    write_model_card(folder, output, transformer_part=config.transformer_part, vae_part=vae_part)
    return folder


def _load_face_stack(output: Path) -> FaceStack:
    detector_config = _part_config(DetectorTrainingConfig, output, "detector").detector
    recogniser_config = _part_config(RecogniserTrainingConfig, output, "recogniser").recogniser
    return FaceStack(
        config=FaceStackConfig(detector=detector_config, recogniser=recogniser_config),
        detector=build_detector(detector_config, part_folder(output, "detector", "detector.safetensors")),
        recogniser=build_recogniser(recogniser_config, part_folder(output, "recogniser", "recogniser.safetensors")),
        image_encoder=load_dual_encoder(part_folder(output, "image-encoder", "config.json").parent),
    )


def _part_config(config_type: type[_ConfigT], output: Path, part: str) -> _ConfigT:
    path = output / part / "config.yaml"
    return load_config(config_type, path if path.exists() else None, defaults=config_type())


def _half(module: _ModuleT) -> _ModuleT:
    module.to(torch.float16)
    for name, tensor in module.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} does not fit into half precision")
    return module
