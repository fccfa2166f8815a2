"""The ID router: which identity a video token belongs to (section 3.2, Eq. 3).

Legend: B batch, L video tokens, N identities, K query tokens per identity, D video width, C identity token width,
I router width.
"""

from typing import Literal, get_args

import torch
from torch import nn

RouterType = Literal["mlp", "linear"]
Routing = Literal["argmax", "softmax", "uniform"]


class IDRouter(nn.Module):
    """Eq. 3: phi(H, F~) = f(H) . g(W_aggr F~^n), a logit for each video token and identity.

    `mlp` has the paper's two-layer networks f and g. `linear` is the published code: one layer without bias on both
    sides, and no scale. `mlp` scales by 1/sqrt(I), so that its logits start of order one.

    Args:
        dim: D, width of the video tokens.
        token_dim: C, width of the identity tokens.
        num_queries: K, tokens per identity that W_aggr merges into one.
        inner_dim: I, width in which the two sides meet.
        router_type: `mlp` or `linear`.
    """

    def __init__(self, *, dim: int, token_dim: int, num_queries: int, inner_dim: int, router_type: RouterType) -> None:
        super().__init__()
        if router_type not in get_args(RouterType):
            raise ValueError(f"router_type must be one of {get_args(RouterType)}, got {router_type!r}")
        two_layers = router_type == "mlp"
        self.scale: float = inner_dim**-0.5 if two_layers else 1.0
        hidden_dims = (inner_dim, inner_dim) if two_layers else (dim, token_dim)
        self.norm_video = nn.LayerNorm(dim)
        self.video_in = nn.Sequential(nn.Linear(dim, inner_dim), nn.GELU()) if two_layers else nn.Identity()
        self.video_out = nn.Linear(hidden_dims[0], inner_dim, bias=False)
        self.norm_identity = nn.LayerNorm(token_dim)
        self.aggregate = nn.Linear(num_queries, 1, bias=False)
        self.identity_in = nn.Sequential(nn.Linear(token_dim, inner_dim), nn.GELU()) if two_layers else nn.Identity()
        self.identity_out = nn.Linear(hidden_dims[1], inner_dim, bias=False)
        nn.init.constant_(self.aggregate.weight, 1 / num_queries)

    def project_identities(self, id_tokens: torch.Tensor) -> torch.Tensor:
        """g(W_aggr F~): router keys (B, N, I) of `id_tokens` (B, N, K, C)."""
        merged = self.aggregate(self.norm_identity(id_tokens).transpose(-1, -2)).squeeze(-1)  # (B, N, C)
        router_key: torch.Tensor = self.identity_out(self.identity_in(merged))
        return router_key * self.scale

    def fold_identities(self, router_key: torch.Tensor) -> torch.Tensor:
        """Fold the last layer of f, which has no bias, into `router_key` (B, N, I), in float32."""
        hidden_dim = self.video_out.in_features
        eye = torch.eye(hidden_dim, device=router_key.device, dtype=router_key.dtype)
        video_out: torch.Tensor = self.video_out(eye).float()  # (D or I, I)
        return (router_key.float() @ video_out.T).to(router_key.dtype)

    def forward(
        self, hidden_states: torch.Tensor, router_key: torch.Tensor, id_mask: torch.Tensor, *, folded: bool = False
    ) -> torch.Tensor:
        """Routing logits of each video token.

        Args:
            hidden_states: Video tokens (B, L, D).
            router_key: (B, N, I), or as `fold_identities` gives it.
            id_mask: (B, N) bool; a padded identity gets the smallest finite logit.
            folded: Whether the last layer of f is already in `router_key`.

        Returns:
            routing_logits (B, L, N), float32.
        """
        query = self.video_in(self.norm_video(hidden_states))
        if not folded:
            query = self.video_out(query)
        logits: torch.Tensor = (query @ router_key.transpose(1, 2)).float()
        return logits.masked_fill(~id_mask[:, None], torch.finfo(torch.float32).min)


def with_nobody(routing_logits: torch.Tensor) -> torch.Tensor:
    """Logits (B, L, N + 1): behind those of the identities, that of nobody, which is 0."""
    return torch.nn.functional.pad(routing_logits, (0, 1))


def assign_identities(
    routing_logits: torch.Tensor,
    id_mask: torch.Tensor,
    routing: Routing,
    routing_indices: torch.Tensor | None = None,
    *,
    route_background: bool = False,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Decide each token's identity, or its mixture of identities.

    Args:
        routing_logits: (B, L, N) float32.
        id_mask: (B, N) bool; a padded identity never gets a share.
        routing: `argmax` (Eq. 3), `softmax` (the published mixture) or `uniform`.
        routing_indices: (B, L) long, identities forced on the tokens whatever the logits say; -1 for none.
        route_background: Whether a token may belong to nobody, whose logit is 0.

    Returns:
        Shares (B, L, N) float32, zero for padded identities, and where every token has one identity at most its
        index (B, L), -1 for none.
    """
    if routing_indices is None and routing == "softmax":
        shares = (with_nobody(routing_logits) if route_background else routing_logits).softmax(dim=-1)
        return shares[..., : id_mask.shape[1]] * id_mask[:, None], None
    if routing_indices is None and routing == "uniform":
        shares = id_mask / id_mask.sum(dim=1, keepdim=True).clamp(min=1)
        return shares[:, None].expand_as(routing_logits).float(), None
    if routing_indices is None:
        largest, routing_indices = routing_logits.max(dim=-1)
        if route_background:
            routing_indices = torch.where(largest > 0, routing_indices, -1)
    identities = torch.arange(id_mask.shape[1], device=id_mask.device)
    assigned = (routing_indices[..., None] == identities) & id_mask[:, None]  # (B, L, N)
    return assigned.float(), torch.where(assigned.any(dim=-1), routing_indices, -1)
