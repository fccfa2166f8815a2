"""From raw films to a trained model, by the commands of docs/curation.md and with the model that ships."""

import json
from pathlib import Path

import pytest

from ingredients.data.encoded_clips import EncodedClips
from tests.apps.conftest import Run

CONFIGS = Path(__file__).parents[2] / "configs"
SETTINGS = (CONFIGS / "curation" / "drawn-world.yaml", CONFIGS / "curation" / "small-model.yaml")
QUICK = ("trainer.num_steps=2", "trainer.num_warmup_steps=1", "trainer.checkpoint_every=1", "trainer.trackers=[]",
         "trainer.validate_every=null", "trainer.sample_every=null", "stage.image_share=0.5",
         "stage.image_batch_size=2", "stage.batch_size=2", "stage.num_validation_batches=1")  # fmt: skip


@pytest.mark.slow
def test_raw_films_become_a_trained_model(run: Run) -> None:
    assert run("world", "film", "--minutes", 0.5, "--seed", 1, "--output", "films").exit_code == 0
    configs = [part for path in SETTINGS for part in ("--config", path)]
    curated = run("curate", "films/films", "--output", "clips", *configs, "masks.by=sam", "balance.held_out_share=0.3")
    assert curated.exit_code == 0, curated.output
    encoded = {}
    for name in ("clips", "clips/held-out"):
        checked = run("data", "check", name)
        assert checked.exit_code == 0, checked.output
        assert run("data", "encode", name, "--output", f"encoded/{name}").exit_code == 0
        encoded[name] = EncodedClips([Path("encoded") / name])
    people = [{each for entry in clips.entries for each in entry.person_ids} for clips in encoded.values()]
    assert all(people)
    assert not people[0] & people[1]
    assert all(any((clips.tensor(index, "routing_targets") >= 0).any() for index in range(len(clips)))
               for clips in encoded.values())  # fmt: skip
    trained = run("train", "route", "--config", CONFIGS / "drawn-world" / "route.yaml", "--data", "encoded/clips",
                  "--validation-data", "encoded/clips/held-out", "--output", "runs/route", *QUICK)  # fmt: skip
    assert trained.exit_code == 0, trained.output
    assert 0 <= json.loads(Path("runs/route/metrics.json").read_text())["recall"] <= 1
    exported = run("train", "export", "runs/route", "--output", "my-model")
    assert exported.exit_code == 0, exported.output
    for seed in (7, 8):
        assert run("world", "portrait", "--seed", seed, "--output", f"{seed}.png").exit_code == 0
    photos = ("--photo", "ana=7.png", "--photo", "ben=8.png", "--prompt", "Two people wave on a beach")
    made = run("generate", "--model", "my-model", *photos, "--num-inference-steps", 1, "--output", "out.mp4")
    assert made.exit_code == 0, made.output
    assert Path("out.mp4").stat().st_size > 0
