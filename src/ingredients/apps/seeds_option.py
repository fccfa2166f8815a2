"""`--seeds 1 2 3`: several seeds after one option, which the option parser itself takes one value of."""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from typer.core import TyperCommand

from ingredients.core.errors import UserInputError

_OPTION = "--seeds"
_SEEDS = re.compile(r"-?\d+(,-?\d+)*,?")


class SeedsCommand(TyperCommand):
    """A command in which `--seeds 1 2 3` means `--seeds 1,2,3`."""

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
    """The arguments, those that are seeds after `--seeds` made one."""
    remaining = deque(arguments)
    while remaining:
        argument = remaining.popleft()
        name, given, value = argument.partition("=")
        if argument == "--":
            yield from (argument, *remaining)
            return
        if name != _OPTION:
            yield argument
            continue
        seeds = [value] if given else []
        while remaining and _SEEDS.fullmatch(remaining[0]):
            seeds.append(remaining.popleft())
        # Without any, the option parser says that something is missing.
        yield f"{_OPTION}={','.join(each.strip(',') for each in seeds)}" if seeds else argument
