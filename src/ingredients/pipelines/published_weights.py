"""What the published model weighs, without its files."""

import torch
from diffusers import AutoencoderKLCogVideoX
from transformers import T5Config, T5EncoderModel

from ingredients.models import presets
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from ingredients.pipelines.memory_estimate import ModelWeights, weigh
from ingredients.pipelines.sampling_defaults import SamplingDefaults

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


def published_weights(dtype: torch.dtype = torch.bfloat16) -> ModelWeights:
    """The published model's sizes, from its configuration; diffusers' VAE has the published sizes by default."""
    with torch.device("meta"):
        return weigh(
            IngredientsTransformer3DModel(**presets.published()),
            T5EncoderModel(T5Config(**T5_XXL)),
            AutoencoderKLCogVideoX(),
            sampling=SamplingDefaults(),
            dtype=dtype,
        )
