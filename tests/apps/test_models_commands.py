"""`ingredients download` and `ingredients models`, with a hub on this computer."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from ingredients.apps import models_command
from ingredients.core.memory_mode import MemoryMode
from ingredients.model_folders import known_models
from ingredients.model_folders.hub_model import HubModel
from tests.apps.conftest import Run
from tests.model_folders.hub_server import COMMIT, Hub, point_at, run_hub

REPOSITORY = "someone/people"


@pytest.fixture
def hub(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with run_hub(tiny_model, REPOSITORY) as server:
        point_at(server.url, tmp_path / "cache", monkeypatch)
        yield server


def assert_one_sentence(result: Result, *parts: str) -> None:
    assert result.exit_code == 2, result.output
    last_line = result.stderr.strip().splitlines()[-1]
    assert last_line.startswith("Error: ")
    assert "Traceback" not in result.stderr
    for part in parts:
        assert part in last_line


def test_sizes_are_shown_before_anything_is_downloaded(run: Run, hub: Hub) -> None:
    result = run("download", REPOSITORY, "--dry-run")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    for part in ("transformer/diffusion_pytorch_model.safetensors", COMMIT[:12], "MB"):
        assert part in result.stderr
    assert not hub.served


def test_a_model_is_downloaded_and_used(run: Run, hub: Hub, photos: dict[str, Path], tmp_path: Path) -> None:
    result = run("download", REPOSITORY)
    assert result.exit_code == 0, result.output
    folder = Path(result.stdout.strip())
    assert (folder / "model_index.json").is_file()
    assert tmp_path / "cache" in folder.parents
    assert "Comparing checksums" in result.stderr
    hub.refusal = (503, "")  # from here on nothing is asked of it
    made = run(
        "generate", "--model", REPOSITORY, "--photo", f"ana={photos['ana']}", "--prompt", "A person waves.",
        "--num-inference-steps", 2, "--json",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["model"] == str(folder)


def test_generate_downloads_what_it_needs_and_says_so(run: Run, hub: Hub, photos: dict[str, Path]) -> None:
    arguments = ["--photo", f"ana={photos['ana']}", "--prompt", "A person waves.", "--num-inference-steps", 2]
    result = run("generate", "--model", REPOSITORY, *arguments)
    assert result.exit_code == 0, result.output
    assert f"Note: Downloading {REPOSITORY}: " in result.stderr
    assert Path("out.mp4").is_file()


@pytest.mark.parametrize(
    ("refusal", "parts"),
    [
        ((403, "GatedRepo"), ("accept them", "hf auth login")),
        ((404, "RepoNotFound"), ("There is no repository", "check the name")),
        ((503, ""), ("cannot be asked", f"ingredients download {REPOSITORY}")),
    ],
)
@pytest.mark.parametrize("command", ["download", "generate"])
def test_the_hub_refuses(
    run: Run, hub: Hub, photos: dict[str, Path], command: str, refusal: tuple[int, str], parts: tuple[str, ...]
) -> None:
    hub.refusal = refusal
    line: list[object] = ["download", REPOSITORY]
    if command == "generate":
        line = ["generate", "--model", REPOSITORY, "--photo", f"ana={photos['ana']}", "--prompt", "A person waves."]
    assert_one_sentence(run(*line), REPOSITORY, *parts)


def test_names_that_cannot_be_downloaded(run: Run) -> None:
    assert_one_sentence(run("download", "small-world"), "ships with the package")
    assert_one_sentence(run("download", "some/where/else"), "published", "OWNER/NAME")


def test_models_are_listed(run: Run, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = known_models.KnownModel(
        name="mine",
        source=HubModel(repo_id=REPOSITORY),
        takes_people=True,
        num_parameters=1e9,
        memory={MemoryMode.FULL: 3 * 10**9, MemoryMode.MINIMAL: 10**9},
        licence="MIT",
        description="of the test",
    )
    monkeypatch.setattr(known_models, "KNOWN_MODELS", (known_models.KNOWN_MODELS[0], mine))
    before = [json.loads(line) for line in run("models", "--json").stdout.splitlines()]
    assert [model["name"] for model in before] == ["small-world", "mine"]
    assert before[0]["folder"].endswith("small-world")
    assert before[1]["folder"] is None
    assert before[1]["bytes"] == 2_000_000_000
    assert models_command._state(mine) == "no; ingredients download mine"
    hub.refusal, hub.dies_after = None, 10_000
    assert run("download", "mine").exit_code == 2
    assert models_command._state(mine).endswith("MB of it; ingredients download mine")
    hub.refusal = hub.dies_after = None
    folder = run("download", "mine").stdout.strip()
    assert json.loads(run("models", "--json").stdout.splitlines()[1])["folder"] == folder
    table = run("models").stdout
    assert before[1]["memory"]["full"] > before[1]["memory"]["minimal"] > before[0]["memory"]["full"]
    for part in ("mine", "MIT", "yes", "2.0 GB", "minimal"):
        assert part in table
