"""The LoRA scale of a call: `attention_kwargs["scale"]`, as diffusers' pipelines take it.

Diffusers' own decorator divides the scale out again at the end, and after a scale of 0 sets every adapter to 1,
whatever `set_adapters` had made of it. Here each layer gets back exactly what it had.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

_MethodT = TypeVar("_MethodT", bound=Callable[..., Any])


def takes_lora_scale(method: _MethodT) -> _MethodT:
    """Lets a model's method run with its LoRAs scaled by `attention_kwargs["scale"]`, which it does not see itself."""

    @functools.wraps(method)
    def scaled(model: nn.Module, *args: Any, **kwargs: Any) -> Any:
        attention_kwargs = kwargs.get("attention_kwargs")
        if attention_kwargs is None or "scale" not in attention_kwargs:
            return method(model, *args, **kwargs)
        kwargs["attention_kwargs"] = {name: value for name, value in attention_kwargs.items() if name != "scale"}
        with _lora_scaled(model, float(attention_kwargs["scale"])):
            return method(model, *args, **kwargs)

    return cast(_MethodT, scaled)


@contextmanager
def _lora_scaled(model: nn.Module, scale: float) -> Iterator[None]:
    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    before = [dict(cast(dict[str, float], layer.scaling)) for layer in layers]
    try:
        for layer in layers:
            layer.scale_layer(scale)
        yield
    finally:
        for layer, scaling in zip(layers, before, strict=True):
            cast(dict[str, float], layer.scaling).update(scaling)
