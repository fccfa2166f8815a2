import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
import typer
from rich.table import Table
from typer.testing import CliRunner

from ingredients.apps import terminal
from ingredients.apps.cli import app
from ingredients.apps.terminal import IngredientsGroup, cell, note, say, show, show_json, show_rendered
from ingredients.core.errors import OutputError, UserInputError
from ingredients.core.paths import parse_path

EVIL = "\x1b[2Jana\x9b31m\u202e\r"
HARMLESS = r"\x1b[2Jana\x9b31m\u202e\r"


class FullStream(io.TextIOWrapper):
    """Standard output on a disk that is full, as `> /dev/full` is: the error comes with the flush."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def windows_output(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """The bytes that arrive on a standard output in the code page of Windows, from now on."""
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="cp1252", newline="\n"))
    return buffer


def test_a_result_is_never_lost_for_a_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    output = windows_output(monkeypatch)
    show("小明, Łukasz, Zoë: found")
    assert output.getvalue().decode("cp1252") == "\\u5c0f\\u660e, \\u0141ukasz, Zoë: found\n"


def test_json_stays_json_in_every_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    output = windows_output(monkeypatch)
    values = {"people": ["小明", "Łukasz", "Zoë 🙂"], "distance": float("nan"), "file": "caf\udce9.png", "evil": EVIL}
    show_json(values, {"plain": "Zoë"})
    first, second = output.getvalue().decode("cp1252").splitlines()
    assert json.loads(first) == values | {"distance": None}
    assert second == '{"plain": "Zoë"}'


def test_commands_to_the_terminal_are_shown_instead_of_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    show(f"{EVIL}\nline")
    say(EVIL)
    note(EVIL)
    show_json({"name": EVIL})
    table = Table("name")
    table.add_row(cell(f"[bold]{EVIL}[/nothing]"))
    show_rendered(table)
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert "\x9b" not in printed.out + printed.err
    assert printed.out.startswith(f"{HARMLESS}\nline\n")
    assert f"[bold]{HARMLESS}[/nothing]" in printed.out
    assert printed.err == f"{HARMLESS}\nNote: {HARMLESS}\n"


def test_a_long_message_keeps_its_beginning_and_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    command = typer.Typer(cls=IngredientsGroup)
    command.callback()(lambda: None)

    @command.command()
    def fail() -> None:
        raise UserInputError(f"The photo {'x' * 4000} does not exist; check the name.")

    result = CliRunner().invoke(command, ["fail"])
    assert result.exit_code == 2
    assert len(result.stderr) < 1100
    assert result.stderr.startswith("Error: The photo xxx")
    assert result.stderr.endswith("x does not exist; check the name.\n")


def test_what_is_said_of_a_wrong_option_is_harmless() -> None:
    for arguments in ([EVIL], ["world", EVIL], ["world", f"--{EVIL}"], ["world", "portrait", "--seed", EVIL]):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2
        assert "\x1b" not in result.output
        assert "\x9b" not in result.output


@pytest.mark.parametrize("kind", ["full", "closed", "none"])
def test_where_standard_output_takes_nothing_the_result_stands_on_standard_error(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = FullStream(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", {"full": stream, "closed": io.StringIO(), "none": None}[kind])
    if kind == "closed":
        sys.stdout.close()
    with pytest.raises(OutputError, match=r"Standard output could not be written \(.*; what belongs there stands on"):
        show("the report")
    assert capsys.readouterr().err == "the report\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [
        (">/dev/full", 2, "could not be written (No space left on device)"),
        (">&-", 2, "could not be written"),
        ("| true", 0, ""),  # the code of `true`
        ("2>/dev/full", 0, ""),
        ("2>&-", 0, ""),
        ("<&- >&- 2>&-", 2, ""),
    ],
)
def test_a_command_on_streams_that_take_nothing(tmp_path: Path, redirection: str, code: int, said: str) -> None:
    line = f"{sys.executable} -m ingredients world portrait --size 32 --output ana.png {redirection}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert (tmp_path / "ana.png").stat().st_size > 100
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.stdout == ("ana.png\n" if redirection.startswith("2>") else "")
    if redirection.startswith(">"):
        assert done.stderr.splitlines()[0] == "ana.png"


def test_every_path_is_read_in_one_way() -> None:
    paths = []
    for command in _commands(typer.main.get_command(app)):
        for parameter in command.params:
            descriptor = getattr(parameter, "type_descriptor", None)
            if descriptor is not None and "Path" in str(descriptor.annotation):
                paths.append((command.name, parameter.name))
                assert descriptor.parameter_info.parser is parse_path, paths[-1]
    assert len(paths) > 30


def _commands(command: object) -> Iterator[typer.core.TyperCommand]:
    if isinstance(command, typer.core.TyperGroup):
        for each in command.commands.values():
            yield from _commands(each)
    else:
        assert isinstance(command, typer.core.TyperCommand)
        yield command


def test_a_tilde_and_a_long_name_in_a_path_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = typer.Typer(cls=IngredientsGroup)
    command.callback()(lambda: None)

    @command.command()
    def look(output: Annotated[Path, typer.Option(parser=parse_path)] = Path("x")) -> None:
        show(output)

    monkeypatch.setenv("HOME", str(tmp_path))
    assert CliRunner().invoke(command, ["look", "--output=~/x.mp4"]).stdout == f"{tmp_path}/x.mp4\n"
    result = CliRunner().invoke(command, ["look", f"--output={'a' * 256}"])
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: The name aaa")


def test_the_streams_of_a_process_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = FullStream(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stderr", stream)
    with terminal.whole_streams():
        sys.stderr.write("progress")
        sys.stderr.flush()
        assert sys.stderr.encoding == "utf-8"
