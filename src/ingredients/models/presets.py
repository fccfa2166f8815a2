"""Configurations of `IngredientsTransformer3DModel`, each naming only what differs from its defaults.

Every preset is a dictionary of constructor arguments: `IngredientsTransformer3DModel(**paper())`.
"""

from collections.abc import Callable, Mapping
from typing import Any


def published() -> dict[str, Any]:
    """The authors' checkpoint: CogVideoX-5B image-to-video, linear router, softmax mixture."""
    return {
        "num_attention_heads": 48,
        "in_channels": 32,
        "num_layers": 42,
        "use_rotary_positional_embeddings": True,
    }


def paper() -> dict[str, Any]:
    """The paper's text at the published size: two-layer router networks and one identity for each token (Eq. 3)."""
    return published() | {"router_type": "mlp", "router_inner_dim": 1024, "routing": "argmax"}


def small_world() -> dict[str, Any]:
    """Drawn people who all do the same: 9 frames of 64x96 pixels."""
    return {
        "num_attention_heads": 4,
        "attention_head_dim": 64,
        "in_channels": 16,
        "out_channels": 8,
        "time_embed_dim": 32,
        "text_embed_dim": 128,
        "num_layers": 6,
        "sample_width": 24,
        "sample_height": 16,
        "sample_frames": 9,
        "patch_size": 2,
        "max_text_seq_length": 32,
        "use_rotary_positional_embeddings": True,
        "cross_attn_interval": 2,
        "id_recognition_dim": 128,
        "id_semantic_dim": 128,
        "id_vit_dim": 128,
        "id_mapping_dim": 128,
        "id_qformer_dim": 128,
        "id_qformer_depth": 5,
        "id_qformer_num_heads": 4,
        "id_qformer_head_dim": 32,
        "id_qformer_ff_mult": 1,
        "id_num_id_tokens": 4,
        "id_num_queries": 12,
        "id_token_dim": 160,
        "id_attn_num_heads": 3,
        "id_attn_head_dim": 64,
        "router_type": "mlp",
        "router_inner_dim": 128,
        "routing": "argmax",
    }


def acting_world() -> dict[str, Any]:
    """Drawn people with roles of their own: 17 frames of 128x192 pixels, four of them to a token.

    Its VAE is the small model's on frames by themselves, so that nothing is smeared over time; temporal patches
    compress it instead. At twice the height and width a token covers what one of the small model's covers, so that the
    blocks go on with what those have learnt. A patch is 512 numbers, twice the width: noise of so many could not be
    carried through a block, and what is predicted are clean latents.
    """
    return small_world() | {
        "sample_width": 48,
        "sample_height": 32,
        "sample_frames": 17,
        "temporal_compression_ratio": 1,
        "patch_size": 4,
        "patch_size_t": 4,
        "max_text_seq_length": 48,
        "id_phrases": True,
    }


SCHEDULERS: Mapping[str, Mapping[str, Any]] = {
    "small_world": {},
    "acting_world": {"prediction_type": "sample", "snr_shift_scale": 16.0},
}
"""What the schedulers of the models of the drawn world have other than CogVideoX's own, by the model's name.

A patch of the larger model has 16 times as many numbers to the same width, over which noise averages out: it takes 16
times the variance to hide as much (`noise_shift` in the metrics of the part `start`).
"""


def small_world_base() -> dict[str, Any]:
    """The text-to-video base of the small model: no image latents and no identity modules."""
    return base_of(small_world())


def base_of(preset: dict[str, Any]) -> dict[str, Any]:
    """The text-to-video base of a model of ours: a preset without image latents and identity modules."""
    return preset | {"in_channels": preset["out_channels"], "identity_modules": False}


SMALL_WORLDS: Mapping[str, Callable[[], dict[str, Any]]] = {"small_world": small_world, "acting_world": acting_world}
"""The models of the drawn world, by name."""
