"""A CogVideoX block with identity modules (section 3.2, Eq. 2 to 4).

Legend: B batch, L video tokens (ordered frame, row, column), T text tokens, N identities, D video width.
"""

from typing import Any, cast

import torch
from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXBlock

from ingredients.models.attention_processors import JointAttnProcessor
from ingredients.models.id_router import Routing
from ingredients.models.identity_features import BlockIdentityFeatures
from ingredients.models.identity_layer import IdentityLayer


class IngredientsBlock(IdentityLayer, CogVideoXBlock):
    """A CogVideoX block, and after it the identities for the video tokens alone.

    The identity modules run inside the block, so that a step cache which skips the block skips them too.

    Args:
        **kwargs: Arguments of `IdentityLayer` and of `CogVideoXBlock`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        cast(Attention, self.attn1).set_processor(JointAttnProcessor())

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
        routing_bias: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:
        """Run the block, then add the identities to the video tokens.

        Args:
            hidden_states: Video tokens (B, L, D).
            encoder_hidden_states: Text tokens (B, T, D).
            temb: Time embedding (B, time_embed_dim).
            image_rotary_emb: Cosines and sines (L, head dim).
            attention_kwargs: Passed on to the attention processor.
            identity: As `IdentityLayer.add_identities` takes it, like the arguments after it.
            face_scale: alpha_m of Eq. 4.
            routing: How tokens choose identities.
            routing_indices: (B, L), identities forced on the tokens.
            routing_bias: (B, L, N), added to the routing logits.

        Returns:
            Video tokens (B, L, D), text tokens (B, T, D) and, where there was something to route, routing_logits
            (B, L, N).
        """
        hidden_states, encoder_hidden_states = super().forward(
            hidden_states, encoder_hidden_states, temb, image_rotary_emb, attention_kwargs
        )
        hidden_states, routing_logits = self.add_identities(
            hidden_states,
            identity,
            face_scale=face_scale,
            routing=routing,
            routing_indices=routing_indices,
            routing_bias=routing_bias,
        )
        if routing_logits is None:
            return hidden_states, encoder_hidden_states
        return hidden_states, encoder_hidden_states, routing_logits


TransformerBlockRegistry.register(
    model_class=IngredientsBlock,
    metadata=TransformerBlockMetadata(return_hidden_states_index=0, return_encoder_hidden_states_index=1),
)
