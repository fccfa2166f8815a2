"""What a model weighs: its parts' bytes, counted on a loaded model, or told from a folder's configurations alone."""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import T5Config, T5EncoderModel

from ingredients.core.errors import ModelFolderError
from ingredients.core.model_files import read_json
from ingredients.model_folders.components import build_vae, identity_beside, transformer_part
from ingredients.model_folders.sampling_settings import SamplingSettings, load_sampling_defaults
from ingredients.model_folders.transformer import build_transformer
from ingredients.models import presets
from ingredients.models.backbone import Backbone
from ingredients.models.backbones import VideoVae
from ingredients.models.cogvideox import COGVIDEOX
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from ingredients.pipelines.video_shape import VideoGeometry

T5_XXL = {
    "vocab_size": 32128,
    "d_model": 4096,
    "d_ff": 10240,
    "d_kv": 64,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
    "is_encoder_decoder": False,
}
"""The text encoder of CogVideoX."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PartWeights:
    """Bytes of a part's weights."""

    total: int
    """All of them."""

    outside: int
    """Bytes outside of the blocks."""

    largest_block: int
    """Bytes of one block."""

    largest_layer: int
    """Bytes of one layer."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelWeights:
    """What of a model counts for its memory."""

    text_encoder: PartWeights
    """T5."""

    transformer: PartWeights
    """The denoiser."""

    vae: int
    """Bytes."""

    element_size: int
    """b."""

    backbone: Backbone
    """What kind of model it is."""

    transformer_config: Mapping[str, Any]
    """Its sizes."""

    vae_config: Mapping[str, Any]
    """Its sizes."""

    sampling: SamplingSettings
    """How many passes a step has."""

    @property
    def total(self) -> int:
        """All weights."""
        return self.text_encoder.total + self.transformer.total + self.vae

    @property
    def geometry(self) -> VideoGeometry:
        """The grids of latents and tokens."""
        return VideoGeometry.of(self.backbone, self.transformer_config, self.vae_config)


def weigh(
    transformer: IngredientsTransformer3DModel,
    text_encoder: T5EncoderModel,
    vae: VideoVae,
    *,
    sampling: SamplingSettings,
    dtype: torch.dtype | None = None,
) -> ModelWeights:
    """Weighs the parts of a model, loaded or on the meta device.

    Args:
        transformer: the transformer of the model.
        text_encoder: the text encoder of the model.
        vae: the VAE of the model.
        sampling: its defaults.
        dtype: what its weights will have; None takes what they have.
    """
    return ModelWeights(
        text_encoder=_weigh_part(text_encoder, text_encoder.encoder.block, dtype),
        transformer=_weigh_part(transformer, transformer.transformer_blocks, dtype),
        vae=_num_bytes(vae, dtype),
        element_size=(dtype or transformer.dtype).itemsize,
        backbone=transformer.backbone,
        transformer_config=dict(transformer.config),
        vae_config=dict(vae.config),
        sampling=sampling,
    )


def published_weights(dtype: torch.dtype = torch.bfloat16, *, identity_modules: bool = True) -> ModelWeights:
    """The published model's, or its base's; diffusers' VAE has the published sizes by default."""
    with torch.device("meta"):
        return weigh(
            IngredientsTransformer3DModel(**presets.published() | {"identity_modules": identity_modules}),
            T5EncoderModel(T5Config(**T5_XXL)),
            COGVIDEOX.vae_class(),
            sampling=SamplingSettings(),
            dtype=dtype,
        )


def folder_weights(folder: Path, dtype: torch.dtype) -> ModelWeights:
    """A model folder's.

    Raises:
        ModelFolderError: if it is not there, or one of its configurations is missing or damaged.
    """
    if not folder.is_dir():
        raise ModelFolderError(f"There is no model folder {folder}; check the name.")
    with torch.device("meta"):
        return weigh(
            build_transformer(folder / transformer_part(folder), identity=identity_beside(folder)),
            T5EncoderModel(T5Config.from_dict(read_json(folder / "text_encoder" / "config.json"))),
            build_vae(folder / "vae"),
            sampling=load_sampling_defaults(folder),
            dtype=dtype,
        )


def _weigh_part(part: nn.Module, blocks: Iterable[nn.Module], dtype: torch.dtype | None) -> PartWeights:
    total = _num_bytes(part, dtype)
    in_blocks = [_num_bytes(block, dtype) for block in blocks]
    in_layers = [_num_bytes(layer, dtype) for layer in part.modules() if not list(layer.children())]
    return PartWeights(
        total=total, outside=total - sum(in_blocks), largest_block=max(in_blocks), largest_layer=max(in_layers)
    )


def _num_bytes(module: nn.Module, dtype: torch.dtype | None) -> int:
    """Bytes of parameters and buffers, each counted once."""
    tensors = [*module.parameters(), *module.buffers()]
    return sum(
        tensor.numel() * (dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype).itemsize
        for tensor in tensors
    )
