"""Warnings that a person should read, instead of Python's lines on standard error.

Python's own `warnings.catch_warnings` changes the whole process: of two threads, each would get the other's warnings,
and the one that ends last would put back what the first had put there. Here each thread has its own listeners; what
the process has is changed by the first of them, and put back by the last.
"""

import contextlib
import dataclasses
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

Notice: TypeAlias = Callable[[str], None]
"""Told at once, in a sentence, of each thing that is worth knowing and stops nothing."""


class PhotoWarning(UserWarning):
    """A photo is usable but doubtful."""


class TrainingWarning(UserWarning):
    """Something that the person who trains should know, and that stops nothing."""


@contextlib.contextmanager
def warnings_told(notice: Notice, *kinds: type[Warning]) -> Iterator[None]:
    """Hands each warning of some kinds that this thread gives to `notice` while the block runs; others go on."""
    with _listening(_Listener(kinds=kinds, notice=notice)):
        yield


@contextlib.contextmanager
def warnings_ignored() -> Iterator[None]:
    """Drops all warnings that this thread gives while the block runs."""
    with _listening(_Listener(kinds=(Warning,), notice=lambda _: None)):
        yield


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class _Listener:
    """Somebody who takes a thread's warnings of some kinds."""

    kinds: tuple[type[Warning], ...]
    notice: Notice
    elsewhere: Callable[..., Any] | None = None
    """Where others go on to, if somebody else took the process's warnings within a block of ours."""


class _Thread(threading.local):
    """The listeners of one thread."""

    def __init__(self) -> None:
        self.listeners: list[_Listener] = []


_thread = _Thread()
_lock = threading.Lock()
_num_listening = 0
_before: "warnings.catch_warnings[None] | None" = None
_elsewhere: Callable[..., Any] = warnings.showwarning


@contextlib.contextmanager
def _listening(listener: _Listener) -> Iterator[None]:
    global _num_listening, _before, _elsewhere
    with _lock:
        if _num_listening == 0:
            _before = warnings.catch_warnings()
            _before.__enter__()
            _elsewhere = warnings.showwarning
        elif warnings.showwarning is not _show:
            listener.elsewhere = warnings.showwarning
        _num_listening += 1
        warnings.showwarning = _show
        for kind in listener.kinds:
            warnings.simplefilter("always", kind)
    _thread.listeners.append(listener)
    try:
        yield
    finally:
        _thread.listeners.remove(listener)
        with _lock:
            _num_listening -= 1
            if _num_listening == 0:
                assert _before is not None
                _before.__exit__(None, None, None)
            elif listener.elsewhere is not None:
                warnings.showwarning = listener.elsewhere


def _show(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
    elsewhere = _elsewhere
    for listener in reversed(_thread.listeners):
        if issubclass(category, listener.kinds):
            listener.notice(str(message))
            return
        if listener.elsewhere is not None:
            elsewhere = listener.elsewhere
            break
    elsewhere(message, category, *rest, **named)
