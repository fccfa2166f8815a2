"""FLOPs of a transformer step, counted from its matrix multiplications (a multiplication and an addition are two).

Legend: L video tokens, T text tokens, N identities, K query tokens per identity, D video width.
"""

from typing import Any

from ingredients.models.identity_features import IdentityForm


def base_block_flops(config: Any, *, num_video_tokens: int, num_text_tokens: int) -> int:
    """One CogVideoX block for one sample: projections, joint attention and feed-forward of four times the width."""
    dim = config.num_attention_heads * config.attention_head_dim
    num_tokens = num_video_tokens + num_text_tokens
    return num_tokens * (2 * 4 * dim**2 + 2 * 8 * dim**2 + 4 * num_tokens * dim)


def identity_flops_per_token(config: Any, *, num_identities: int, form: IdentityForm) -> int:
    """The identity modules of one block for one video token, features computed beforehand."""
    dim = config.num_attention_heads * config.attention_head_dim
    return _router_flops(config, dim, num_identities, form) + _attention_flops(config, dim, num_identities, form)


def cheaper_form(config: Any, *, num_identities: int) -> IdentityForm:
    """The form with fewer FLOPs a step: folding pays for few identities, and always where each token has one."""
    plain = identity_flops_per_token(config, num_identities=num_identities, form="plain")
    folded = identity_flops_per_token(config, num_identities=num_identities, form="folded")
    return "folded" if folded < plain else "plain"


def _attention_flops(config: Any, dim: int, num_identities: int, form: IdentityForm) -> int:
    inner_dim = config.id_attn_num_heads * config.id_attn_head_dim
    if form == "plain":
        projections = 2 * 2 * dim * inner_dim
        return projections + 4 * config.id_num_queries * inner_dim * num_identities
    attended = 1 if config.routing == "argmax" else num_identities
    return 4 * dim * config.id_attn_num_heads * config.id_num_queries * attended


def _router_flops(config: Any, dim: int, num_identities: int, form: IdentityForm) -> int:
    inner_dim = config.router_inner_dim
    two_layers = config.router_type == "mlp"
    first_layer = 2 * dim * inner_dim if two_layers else 0
    last_layer_in = inner_dim if two_layers else dim
    if form == "folded":
        return first_layer + 2 * last_layer_in * num_identities
    return first_layer + 2 * last_layer_in * inner_dim + 2 * inner_dim * num_identities
