"""What a generated file says about itself: that a model made it, which, and from what.

Videos carry it as JSON in the container's comment, pictures in EXIF's ImageDescription, or, where that is too small,
in comments; all of them survive copying, and most players and viewers show them. `digital_source_type` is IPTC's term
for media that a trained model made.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from ingredients.core.config import config_from_dict
from ingredients.core.errors import UserInputError
from ingredients.core.json_yaml import NotPlainError, parse_json
from ingredients.core.version import VERSION
from ingredients.media.pictures import PICTURE_SUFFIXES, read_description
from ingredients.media.video import VIDEO_SUFFIXES, read_video_metadata

_PACKAGE = "ingredients"
_SOURCE_TYPE = "trainedAlgorithmicMedia"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """How a file was made."""

    model: str
    """Name of the model's folder."""

    seed: int
    """Seed of the noise."""

    people: tuple[str, ...]
    """Names of the people, as they were given."""

    prompt: str | None = None
    """What was asked for; None where it is kept out of the file."""

    version: str = VERSION
    """Version of this package."""

    def to_json(self) -> str:
        """One line of ASCII."""
        values: dict[str, Any] = {"made_by": _PACKAGE, "digital_source_type": _SOURCE_TYPE}
        return json.dumps(
            values | {name: value for name, value in dataclasses.asdict(self).items() if value is not None},
            allow_nan=False,
        )

    def to_tags(self) -> dict[str, str]:
        """Tags of a video."""
        return {"title": self.prompt or "Made by a model", "comment": self.to_json()}


def read_provenance(path: str | Path) -> Provenance:
    """Reads what a video or a picture says about itself.

    Raises:
        UserInputError: if the file is missing, of another kind, damaged, or says nothing of this kind.
    """
    path = Path(path)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        text = read_video_metadata(path).get("comment", "")
    elif path.suffix.lower() in PICTURE_SUFFIXES:
        text = read_description(path) or ""
    else:
        raise UserInputError(f"The file {path} is neither a video nor a picture that this package makes.")
    try:
        values = parse_json(text)
        if not isinstance(values, dict) or values.get("made_by") != _PACKAGE or "version" not in values:
            raise NotPlainError("somebody else made it")
        return config_from_dict(Provenance, values, ignore_unknown=True)
    except (NotPlainError, UserInputError) as error:
        raise UserInputError(f"The file {path} does not say that {_PACKAGE} made it.") from error
