"""Lines that libraries write to standard error past Python, kept off the terminal."""

import contextlib
import os
import threading
from collections.abc import Iterator

_STANDARD_ERROR = 2
_one_at_a_time = threading.RLock()  # two that overlapped would leave standard error closed for good


@contextlib.contextmanager
def native_lines_hidden() -> Iterator[None]:
    """Drops what the whole process writes to standard error while the block runs: for short calls into a library.

    What such a library has to say comes as an exception as well, which is turned into a sentence of ours.
    """
    with _one_at_a_time:
        try:
            kept = os.dup(_STANDARD_ERROR)
        except OSError:  # it is closed already
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, _STANDARD_ERROR)
            yield
        finally:
            os.dup2(kept, _STANDARD_ERROR)
            os.close(nowhere)
            os.close(kept)
