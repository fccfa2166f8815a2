"""CogVideoX that takes identities (section 3.2).

Legend: B batch, F latent frames, H/W latent grid, L video tokens (ordered frame, row, column), T text tokens,
N identities, P image-encoder tokens, K query tokens per identity, C channels.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from diffusers import CogVideoXTransformer3DModel
from diffusers.configuration_utils import register_to_config
from diffusers.hooks import FasterCacheConfig, PyramidAttentionBroadcastConfig, TaylorSeerCacheConfig
from diffusers.models.attention_processor import Attention
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401 - by it diffusers knows that models of this module can be loaded
from torch import nn

from ingredients.models.attention_processors import IdentityAttnProcessor, JointAttnProcessor
from ingredients.models.backbone import Backbone
from ingredients.models.block_ingredients import IngredientsBlock
from ingredients.models.cogvideox import COGVIDEOX
from ingredients.models.context_parallel import CONTEXT_PARALLEL_PLAN
from ingredients.models.id_router import RouterType, Routing
from ingredients.models.identity_features import BlockIdentityFeatures, IdentityFeatures
from ingredients.models.identity_model import IdentityModelMixin, check_routing
from ingredients.models.lora_scale import takes_lora_scale
from ingredients.models.noise_schedule import draw_noise
from ingredients.models.step_cache_hooks import (
    extrapolate_the_base,
    forget_rows,
    keep_rows_with_faster_cache,
    separate_broadcast_contexts,
)

_OFFSET = 2.0
"""What the pipeline of CogVideoX 1.5 image-to-video gives as `ofs`."""

MAX_COMPILED_BLOCKS = 64
"""Kinds of blocks that are compiled before PyTorch runs new ones as they are: shapes, guidance passes, routings."""

LORA_TARGETS = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0")


def _says_something(record: logging.LogRecord) -> bool:
    """Whether a line of diffusers does: every `to(dtype)` warns of modules to be kept in float32, and of none, too."""
    return "kept in float32: []" not in record.getMessage()


logging.getLogger("diffusers.models.modeling_utils").addFilter(_says_something)


@dataclass
class IngredientsTransformerOutput(Transformer2DModelOutput):
    """Output of `IngredientsTransformer3DModel`.

    Attributes:
        sample: (B, F, C, H, W).
        routing_logits: (B, L, N) float32 for each routed block, in order. None without identities, and in a step in
            which a step cache skipped a routed block.
    """

    routing_logits: tuple[torch.Tensor, ...] | None = None


class IngredientsTransformer3DModel(IdentityModelMixin, CogVideoXTransformer3DModel):
    """CogVideoX that takes identities: projector, routers and cross-attentions beside diffusers' own layers.

    Fields before `identity_modules` are those of `CogVideoXTransformer3DModel`; the defaults of the others are the
    published sizes.

    Args:
        rope_base_height: Rows of the token grid on which rotary positions are laid out; None takes `sample_height`'s.
        rope_base_width: Columns of it; None takes `sample_width`'s.
        identity_modules: Whether there are identity modules at all; False makes a plain CogVideoX, whose weights an
            identity model takes over with `state_dict_adapter.load_base_weights`.
        cross_attn_interval: Every how many blocks identities are added, starting with the first.
        id_recognition_dim: R, width of the face-recognition embedding.
        id_semantic_dim: S, width of the image encoder's embedding.
        id_vit_dim: Width of the image encoder's hidden states.
        id_num_scales: How many hidden states of the image encoder are read.
        id_mapping_dim: Hidden width of the projector's mapping networks.
        id_qformer_dim: Width of the Q-former.
        id_qformer_depth: Layers of the Q-former, a multiple of `id_num_scales`.
        id_qformer_num_heads: Attention heads of the Q-former.
        id_qformer_head_dim: Width of one of them.
        id_qformer_ff_mult: Feed-forward width of the Q-former as a multiple of its width.
        id_num_id_tokens: Tokens that the Q-former makes of the identity vector.
        id_num_queries: K, tokens per identity.
        id_token_dim: Width of these tokens.
        id_attn_num_heads: Heads of the identity cross-attention.
        id_attn_head_dim: Width of one of them.
        router_type: `mlp` (Eq. 3) or `linear` (published code).
        router_inner_dim: Width in which the router compares tokens and identities.
        routing: `argmax` (Eq. 3), `softmax` (published code) or `uniform`; a call can override it.
        id_phrases: Whether the words that stand for a person hear of the photos; the paper's text knows of none.
        published_guidance_fault: Route and refine every batch element as batch element 0, as the published code does.
        route_background: Whether a token may belong to nobody, whose routing logit is 0; the paper has no such class.
        noise_sharing: The share of the noise's variance that is the same in all frames of tokens, in training and at
            the start of sampling; 0 in the paper, and in everything that is published.
        canvas_placement: Whether the faces were joined to a canvas `before` the VAE or `after` it (Table 2); what
            gives the transformer its image latents goes by it.
    """

    backbone: ClassVar[Backbone] = COGVIDEOX
    _no_split_modules: ClassVar = ["IngredientsBlock", "CogVideoXPatchEmbed", "MultiScaleProjector"]
    _repeated_blocks: ClassVar = ["IngredientsBlock"]
    _cp_plan: ClassVar = CONTEXT_PARALLEL_PLAN

    @register_to_config
    def __init__(
        self,
        num_attention_heads: int = 30,
        attention_head_dim: int = 64,
        in_channels: int = 16,
        out_channels: int | None = 16,
        flip_sin_to_cos: bool = True,
        freq_shift: int = 0,
        time_embed_dim: int = 512,
        ofs_embed_dim: int | None = None,
        text_embed_dim: int = 4096,
        num_layers: int = 30,
        dropout: float = 0.0,
        attention_bias: bool = True,
        sample_width: int = 90,
        sample_height: int = 60,
        sample_frames: int = 49,
        patch_size: int = 2,
        patch_size_t: int | None = None,
        temporal_compression_ratio: int = 4,
        max_text_seq_length: int = 226,
        activation_fn: str = "gelu-approximate",
        timestep_activation_fn: str = "silu",
        norm_elementwise_affine: bool = True,
        norm_eps: float = 1e-5,
        spatial_interpolation_scale: float = 1.875,
        temporal_interpolation_scale: float = 1.0,
        use_rotary_positional_embeddings: bool = False,
        use_learned_positional_embeddings: bool = False,
        patch_bias: bool = True,
        rope_base_height: int | None = None,
        rope_base_width: int | None = None,
        identity_modules: bool = True,
        cross_attn_interval: int = 1,
        id_recognition_dim: int = 512,
        id_semantic_dim: int = 768,
        id_vit_dim: int = 1024,
        id_num_scales: int = 5,
        id_mapping_dim: int = 1024,
        id_qformer_dim: int = 1024,
        id_qformer_depth: int = 10,
        id_qformer_num_heads: int = 16,
        id_qformer_head_dim: int = 64,
        id_qformer_ff_mult: int = 4,
        id_num_id_tokens: int = 5,
        id_num_queries: int = 32,
        id_token_dim: int = 2048,
        id_attn_num_heads: int = 16,
        id_attn_head_dim: int = 128,
        router_type: RouterType = "linear",
        router_inner_dim: int = 2048,
        routing: Routing = "softmax",
        id_phrases: bool = False,
        published_guidance_fault: bool = False,
        route_background: bool = False,
        noise_sharing: float = 0.0,
        canvas_placement: Literal["before", "after"] = "before",
    ) -> None:
        if cross_attn_interval < 1:
            raise ValueError(f"cross_attn_interval must be at least 1, got {cross_attn_interval}")
        if not 0 <= noise_sharing <= 1:
            raise ValueError(f"noise_sharing must lie between 0 and 1, got {noise_sharing}")
        check_routing(routing)
        # The base builds its own blocks; ours take their place, so it is asked for none.
        super().__init__(
            num_attention_heads=num_attention_heads,
            attention_head_dim=attention_head_dim,
            in_channels=in_channels,
            out_channels=out_channels,
            flip_sin_to_cos=flip_sin_to_cos,
            freq_shift=freq_shift,
            time_embed_dim=time_embed_dim,
            ofs_embed_dim=ofs_embed_dim,
            text_embed_dim=text_embed_dim,
            num_layers=0,
            dropout=dropout,
            attention_bias=attention_bias,
            sample_width=sample_width,
            sample_height=sample_height,
            sample_frames=sample_frames,
            patch_size=patch_size,
            patch_size_t=patch_size_t,
            temporal_compression_ratio=temporal_compression_ratio,
            max_text_seq_length=max_text_seq_length,
            activation_fn=activation_fn,
            timestep_activation_fn=timestep_activation_fn,
            norm_elementwise_affine=norm_elementwise_affine,
            norm_eps=norm_eps,
            spatial_interpolation_scale=spatial_interpolation_scale,
            temporal_interpolation_scale=temporal_interpolation_scale,
            use_rotary_positional_embeddings=use_rotary_positional_embeddings,
            use_learned_positional_embeddings=use_learned_positional_embeddings,
            patch_bias=patch_bias,
        )
        self.register_to_config(num_layers=num_layers)
        inner_dim = num_attention_heads * attention_head_dim

        self.whole_routing = nn.Identity()  # where context parallelism puts routing logits together
        self.multi_scale_projector = self.make_projector()
        self.phrase_proj = self.make_phrase_projection(inner_dim)
        for index in range(num_layers):
            id_attn, id_router = None, None
            if identity_modules and index % cross_attn_interval == 0:
                id_attn, id_router = self.make_identity_modules(inner_dim)
            self.transformer_blocks.append(
                IngredientsBlock(
                    id_attn=id_attn,
                    id_router=id_router,
                    route_background=route_background,
                    dim=inner_dim,
                    num_attention_heads=num_attention_heads,
                    attention_head_dim=attention_head_dim,
                    time_embed_dim=time_embed_dim,
                    dropout=dropout,
                    activation_fn=activation_fn,
                    attention_bias=attention_bias,
                    norm_elementwise_affine=norm_elementwise_affine,
                    norm_eps=norm_eps,
                )
            )

    @property
    def routed_blocks(self) -> list[int]:
        """Indices of the blocks that have identity modules."""
        return [index for index, block in enumerate(self.transformer_blocks) if block.id_attn is not None]

    @property
    def can_be_perturbed(self) -> bool:
        """Whether the middle block's attention knows `perturbed`, as the processors do that a model comes with."""
        return isinstance(self.transformer_blocks[self._middle_block].attn1.processor, JointAttnProcessor)

    @property
    def _middle_block(self) -> int:
        return len(self.transformer_blocks) // 2

    @takes_lora_scale
    def forward(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        timestep: int | float | torch.Tensor,
        timestep_cond: torch.Tensor | None = None,
        ofs: int | float | torch.Tensor | None = None,
        image_rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
        attention_kwargs: dict[str, Any] | None = None,
        *,
        identity_features: IdentityFeatures | None = None,
        face_scale: float = 1.0,
        routing: Routing | None = None,
        routing_indices: torch.Tensor | None = None,
        routing_bias: torch.Tensor | None = None,
        perturbed: torch.Tensor | None = None,
        return_dict: bool = True,
    ) -> IngredientsTransformerOutput | tuple[torch.Tensor, tuple[torch.Tensor, ...] | None]:
        """Denoise once.

        Args:
            hidden_states: Noise latents, and image latents beside them on the channel axis, (B, F, C, H, W).
            encoder_hidden_states: Prompt embeddings (B, T, text_embed_dim).
            timestep: (B,).
            timestep_cond: Added to the time embedding.
            ofs: Offset of CogVideoX 1.5 image-to-video; None takes 2, as its pipeline does.
            image_rotary_emb: Cosines and sines (L, head dim).
            attention_kwargs: Passed on to the attention processors; `scale` is the LoRA scale.
            identity_features: What `prepare_identities` gave, with B rows; None for none.
            face_scale: alpha_m of Eq. 4; 0 leaves the video as without identities, bit for bit.
            routing: `argmax`, `softmax` or `uniform`; None takes the config's.
            routing_indices: (B, L) long, an identity forced on each token, -1 for none.
            routing_bias: (B, L, N), added to the routing logits of every block.
            perturbed: (B,) bool, rows in which the video tokens of the middle block see themselves alone.
            return_dict: Whether to return an output object instead of a tuple of its fields.

        Returns:
            The prediction (B, F, out_channels, H, W) and the routing logits.

        Raises:
            ValueError: Identities and latents have different batch sizes, or an argument is out of range.
        """
        grid = hidden_states.shape[1:2] + hidden_states.shape[3:]  # (F, H, W)
        routing = self.config.routing if routing is None else check_routing(routing)

        # 1. Time embedding
        temb = self.time_embedding(self.time_proj(timestep).to(hidden_states.dtype), timestep_cond)
        if self.ofs_embedding is not None:
            offset = hidden_states.new_full((1,), _OFFSET) if ofs is None else ofs
            temb = temb + self.ofs_embedding(self.ofs_proj(offset).to(hidden_states.dtype))

        # 2. Patch embedding
        hidden_states = self.embedding_dropout(self.patch_embed(encoder_hidden_states, hidden_states))
        encoder_hidden_states, hidden_states = (
            tokens.contiguous()  # as every later block gets them: a compiled block is then compiled once, not twice
            for tokens in hidden_states.tensor_split([encoder_hidden_states.shape[1]], dim=1)
        )  # (B, T, D), (B, L, D)

        # 3. Blocks, identities within
        of_blocks: dict[int, BlockIdentityFeatures] = {}
        if identity_features is not None:
            of_layers, routing_indices, routing_bias = self.identity_inputs(
                identity_features, routing_indices, hidden_states.shape[:2], routing_bias
            )
            of_blocks = dict(zip(self.routed_blocks, of_layers, strict=True))
            if identity_features.phrases is not None and face_scale != 0:
                encoder_hidden_states = encoder_hidden_states + face_scale * identity_features.phrases.to(
                    encoder_hidden_states
                )
        routing_logits = []
        zeros_if_skipped = isinstance(self._cache_config, TaylorSeerCacheConfig) and self._cache_config.use_lite_mode
        for index, block in enumerate(self.transformer_blocks):
            block_kwargs = attention_kwargs
            if perturbed is not None and index == self._middle_block:
                block_kwargs = {**(attention_kwargs or {}), "perturbed": perturbed}
            block_args = (
                hidden_states,
                encoder_hidden_states,
                temb,
                image_rotary_emb,
                block_kwargs,
                of_blocks.get(index),
                face_scale,
                routing,
                routing_indices,
                routing_bias,
            )
            if torch.is_grad_enabled() and self.gradient_checkpointing:
                hidden_states, encoder_hidden_states, *routed = self._gradient_checkpointing_func(block, *block_args)
            else:
                hidden_states, encoder_hidden_states, *routed = block(*block_args)
            # A step cache that skips a block gives no logits for it, or zeros.
            routing_logits += [
                self.whole_routing(logits)
                for logits in routed
                if logits is not None and not (zeros_if_skipped and not logits.any())
            ]

        # 4. Output
        hidden_states = self.norm_out(self.norm_final(hidden_states), temb=temb)
        sample = self._unpatchify(self.proj_out(hidden_states), grid)
        complete = len(routing_logits) == len(of_blocks) > 0
        output = IngredientsTransformerOutput(
            sample=sample, routing_logits=tuple(routing_logits) if complete else None
        )
        return output if return_dict else (output.sample, output.routing_logits)

    def draw_noise(
        self,
        shape: Sequence[int],
        *,
        generator: torch.Generator | list[torch.Generator] | None,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> torch.Tensor:
        """Noise (B, F, C, H, W) as the model was trained with, temporal patches whole; see `noise_schedule`."""
        return draw_noise(
            shape,
            sharing=self.config.noise_sharing,
            patch_size_t=self.config.patch_size_t,
            generator=generator,
            device=device,
            dtype=dtype,
        )

    def _unpatchify(self, patches: torch.Tensor, grid: Sequence[int]) -> torch.Tensor:
        num_frames, height, width = grid
        patch_size, patch_size_t = self.config.patch_size, self.config.patch_size_t or 1
        patch_frames = -(-num_frames // patch_size_t)
        patches = torch.unflatten(patches, 1, (patch_frames, height // patch_size, width // patch_size))
        patches = torch.unflatten(patches, -1, (-1, patch_size_t, patch_size, patch_size))  # (B, ..., C, p_t, p, p)
        return patches.permute(0, 1, 5, 4, 2, 6, 3, 7).flatten(6, 7).flatten(4, 5).flatten(1, 2)

    def enable_cache(self, config: Any) -> None:
        """As in diffusers, and what `step_cache_hooks` adds."""
        if isinstance(config, FasterCacheConfig) and not self.is_cache_enabled:
            keep_rows_with_faster_cache(self)
        if isinstance(config, TaylorSeerCacheConfig):
            config = extrapolate_the_base(config)
        super().enable_cache(config)
        if isinstance(config, PyramidAttentionBroadcastConfig):
            separate_broadcast_contexts(self)

    def disable_cache(self) -> None:
        """As in diffusers."""
        super().disable_cache()
        forget_rows(self)

    def fuse_qkv_projections(self) -> None:
        """One matrix for query, key and value of each self-attention; the processor reads either form."""
        for module in self.modules():
            if isinstance(module, Attention):
                module.fuse_projections(fuse=True)

    def unfuse_qkv_projections(self) -> None:
        """Back to separate matrices."""
        for module in self.modules():
            if isinstance(module, Attention) and module.fused_projections:
                module.fused_projections = False
                del module.to_qkv

    def set_attn_processor(self, processor: Any) -> None:
        """As in diffusers; one processor for all goes to the self-attentions, for it knows nothing of identities.

        Args:
            processor: One for every self-attention, or one for each name of `attn_processors`.

        Raises:
            ValueError: An identity cross-attention would get a processor that is not made for it.
        """
        if not isinstance(processor, dict):
            given = self.attn_processors
            of_identities = isinstance(processor, IdentityAttnProcessor)
            processor = {
                name: processor if isinstance(each, IdentityAttnProcessor) == of_identities else each
                for name, each in given.items()
            }
        strangers = [
            name
            for name, each in processor.items()
            if name.endswith(".id_attn.processor") != isinstance(each, IdentityAttnProcessor)
        ]
        if strangers:
            raise ValueError(
                f"{strangers[0]} cannot be a {type(processor[strangers[0]]).__name__}: identity cross-attentions take "
                "an IdentityAttnProcessor, and self-attentions any other; start from the model's attn_processors."
            )
        super().set_attn_processor(dict(processor))  # which it empties

    def compile_repeated_blocks(self, *args: Any, **kwargs: Any) -> None:
        """Compile each block, and no hook around it.

        Diffusers compiles the hooks as well. Those of step caches change from step to step, so that blocks are
        compiled again, and MagCache's forbids compiling, so that nothing is. One video needs three kinds of blocks:
        with identity modules while the layout is planned and after it, and without.

        Args:
            *args: For `torch.compile`.
            **kwargs: For `torch.compile`.
        """
        self.uncompile_repeated_blocks()
        kwargs = {"recompile_limit": MAX_COMPILED_BLOCKS} | kwargs
        for block in self.transformer_blocks:
            block.forward = torch.compile(block.forward, *args, **kwargs)

    def uncompile_repeated_blocks(self) -> None:
        """Back to blocks that are not compiled."""
        for block in self.transformer_blocks:
            if hasattr(vars(block).get("forward"), "_torchdynamo_orig_callable"):
                del block.forward
