"""Attention that obeys diffusers' backends: `set_attention_backend` and the `attention_backend` context.

Legend: B batch, L video tokens, T text tokens, K query tokens per identity, D width, H heads, E head width.
"""

from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import apply_rotary_emb


class JointAttnProcessor:
    """Self-attention over [text | video], as diffusers' CogVideoX processor, through the dispatcher.

    Diffusers' own processor calls PyTorch's attention directly, so that choosing a backend does nothing.
    """

    _attention_backend: Any = None
    _parallel_config: Any = None

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        image_rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
        perturbed: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attend jointly; returns (video (B, L, D), text (B, T, D)).

        In rows where `perturbed` (B,) is True, each video token sees itself alone: the perturbation of Ahn et al.
        2024, "Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance" (arXiv 2403.17377).
        """
        text_seq_length = encoder_hidden_states.shape[1]
        hidden_states = torch.cat([encoder_hidden_states, hidden_states], dim=1)  # (B, T + L, D)

        if attn.fused_projections:
            query, key, value = attn.to_qkv(hidden_states).chunk(3, dim=-1)
        else:
            query, key, value = attn.to_q(hidden_states), attn.to_k(hidden_states), attn.to_v(hidden_states)
        query, key, value = (states.unflatten(-1, (attn.heads, -1)) for states in (query, key, value))

        if attn.norm_q is not None:
            query = attn.norm_q(query)
        if attn.norm_k is not None:
            key = attn.norm_k(key)
        if image_rotary_emb is not None:
            query, key = (
                torch.cat(
                    [
                        states[:, :text_seq_length],
                        apply_rotary_emb(states[:, text_seq_length:], image_rotary_emb, sequence_dim=1),
                    ],
                    dim=1,
                )
                for states in (query, key)
            )

        hidden_states = dispatch_attention_fn(
            query,
            key,
            value,
            attn_mask=attention_mask,
            backend=self._attention_backend,
            parallel_config=self._parallel_config,
        )  # (B, T + L, H, E)
        if perturbed is not None:
            is_video = torch.arange(value.shape[1], device=value.device) >= text_seq_length
            sees_itself = perturbed[:, None] & is_video  # (B, T + L)
            hidden_states = torch.where(sees_itself[:, :, None, None], value, hidden_states)
        hidden_states = attn.to_out[1](attn.to_out[0](hidden_states.flatten(2)))
        encoder_hidden_states, hidden_states = hidden_states.tensor_split([text_seq_length], dim=1)
        return hidden_states, encoder_hidden_states


class IdentityAttnProcessor:
    """Attention from video tokens to the tokens of one identity, through the dispatcher.

    It knows nothing of context parallelism: each process has some of the video tokens and the identity's tokens whole.
    """

    _attention_backend: Any = None

    def __call__(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Attend from `query` (B, L, H, E) to `key` and `value` (B, K, H, E); returns (B, L, H, E)."""
        attended: torch.Tensor = dispatch_attention_fn(query, key, value, backend=self._attention_backend)
        return attended
