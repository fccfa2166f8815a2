"""A CogVideoX block with identity modules (section 3.2, Eq. 2 to 4).

Legend: B batch, L video tokens (ordered frame, row, column), T text tokens, N identities, K query tokens per identity,
C identity token width, D video width.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.hooks import HookRegistry
from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXBlock
from torch import nn

from ingredients.models.attention_processors import JointAttnProcessor
from ingredients.models.id_router import IDRouter, Routing, assign_identities
from ingredients.models.identity_features import (
    BlockIdentityFeatures,
    FoldedBlockFeatures,
    IdentityForm,
    PlainBlockFeatures,
)
from ingredients.models.multi_scale_projector import IdentityCrossAttention


class IngredientsBlock(CogVideoXBlock):
    """A CogVideoX block, and after it Eq. 2 to 4: route each video token, attend to its identity, add.

    The identity modules run inside the block, so that a step cache which skips the block skips them too.

    Args:
        id_attn: Cross-attention to the identities, None in a block without identity modules.
        id_router: The router of this block, None in a block without identity modules.
        route_background: Whether a token may belong to nobody.
        **block_kwargs: Arguments of `CogVideoXBlock`.
    """

    def __init__(
        self,
        *,
        id_attn: IdentityCrossAttention | None,
        id_router: IDRouter | None,
        route_background: bool = False,
        **block_kwargs: Any,
    ) -> None:
        super().__init__(**block_kwargs)
        self.attn1.set_processor(JointAttnProcessor())
        self.id_attn = id_attn
        self.id_router = id_router
        self.route_background = route_background

    def prepare_identities(
        self, id_tokens: torch.Tensor, id_mask: torch.Tensor, form: IdentityForm
    ) -> BlockIdentityFeatures:
        """Keys and values of this block for `id_tokens` (B, N, K, C): all that denoising needs of the people."""
        assert self.id_attn is not None
        assert self.id_router is not None
        key, value = self.id_attn.project_identities(id_tokens)
        router_key = self.id_router.project_identities(id_tokens)
        every_row_has_identity = bool(id_mask.any(dim=1).all())
        if form == "plain":
            return PlainBlockFeatures(
                key=key,
                value=value,
                router_key=router_key,
                id_mask=id_mask,
                every_row_has_identity=every_row_has_identity,
            )
        key, value = self.id_attn.fold_identities(key, value)
        return FoldedBlockFeatures(
            key=key,
            value=value,
            router_key=self.id_router.fold_identities(router_key),
            id_mask=id_mask,
            every_row_has_identity=every_row_has_identity,
        )

    def forward(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        temb: torch.Tensor,
        image_rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
        attention_kwargs: dict[str, Any] | None = None,
        identity: BlockIdentityFeatures | None = None,
        face_scale: float = 1.0,
        routing: Routing = "argmax",
        routing_indices: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:
        """Run the block, then add the identities to the video tokens.

        Args:
            hidden_states: Video tokens (B, L, D).
            encoder_hidden_states: Text tokens (B, T, D).
            temb: Time embedding (B, time_embed_dim).
            image_rotary_emb: Cosines and sines (L, head dim).
            attention_kwargs: Passed on to the attention processor.
            identity: This block's features, with B rows; or with one row, which then is that of batch element 0 and
                goes to every element (the published batch fault).
            face_scale: alpha_m of Eq. 4.
            routing: How tokens choose identities.
            routing_indices: (B, L), identities forced on the tokens.

        Returns:
            Video tokens (B, L, D), text tokens (B, T, D) and, where there was something to route, routing_logits
            (B, L, N).
        """
        hidden_states, encoder_hidden_states = super().forward(
            hidden_states, encoder_hidden_states, temb, image_rotary_emb, attention_kwargs
        )
        if identity is None or self.id_attn is None or self.id_router is None:
            return hidden_states, encoder_hidden_states

        routed = hidden_states[: identity.id_mask.shape[0]]  # all of them, or element 0 under the batch fault
        routing_logits = self.id_router(
            routed, identity.router_key, identity.id_mask, folded=isinstance(identity, FoldedBlockFeatures)
        )
        if face_scale != 0:
            weights, indices = assign_identities(
                routing_logits, identity.id_mask, routing, routing_indices, route_background=self.route_background
            )
            refined = hidden_states + face_scale * self.id_attn(routed, identity, weights, indices)  # Eq. 4
            if not identity.every_row_has_identity:
                has_identity = identity.id_mask.any(dim=1)[:, None, None]
                refined = torch.where(has_identity, refined, hidden_states)
            hidden_states = refined
        return hidden_states, encoder_hidden_states, routing_logits.expand(hidden_states.shape[0], -1, -1)


TransformerBlockRegistry.register(
    model_class=IngredientsBlock,
    metadata=TransformerBlockMetadata(return_hidden_states_index=0, return_encoder_hidden_states_index=1),
)


@contextmanager
def onloaded(module: nn.Module) -> Iterator[None]:
    """Keep a group-offloaded module on its device while parts of it are called outside its own `forward`.

    Only that module: with streams, using one module brings the next one as well, which the next `forward` would use
    and send back; here nobody would.
    """
    registry = getattr(module, "_diffusers_hook", None)
    hook = registry.get_hook("group_offloading") if isinstance(registry, HookRegistry) else None
    if hook is None:
        yield
        return
    next_group, hook.next_group = hook.next_group, None
    try:
        hook.pre_forward(module)
        yield
    finally:
        hook.post_forward(module, None)
        hook.next_group = next_group
