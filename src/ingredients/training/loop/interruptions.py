"""Ctrl-C and SIGTERM while a run trains: the step is finished first, so that what was learnt is kept."""

import contextlib
import signal
import sys
import threading
import time
import types
from collections.abc import Iterator
from typing import Any

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_TOGETHER = 2.0
"""Seconds: `torchrun` passes on to its processes what the terminal has sent them as well, which is one request."""

_FINISHING = "Stopping: this step is finished and kept first; once more stops at once."


class TrainingInterruptedError(KeyboardInterrupt):
    """A run was stopped from outside; its text says what is kept, and how the same command goes on.

    Args:
        message: what is kept.
        number: the number of the signal.
        can_go_on: whether there is something to go on from.
    """

    def __init__(self, message: str, number: int = signal.SIGINT, *, can_go_on: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.number = number
        self.can_go_on = can_go_on

    def __str__(self) -> str:
        return self.sentence("the same command")

    def sentence(self, command: str) -> str:
        """What is said of it, where `command` goes on from what is kept."""
        return f"{self.message}, and {command} goes on from it." if self.can_go_on else f"{self.message}."

    @property
    def exit_code(self) -> int:
        """What shells report of a process that a signal ended."""
        return 128 + self.number


class StopRequest:
    """Notes the first signal while a step is finished, and stops at once for the second, or between steps.

    Attributes:
        number: the number of the signal that came; None: none did.
    """

    def __init__(self, *, says: bool) -> None:
        self.number: int | None = None
        self._since = 0.0
        self._says = says
        self._is_deferring = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Takes the signals while the block runs; those that are ignored stay so, as under nohup."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals are the main thread's
            return
        before: dict[int, Any] = {
            number: signal.getsignal(number) for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN
        }
        try:
            for number in before:
                signal.signal(number, self._receive)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    @contextlib.contextmanager
    def deferring(self) -> Iterator[None]:
        """Holds the first signal back while the block runs."""
        self._is_deferring = True
        try:
            yield
        finally:
            self._is_deferring = False

    @property
    def exit_code(self) -> int:
        """What shells report of a process that the signal ended; for Ctrl-C, if none was noted."""
        return 128 + (signal.SIGINT if self.number is None else self.number)

    def _receive(self, number: int, frame: types.FrameType | None) -> None:
        del frame
        now = time.monotonic()
        if self.number is not None and self._is_deferring and now - self._since < _TOGETHER:
            return
        is_first = self.number is None
        self.number, self._since = number, now
        if not (is_first and self._is_deferring):
            raise KeyboardInterrupt
        if self._says:
            with contextlib.suppress(OSError, RuntimeError):  # a line may be in the middle of being written
                sys.stderr.write(f"{_FINISHING}\n")
                sys.stderr.flush()
