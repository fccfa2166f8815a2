"""The command line, `ingredients COMMAND`; each command imports what it needs when it runs, so that help is quick."""

from typing import Annotated

import typer

from ingredients.apps import (
    benchmark_commands,
    compare_command,
    curate_commands,
    data_commands,
    doctor_command,
    download_command,
    evaluate_command,
    faces_command,
    generate_command,
    info_command,
    judge_command,
    keys_commands,
    models_command,
    reproduce_command,
    serve_command,
    train_commands,
    world_commands,
)
from ingredients.apps.several_values import SeveralValuesCommand
from ingredients.apps.terminal import IngredientsGroup, show, whole_streams, with_examples
from ingredients.core.version import VERSION

app = typer.Typer(
    name="ingredients",
    cls=IngredientsGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=with_examples(
        "Photos of several people and a sentence become a video in which each of them appears.",
        "ingredients world portrait --seed 7 --output ana.png",
        "ingredients world portrait --seed 8 --output ben.png",
        "ingredients generate --photo ana=ana.png --photo ben=ben.png \\",
        '  --prompt "Two people wave on a beach" --output out.mp4',
    ),
)
app.command("generate", cls=SeveralValuesCommand, help=generate_command.HELP)(generate_command.generate)
app.command("serve", help=serve_command.HELP)(serve_command.serve)
app.command("faces", help=faces_command.HELP)(faces_command.faces)
app.command("info", help=info_command.HELP)(info_command.info)
app.command("models", help=models_command.HELP)(models_command.models)
app.command("download", help=download_command.HELP)(download_command.download)
app.command("evaluate", cls=SeveralValuesCommand, help=evaluate_command.HELP)(evaluate_command.evaluate)
app.command("judge", help=judge_command.HELP)(judge_command.judge)
app.command("compare", help=compare_command.HELP)(compare_command.compare)
app.command("reproduce", help=reproduce_command.HELP)(reproduce_command.reproduce)
app.command("doctor", help=doctor_command.HELP)(doctor_command.doctor)
app.add_typer(benchmark_commands.app, name="benchmark")
app.add_typer(curate_commands.app, name="curate")
app.add_typer(data_commands.app, name="data")
app.add_typer(keys_commands.app, name="keys")
app.add_typer(train_commands.app, name="train")
app.add_typer(world_commands.app, name="world")


def _show_version(asked: bool) -> None:
    if asked:
        show(f"ingredients {VERSION}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version, and stop.")
    ] = False,
) -> None:
    """What can be asked of no command in particular."""


def main() -> None:
    """Runs the command line."""
    with whole_streams():
        app()
