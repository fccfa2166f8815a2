import ast
import dataclasses
from pathlib import Path
from typing import Literal

import pytest

from ingredients.core import config
from ingredients.core.config import config_from_dict, config_to_dict, field_docstrings, load_config, save_config
from ingredients.core.errors import UserInputError


@dataclasses.dataclass(kw_only=True, slots=True)
class Optimiser:
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.95)


@dataclasses.dataclass(kw_only=True, slots=True)
class Run:
    steps: int
    routing: Literal["argmax", "softmax"] = "argmax"
    resume: bool = False
    folder: Path | None = None
    optimiser: Optimiser = dataclasses.field(default_factory=Optimiser)
    layers: tuple[int, ...] = ()
    names: list[str] = dataclasses.field(default_factory=list)


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_a_config_survives_being_written_and_read(tmp_path: Path, suffix: str) -> None:
    config = Run(
        steps=7,
        routing="softmax",
        folder=Path("runs/a"),
        optimiser=Optimiser(learning_rate=2e-5, betas=(0.8, 0.9)),
        layers=(1, 2, 3),
        names=["ana"],
    )
    save_config(config, tmp_path / f"run{suffix}")
    assert load_config(Run, tmp_path / f"run{suffix}") == config


def test_overrides_reach_into_parts() -> None:
    config = load_config(Run, overrides=["steps=3", "optimiser.learning_rate=1e-4", "resume=true", "layers=[4, 5]"])
    assert config == Run(steps=3, resume=True, layers=(4, 5), optimiser=Optimiser(learning_rate=1e-4))


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"steps": 1, "stepz": 2}, "no setting 'stepz'; it knows steps, routing"),
        ({"steps": 1, "optimiser": {"lr": 1.0}}, "Run.optimiser has no setting 'lr'"),
        ({}, "needs the setting 'steps'"),
        ({"steps": 1.5}, "Run.steps must be of type int, not 1.5"),
        ({"steps": True}, "Run.steps must be of type int, not True"),
        ({"steps": 1, "routing": "hard"}, "must be one of 'argmax', 'softmax', not 'hard'"),
        ({"steps": 1, "optimiser": {"betas": [0.9]}}, "Run.optimiser.betas must be of type"),
        ({"steps": 1, "optimiser": {"learning_rate": "fast"}}, "learning_rate must be of type float, not 'fast'"),
    ],
)
def test_what_does_not_fit_is_refused(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(UserInputError, match=complaint.replace(".", r"\.")):
        config_from_dict(Run, values)


def test_an_override_needs_a_key_and_a_value() -> None:
    with pytest.raises(UserInputError, match="'steps' must have the form key=value"):
        load_config(Run, overrides=["steps"])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match=r"missing\.yaml cannot be read"):
        load_config(Run, tmp_path / "missing.yaml")


def test_a_config_becomes_plain_values() -> None:
    assert config_to_dict(Run(steps=1))["optimiser"] == {"learning_rate": 1e-3, "betas": [0.9, 0.95]}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Documented:
    """What a class says is not what a field says."""

    first: int = 1
    """A sentence
    on two lines."""

    second: int = 2


def test_what_stands_below_a_field_is_its_docstring() -> None:
    assert field_docstrings(_Documented) == {"first": "A sentence on two lines."}


def test_what_another_thread_does_to_the_parser_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11.7's says such a thing where two threads parse at once."""
    parse, errors = ast.parse, [SystemError("AST constructor recursion depth mismatch (before=84, after=72)")] * 3

    def fails_at_first(source: str) -> ast.Module:
        if errors:
            raise errors.pop()
        return parse(source)

    monkeypatch.setattr(ast, "parse", fails_at_first)
    config._syntax_tree.cache_clear()
    assert field_docstrings(_Documented) == {"first": "A sentence on two lines."}
    assert not errors
