"""`--seeds 1 2 3` and `--place ana@0=left ana@16=right`: several values after one option; `--places`: perhaps none.

The option parser itself takes exactly one value of an option.
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from typer.core import TyperCommand

from ingredients.core.errors import UserInputError


class _Several(NamedTuple):
    """What the values of an option look like, what joins them to one, and what the option means without any."""

    value: re.Pattern[str]
    joint: str
    without: str | None = None


_OPTIONS = {
    "--seeds": _Several(re.compile(r"-?\d+(,-?\d+)*,?"), ","),
    "--place": _Several(re.compile(r"[^-=\s][^=]*=[^=]*"), " "),
    "--places": _Several(re.compile(r"[^-].*"), " ", without="columns"),
}


class SeveralValuesCommand(TyperCommand):
    """A command in which `--seeds 1 2 3` means `--seeds 1,2,3`, and `--places` alone `--places columns`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the command line."""
        return super().parse_args(ctx, list(_joined(args)))


def parse_seeds(text: str) -> list[int]:
    """Reads `1,2,3`.

    Raises:
        UserInputError: for anything else.
    """
    try:
        return [int(each) for each in text.strip(",").split(",")]
    except ValueError as error:
        raise UserInputError(f"--seeds takes whole numbers, such as --seeds 1 2 3, not {text}.") from error


def _joined(arguments: Sequence[str]) -> Iterator[str]:
    """The arguments, those that are values after such an option made one."""
    remaining = deque(arguments)
    while remaining:
        argument = remaining.popleft()
        name, given, value = argument.partition("=")
        if argument == "--":
            yield from (argument, *remaining)
            return
        if name not in _OPTIONS:
            yield argument
            continue
        kind = _OPTIONS[name]
        values = [value] if given else []
        while remaining and kind.value.fullmatch(remaining[0]):
            values.append(remaining.popleft())
        if not values and kind.without is not None:
            values = [kind.without]
        # Without any, the option parser says that something is missing.
        yield f"{name}={kind.joint.join(each.strip(',') for each in values)}" if values else argument
