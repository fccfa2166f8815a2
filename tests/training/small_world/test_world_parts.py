import dataclasses
import itertools
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from ingredients.core.config import load_config, save_config
from ingredients.core.errors import ModelFolderError, OutputError, UserInputError
from ingredients.core.output_folders import check_output_folder, claimed_folder
from ingredients.curation.config import CurationConfig
from ingredients.data.encoding_settings import WorldExampleConfig
from ingredients.model_folders.find_model import default_model_path
from ingredients.model_folders.sampling_settings import (
    SamplingSettings,
    load_sampling_defaults,
    save_sampling_defaults,
)
from ingredients.model_folders.speed_defaults import SpeedDefaults, load_speed_defaults, save_speed_defaults
from ingredients.model_folders.transformer import build_transformer
from ingredients.models.presets import acting_world
from ingredients.training.runs.configuration import AlignRunConfig, RouteRunConfig
from ingredients.training.small_world import parts
from ingredients.training.small_world.card import write_model_card
from ingredients.training.small_world.folders import TrainedParts, drawn_clips
from ingredients.training.small_world.parts import PARTS
from ingredients.training.small_world.settings import (
    PART_SETTINGS,
    LatentsConfig,
    PackConfig,
    RoutePartConfig,
    TextEncoderConfig,
)
from ingredients.training.small_world.text_encoder import TextEncoderStage

CONFIGS = Path(__file__).parents[3] / "configs"


def test_the_parts_come_in_the_order_in_which_they_need_each_other() -> None:
    assert list(PARTS) == [
        "detector",
        "recogniser",
        "image-encoder",
        "picture-kind",
        "picture-kind-close-ups",
        "judge",
        "judge-detector",
        "acting-judge",
        "attributes-judge",
        "sam",
        "text-encoder",
        "vae",
        "vae-decoder",
        "start",
        "latents",
        "base-t2v",
        "base-i2v",
        "align",
        "route",
        "pack",
        "unpack",
    ]
    assert all(name == part.name for name, part in PARTS.items())


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_config_file_fits_its_stage(path: Path) -> None:
    run_type = AlignRunConfig if path.stem.startswith("align") else RouteRunConfig
    config_type = CurationConfig if path.parent.name == "curation" else run_type
    config = load_config(config_type, path, defaults=config_type())
    for group, settings in yaml.safe_load(path.read_text()).items():
        if not isinstance(settings, dict):
            assert getattr(config, group) == settings
            continue
        for name, value in settings.items():
            wanted = tuple(value) if isinstance(value, list) else value
            assert getattr(getattr(config, group), name) == wanted


def test_settings_keep_the_rest_of_their_group(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="ingredients world train align"):
        PARTS["route"].run(
            tmp_path, PART_SETTINGS["route"].load(overrides=["trainer.learning_rate=5e-4"], minutes=3.0), show=False
        )
    saved = yaml.safe_load((tmp_path / "route" / "config.yaml").read_text())
    assert saved["trainer"]["learning_rate"] == 5e-4
    assert saved["trainer"]["minutes"] == 3.0
    assert saved["trainer"]["schedule"] == RoutePartConfig().trainer.schedule == "trapezoid"


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="no setting 'batch'"):
        PARTS["align"].run(tmp_path, PART_SETTINGS["align"].load(overrides=["stage.batch=3"]))


@pytest.mark.parametrize("part", ["latents", "base-t2v", "base-i2v", "align", "route", "pack"])
def test_a_missing_part_is_named_with_its_command(tmp_path: Path, part: str) -> None:
    with pytest.raises(ModelFolderError, match="make it first with: ingredients world train"):
        PARTS[part].run(tmp_path, show=False)


def test_an_alignment_may_begin_with_faces_that_another_model_has_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models: list[Any] = []
    monkeypatch.setattr(parts, "_diffusion_stage", lambda kind, run_type, model, *others: models.append(model))
    (tmp_path / "base-t2v" / "transformer").mkdir(parents=True)
    config = PART_SETTINGS["align"].load(overrides=["identity_start=runs/more/route"])
    parts.align_stage(config, tmp_path / "align", torch.device("cpu"))
    assert models[0].start == tmp_path / "base-t2v" / "transformer"
    assert models[0].identity_start == Path("runs/more/route")
    (tmp_path / "align").mkdir()
    save_config(config, tmp_path / "align" / "config.yaml")
    write_model_card(tmp_path, tmp_path, transformer_part="route", vae_part="vae")
    assert "began as those of another trained model, `route`." in (tmp_path / "README.md").read_text()


def test_the_card_says_how_large_the_videos_are_and_what_a_sentence_may_say(tmp_path: Path) -> None:
    for part, values in (
        ("transformer", acting_world()),
        ("vae", {"_class_name": "AutoencoderKLCogVideoX", "block_out_channels": [8, 8, 8],
                 "temporal_compression_ratio": 1}),
    ):  # fmt: skip
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text(json.dumps(values))
    (tmp_path / "start").mkdir()
    (tmp_path / "start" / "metrics.json").write_text('{"explained_words": 0.47, "noise_shift": 16.0}')
    write_model_card(tmp_path, tmp_path, transformer_part="route", vae_part="vae")
    card = (tmp_path / "README.md").read_text()
    assert "| start | explained_words 0.47, noise_shift 16 |" in card
    assert "| start | what the transformer began with, and the VAE: a smaller model's" in card
    assert "a video of 17 frames of 192x128 pixels in which those people appear.\nA sentence may ask" in card


def test_the_scheduler_is_that_of_the_model_that_the_clips_are_for(tmp_path: Path) -> None:
    for model, expected in (("small_world", ("v_prediction", 1.0)), ("acting_world", ("sample", 16.0))):
        (tmp_path / model / "latents").mkdir(parents=True)
        save_config(LatentsConfig(model=model), tmp_path / model / "latents" / "config.yaml")  # type: ignore[arg-type]
        config = TrainedParts(output=tmp_path / model).load_scheduler().config
        assert (config.prediction_type, config.snr_shift_scale) == expected


def test_images_of_other_people_are_drawn_in_the_first_quarter_of_the_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[str, int, int, float | None]] = []
    seeds: list[range] = []
    minutes_passed = 0.0

    def draw(folder: Path, world: WorldExampleConfig, _: object, *, number: int, **options: Any) -> None:
        nonlocal minutes_passed
        minutes_passed += 1.5
        folder.mkdir(parents=True)
        drawn.append((folder.name, world.num_frames, number, options["minutes"]))
        seeds.append(range(options["first_seed"], options["first_seed"] + 10**8))

    monkeypatch.setattr(parts, "encode_drawn_clips", draw)
    monkeypatch.setattr(parts, "load_clip_encoder", lambda *_, **__: None)
    monkeypatch.setattr(parts, "TrainedParts", lambda output: SimpleNamespace(digests=dict))
    monkeypatch.setattr(parts, "time", SimpleNamespace(monotonic=lambda: 60 * minutes_passed))
    config = LatentsConfig(num_clips=7, num_validation_clips=3, minutes=8.0)
    parts.make_latents(config, tmp_path / "clips", show=False)
    assert drawn == [("validation", 9, 3, None), ("train", 9, 7, 6.5)]
    assert drawn_clips(tmp_path / "clips").train == (tmp_path / "clips" / "latents" / "train",)
    drawn.clear()
    seeds.clear()
    parts.make_latents(dataclasses.replace(config, num_images=5), tmp_path / "both", show=False)
    assert drawn == [("validation", 9, 3, None), ("images", 1, 5, 0.5), ("train", 9, 7, 5.0)]
    assert all(not range(max(a.start, b.start), min(a.stop, b.stop)) for a, b in itertools.combinations(seeds, 2))
    latents = tmp_path / "both" / "latents"
    assert drawn_clips(tmp_path / "both").train == (latents / "train", latents / "images")


def test_the_shipped_model_is_unpacked_and_packed_again(tmp_path: Path) -> None:
    """A model folder goes on where it stopped: all weights survive the round trip to the last bit."""
    PARTS["unpack"].run(tmp_path, show=False)
    assert not build_transformer(tmp_path / "base-t2v" / "transformer").config.identity_modules
    for part in tmp_path.iterdir():
        if part.name != "unpack":
            check_output_folder(part, "a training run")  # so that each can be trained further
    shipped = default_model_path()
    card = (shipped / "README.md").read_text()
    (part,) = re.findall(r"The identity transformer here\sis that of the part `(\w+)`", card)
    overrides = (f"transformer_part={part}", "speed.precision=auto")
    settings = PART_SETTINGS["pack"].load(overrides=overrides, output=tmp_path)
    packed = PARTS["pack"].run(tmp_path, settings, show=False)
    assert load_speed_defaults(packed) == SpeedDefaults(precision="auto")
    assert load_sampling_defaults(packed) == load_sampling_defaults(shipped)
    weights = sorted(path.relative_to(shipped) for path in shipped.rglob("*.safetensors"))
    assert len(weights) == 12
    for path in weights:
        before, after = load_file(shipped / path), load_file(packed / path)
        assert before.keys() == after.keys(), path
        assert all(torch.equal(before[name], after[name]) for name in before), path
    assert (packed / "README.md").read_text() == card
    for path in packed.rglob("*.json"):
        assert str(tmp_path) not in path.read_text(), path  # where somebody trained is nobody's business
    with pytest.raises(OutputError, match="holds trained parts already"):
        PARTS["unpack"].run(tmp_path, show=False)


@pytest.mark.parametrize("is_published", [False, True])
def test_a_model_is_packed_with_the_sampling_and_speed_that_it_was_unpacked_with(
    tmp_path: Path, is_published: bool
) -> None:
    """Also those of the published model, of which a folder holds no file."""
    folder = tmp_path / "model"
    shutil.copytree(default_model_path(), folder)
    sampling = SamplingSettings() if is_published else SamplingSettings(num_inference_steps=7, layout_share=0.5)
    speed = SpeedDefaults() if is_published else SpeedDefaults(precision="auto")
    save_sampling_defaults(sampling, folder)
    save_speed_defaults(speed, folder)
    PARTS["unpack"].run(tmp_path / "runs", PART_SETTINGS["unpack"].load(overrides=(f"folder={folder}",)), show=False)
    packed = PARTS["pack"].run(tmp_path / "runs", show=False)
    assert load_sampling_defaults(packed) == sampling != PackConfig().sampling
    assert load_speed_defaults(packed) == speed
    changed = PART_SETTINGS["pack"].load(overrides=("sampling.guidance_scale=3",), output=tmp_path / "runs")
    assert changed.sampling == dataclasses.replace(sampling, guidance_scale=3.0)
    assert PART_SETTINGS["pack"].load(output=tmp_path / "nothing").sampling == PackConfig().sampling


def test_a_part_has_its_folder_for_itself_and_keeps_its_settings_when_it_has_ended(tmp_path: Path) -> None:
    tiny = ("d_model=8", "num_heads=2", "num_layers=1", "batch_size=2", "num_validation_captions=2")
    settings = (*tiny, "trainer.num_steps=1")
    PARTS["text-encoder"].run(tmp_path, PART_SETTINGS["text-encoder"].load(overrides=settings), show=False)
    record = (tmp_path / "text-encoder" / "config.yaml").read_bytes()
    with pytest.raises(UserInputError, match=r"has ended, after step 1, so trainer\.learning_rate=0\.1 in place of"):
        PARTS["text-encoder"].run(
            tmp_path,
            PART_SETTINGS["text-encoder"].load(overrides=(*settings, "trainer.learning_rate=0.1")),
            resume=True,
            show=False,
        )
    with (
        claimed_folder(tmp_path / "text-encoder", "a training run"),
        pytest.raises(OutputError, match="Another process is writing into the folder"),
    ):
        PARTS["text-encoder"].run(
            tmp_path,
            PART_SETTINGS["text-encoder"].load(overrides=(*tiny, "trainer.num_steps=2")),
            resume=True,
            show=False,
        )
    assert (tmp_path / "text-encoder" / "config.yaml").read_bytes() == record
    notes = tmp_path / "vae" / "config.yaml"
    notes.parent.mkdir()
    notes.write_text("mine: 1")
    with pytest.raises(OutputError, match="vae holds something already"):
        PARTS["vae"].run(
            tmp_path, PART_SETTINGS["vae"].load(overrides=("num_pool_images=1", "num_pool_clips=1")), show=False
        )
    assert [path.name for path in notes.parent.iterdir()] == ["config.yaml"]
    assert notes.read_text() == "mine: 1"


def test_the_faces_of_a_model_are_unpacked_alone(tmp_path: Path) -> None:
    settings = PART_SETTINGS["unpack"].load(overrides=("faces_only=true",))
    PARTS["unpack"].run(tmp_path, settings, show=False)
    written = {part.name for part in tmp_path.iterdir()}
    assert {"detector", "recogniser", "image-encoder", "picture-kind", "judge", "acting-judge"} <= written
    assert written.isdisjoint({"vae", "vae-decoder", "text-encoder", "base-t2v", "align", "route", "latents"})
    assert (tmp_path / "recogniser" / "recogniser.safetensors").is_file()
    assert (tmp_path / "image-encoder" / "model.safetensors").is_file()
    # the rest is trained beside them, and is not sampled as the model was that they come from
    assert not (tmp_path / "unpack" / "sampling_defaults.json").exists()
    assert not (tmp_path / "recogniser" / "transformer").exists()


def test_a_folder_that_says_nothing_of_its_training_is_not_unpacked(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="which says how its parts were trained"):
        PARTS["unpack"].run(
            tmp_path / "runs", PART_SETTINGS["unpack"].load(overrides=[f"folder={tmp_path}"]), show=False
        )


def test_the_text_encoder_reads_what_each_person_does() -> None:
    """Targets stand at the words of each person: reading another one's words would not help."""
    stage = TextEncoderStage(TextEncoderConfig(style="each-own", max_length=48, d_model=8, num_heads=2, batch_size=24))
    input_ids, phrase_tokens, targets = stage._draw(torch.Generator().manual_seed(3), 24)
    assert phrase_tokens.shape == (24, 4, 48)
    assert (input_ids != stage.tokenizer.unk_token_id).all()
    said = phrase_tokens.any(dim=-1)
    assert torch.equal(targets["role_action"] != -100, said)
    assert ((targets["role_expression"] == -100) | said).all()
    assert (targets["role_expression"] != -100).any()
    step = stage.training_step(torch.Generator().manual_seed(3), progress=0.0)
    step.loss.backward()
    assert stage.reader.to_attributes["role_action"].weight.grad.any()
    measured = stage.validate()
    assert {"accuracy_role_action", "accuracy_role_expression", "accuracy_place", "accuracy_light"} <= set(measured)
