"""Where a model is: the shipped one, a folder, or one of the hub, which is asked only where it must be."""

from importlib import resources
from pathlib import Path

from ingredients.core.errors import HubError, ModelFolderError
from ingredients.core.paths import parse_path
from ingredients.core.warnings_told import Notice
from ingredients.model_folders.folder_names import MODEL_INDEX
from ingredients.model_folders.hub_model import HubModel, parse_hub_id
from ingredients.model_folders.known_models import KNOWN_MODELS, SMALL_WORLD, find_known_model


def default_model_path() -> Path:
    """The folder of the small model that ships with the package.

    Raises:
        ModelFolderError: If it is not there, as in a checkout without weights.
    """
    path = Path(str(resources.files("ingredients"))) / "assets" / SMALL_WORLD
    if not path.is_dir():
        raise ModelFolderError(
            f"The small model is not at {path}; install the package again, or give a model folder with --model."
        )
    return path


def small_sam_path() -> Path:
    """The folder of the small SAM that ships with the package, which masks faces of the drawn world.

    Raises:
        ModelFolderError: If it is not there, as in a checkout without weights.
    """
    path = Path(str(resources.files("ingredients"))) / "assets" / "small-sam"
    if not path.is_dir():
        raise ModelFolderError(
            f"The small SAM is not at {path}; install the package again, or make one: ingredients world train sam."
        )
    return path


def find_model(model: str | Path | None = None, *, notice: Notice | None = None) -> Path:
    """The folder of a model: the shipped one, one on the disk, or one of the hub, which is downloaded the first time.

    Args:
        model: A folder; a name of `known_models`; or `owner/name`, `owner/name@revision` on the hub.
        notice: Told of a download before it begins.

    Raises:
        ModelFolderError: If it is nothing of the kind.
        HubError: If it cannot be downloaded.
    """
    place = _place(model)
    if isinstance(place, Path):
        return place
    from ingredients.model_folders.hub import fetch

    try:
        return fetch(place, notice=notice)
    except HubError as error:
        if find_known_model(str(model)):
            raise
        raise HubError(f"There is no folder {model} here, and the hub was asked: {error}") from error


def check_model_folder(folder: Path) -> None:
    """Says whether a folder can be one of a model, before the libraries that read it are imported.

    Raises:
        ModelFolderError: If it is not there, or lacks what every model folder has.
    """
    if not folder.is_dir():
        raise ModelFolderError(
            f"There is no model folder {folder}; check the name, or leave it out for the small model."
        )
    if not (folder / MODEL_INDEX).is_file():
        raise ModelFolderError(f"The folder {folder} is no model folder: it lacks {MODEL_INDEX}.")


def find_model_here(model: str | Path | None = None) -> Path | None:
    """As `find_model`, but None for a model of the hub that is not on the disk: nothing is asked of the network."""
    place = _place(model)
    if isinstance(place, Path):
        return place
    from ingredients.model_folders.hub import find_downloaded

    return find_downloaded(place)


def _place(model: str | Path | None) -> Path | HubModel:
    """A model's folder, or where it is on the hub; raises as `find_model`."""
    if model is None:
        return default_model_path()
    if isinstance(model, Path) or parse_path(model).is_dir():
        return parse_path(model)
    if known := find_known_model(model):
        return known.source or default_model_path()
    if (source := parse_hub_id(model)) is not None:
        return source
    raise ModelFolderError(
        f"There is no model folder {model}; check the name, or take one of "
        f"{', '.join(known.name for known in KNOWN_MODELS)}, or OWNER/NAME on the hub."
    )
