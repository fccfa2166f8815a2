"""What a model weighs, told from its configuration: nothing is read but a few small files."""

from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX
from transformers import T5Config, T5EncoderModel

from ingredients.core.errors import ModelFolderError
from ingredients.core.model_files import read_json
from ingredients.model_folders.components import build_vae, identity_beside, transformer_part
from ingredients.model_folders.transformer import build_transformer
from ingredients.models import presets
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from ingredients.pipelines.execution.memory_estimate import ModelWeights, weigh
from ingredients.pipelines.sampling_defaults import SamplingDefaults, load_sampling_defaults

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


def published_weights(dtype: torch.dtype = torch.bfloat16, *, identity_modules: bool = True) -> ModelWeights:
    """The published model's, or its base's; diffusers' VAE has the published sizes by default."""
    with torch.device("meta"):
        return weigh(
            IngredientsTransformer3DModel(**presets.published() | {"identity_modules": identity_modules}),
            T5EncoderModel(T5Config(**T5_XXL)),
            AutoencoderKLCogVideoX(),
            sampling=SamplingDefaults(),
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
