"""Counts the bytes that a computation holds at its busiest, without computing: sizes of any model fit anywhere."""

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class AllocationCount(TorchDispatchMode):
    """Follows the storage of every result while it is in use; what was there before does not count."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._total = 0
        self._present: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(results):
            if isinstance(tensor, torch.Tensor):
                self._follow(tensor.untyped_storage())
        return results

    def _follow(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._present:
            self._present[key] = storage.nbytes()
            self._total += storage.nbytes()
            self.peak = max(self.peak, self._total)
            weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self._total -= self._present.pop(key)


@contextlib.contextmanager
def without_computing(dtype: torch.dtype) -> Iterator[None]:
    """Makes tensors that have a shape only, of `dtype` by default."""
    previous = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode():
            yield
    finally:
        torch.set_default_dtype(previous)
