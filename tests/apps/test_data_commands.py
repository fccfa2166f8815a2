"""`ingredients data` and `ingredients world clips`."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from ingredients.data.clip_folder import read_clip_folder
from ingredients.world import sample_scene
from ingredients.world.held_out_pairs import shows_held_out_pair
from tests.apps.conftest import Run

FIRST = 7
"""The scene of this seed shows no held-out pair, the next two do."""
SMALL = ["--height", 48, "--width", 72, "--num-frames", 3]
FROM_FIRST = ["--number", 4, "--first-seed", FIRST, "--output", "clips", *SMALL]


def test_a_drawn_data_set_is_checked_and_shown(run: Run) -> None:
    made = run("world", "clips", "--number", 3, "--output", "clips", *SMALL)
    assert made.exit_code == 0, made.output
    assert made.stdout.strip() == "clips"
    checked = run("data", "check", "clips", "--json")
    assert checked.exit_code == 0, checked.output
    assert json.loads(checked.stdout)["num_usable"] == 3
    shown = run("data", "show", "clips", "--clip", "train-00000002", "--output", "one.png")
    assert shown.exit_code == 0, shown.output
    everything = run("data", "show", "clips", "--output", "all.png")
    assert everything.exit_code == 0, everything.output
    one, three = (np.asarray(Image.open(name)) for name in ("one.png", "all.png"))
    assert three.shape[0] > 2 * one.shape[0]
    assert one.std() > 0


def test_a_broken_clip_is_named_and_the_exit_code_says_so(run: Run) -> None:
    run("world", "clips", "--number", 2, "--output", "clips", *SMALL)
    Path("clips/videos/train-00000001.mp4").unlink()
    result = run("data", "check", "clips")
    assert result.exit_code == 1
    assert "1 of 2 clips can be used" in result.stdout
    assert "train-00000001: The video" in result.stdout
    assert "Traceback" not in result.output


def test_mistakes_are_one_sentence(run: Run) -> None:
    assert run("data", "check", "nowhere").exit_code == 2
    run("world", "clips", "--number", 1, "--output", "clips", *SMALL)
    mask = Path("clips/masks/train-00000000-0.png")
    before = mask.read_bytes()
    for options in ([], ["--overwrite"], ["--clip", "train-00000000", "--overwrite"]):
        result = run("data", "show", "clips", "--output", mask, *options)
        assert result.exit_code == 2
        assert ("which is read" if options else "is there already") in result.stderr
        assert mask.read_bytes() == before
    result = run("data", "show", "clips", "--clip", "stranger")
    assert result.exit_code == 2
    assert "has no clip stranger; its first is train-00000000" in result.stderr


def test_a_data_set_is_drawn_without_the_pairs_that_the_benchmark_holds_out(run: Run) -> None:
    made = run("world", "clips", *FROM_FIRST, "--without-held-out-pairs")
    assert made.exit_code == 0, made.output
    seeds = [int(record.clip_id.removeprefix("train-")) for record in read_clip_folder(Path("clips"))]
    assert len(seeds) == 4
    assert seeds != list(range(FIRST, FIRST + 4))
    for seed in range(FIRST, seeds[-1] + 1):
        assert (seed in seeds) != shows_held_out_pair(sample_scene(seed).attributes)


def test_a_data_set_begun_with_all_pairs_is_not_gone_on_with_without_some(run: Run) -> None:
    run("world", "clips", *FROM_FIRST)
    result = run("world", "clips", *FROM_FIRST, "--without-held-out-pairs")
    assert result.exit_code == 2
    assert "was begun with all pairs of action and place" in result.stderr


def test_shards_are_packed_checked_and_shown(run: Run) -> None:
    run("world", "clips", "--number", 3, "--output", "clips", *SMALL)
    packed = run("data", "pack", "clips", "--output", "made/shards", "--clips-per-shard", 2)
    assert packed.exit_code == 0, packed.output
    assert packed.stdout.strip() == "made/shards"
    assert "3 of 3 clips in 2 shards" in packed.stderr
    assert sorted(path.name for path in Path("made/shards").glob("[!.]*")) == [  # beside our hidden mark and lock
        "clips-000000.tar",
        "clips-000001.tar",
        "shards.json",
    ]
    reports = [json.loads(run("data", "check", data, "--json").stdout) for data in ("clips", "made/shards")]
    assert reports[0] == reports[1]
    for data, picture in (("clips", "a.png"), ("made/shards", "b.png")):
        shown = run("data", "show", data, "--clip", "train-00000002", "--clip", "train-00000000", "--output", picture)
        assert shown.exit_code == 0, shown.output
        assert "2 of 3 clips" in shown.stderr
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_a_broken_shard_is_named_and_the_exit_code_says_so(run: Run) -> None:
    run("world", "clips", "--number", 2, "--output", "clips", *SMALL)
    run("data", "pack", "clips", "--output", "shards", "--clips-per-shard", 1)
    Path("shards/clips-000000.tar").write_bytes(b"no tar")
    checked = run("data", "check", "shards")
    assert checked.exit_code == 1
    assert "1 of 2 clips can be used" in checked.stdout
    assert "clips-000000.tar: The shard shards/clips-000000.tar is damaged" in checked.stdout
    shown = run("data", "show", "shards", "--output", "one.png")
    assert shown.exit_code == 0, shown.output
    assert "Left out: clips-000000.tar: The shard" in shown.stderr
    assert "1 of 2 clips" in shown.stderr


def test_clips_that_cannot_be_used_stop_packing_or_are_left_out(run: Run) -> None:
    run("world", "clips", "--number", 2, "--output", "clips", *SMALL)
    Path("clips/videos/train-00000001.mp4").write_bytes(b"")
    stopped = run("data", "pack", "clips", "--output", "shards")
    assert stopped.exit_code == 2
    assert "The clip train-00000001 of clips cannot be used" in stopped.stderr
    packed = run("data", "pack", "clips", "--output", "shards", "--on-bad-clip", "skip")
    assert packed.exit_code == 0, packed.output
    assert "Left out: train-00000001" in packed.stderr
    assert "1 of 2 clips in 1 shards" in packed.stderr
    shown = run("data", "show", "clips", "--clip", "train-00000001")
    assert shown.exit_code == 2
    assert "The clip train-00000001 of clips cannot be used" in shown.stderr
