"""Assembles the trained parts of the small model into a model folder in the published layout, with its card."""

import dataclasses
import shutil
from pathlib import Path
from typing import TypeVar

import torch
from diffusers import AutoencoderKLCogVideoX, ConfigMixin
from transformers import T5EncoderModel, T5Tokenizer

from ingredients.model_folders.sampling_settings import SamplingSettings
from ingredients.model_folders.transformer import load_transformer
from ingredients.models.cogvideox import COGVIDEOX
from ingredients.pipelines import IngredientsPipeline
from ingredients.training.small_world.card import TRAINED_PARTS, write_model_card
from ingredients.training.small_world.faces import pack_face_networks
from ingredients.training.small_world.folders import part_folder

SETTINGS_FOLDER = "training"

_ModuleT = TypeVar("_ModuleT", bound=torch.nn.Module)


@dataclasses.dataclass(slots=True, kw_only=True)
class PackConfig:
    """Where the model folder goes and what goes in."""

    folder: Path | None = None
    """The model folder; None takes `OUTPUT/packed`."""

    transformer_part: str = "route"
    """The part whose transformer goes in."""

    sampling: SamplingSettings = dataclasses.field(
        default_factory=lambda: SamplingSettings(
            num_inference_steps=25,
            guidance_scale=2.0,
            identity_guidance_scale=2.0,
            layout_share=0.3,
            likeness_guidance_scale=1.0,
        )
    )
    """How the model is sampled by default."""


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
    transformer = part_folder(output, config.transformer_part, "transformer")
    pipeline = IngredientsPipeline(
        tokenizer=T5Tokenizer.from_pretrained(part_folder(output, "text-encoder", "tokenizer")),
        text_encoder=_half(T5EncoderModel.from_pretrained(part_folder(output, "text-encoder", "text_encoder"))),
        vae=_half(AutoencoderKLCogVideoX.from_pretrained(part_folder(output, vae_part, "vae"))),
        transformer=_half(load_transformer(transformer, dtype=torch.float32)),
        scheduler=COGVIDEOX.make_scheduler(),
    )
    pipeline.sampling_defaults = config.sampling
    folder.mkdir(parents=True, exist_ok=True)
    pipeline.save_pretrained(folder)
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
    """In half precision, and without the path that diffusers notes of where a module was read."""
    module.to(torch.float16)
    if isinstance(module, ConfigMixin):
        module.register_to_config(_name_or_path="")
    for name, tensor in module.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} does not fit into half precision")
    return module
