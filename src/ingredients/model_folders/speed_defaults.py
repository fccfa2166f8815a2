"""What a model folder says of how its model runs: the arithmetic in which its maker measured that nothing is lost."""

import dataclasses
from pathlib import Path
from typing import get_args

from ingredients.core.config import save_config
from ingredients.core.errors import SpeedOptionError
from ingredients.core.model_files import read_model_record
from ingredients.core.precision import Precision

SPEED_DEFAULTS_NAME = "speed_defaults.json"
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SpeedDefaults:
    """How a model runs where nobody says otherwise; as computed in full precision by default."""

    precision: Precision = "float32"
    """The arithmetic of transformer and VAE with weights in float32."""

    def __post_init__(self) -> None:
        check_precision(self.precision)


def check_precision(name: str) -> None:
    """Refuses a precision that does not exist.

    Raises:
        SpeedOptionError: with those that do.
    """
    if name not in PRECISIONS:
        raise SpeedOptionError(f"The precision {name!r} does not exist; choose one of {', '.join(PRECISIONS)}.")


def load_speed_defaults(folder: Path) -> SpeedDefaults:
    """Reads a model folder's; full precision where it has none.

    Raises:
        ModelFolderError: if the file is damaged.
    """
    path = folder / SPEED_DEFAULTS_NAME
    if not path.exists():
        return SpeedDefaults()
    return read_model_record(SpeedDefaults, path, what="how a model runs")


def save_speed_defaults(defaults: SpeedDefaults, folder: Path) -> None:
    """Writes them into a model folder, unless they are those of a folder without."""
    path = folder / SPEED_DEFAULTS_NAME
    if defaults == SpeedDefaults():
        path.unlink(missing_ok=True)
    else:
        save_config(defaults, path)
