"""A tiny real transformer in which every axis has another size, and inputs for it."""

from typing import Any

import torch
from diffusers import AutoencoderKLCogVideoX
from diffusers.models.embeddings import get_3d_rotary_pos_embed

from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel

NUM_FRAMES, HEIGHT, WIDTH = 3, 4, 10  # latents; patches halve height and width
GRID = (NUM_FRAMES, HEIGHT // 2, WIDTH // 2)
NUM_TOKENS = GRID[0] * GRID[1] * GRID[2]
NUM_TEXT_TOKENS, NUM_PATCHES = 6, 9

CONFIG: dict[str, Any] = {
    "num_attention_heads": 3,
    "attention_head_dim": 16,
    "in_channels": 8,
    "out_channels": 5,
    "time_embed_dim": 12,
    "text_embed_dim": 20,
    "num_layers": 4,
    "sample_width": WIDTH,
    "sample_height": HEIGHT,
    "sample_frames": 9,
    "max_text_seq_length": NUM_TEXT_TOKENS,
    "use_rotary_positional_embeddings": True,
    "id_recognition_dim": 7,
    "id_semantic_dim": 11,
    "id_vit_dim": 13,
    "id_num_scales": 2,
    "id_mapping_dim": 19,
    "id_qformer_dim": 14,
    "id_qformer_depth": 4,
    "id_qformer_num_heads": 2,
    "id_qformer_head_dim": 21,
    "id_qformer_ff_mult": 2,
    "id_num_id_tokens": 4,
    "id_num_queries": 17,
    "id_token_dim": 22,
    "id_attn_num_heads": 5,
    "id_attn_head_dim": 8,
    "router_type": "mlp",
    "router_inner_dim": 23,
    "routing": "argmax",
}


def tiny_transformer(**overrides: Any) -> IngredientsTransformer3DModel:
    """A transformer whose identity modules already say something, as after training."""
    torch.manual_seed(0)
    model = IngredientsTransformer3DModel(**CONFIG | overrides).eval()
    for index in model.routed_blocks:
        block = model.transformer_blocks[index]
        torch.nn.init.normal_(block.id_attn.to_out.weight, std=0.3)
        torch.nn.init.normal_(block.id_router.identity_out.weight)
        torch.nn.init.normal_(block.id_router.video_out.weight)
    return model


def tiny_identities(batch_size: int, num_identities: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    id_embeds = torch.randn(batch_size, num_identities, 18, generator=generator)
    shape = (batch_size, num_identities, NUM_PATCHES, 13)
    return id_embeds, [torch.randn(shape, generator=generator) for _ in range(2)]


def tiny_call(batch_size: int) -> dict[str, Any]:
    """Arguments of the transformer other than the identities."""
    generator = torch.Generator().manual_seed(2)
    return {
        "hidden_states": torch.randn(batch_size, NUM_FRAMES, 8, HEIGHT, WIDTH, generator=generator),
        "encoder_hidden_states": torch.randn(batch_size, NUM_TEXT_TOKENS, 20, generator=generator),
        "timestep": torch.arange(batch_size) * 300 + 100,
        "image_rotary_emb": get_3d_rotary_pos_embed(16, ((0, 0), GRID[1:]), GRID[1:], GRID[0]),
    }


def tiny_cogvideox_vae(**changes: Any) -> AutoencoderKLCogVideoX:
    """A VAE of four pixels a latent cell, and four frames a latent frame unless `changes` say otherwise."""
    torch.manual_seed(0)
    config: dict[str, Any] = {
        "block_out_channels": (4, 4, 4),
        "down_block_types": ("CogVideoXDownBlock3D",) * 3,
        "up_block_types": ("CogVideoXUpBlock3D",) * 3,
        "latent_channels": 3,
        "layers_per_block": 1,
        "norm_num_groups": 2,
        "sample_height": 64,
        "sample_width": 96,
        "scaling_factor": 2.0,
    }
    return AutoencoderKLCogVideoX(**config | changes).eval()
