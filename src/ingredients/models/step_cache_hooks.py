"""What diffusers' step caches lack for a transformer with identities, and for guidance passes that run one by one.

FasterCache drops the first half of a guided batch in some steps. Its hook halves the arguments that it knows by name,
and `identity_features`, `routing_indices` and `routing_bias` are not among them. The hook here stands within it and
gives the transformer the rows of what was kept: the last ones, since a batch is [negative, positive].

Pyramid attention broadcast has one memory, where the other caches have one for each `cache_context`: the second pass
of a step would be given the first one's attention. Here it gets one for each, too.

TaylorSeer's default is to extrapolate whatever is called "attn". In CogVideoX that is nothing, for its self-attention
is called `attn1`, and with identities it would be their cross-attention alone. Here it is the self-attention.
"""

import dataclasses
from typing import Any

import torch
from diffusers.hooks import HookRegistry, ModelHook, TaylorSeerCacheConfig
from diffusers.hooks.hooks import CacheContext, StateManager
from diffusers.hooks.pyramid_attention_broadcast import (
    _PYRAMID_ATTENTION_BROADCAST_HOOK,
    PyramidAttentionBroadcastState,
)
from torch import nn

_KEPT_ROWS_HOOK = "ingredients_kept_rows"
_SELF_ATTENTION = r"transformer_blocks\.\d+\.attn1"


class _KeptRows(ModelHook):
    """Selects the last rows of what FasterCache has not halved."""

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        num_rows = kwargs["hidden_states"].shape[0]
        features = kwargs.get("identity_features")
        if features is not None and features.batch_size == 2 * num_rows:
            kwargs["identity_features"] = features.rows(slice(num_rows, None))
        for name in ("routing_indices", "routing_bias"):
            given = kwargs.get(name)
            if torch.is_tensor(given) and given.shape[0] == 2 * num_rows:
                kwargs[name] = given[num_rows:]
        return args, kwargs


def keep_rows_with_faster_cache(transformer: nn.Module) -> None:
    """Call it before FasterCache is enabled, so that its hook runs around this one."""
    HookRegistry.check_if_exists_or_initialize(transformer).register_hook(_KeptRows(), _KEPT_ROWS_HOOK)


def forget_rows(transformer: nn.Module) -> None:
    """Takes the hook away, if it is there."""
    HookRegistry.check_if_exists_or_initialize(transformer).remove_hook(_KEPT_ROWS_HOOK, recurse=False)


class _StateOfContext:
    """Stands for a hook's state: that of the current context, or of none."""

    def __init__(self, manager: StateManager) -> None:
        object.__setattr__(self, "_manager", manager)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._state(), name, value)

    def _state(self) -> Any:
        if self._manager._context is None:
            self._manager.set_context(CacheContext("no context"))
        return self._manager.get_state()

    def reset(self) -> None:
        """Forgets all contexts."""
        self._manager.reset()


def separate_broadcast_contexts(transformer: nn.Module) -> None:
    """Call it after pyramid attention broadcast was enabled."""
    for module in transformer.modules():
        registry = getattr(module, "_diffusers_hook", None)
        hook = registry.get_hook(_PYRAMID_ATTENTION_BROADCAST_HOOK) if isinstance(registry, HookRegistry) else None
        if hook is not None:
            hook.state_manager = StateManager(PyramidAttentionBroadcastState)  # diffusers sets its context
            hook.state = _StateOfContext(hook.state_manager)


def extrapolate_the_base(config: TaylorSeerCacheConfig) -> TaylorSeerCacheConfig:
    """A TaylorSeer config that says nothing of which modules it is for, made one for self-attention."""
    if config.cache_identifiers or config.skip_predict_identifiers or config.use_lite_mode:
        return config
    return dataclasses.replace(config, cache_identifiers=[_SELF_ATTENTION])
