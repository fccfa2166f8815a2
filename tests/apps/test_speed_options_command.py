"""Speed options on the command line: they reach the model, and what cannot be is one sentence before any work."""

import json
from pathlib import Path

import pytest

from ingredients.media.video import read_video
from ingredients.pipelines.execution.speed_options import COMPILE_NOTICE, SpeedOptions
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from tests.apps.conftest import Run

ALL_OPTIONS = (
    *("--step-cache", "pab", "--attention-backend", "_native_math", "--fuse-qkv", "--split-guidance"),
    *("--precision", "bfloat16"),
)


@pytest.fixture
def request_line(tiny_model: Path, photos: dict[str, Path]) -> list[object]:
    people = [part for name in ("ana", "ben") for part in ("--photo", f"{name}={photos[name]}")]
    steps = ["--num-inference-steps", 3]
    return ["generate", *people, "--prompt", "Two people wave.", "--model", tiny_model, *steps]


def test_a_video_is_made_with_all_options(
    run: Run, request_line: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[IngredientsPipeline] = []
    make_video = IngredientsPipeline.__call__

    def watch(pipeline: IngredientsPipeline, *args: object, **kwargs: object) -> object:
        seen.append(pipeline)
        return make_video(pipeline, *args, **kwargs)

    monkeypatch.setattr(IngredientsPipeline, "__call__", watch)
    result = run(*request_line, *ALL_OPTIONS, "--routing-map", "routing.png")
    assert result.exit_code == 0, result.output
    assert read_video("out.mp4").frames.shape == (9, 32, 48, 3)
    assert Path("routing.png").exists()
    attention = seen[0].transformer.transformer_blocks[1].attn1
    assert attention.fused_projections
    assert attention.processor._attention_backend == "_native_math"
    assert (seen[0].execution.speed.step_cache, seen[0].execution.splits_guidance) == ("pab", True)
    assert seen[0].execution.speed.precision == "bfloat16"


@pytest.mark.parametrize("command", ["generate", "evaluate"])
@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--step-cache", "tea"], ["'tea' does not exist", "first-block, pab, faster, mag, taylor"]),
        (["--attention-backend", "fast"], ["'fast' does not exist", "native"]),
        (["--attention-backend", "xformers"], ["pip install xformers"]),
        (["--precision", "half"], ["'half' does not exist", "auto, float32, bfloat16"]),
        (["--step-cache", "taylor", "--compile"], ["taylor decides anew", "leave compiling out"]),
        (["--step-cache", "faster", "--split-guidance"], ["leave split guidance out"]),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_loaded(
    run: Run, photos: dict[str, Path], command: str, options: list[str], parts: list[str]
) -> None:
    people = ["--photo", f"ana={photos['ana']}", "--prompt", "A person waves."] if command == "generate" else []
    result = run(command, *people, "--model", "there-is-no-such-folder", *options)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    assert all(part in line for part in parts), line


def test_a_model_without_magnitudes_says_how_to_measure_them(run: Run, request_line: list[object]) -> None:
    result = run(*request_line, "--step-cache", "mag")
    assert result.exit_code == 2
    assert "benchmarks/residual_magnitudes.py" in result.stderr


def test_an_evaluation_is_of_its_options(run: Run, tiny_model: Path) -> None:
    evaluation = ["evaluate", "--cases", 1, "--model", tiny_model, "--num-inference-steps", 3]
    result = run(*evaluation, "--fuse-qkv", "--step-cache", "first-block", "--json")
    assert result.exit_code == 0, result.output
    measured = json.loads(result.stdout)
    assert measured["settings"]["speed"] == {
        "compile": False,
        "attention_backend": None,
        "step_cache": "first-block",
        "fuse_qkv": True,
        "split_guidance": False,
        "precision": "float32",
    }
    assert "fuse-qkv, step-cache first-block" in Path("outputs/evaluation/report.md").read_text(encoding="utf-8")
    other = run(*evaluation)
    assert other.exit_code == 2
    assert "differs in settings" in other.stderr
    exact = run(*evaluation, "--output", "exact", "--json")
    assert json.loads(exact.stdout)["model_fingerprint"] == measured["model_fingerprint"]


def test_all_options_are_off_by_default() -> None:
    assert SpeedOptions() == SpeedOptions(
        compile=False,
        attention_backend=None,
        step_cache=None,
        fuse_qkv=False,
        split_guidance=False,
        precision=None,  # the model's own
    )
    assert SpeedOptions().names() == SpeedOptions(precision="float32").names() == ()


@pytest.mark.slow
def test_compiling_is_announced(run: Run, request_line: list[object]) -> None:
    result = run(*request_line, "--compile")
    assert result.exit_code == 0, result.output
    assert f"Note: {COMPILE_NOTICE}" in result.stderr
    assert read_video("out.mp4").frames.shape == (9, 32, 48, 3)
