"""All parts one after the other: the plan, its time, and a rehearsal of the very path that a long run takes."""

import json
from pathlib import Path

import pytest
import yaml

from ingredients.core.errors import UserInputError
from ingredients.model_folders.transformer import build_transformer
from ingredients.training.small_world.all_parts import train_all_parts
from ingredients.training.small_world.plan import (
    PROGRESS_NAME,
    Progress,
    next_minutes,
    plan_parts,
    read_progress,
    show_plan,
    trained_minutes,
    write_progress,
)
from ingredients.training.small_world.settings import PART_SETTINGS


@pytest.mark.parametrize("model", ["small_world", "acting_world"])
@pytest.mark.parametrize("scale", ["full", "card", "tiny"])
def test_a_plan_holds_the_parts_in_order_with_settings_that_they_have(model: str, scale: str) -> None:
    planned = plan_parts(model, scale)  # type: ignore[arg-type]
    names = [part.name for part in planned]
    assert names == [name for name in PART_SETTINGS if name in names]
    assert {"vae-decoder", "base-i2v", "unpack"}.isdisjoint(names)
    assert sum(part.share for part in planned) == pytest.approx(1.0)
    for part in planned:
        config = PART_SETTINGS[part.name].load(overrides=part.settings)
        assert part.settings == () or config != PART_SETTINGS[part.name].make_defaults()


def test_settings_of_a_part_are_told_by_its_name() -> None:
    planned = {part.name: part for part in plan_parts("acting_world", "tiny", ["align.stage.batch_size=3"])}
    assert PART_SETTINGS["align"].load(overrides=planned["align"].settings).stage.batch_size == 3
    with pytest.raises(UserInputError, match=r"'stage\.batch_size=3' is no setting of all parts; write PART\.key"):
        plan_parts("acting_world", "full", ["stage.batch_size=3"])
    with pytest.raises(UserInputError, match="no setting 'batch'"):
        plan_parts("acting_world", "full", ["align.batch=3"])


def test_what_a_part_took_longer_is_shared_by_those_after_it() -> None:
    planned = plan_parts("small_world")
    shares = {part.name: part.share for part in planned}
    assert next_minutes(planned, "detector", left=100) == pytest.approx(100 * shares["detector"])
    after = [shares[name] for name in ("align", "route")]
    assert next_minutes(planned, "align", left=10) == pytest.approx(10 * after[0] / sum(after))
    assert next_minutes(planned, "route", left=7) == pytest.approx(7)
    assert next_minutes(planned, "align", left=-3) == 0
    assert next_minutes(planned, "pack", left=7) == 0


def test_a_plan_is_shown_with_the_time_that_is_left(tmp_path: Path) -> None:
    planned = plan_parts("small_world")
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "log.jsonl").write_text(
        '{"step": 10, "seconds": 90.0, "seconds_per_step": 0.25}\n{"step": 20, "seconds": 180.0, "psnr": 20.0}\n'
    )
    assert trained_minutes(tmp_path / "vae") == 3.0
    assert trained_minutes(tmp_path / "align") == 0.0
    done = [part.name for part in planned if part.name not in ("align", "route", "pack")]
    lines = show_plan(planned, tmp_path, minutes=53, done=done).splitlines()
    (vae,) = [line for line in lines if line.startswith("| vae |")]
    assert "done" in vae
    assert "4.0 steps/s" in vae
    (align,) = [line for line in lines if line.startswith("| align |")]
    assert "45 minutes" in align  # 45 of 53 shares
    assert "not measured" in align


def test_a_run_of_another_model_is_not_gone_on_with(tmp_path: Path) -> None:
    write_progress(tmp_path, Progress(model="small_world", done=("vae",)))
    assert read_progress(tmp_path, "small_world").done == ("vae",)
    with pytest.raises(UserInputError, match="holds the parts of small_world, not of acting_world"):
        read_progress(tmp_path, "acting_world")


def test_a_rehearsal_makes_every_part_and_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    planned = plan_parts("acting_world", "tiny")
    told: list[str] = []
    packed = train_all_parts(planned, tmp_path, model="acting_world", minutes=1.0, show=False, notice=told.append)
    assert [line.split(":")[0] for line in told] == [part.name for part in planned]
    assert json.loads((tmp_path / PROGRESS_NAME).read_text())["done"] == [part.name for part in planned]
    config = build_transformer(packed / "transformer").config
    assert (config.patch_size_t, config.id_phrases, config.temporal_compression_ratio) == (4, True, 1)
    saved = yaml.safe_load((tmp_path / "vae" / "config.yaml").read_text())
    assert saved["temporal_compression_ratio"] == 1

    (tmp_path / "route" / "metrics.json").unlink()
    progress = read_progress(tmp_path, "acting_world")
    write_progress(tmp_path, Progress(model="acting_world", done=tuple(n for n in progress.done if n != "route")))
    aligned = (tmp_path / "align" / "metrics.json").stat().st_mtime_ns
    told.clear()
    train_all_parts(planned, tmp_path, model="acting_world", minutes=1.0, resume=True, show=False, notice=told.append)
    assert [line.split(":")[0] for line in told] == ["route", "pack"]
    assert (tmp_path / "align" / "metrics.json").stat().st_mtime_ns == aligned
