from pathlib import Path

import pytest
import yaml

from ingredients.core.config import load_config
from ingredients.core.errors import ModelFolderError, UserInputError
from ingredients.training.world_parts import PARTS, AlignPartConfig, RoutePartConfig

CONFIGS = Path(__file__).parents[2] / "configs"


def test_the_parts_come_in_the_order_in_which_they_need_each_other() -> None:
    assert list(PARTS) == [
        "detector",
        "recogniser",
        "image-encoder",
        "judge",
        "text-encoder",
        "vae",
        "vae-decoder",
        "latents",
        "base-t2v",
        "base-i2v",
        "align",
        "route",
        "pack",
    ]
    assert all(name == part.name for name, part in PARTS.items())


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_file_fits_its_part(path: Path) -> None:
    config_type = AlignPartConfig if path.stem.startswith("align") else RoutePartConfig
    config = load_config(config_type, path, defaults=config_type())
    for group, settings in yaml.safe_load(path.read_text()).items():
        for name, value in settings.items():
            assert getattr(getattr(config, group), name) == value


def test_settings_keep_the_rest_of_their_group(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="ingredients world train align"):
        PARTS["route"].run(tmp_path, overrides=["trainer.learning_rate=5e-4"], minutes=3.0, show=False)
    saved = yaml.safe_load((tmp_path / "route" / "config.yaml").read_text())
    assert saved["trainer"]["learning_rate"] == 5e-4
    assert saved["trainer"]["minutes"] == 3.0
    assert saved["trainer"]["schedule"] == RoutePartConfig().trainer.schedule == "trapezoid"


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="no setting 'batch'"):
        PARTS["align"].run(tmp_path, overrides=["stage.batch=3"])


@pytest.mark.parametrize("part", ["latents", "base-t2v", "base-i2v", "align", "route", "pack"])
def test_a_missing_part_is_named_with_its_command(tmp_path: Path, part: str) -> None:
    with pytest.raises(ModelFolderError, match="make it first with: ingredients world train"):
        PARTS[part].run(tmp_path, show=False)
