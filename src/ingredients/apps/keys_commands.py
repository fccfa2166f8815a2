"""`ingredients keys`: keys that callers of the server have."""

import time
from pathlib import Path
from typing import Annotated

import typer

from ingredients.apps.terminal import IngredientsGroup, note, show, with_examples
from ingredients.core.paths import parse_path

app = typer.Typer(
    cls=IngredientsGroup,
    no_args_is_help=True,
    help=with_examples(
        "Makes and removes keys for `ingredients serve --keys FILE`. The file holds hashes, from which no key can be "
        "read; a running server follows its changes.",
        "ingredients keys add ana-laptop --keys keys.json",
        "ingredients keys list --keys keys.json",
        "ingredients keys remove ana-laptop --keys keys.json",
    ),
)

Name = Annotated[str, typer.Argument(help="Whose key it is. Videos belong to the name, and only it sees them.")]
Keys = Annotated[Path, typer.Option("--keys", parser=parse_path, metavar="FILE", help="File of the keys.")]


@app.command(help="Makes a key and prints it, this once; a second key of a name stands beside the first.")
def add(name: Name, keys: Keys = Path("keys.json")) -> None:
    """Makes a key."""
    from ingredients.apps.server.keys import make_key

    key = make_key(keys, name)
    note(f"The key of {name.strip()}, which nobody can read in {keys} later:")
    show(key)


@app.command("list", help="Lists whose keys there are, and since when.")
def list_keys(keys: Keys = Path("keys.json")) -> None:
    """Lists the names."""
    from ingredients.apps.server.keys import load_keys

    for key in load_keys(keys).keys:
        show(f"{time.strftime('%Y-%m-%d', time.localtime(key.created_at))}  {key.name}")


@app.command(help="Removes all keys of a name; a running server refuses them from the next second on.")
def remove(name: Name, keys: Keys = Path("keys.json")) -> None:
    """Removes keys."""
    from ingredients.apps.server.keys import remove_keys

    number = remove_keys(keys, name)
    note(f"Removed {number} {'key' if number == 1 else 'keys'} of {name}.")
