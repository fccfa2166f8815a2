import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ingredients.media.video import write_video
from tests.apps.conftest import Run


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_video(path, np.random.default_rng(0).integers(0, 255, (5, 48, 64, 3), dtype=np.uint8), fps=8)
    return path


def test_a_video_is_judged_in_words_as_a_picture_and_as_json(
    run: Run, tiny_model: Path, photos: dict[str, Path], video: Path
) -> None:
    line = (
        "judge",
        video,
        "--photo",
        f"ana={photos['ana']}",
        "--photo",
        f"ben={photos['ben']}",
        "--model",
        tiny_model,
    )
    result = run(*line, "--judge", "model")
    assert result.exit_code == 0, result.output
    assert "0.6 s of 64x48, 5 frames looked at, judged by model" in result.stdout
    assert result.stdout.strip().splitlines()[-2:] == ["clip-judged.png", "clip-judged.json"]
    report = json.loads(Path("clip-judged.json").read_text())
    assert [person["name"] for person in report["people"]] == ["ana", "ben"]
    assert report["photos"] == {"ana": [str(photos["ana"])], "ben": [str(photos["ben"])]}
    assert report["judge"]["name"] == "model"
    assert np.asarray(Image.open("clip-judged.png")).std() > 0
    again = run(*line)
    assert again.exit_code == 2
    assert "clip-judged.png is there already" in " ".join(again.stderr.split())
    as_json = run(*line, "--judge", "model", "--json", "--overwrite")
    assert json.loads(as_json.stdout) == report


def test_mistakes_are_told_before_anything_is_loaded(
    run: Run, photos: dict[str, Path], video: Path, tmp_path: Path
) -> None:
    ana = f"ana={photos['ana']}"
    for arguments, sentence in (
        (("judge", "nowhere.mp4", "--photo", ana), "nowhere.mp4 does not exist"),
        (("judge", video, "--photo", "ana=nobody.png"), "nobody.png does not exist"),
        (("judge", video, "--photo", ana, "--judge", "nobody"), "There is no judge 'nobody'"),
        (("judge", video, "--photo", ana, "--output", photos["ana"]), "which is read"),
        (("judge", video, "--photo", ana, "--output", "a.txt"), "must have a name that ends in"),
        (("judge", video, "--photo", ana, "--report", "a.png", "--output", "a.png"), "would both be a.png"),
        (("judge", photos["ana"], "--photo", ana), "ana.png"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, (arguments, result.output)
        assert sentence in " ".join(result.stderr.split())
    assert not list(Path.cwd().iterdir())
