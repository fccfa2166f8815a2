"""What a video transformer of any backbone gains to take identities: its projector, and the people's features.

Legend: B batch, L video tokens, N identities, P image-encoder tokens, K query tokens per identity, C channels,
D video width.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, cast, get_args

import torch
from diffusers.hooks import HookRegistry
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import nn

from ingredients.models.flops import cheaper_form
from ingredients.models.id_router import IDRouter, Routing
from ingredients.models.identity_features import BlockIdentityFeatures, IdentityFeatures
from ingredients.models.identity_layer import IdentityLayer
from ingredients.models.lora_scale import takes_lora_scale
from ingredients.models.multi_scale_projector import IdentityCrossAttention, MultiScaleProjector

PROJECTOR_MODULES = ("multi_scale_projector", "id_attn", "phrase_proj")
ROUTER_MODULES = ("id_router",)
_PEOPLE_MODULES = ("multi_scale_projector", "norm_identity", "to_kv")


class IdentityModelMixin:
    """For an `nn.Module` with a projector, whose blocks are, or hold, `IdentityLayer`s.

    Its `config` has the fields `identity_modules`, `routing`, `router_type`, `router_inner_dim`,
    `published_guidance_fault` and all that begin with `id_`, as `IngredientsTransformer3DModel` documents them.
    """

    config: Any
    dtype: torch.dtype
    multi_scale_projector: MultiScaleProjector | None
    phrase_proj: nn.Linear | None

    def make_projector(self) -> MultiScaleProjector | None:
        """The projector that the config describes; None without identity modules."""
        config = self.config
        if not config.identity_modules:
            return None
        return MultiScaleProjector(
            embed_dim=config.id_recognition_dim + config.id_semantic_dim,
            vit_dim=config.id_vit_dim,
            num_scales=config.id_num_scales,
            mapping_dim=config.id_mapping_dim,
            dim=config.id_qformer_dim,
            depth=config.id_qformer_depth,
            num_heads=config.id_qformer_num_heads,
            head_dim=config.id_qformer_head_dim,
            ff_mult=config.id_qformer_ff_mult,
            num_id_tokens=config.id_num_id_tokens,
            num_queries=config.id_num_queries,
            token_dim=config.id_token_dim,
        )

    def make_phrase_projection(self, dim: int) -> nn.Linear | None:
        """What tells the words that stand for a person about the photos, from width C to D = `dim`; it begins at zero.

        The paper has none: its text does not know whose photo is whose.
        """
        if not (self.config.identity_modules and self.config.id_phrases):
            return None
        projection = nn.Linear(self.config.id_token_dim, dim)
        nn.init.zeros_(projection.weight)
        nn.init.zeros_(projection.bias)
        return projection

    def make_identity_modules(self, dim: int) -> tuple[IdentityCrossAttention, IDRouter]:
        """Cross-attention and router of one block of width D = `dim`."""
        config = self.config
        id_attn = IdentityCrossAttention(
            dim=dim,
            token_dim=config.id_token_dim,
            num_heads=config.id_attn_num_heads,
            head_dim=config.id_attn_head_dim,
        )
        id_router = IDRouter(
            dim=dim,
            token_dim=config.id_token_dim,
            num_queries=config.id_num_queries,
            inner_dim=config.router_inner_dim,
            router_type=config.router_type,
        )
        return id_attn, id_router

    @property
    def identity_layers(self) -> list[IdentityLayer]:
        """The layers that have identity modules, in order."""
        return [
            layer
            for layer in cast(nn.Module, self).modules()
            if isinstance(layer, IdentityLayer) and layer.id_attn is not None
        ]

    def projector_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Named parameters of the multi-scale projector: the Q-former and the cross-attentions."""
        return self._parameters_of(PROJECTOR_MODULES)

    def people_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Named parameters that read people alone: the Q-former, and norm, keys and values of the cross-attentions."""
        for name, parameter in self.projector_parameters():
            if not set(_PEOPLE_MODULES).isdisjoint(name.split(".")):
                yield name, parameter

    def router_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Named parameters of the routers."""
        return self._parameters_of(ROUTER_MODULES)

    def identity_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Named parameters of all identity modules."""
        return self._parameters_of(PROJECTOR_MODULES + ROUTER_MODULES)

    def base_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Named parameters of all that the backbone has without identities."""
        for name, parameter in cast(nn.Module, self).named_parameters():
            if set(PROJECTOR_MODULES + ROUTER_MODULES).isdisjoint(name.split(".")):
                yield name, parameter

    def _parameters_of(self, modules: tuple[str, ...]) -> Iterator[tuple[str, nn.Parameter]]:
        for name, parameter in cast(nn.Module, self).named_parameters():
            if not set(modules).isdisjoint(name.split(".")):
                yield name, parameter

    @apply_forward_hook
    @takes_lora_scale
    def prepare_identities(
        self,
        id_embeds: torch.Tensor,
        id_vit_hidden_states: Sequence[torch.Tensor],
        id_mask: torch.Tensor | None = None,
        *,
        phrase_tokens: torch.Tensor | None = None,
        form: Literal["plain", "folded", "auto"] = "auto",
        attention_kwargs: Mapping[str, Any] | None = None,
    ) -> IdentityFeatures:
        """Compute everything about the people that does not change during denoising.

        Args:
            id_embeds: (B, N, recognition + semantic dim).
            id_vit_hidden_states: `id_num_scales` tensors (B, N, P, id_vit_dim), shallow to deep.
            id_mask: (B, N) bool, True = a real identity; None where all are.
            phrase_tokens: (B, N, T) bool, True = a text token that stands for the identity; a model without a map for
                them leaves them out.
            form: `plain` keeps the video side's projections in the blocks; `folded` folds them into the keys and
                values; `auto` takes what costs fewer FLOPs a step, and `plain` while gradients are recorded.
            attention_kwargs: Those of the steps; `scale` is the LoRA scale, which must be the same in them.

        Returns:
            Features to hand to every `forward`.

        Raises:
            ValueError: A shape does not fit the config, or the model has no identity modules.
        """
        if self.multi_scale_projector is None:
            raise ValueError("this transformer was built with identity_modules=False and takes no identities")
        self._check_identities(id_embeds, id_vit_hidden_states, id_mask, phrase_tokens)
        batch_size, num_identities, _ = id_embeds.shape
        if id_mask is None:
            id_mask = torch.ones(batch_size, num_identities, dtype=torch.bool, device=id_embeds.device)
        layers = self.identity_layers
        if form == "auto":
            form = "plain"
            if not torch.is_grad_enabled():
                assert layers[0].id_attn is not None
                form = cheaper_form(self.config, video_dim=layers[0].id_attn.dim, num_identities=num_identities)

        is_real = id_mask.to(id_embeds.device)  # padding costs nothing, and may hold anything
        with onloaded(cast(nn.Module, self)):
            real_tokens = self.multi_scale_projector(
                id_embeds[is_real].to(self.dtype), [states[is_real].to(self.dtype) for states in id_vit_hidden_states]
            )  # (real identities, K, C)
            id_mask = id_mask.to(real_tokens.device)
            id_tokens = real_tokens.new_zeros(batch_size, num_identities, *real_tokens.shape[1:])  # (B, N, K, C)
            id_tokens[id_mask] = real_tokens
            phrases = self._phrases(id_tokens, id_mask, phrase_tokens)
        blocks = []
        for layer in layers:
            with onloaded(layer):
                blocks.append(layer.prepare_identities(id_tokens, id_mask, form))
        return IdentityFeatures(id_tokens=id_tokens, id_mask=id_mask, blocks=tuple(blocks), phrases=phrases)

    def _phrases(
        self, id_tokens: torch.Tensor, id_mask: torch.Tensor, phrase_tokens: torch.Tensor | None
    ) -> torch.Tensor | None:
        """What is added to the text tokens (B, T, D): at those that stand for a person, the mean of the person's."""
        if self.phrase_proj is None or phrase_tokens is None:
            return None
        said = self.phrase_proj(id_tokens.mean(dim=2))  # (B, N, D)
        weights = (phrase_tokens.to(id_mask.device) & id_mask[..., None]).to(said)
        return torch.einsum("bnt,bnd->btd", weights, said)

    def identity_inputs(
        self,
        identity_features: IdentityFeatures,
        routing_indices: torch.Tensor | None,
        batch_and_tokens: torch.Size,
        routing_bias: torch.Tensor | None = None,
    ) -> tuple[tuple[BlockIdentityFeatures, ...], torch.Tensor | None, torch.Tensor | None]:
        """What each layer of `identity_layers` is given in one forward pass.

        Args:
            identity_features: What `prepare_identities` gave, with B rows.
            routing_indices: (B, L) long, an identity forced on each token, -1 for none.
            batch_and_tokens: (B, L) of the video tokens.
            routing_bias: (B, L, N), added to the routing logits.

        Returns:
            Features of each layer, `routing_indices` and `routing_bias`; all of batch element 0 alone where the
            published batch fault is kept.

        Raises:
            ValueError: Identities and latents have different batch sizes, or an argument is out of range.
        """
        batch_size = batch_and_tokens[0]
        if self.multi_scale_projector is None:
            raise ValueError("this transformer was built with identity_modules=False and takes no identities")
        if identity_features.batch_size != batch_size:
            raise ValueError(
                f"identity_features has {identity_features.batch_size} rows and the latents have {batch_size}: "
                "see IdentityFeatures.repeat_for_guidance and repeat_interleave"
            )
        if routing_indices is not None and routing_indices.shape != batch_and_tokens:
            raise ValueError(f"routing_indices must be {tuple(batch_and_tokens)}, got {tuple(routing_indices.shape)}")
        expected = (*batch_and_tokens, identity_features.num_identities)
        if routing_bias is not None and tuple(routing_bias.shape) != expected:
            raise ValueError(f"routing_bias must be {expected}, got {tuple(routing_bias.shape)}")
        if self.config.published_guidance_fault:
            identity_features = identity_features.first_row()
            routing_indices = None if routing_indices is None else routing_indices[:1]
            routing_bias = None if routing_bias is None else routing_bias[:1]
        return identity_features.blocks, routing_indices, routing_bias

    def _check_identities(
        self,
        id_embeds: torch.Tensor,
        id_vit_hidden_states: Sequence[torch.Tensor],
        id_mask: torch.Tensor | None,
        phrase_tokens: torch.Tensor | None,
    ) -> None:
        embed_dim = self.config.id_recognition_dim + self.config.id_semantic_dim
        if id_embeds.ndim != 3 or id_embeds.shape[-1] != embed_dim:
            raise ValueError(f"id_embeds must be (B, N, {embed_dim}), got {tuple(id_embeds.shape)}")
        num_scales, vit_dim = self.config.id_num_scales, self.config.id_vit_dim
        if len(id_vit_hidden_states) != num_scales:
            raise ValueError(f"id_vit_hidden_states must be {num_scales} tensors, got {len(id_vit_hidden_states)}")
        rows = tuple(id_embeds.shape[:2])
        for states in id_vit_hidden_states:
            if states.ndim != 4 or tuple(states.shape[:2]) != rows or states.shape[-1] != vit_dim:
                raise ValueError(
                    f"id_vit_hidden_states must be {(*rows, 'P', vit_dim)} as id_embeds, got {tuple(states.shape)}"
                )
        if phrase_tokens is not None and (phrase_tokens.dtype != torch.bool or tuple(phrase_tokens.shape[:2]) != rows):
            raise ValueError(
                f"phrase_tokens must be bool {(*rows, 'T')}, got {phrase_tokens.dtype} {tuple(phrase_tokens.shape)}"
            )
        if id_mask is not None and (id_mask.dtype != torch.bool or tuple(id_mask.shape) != rows):
            raise ValueError(f"id_mask must be bool {rows}, got {id_mask.dtype} {tuple(id_mask.shape)}")


def check_routing(routing: Routing) -> Routing:
    """`routing` itself, if it is one of the ways to route.

    Raises:
        ValueError: It is not.
    """
    if routing not in get_args(Routing):
        raise ValueError(f"routing must be one of {get_args(Routing)}, got {routing!r}")
    return routing


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
