"""FLOPs of a transformer step, counted from its matrix multiplications (a multiplication and an addition are two).

Legend: L video tokens, T text tokens, N identities, K query tokens per identity, D video width, I inner width.
"""

from ingredients.models.backbone import Backbone, Config
from ingredients.models.identity_features import IdentityForm


def identity_flops_per_token(config: Config, *, video_dim: int, num_identities: int, form: IdentityForm) -> int:
    """The identity modules of one block of any backbone for one video token, with the features computed beforehand."""
    sizes = video_dim, num_identities, form
    return _router_flops(config, *sizes) + _cross_attention_flops(config, *sizes)


def forward_flops(
    backbone: Backbone, config: Config, *, num_video_tokens: int, num_text_tokens: int, num_identities: int = 0
) -> int:
    """All blocks for one sample, with the identity modules in the plain form where there are people."""
    base = backbone.block_flops(config, num_video_tokens=num_video_tokens, num_text_tokens=num_text_tokens)
    flops: int = config["num_layers"] * base
    if config["identity_modules"] and num_identities:
        num_routed = -(-config["num_layers"] // config["cross_attn_interval"])
        per_token = identity_flops_per_token(
            config, video_dim=backbone.video_dim(config), num_identities=num_identities, form="plain"
        )
        flops += num_routed * num_video_tokens * per_token
    return flops


def training_flops(
    backbone: Backbone,
    config: Config,
    *,
    num_video_tokens: int,
    num_text_tokens: int,
    num_identities: int = 0,
    is_base_frozen: bool,
) -> int:
    """Forward and backward passes of all blocks for one sample; what is computed again does not count.

    The backward pass has two products for each of the forward pass, and where the weights stay frozen only one. A LoRA
    is left out: at the published size, with rank 128, it is 4 %.
    """
    tokens = {"num_video_tokens": num_video_tokens, "num_text_tokens": num_text_tokens}
    flops = 3 * forward_flops(backbone, config, **tokens, num_identities=num_identities)
    if is_base_frozen:
        flops -= config["num_layers"] * sum(tokens.values()) * backbone.layer_flops(config)
    return flops


def cheaper_form(config: Config, *, video_dim: int, num_identities: int) -> IdentityForm:
    """The form with fewer FLOPs a step: folded for few identities, or where each token has one."""
    sizes = {"video_dim": video_dim, "num_identities": num_identities}
    plain = identity_flops_per_token(config, **sizes, form="plain")
    folded = identity_flops_per_token(config, **sizes, form="folded")
    return "folded" if folded < plain else "plain"


def _cross_attention_flops(config: Config, dim: int, num_identities: int, form: IdentityForm) -> int:
    num_heads: int = config["id_attn_num_heads"]
    num_queries: int = config["id_num_queries"]
    inner_dim: int = num_heads * config["id_attn_head_dim"]
    if form == "plain":
        return 2 * 2 * dim * inner_dim + num_identities * 4 * num_queries * inner_dim
    num_attended = 1 if config["routing"] == "argmax" else num_identities  # argmax tokens are grouped
    return num_attended * 4 * dim * num_heads * num_queries


def _router_flops(config: Config, dim: int, num_identities: int, form: IdentityForm) -> int:
    inner_dim: int = config["router_inner_dim"]
    last_layer_in = inner_dim if config["router_type"] == "mlp" else dim
    first_layer = 2 * dim * inner_dim if config["router_type"] == "mlp" else 0
    if form == "folded":
        return first_layer + 2 * last_layer_in * num_identities
    return first_layer + 2 * last_layer_in * inner_dim + 2 * inner_dim * num_identities
