"""What settings can be: each has its range, and what is outside of it is refused with its file or its KEY=VALUE."""

import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingredients.core.config import load_config
from ingredients.core.errors import UserInputError
from ingredients.core.ranges import Range
from ingredients.model_folders.sampling_settings import SamplingSettings
from ingredients.studies.settings import StudyConfig
from ingredients.training.loop.checkpoints import RunPosition
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.runs.configuration import AlignRunConfig, ModelConfig
from ingredients.training.runs.kinds import RUN_KINDS
from ingredients.training.runs.start import load_start
from ingredients.training.small_world.settings import PART_SETTINGS
from tests.training.conftest import TinyWorld


def config_types() -> list[type[Any]]:
    """All that commands read settings into, and what is inside them."""
    waiting = [kind.config_type for kind in RUN_KINDS.values()] + [part.config_type for part in PART_SETTINGS.values()]
    waiting += [StudyConfig, RunPosition]
    found: list[type[Any]] = []
    while waiting:
        config_type = waiting.pop()
        if config_type not in found:
            found.append(config_type)
            hints = typing.get_type_hints(config_type)
            waiting += [hint for hint in hints.values() if dataclasses.is_dataclass(hint)]
    return found


def bare_numbers(annotation: Any, *, has_range: bool = False) -> Iterator[Any]:
    """The numbers in a declared type that no range stands around."""
    if typing.get_origin(annotation) is typing.Annotated:
        kind, *extras = typing.get_args(annotation)
        yield from bare_numbers(kind, has_range=any(isinstance(extra, Range) for extra in extras))
    elif annotation in (int, float):
        if not has_range:
            yield annotation
    elif typing.get_origin(annotation) is not typing.Literal:
        for argument in typing.get_args(annotation):
            yield from bare_numbers(argument, has_range=has_range)


@pytest.mark.parametrize("config_type", config_types(), ids=lambda config_type: str(config_type.__name__))
def test_every_number_is_declared_with_its_range(config_type: type[Any]) -> None:
    measured = {"recent_losses", "sums", "measured"}  # of a run's position: any finite numbers
    hints = typing.get_type_hints(config_type, include_extras=True)
    bare = {name for name, annotation in hints.items() if list(bare_numbers(annotation))}
    assert bare - measured == set()
    has_numbers = any(list(bare_numbers(hint)) for hint in typing.get_type_hints(config_type).values())
    if has_numbers and config_type is not SamplingSettings:  # whose numbers a call of the pipeline can change
        assert hasattr(config_type, "__post_init__")  # what Python code builds is checked as well


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("trainer.learning_rate=nan", "trainer.learning_rate must be of type float, not 'nan'"),
        ("trainer.learning_rate=.inf", "it holds inf, which is no number"),
        ("trainer.learning_rate=1e308", "not 1e+308"),
        ("trainer.learning_rate=-1e-4", "not -0.0001"),
        ("trainer.max_grad_norm=.nan", "it holds nan, which is no number"),
        ("trainer.betas=[1, 1]", "trainer.betas[0] must be at least 0 and below 1, not 1.0"),
        ("trainer.ema_decay=1", "trainer.ema_decay must be at least 0 and below 1, not 1"),
        ("trainer.weight_decay=-1", "trainer.weight_decay must be at least 0"),
        ("trainer.num_cycles=0", "trainer.num_cycles must be at least 1"),
        ("trainer.num_warmup_steps=-1", "trainer.num_warmup_steps must be at least 0"),
        ("trainer.validate_every=0", "trainer.validate_every must be at least 1"),
        ("trainer.sample_every=0", "trainer.sample_every must be at least 1"),
        ("trainer.minutes=-5", "trainer.minutes must be above 0"),
        ("trainer.seed=18446744073709551616", "must be at least -2**63 and at most 2**63 - 1"),
        ("trainer.seed=" + 5000 * "9", "it has more than 300 digits"),
        ("trainer.num_steps=0x" + 5000 * "f", "it holds a number of more than 300 digits"),
        ("trainer.validate_every=2024-02-30", "trainer.validate_every must be of type int, not '2024-02-30'"),
        ("trainer.validate_every=300", "validate_every must be a multiple of checkpoint_every"),
        ("stage.caption_drop=1.1", "stage.caption_drop must be at least 0 and at most 1, not 1.1"),
        ("stage.identity_drop=2", "stage.identity_drop must be at least 0 and at most 1, not 2"),
        ("stage.face_weight=-1", "stage.face_weight must be above 0"),
        ("stage.kept_shares=[-1, 1, 1]", "stage.kept_shares[0] must be at least 0"),
        ("stage.kept_shares=[1, 1, 1]", "kept_shares must be shares that sum to 1"),
        ("stage.batch_size=1000000000", "stage.batch_size must be at least 1 and at most 65,536"),
        ("stage.lora_rank=1000000000", "stage.lora_rank must be at least 1 and at most 4,096"),
        ("samples.guidance_scale=-1", "samples.guidance_scale must be at least 0"),
        ("model.transformer={num_layers: .nan}", "it holds nan, which is no number"),
        ("model.transformer={a: &x [*x]}", "lists and objects within each other"),
        ("trainer.trackers=" + 3000 * "[", "lists and objects within each other"),
    ],
)
def test_what_a_setting_cannot_be_is_refused_with_its_name(setting: str, problem: str) -> None:
    with pytest.raises(UserInputError) as raised:
        load_config(AlignRunConfig, overrides=[setting], defaults=AlignRunConfig())
    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600
    assert setting[:60] in str(raised.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("trainer: {learning_rate: -1}", "trainer.learning_rate must be at least 0"),
        ("trainer: {validate_every: 300}", "validate_every must be a multiple"),
        ("trainer: {lr: 1}", "trainer has no setting 'lr'; it knows num_steps"),
        ("trainer: {seed: 2024-13-45}", "trainer.seed must be of type int, not '2024-13-45'"),
        ("trainer: {seed: " + 5000 * "1" + "}", "it has more than 300 digits"),
        ("trainer: 3", "trainer must hold names and values, not 3"),
        ("1: 2", "the name 1 is no text"),
        (3000 * "[", "lists and objects within each other"),
    ],
)
def test_a_file_whose_setting_does_not_fit_is_named(tmp_path: Path, text: str, problem: str) -> None:
    fine, path = tmp_path / "fine.yaml", tmp_path / "run.yaml"
    fine.write_text("trainer: {num_steps: 3}")
    path.write_text(text)
    with pytest.raises(UserInputError, match=rf"^The (config )?file {path}\b") as raised:
        load_config(AlignRunConfig, [fine, path], overrides=["stage.batch_size=2"], defaults=AlignRunConfig())
    assert problem in str(raised.value)


def test_what_is_no_file_of_settings_is_not_read(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    large.write_text("# " + "x" * (1 << 20))
    for path, problem in ((Path("/dev/zero"), "a device"), (tmp_path, "a folder"), (large, "than 256 kB")):
        with pytest.raises(UserInputError, match=problem):
            load_config(AlignRunConfig, path)


def test_settings_that_python_code_makes_are_checked_as_well() -> None:
    for settings in ({"learning_rate": float("nan")}, {"betas": (0.9, 1.0)}, {"num_steps": 0}, {"validate_every": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(settings))} must be"):
            TrainerConfig(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"num_layers": 10**9}, "model.transformer.num_layers must be at least 1 and at most 256"),
        ({"num_attention_heads": 65_536, "attention_head_dim": 1024}, "this machine has"),
        ({"num_attention_heads": 0}, "num_attention_heads must be at least 1"),
        ({"norm_eps": "small"}, "norm_eps must be of type float"),
        ({"router_type": "wide"}, "router_type must be one of 'mlp', 'linear'"),
        ({"breadth": 3}, "has no setting 'breadth'"),
    ],
)
def test_a_transformer_that_no_memory_holds_is_not_built(tmp_path: Path, fields: dict[str, Any], problem: str) -> None:
    base = TinyWorld(parts=None, folder=tmp_path).transformer(identity_modules=False, in_channels=3)  # type: ignore[arg-type]
    base.save_pretrained(tmp_path / "transformer")
    with pytest.raises(UserInputError, match=problem.replace("(", r"\(")):
        load_start(ModelConfig(transformer=fields), tmp_path, {})
