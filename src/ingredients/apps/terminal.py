"""How every command speaks: results on standard output, everything else on standard error."""

import functools
import logging
from typing import Any

import typer
from typer.core import TyperGroup

from ingredients.core.errors import UserInputError
from ingredients.core.warnings_told import PhotoWarning, warnings_told

USER_MISTAKE = 2
INTERRUPTED = 130
"""What shells report for Ctrl-C: 128 + SIGINT."""


class IngredientsGroup(TyperGroup):
    """Commands in which a user's mistake is one sentence and exit code 2, and Ctrl-C says what became of the files."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        try:
            with warnings_told(functools.cache(note), PhotoWarning):  # once, however often a photo is read
                return super().invoke(ctx)
        except UserInputError as error:
            say(f"Error: {error}")
            raise typer.Exit(USER_MISTAKE) from error
        except KeyboardInterrupt as interruption:
            say("Interrupted; results are written whole or not at all, so nothing half-written is left.")
            raise typer.Exit(INTERRUPTED) from interruption


def say(message: str) -> None:
    """Prints a line for the person at the terminal, on standard error."""
    typer.echo(message, err=True)


def note(message: str) -> None:
    """Tells the person at the terminal something worth knowing, beside what was asked for."""
    say(f"Note: {message}")


def with_examples(description: str, *examples: str) -> str:
    """Joins a command's description and example command lines to its help."""
    lines = "\n".join(f"  {example}" for example in examples)
    return f"{description}\n\nExamples:\n\n\b\n{lines}"


def silence_libraries() -> None:
    """Keeps the loading bars and hints of transformers and diffusers off the terminal, which has its own.

    And what torchao says as diffusers imports it where it is installed: of parts for GPUs, and of its own old ways.
    """
    for name in ("torchao", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)

    import diffusers.utils.logging
    import transformers.utils.logging

    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.disable_progress_bar()
        library.set_verbosity_error()
