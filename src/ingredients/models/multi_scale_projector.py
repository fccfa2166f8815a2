"""The multi-scale projector: one identity's features become tokens that video tokens attend to (section 3.2, Eq. 2).

Legend: B batch, L video tokens, N identities, P image-encoder tokens, K query tokens per identity, D video width,
C identity token width, H heads, E head width.
"""

from collections.abc import Sequence
from typing import cast

import torch
from diffusers.models.attention import AttentionModuleMixin
from torch import nn

from ingredients.models.attention_processors import IdentityAttnProcessor
from ingredients.models.identity_features import BlockIdentityFeatures, FoldedBlockFeatures, PlainBlockFeatures


def mapping_network(in_dim: int, hidden_dim: int, out_dim: int) -> nn.Sequential:
    """Three linear layers with normalisation between: how every input of the Q-former reaches its width."""
    return nn.Sequential(
        nn.Linear(in_dim, hidden_dim),
        nn.LayerNorm(hidden_dim),
        nn.LeakyReLU(),
        nn.Linear(hidden_dim, hidden_dim),
        nn.LayerNorm(hidden_dim),
        nn.LeakyReLU(),
        nn.Linear(hidden_dim, out_dim),
    )


class LatentAttention(nn.Module):
    """Attention from the Q-former's working set to a context joined with the working set itself.

    Args:
        dim: Width of context and working set.
        num_heads: Attention heads.
        head_dim: Width of one head.
    """

    def __init__(self, *, dim: int, num_heads: int, head_dim: int) -> None:
        super().__init__()
        inner_dim = num_heads * head_dim
        self.num_heads = num_heads
        self.norm_context = nn.LayerNorm(dim)
        self.norm_latents = nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, inner_dim, bias=False)
        self.to_kv = nn.Linear(dim, 2 * inner_dim, bias=False)
        self.to_out = nn.Linear(inner_dim, dim, bias=False)

    def forward(self, latents: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Attend from `latents` (B, Q, C) to [`context` (B, S, C) | latents]; returns (B, Q, C)."""
        latents = self.norm_latents(latents)
        query = self.to_q(latents)
        key, value = self.to_kv(torch.cat([self.norm_context(context), latents], dim=1)).chunk(2, dim=-1)
        query, key, value = (
            states.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for states in (query, key, value)
        )  # (B, H, Q or S + Q, E)
        attended = nn.functional.scaled_dot_product_attention(query, key, value)
        return cast(torch.Tensor, self.to_out(attended.transpose(1, 2).flatten(2)))


class QFormerLayer(nn.Module):
    """One layer of the Q-former: attention to the context of its scale, then a feed-forward, both residual."""

    def __init__(self, *, dim: int, num_heads: int, head_dim: int, ff_mult: int) -> None:
        super().__init__()
        self.attn = LatentAttention(dim=dim, num_heads=num_heads, head_dim=head_dim)
        self.ff = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, ff_mult * dim, bias=False),
            nn.GELU(),
            nn.Linear(ff_mult * dim, dim, bias=False),
        )

    def forward(self, latents: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Refine `latents` (B, Q, C) by `context` (B, S, C)."""
        latents = latents + self.attn(latents, context)
        return cast(torch.Tensor, latents + self.ff(latents))


class MultiScaleProjector(nn.Module):
    """The Q-former of section 3.2: recognition, semantic and multi-scale features of one face become K tokens.

    The scales are read one after the other, from shallow to deep, each by its own share of the layers.

    Args:
        embed_dim: Width of the identity vector, recognition and semantic embedding joined.
        vit_dim: Width of the image encoder's hidden states.
        num_scales: How many hidden states are read.
        mapping_dim: Hidden width of the mapping networks.
        dim: Width of the Q-former.
        depth: Layers, a multiple of `num_scales`.
        num_heads: Attention heads.
        head_dim: Width of one head.
        ff_mult: Width of the feed-forward as a multiple of `dim`.
        num_id_tokens: Tokens made of the identity vector.
        num_queries: K, learned queries and therefore tokens per identity.
        token_dim: C, width of the tokens that come out.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        vit_dim: int,
        num_scales: int,
        mapping_dim: int,
        dim: int,
        depth: int,
        num_heads: int,
        head_dim: int,
        ff_mult: int,
        num_id_tokens: int,
        num_queries: int,
        token_dim: int,
    ) -> None:
        super().__init__()
        if depth % num_scales:
            raise ValueError(f"id_qformer_depth must be a multiple of id_num_scales, got {depth} and {num_scales}")
        self.num_id_tokens = num_id_tokens
        self.num_queries = num_queries
        self.layers_per_scale = depth // num_scales
        self.embedding_mapping = mapping_network(embed_dim, mapping_dim, dim * num_id_tokens)
        self.scale_mappings = nn.ModuleList([mapping_network(vit_dim, mapping_dim, dim) for _ in range(num_scales)])
        self.latents = nn.Parameter(torch.randn(1, num_queries, dim) / dim**0.5)
        self.layers = nn.ModuleList(
            [QFormerLayer(dim=dim, num_heads=num_heads, head_dim=head_dim, ff_mult=ff_mult) for _ in range(depth)]
        )
        self.proj_out = nn.Parameter(torch.randn(dim, token_dim) / dim**0.5)

    def forward(self, id_embeds: torch.Tensor, id_vit_hidden_states: Sequence[torch.Tensor]) -> torch.Tensor:
        """Project one identity per row.

        Args:
            id_embeds: (B, embed_dim), recognition and semantic embedding.
            id_vit_hidden_states: `num_scales` tensors (B, P, vit_dim), shallow to deep.

        Returns:
            id_tokens (B, K, C).
        """
        id_states = self.embedding_mapping(id_embeds).unflatten(-1, (self.num_id_tokens, -1))
        latents = torch.cat([self.latents.expand(id_embeds.shape[0], -1, -1), id_states], dim=1)
        for scale, (mapping, vit_states) in enumerate(zip(self.scale_mappings, id_vit_hidden_states, strict=True)):
            context = torch.cat([id_states, mapping(vit_states)], dim=1)
            first = scale * self.layers_per_scale
            for layer in self.layers[first : first + self.layers_per_scale]:
                latents = layer(latents, context)
        return latents[:, : self.num_queries] @ self.proj_out  # (B, K, C)


class IdentityCrossAttention(nn.Module, AttentionModuleMixin):
    """Eq. 2: attention from the video tokens of one block to each identity's tokens.

    The query projection is shared by all identities, and what they answer is mixed before the output projection, so
    both cost the same for any N. The output projection starts at zero: an untrained module changes nothing.

    Args:
        dim: D, width of the video tokens.
        token_dim: C, width of the identity tokens.
        num_heads: H, attention heads.
        head_dim: E, width of one head.
    """

    _supports_qkv_fusion = False
    is_cross_attention = True

    def __init__(self, *, dim: int, token_dim: int, num_heads: int, head_dim: int) -> None:
        super().__init__()
        inner_dim = num_heads * head_dim
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.dim = dim
        self.norm_identity = nn.LayerNorm(token_dim)
        self.norm_video = nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, inner_dim, bias=False)
        self.to_kv = nn.Linear(token_dim, 2 * inner_dim, bias=False)
        self.to_out = nn.Linear(inner_dim, dim, bias=False)
        nn.init.zeros_(self.to_out.weight)
        self.processor = IdentityAttnProcessor()

    def project_identities(self, id_tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values (B, N, K, H, E) of `id_tokens` (B, N, K, C)."""
        key, value = self.to_kv(self.norm_identity(id_tokens)).chunk(2, dim=-1)
        return key.unflatten(-1, (self.num_heads, -1)), value.unflatten(-1, (self.num_heads, -1))

    def fold_identities(self, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Fold the query projection into the keys and the output projection into the values, in float32.

        No bias stands between, so this is exact: (x W_q) . k = x . (W_q k), and likewise for the values. The matrices
        are read through the layers' `forward`, which adapters, quantisation and offload hooks know about.

        Args:
            key: (B, N, K, H, E).
            value: (B, N, K, H, E).

        Returns:
            Folded keys, scaled, and folded values, both (B, N, H * K, D).
        """
        eye = torch.eye(self.dim, device=key.device, dtype=key.dtype)
        to_q = self.to_q(eye).float().unflatten(-1, (self.num_heads, -1))  # (D, H, E)
        folded_key = torch.einsum("dhe,bnkhe->bnhkd", to_q, key.float()) * self.head_dim**-0.5
        eye = torch.eye(self.num_heads * self.head_dim, device=key.device, dtype=key.dtype)
        to_out = self.to_out(eye).float().unflatten(0, (self.num_heads, -1))  # (H, E, D)
        folded_value = torch.einsum("hed,bnkhe->bnhkd", to_out, value.float())
        return folded_key.flatten(2, 3).to(key.dtype), folded_value.flatten(2, 3).to(key.dtype)

    def forward(
        self,
        hidden_states: torch.Tensor,
        identity: BlockIdentityFeatures,
        routing_weights: torch.Tensor,
        routing_indices: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """What the identities add to each video token.

        Args:
            hidden_states: Video tokens (B, L, D).
            identity: Keys and values of this block, plain or folded.
            routing_weights: (B, L, N), share of each identity in each token.
            routing_indices: (B, L) long, the only identity of each token, -1 for none; None where tokens mix several.

        Returns:
            F-bar of Eq. 4, (B, L, D).
        """
        hidden_states = self.norm_video(hidden_states)
        if isinstance(identity, PlainBlockFeatures):
            return self._attend_plain(hidden_states, identity, routing_weights)
        if routing_indices is None or identity.num_identities == 1 or torch.compiler.is_compiling():
            return self._attend_folded(hidden_states, identity, routing_weights)
        return self._attend_folded_grouped(hidden_states, identity, routing_indices)

    def _attend_plain(
        self, hidden_states: torch.Tensor, identity: PlainBlockFeatures, routing_weights: torch.Tensor
    ) -> torch.Tensor:
        query = torch.unflatten(self.to_q(hidden_states), -1, (self.num_heads, -1))  # (B, L, H, E)
        weights = routing_weights.to(query.dtype)[..., None, None]  # (B, L, N, 1, 1)
        mixed = weights[:, :, 0] * self.processor(query, identity.key[:, 0], identity.value[:, 0])
        for n in range(1, identity.num_identities):
            attended = self.processor(query, identity.key[:, n], identity.value[:, n])
            mixed = torch.addcmul(mixed, weights[:, :, n], attended)
        return cast(torch.Tensor, self.to_out(mixed.flatten(2)))

    def _attend_folded(
        self, hidden_states: torch.Tensor, identity: FoldedBlockFeatures, routing_weights: torch.Tensor
    ) -> torch.Tensor:
        scores = hidden_states @ identity.key.flatten(1, 2).transpose(1, 2)  # (B, L, N * H * K)
        scores = torch.unflatten(scores, -1, (identity.num_identities, self.num_heads, -1))
        shares = scores.softmax(dim=-1, dtype=torch.float32) * routing_weights[..., None, None]
        return shares.flatten(2).to(hidden_states.dtype) @ identity.value.flatten(1, 2)

    def _attend_folded_grouped(
        self, hidden_states: torch.Tensor, identity: FoldedBlockFeatures, routing_indices: torch.Tensor
    ) -> torch.Tensor:
        batch_size, num_identities = identity.key.shape[:2]
        num_groups = batch_size * num_identities
        first_group = num_identities * torch.arange(batch_size, device=routing_indices.device)[:, None]
        groups = torch.where(routing_indices < 0, num_groups, routing_indices + first_group).flatten()  # (B * L,)
        order = groups.argsort()
        counts = groups.bincount(minlength=num_groups + 1).tolist()
        *chunks, nobody = torch.split(hidden_states.flatten(0, 1)[order], counts)
        attended = []
        for group, chunk in enumerate(chunks):
            row, identity_index = divmod(group, num_identities)
            scores = torch.unflatten(chunk @ identity.key[row, identity_index].T, -1, (self.num_heads, -1))
            shares = scores.softmax(dim=-1, dtype=torch.float32).flatten(1).to(chunk.dtype)
            attended.append(shares @ identity.value[row, identity_index])
        grouped = torch.cat([*attended, torch.zeros_like(nobody)])
        return torch.empty_like(grouped).index_copy(0, order, grouped).view_as(hidden_states)
