"""What a block of any video transformer gains to take identities (section 3.2, Eq. 2 to 4).

Nothing here knows which backbone the block is of: all it asks for are video tokens on the second axis.

Legend: B batch, L video tokens in any order, N identities, K query tokens per identity, C identity token width,
D video width.
"""

import torch
from torch import nn

from ingredients.models.id_router import IDRouter, Routing, assign_identities
from ingredients.models.identity_features import (
    BlockIdentityFeatures,
    FoldedBlockFeatures,
    IdentityForm,
    PlainBlockFeatures,
)
from ingredients.models.multi_scale_projector import IdentityCrossAttention


class IdentityLayer(nn.Module):
    """Routes each video token, lets it attend to its identity, and adds what it hears.

    It stands by itself behind a block, or is inherited beside a backbone's block, whose weights then keep their names
    and whose step caches skip the identities with the rest.

    Args:
        id_attn: Cross-attention to the identities, None in a block without identity modules.
        id_router: The router of this block, None in a block without identity modules.
        route_background: Whether a token may belong to nobody.
        **block_kwargs: Arguments of the next class that the block inherits from.
    """

    def __init__(
        self,
        *,
        id_attn: IdentityCrossAttention | None,
        id_router: IDRouter | None,
        route_background: bool = False,
        **block_kwargs: object,
    ) -> None:
        super().__init__(**block_kwargs)
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

    def add_identities(
        self,
        hidden_states: torch.Tensor,
        identity: BlockIdentityFeatures | None,
        *,
        face_scale: float = 1.0,
        routing: Routing = "argmax",
        routing_indices: torch.Tensor | None = None,
        routing_bias: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Eq. 4 for the video tokens that the block made.

        Args:
            hidden_states: Video tokens (B, L, D).
            identity: This block's features, with B rows; or with one row, which then is that of batch element 0 and
                goes to every element (the published batch fault).
            face_scale: alpha_m of Eq. 4; with 0 the tokens stay as they are, bit for bit.
            routing: How tokens choose identities.
            routing_indices: (B, L), identities forced on the tokens.
            routing_bias: (B, L, N), added to the routing logits: what is known before of who is where.

        Returns:
            Video tokens (B, L, D), and routing_logits (B, L, N) where there was something to route.
        """
        if identity is None or self.id_attn is None or self.id_router is None:
            return hidden_states, None

        routed = hidden_states[: identity.id_mask.shape[0]]  # all of them, or element 0 under the batch fault
        routing_logits = self.id_router(
            routed, identity.router_key, identity.id_mask, folded=isinstance(identity, FoldedBlockFeatures)
        )
        if routing_bias is not None:
            routing_logits = routing_logits + routing_bias
        if face_scale != 0:
            weights, indices = assign_identities(
                routing_logits, identity.id_mask, routing, routing_indices, route_background=self.route_background
            )
            refined = hidden_states + face_scale * self.id_attn(routed, identity, weights, indices)  # Eq. 4
            if not identity.every_row_has_identity:
                has_identity = identity.id_mask.any(dim=1)[:, None, None]
                refined = torch.where(has_identity, refined, hidden_states)
            hidden_states = refined
        return hidden_states, routing_logits.expand(hidden_states.shape[0], -1, -1)
