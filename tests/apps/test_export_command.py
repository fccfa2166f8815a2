"""`ingredients train export`: from clips to a model that others can use, by the commands that a user types."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ingredients.media.video import read_video
from ingredients.pipelines.loading import load_pipeline
from tests.apps.conftest import Run
from tests.model_folders.hub_server import point_at, run_hub
from tests.model_folders.upload_server import UploadHub, run_upload_hub
from tests.training.tiny_runs import TinyRuns, denoise, encode_clips, make_base, train_both

CLIPS = ("world", "clips", "--number", 6, "--height", 32, "--width", 48, "--references", 1, "--output", "clips")
QUICK = ("trainer.num_steps=2", "trainer.log_every=1", "trainer.trackers=[]", "stage.batch_size=2")
VIDEO = ("--prompt", "Two people wave", "--num-inference-steps", 2, "--output", "out.mp4")


@pytest.fixture(scope="module")
def runs(shared_tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
    folder = tmp_path_factory.mktemp("runs")
    base = make_base(shared_tiny_model, folder / "base")
    return train_both(folder, base, encode_clips(base, folder / "clips"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UploadHub]:
    with run_upload_hub(tmp_path / "hub", tmp_path / "cache", monkeypatch) as server:
        yield server


def people(photos: dict[str, Path]) -> list[object]:
    return [option for name in ("ana", "ben") for option in ("--photo", f"{name}={photos[name]}")]


def test_from_clips_to_a_video_by_a_model_of_ones_own(run: Run, tiny_model: Path, photos: dict[str, Path]) -> None:
    assert run(*CLIPS).exit_code == 0
    assert run("data", "encode", "clips", "--model", tiny_model, "--output", "encoded").exit_code == 0
    data = ("--data", "encoded", "--model", tiny_model, *QUICK)
    assert run("train", "align", *data, "--output", "runs/align").exit_code == 0
    assert run("train", "route", *data, "--output", "runs/route", "model.start=runs/align").exit_code == 0
    exported = run("train", "export", "runs/route", "--output", "models/mine")
    assert exported.exit_code == 0, exported.output
    assert exported.stdout == "models/mine\n"
    curves = np.asarray(Image.open("models/mine/curves.png"))
    assert curves.shape[2] == 3
    assert curves.std() > 0
    card = Path("models/mine/README.md").read_text()
    assert "![losses of the runs](curves.png)" in card
    assert "`encoded`, 6 clips" in card
    made = run("generate", "--model", "models/mine", *people(photos), *VIDEO)
    assert made.exit_code == 0, made.output
    assert read_video("out.mp4").frames.shape == (9, 32, 48, 3)


def test_identity_weights_are_used_beside_the_base(run: Run, runs: TinyRuns, photos: dict[str, Path]) -> None:
    exported = run("train", "export", runs.route, "--output", "mine", "--layout", "identity")
    assert exported.exit_code == 0, exported.output
    made = run("generate", "--model", runs.base, "--identity", "mine", *people(photos), *VIDEO)
    assert made.exit_code == 0, made.output
    alone = run("generate", "--model", runs.base, *people(photos), *VIDEO)
    assert alone.exit_code == 2  # the base by itself knows nobody


def test_mistakes_are_one_sentence_and_leave_nothing(run: Run, runs: TinyRuns) -> None:
    Path("full").mkdir()
    Path("full/mine").write_text("precious")
    for arguments, complaint in (
        ((runs.base, "--output", "out"), "There is no run in"),
        ((runs.route, "--output", "full"), "The folder full holds something already"),
        ((runs.route, "--output", "full/mine"), "is a file"),
        ((runs.route, "--output", "out", "--checkpoint", "5"), "has no checkpoint of step 5"),
        ((runs.route, "--output", "out", "--private"), "--push OWNER/NAME"),
        ((runs.route, "--output", "out", "--layout", "other"), "Invalid value"),
    ):
        result = run("train", "export", *arguments)
        assert result.exit_code == 2
        assert complaint in result.stderr
        assert "Traceback" not in result.output
    assert [path.name for path in Path().rglob("*")] == ["full", "mine"]
    assert Path("full/mine").read_text() == "precious"


def test_a_run_without_a_log_or_without_matplotlib_has_a_card_without_curves(
    run: Run, runs: TinyRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "align"
    shutil.copytree(runs.align, copy)
    (copy / "log.jsonl").unlink()
    result = run("train", "export", copy, "--output", "no-log")
    assert result.exit_code == 0, result.output
    assert "have logged no loss, so the card has no curves" in result.stderr
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run("train", "export", runs.align, "--output", "no-matplotlib")
    assert result.exit_code == 0, result.output
    assert 'pip install "ingredients[plots]"' in result.stderr
    for folder in ("no-log", "no-matplotlib"):
        assert "curves.png" not in (Path(folder) / "README.md").read_text()
        assert load_pipeline(folder, device="cpu")


# The hub


def test_what_was_pushed_is_downloaded_and_does_the_same(
    run: Run, runs: TinyRuns, hub: UploadHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run("train", "export", runs.route, "--output", "mine", "--push", "someone/people", "--private")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"mine\n{hub.url}/someone/people\n"
    assert hub.private == {"someone/people": True}
    card = (hub.repository("someone/people") / "README.md").read_text()
    assert "ingredients download someone/people" in card
    assert "--model someone/people" in card
    with run_hub(hub.repository("someone/people"), "someone/people") as server:
        point_at(server.url, tmp_path / "cache", monkeypatch)
        downloaded = denoise(load_pipeline("someone/people", device="cpu"))
    assert (downloaded == denoise(load_pipeline("mine", device="cpu"))).all()


def test_a_folder_that_is_there_only_has_to_be_pushed(run: Run, runs: TinyRuns, hub: UploadHub) -> None:
    command = ("train", "export", runs.route, "--output", "mine", "--push", "someone/people")
    hub.refusals["api/models/someone/people/preupload"] = 400
    broken = run(*command)
    assert broken.exit_code == 2
    assert "what is on the disk is kept, and the same command goes on" in broken.stderr
    written = Path("mine/README.md").stat().st_mtime_ns
    hub.refusals.clear()
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert "mine holds this export already" in result.stderr
    assert Path("mine/README.md").stat().st_mtime_ns == written
    assert json.loads((hub.repository("someone/people") / "export.json").read_text())["run"] == "route"
    other = run(*command, "--layout", "published")
    assert other.exit_code == 2
    assert "holds something already" in other.stderr


def test_who_may_not_push_is_told_before_anything_is_written(
    run: Run, runs: TinyRuns, hub: UploadHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("train", "export", runs.route, "--output", "mine", "--push")
    for name, complaint in (("mine", "owner/name"), ("else/mine", "belongs to else")):
        result = run(*command, name)
        assert result.exit_code == 2
        assert complaint in result.stderr
    monkeypatch.delenv("HF_TOKEN")
    result = run(*command, "someone/mine")
    assert result.exit_code == 2
    assert "nobody is logged in" in result.stderr
    assert not Path("mine").exists()
    assert not any(request.startswith("POST") for request in hub.requests)


def test_nothing_is_pushed_before_the_folder_is_complete(
    run: Run, runs: TinyRuns, hub: UploadHub, tmp_path: Path
) -> None:
    damaged = tmp_path / "align"
    shutil.copytree(runs.align, damaged)
    weights = damaged / "transformer/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    result = run("train", "export", damaged, "--output", "mine", "--push", "someone/mine")
    assert result.exit_code == 2
    assert "are damaged" in result.stderr
    assert hub.requests == ["GET api/whoami-v2"]
    assert not any(Path().iterdir())
