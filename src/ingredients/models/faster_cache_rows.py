"""FasterCache drops the first half of a guided batch in some steps; the identities' rows must go with it.

Diffusers' hook halves the arguments that it knows by name, and neither `identity_features` nor `routing_indices` are
among them. The hook here stands within diffusers' and gives the transformer the rows of what was kept: the last ones,
since a batch is [negative, positive].
"""

from typing import Any

import torch
from diffusers.hooks import HookRegistry, ModelHook
from torch import nn

_NAME = "ingredients_faster_cache_rows"


class _KeptRows(ModelHook):
    """Selects the last rows of what FasterCache has not halved."""

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        num_rows = kwargs["hidden_states"].shape[0]
        features, routing_indices = kwargs.get("identity_features"), kwargs.get("routing_indices")
        if features is not None and features.batch_size == 2 * num_rows:
            kwargs["identity_features"] = features.rows(slice(num_rows, None))
        if torch.is_tensor(routing_indices) and routing_indices.shape[0] == 2 * num_rows:
            kwargs["routing_indices"] = routing_indices[num_rows:]
        return args, kwargs


def keep_rows_with_faster_cache(transformer: nn.Module) -> None:
    """Call it before FasterCache is enabled, so that its hook runs around this one."""
    HookRegistry.check_if_exists_or_initialize(transformer).register_hook(_KeptRows(), _NAME)


def forget_rows(transformer: nn.Module) -> None:
    """Takes the hook away, if it is there."""
    HookRegistry.check_if_exists_or_initialize(transformer).remove_hook(_NAME, recurse=False)
