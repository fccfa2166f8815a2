"""Warnings that a person should read, instead of Python's lines on standard error."""

import contextlib
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
    """Hands each warning of some kinds to `notice` while the block runs; others go on."""
    with warnings.catch_warnings():
        for kind in kinds:
            warnings.simplefilter("always", kind)
        show_elsewhere = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
            if issubclass(category, kinds):
                notice(str(message))
            else:
                show_elsewhere(message, category, *rest, **named)

        warnings.showwarning = show
        yield
