"""What pipelines on one transformer have in common.

`IngredientsPipeline.from_pipe(pipe)` and `IngredientsPipeline(**pipe.components)` make a second pipeline on the same
parts. How the model is best sampled and run, its residuals' magnitudes, and what was done to the transformer to save
time or memory belong to the transformer, so they come along with it. So do a call's scheduler, caches and LoRA scale,
which is why calls of such pipelines take turns.
"""

import functools
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from torch import nn

from ingredients.core.errors import ArgumentError

CARRIED = frozenset({"sampling_defaults", "speed_defaults", "residual_magnitudes", "execution"})
"""Attributes of a pipeline that belong to its transformer."""

_CallT = TypeVar("_CallT", bound=Callable[..., Any])


class _Shared:
    """What one transformer's pipelines share."""

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}
        self.lock = threading.RLock()  # a call within a block of the same thread does not wait for it
        self.thread: int | None = None


_SHARED: weakref.WeakKeyDictionary[nn.Module, _Shared] = weakref.WeakKeyDictionary()
_GUARD = threading.Lock()


def carried_attributes(transformer: nn.Module | None) -> dict[str, Any]:
    """The attributes that a pipeline on this transformer has had, by name."""
    return {} if transformer is None else dict(_shared(transformer).attributes)


def carry_attribute(transformer: nn.Module | None, name: str, value: Any) -> None:
    """Notes an attribute for the next pipeline on this transformer."""
    if transformer is not None:
        _shared(transformer).attributes[name] = value


def one_at_a_time(call: _CallT) -> _CallT:
    """Lets the calls of pipelines on one transformer wait for each other, from whichever threads they come."""

    @functools.wraps(call)
    def waiting(pipeline: Any, *args: Any, **kwargs: Any) -> Any:
        with _turn_of(pipeline.transformer):
            return call(pipeline, *args, **kwargs)

    return cast(_CallT, waiting)


@contextmanager
def alone_on(transformer: nn.Module | None) -> Iterator[None]:
    """Lets the calls and such blocks of other threads wait until a block ends, whose own calls go on."""
    if transformer is None:
        yield
        return
    with _shared(transformer).lock:
        yield


@contextmanager
def _turn_of(transformer: nn.Module | None) -> Iterator[None]:
    if transformer is None:
        yield
        return
    shared = _shared(transformer)
    if shared.thread == threading.get_ident():
        raise ArgumentError(
            "This pipeline is making a video already and was called again from within, by a callback; call it after "
            "the video is done, or load a second pipeline."
        )
    with shared.lock:
        shared.thread = threading.get_ident()
        try:
            yield
        finally:
            shared.thread = None


def _shared(transformer: nn.Module) -> _Shared:
    with _GUARD:
        return _SHARED.setdefault(transformer, _Shared())
