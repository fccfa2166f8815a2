"""Where a model comes from and under which terms, as far as its name and its folder tell.

The terms are those of `docs/published_weights.md`: in plain words, to the best of our reading.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ingredients.core.input_files import read_text
from ingredients.core.json_yaml import NotPlainError, parse_yaml
from ingredients.faces.face_stack_names import ANTELOPE_FOLDER
from ingredients.model_folders.find_model import default_model_path
from ingredients.model_folders.folder_names import FACE_ENCODER
from ingredients.model_folders.hub_model import HubModel, parse_hub_id
from ingredients.model_folders.known_models import KNOWN_MODELS, SMALL_WORLD, KnownModel, find_known_model

COGVIDEOX_TERMS = (
    "CogVideoX licence: research is free; commercial use wants a registration with its authors, who set limits"
)
RESEARCH_ONLY = "**non-commercial research only**"
_SMALL_WORLD_TERMS = "Apache-2.0"
_CARD_NAME = "README.md"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelOrigin:
    """A model by its name."""

    name: str
    """Its short name, its repository on the hub, or its folder's name without the path."""

    known: KnownModel | None = None
    """What is known of it."""

    hub_model: HubModel | None = None
    """Its repository."""

    @property
    def is_small_world(self) -> bool:
        """Whether it is the model that ships."""
        return self.known is not None and self.known.name == SMALL_WORLD


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PartTerms:
    """Under which terms a part of a model folder can be used."""

    part: str
    """Files of it."""

    origin: str
    """Who made it."""

    terms: str
    """In short."""


def model_origin(model: str | Path | None) -> ModelOrigin:
    """Where a model is from.

    Args:
        model: As `find_model` takes it.
    """
    if model is None or (Path(model).is_dir() and Path(model).resolve() == default_model_path().resolve()):
        return ModelOrigin(name=SMALL_WORLD, known=find_known_model(SMALL_WORLD))
    if Path(model).is_dir():
        return ModelOrigin(name=Path(model).resolve().name)
    if known := find_known_model(str(model)):
        return ModelOrigin(name=known.name, known=known, hub_model=known.source)
    if (source := parse_hub_id(str(model))) is not None:
        known = next((each for each in KNOWN_MODELS if each.source and each.source.repo_id == source.repo_id), None)
        return ModelOrigin(name=source.repo_id, known=known, hub_model=source)
    return ModelOrigin(name=Path(model).name)


def terms_of_base(origin: ModelOrigin, parts: Sequence[str]) -> list[PartTerms]:
    """Terms of the parts that a model got from its origin."""
    if origin.is_small_world:
        return [PartTerms(part=_listed(parts), origin="this project", terms=_SMALL_WORLD_TERMS)]
    if origin.known is None:
        return [
            PartTerms(part=_listed(parts), origin=f"`{origin.name}`", terms=f"those of `{origin.name}`: see its page")
        ]
    of_t5 = [part for part in parts if part in ("text_encoder", "tokenizer")]
    others = [part for part in parts if part not in of_t5]
    makers = "CogVideoX-5B by Zhipu AI and Tsinghua"
    if origin.known.takes_people:
        makers += "; its identity modules by the paper's authors, whose page has their terms"
    terms = [PartTerms(part=_listed(others), origin=makers, terms=COGVIDEOX_TERMS)]
    if of_t5:
        terms.append(PartTerms(part=_listed(of_t5), origin="T5 v1.1 XXL by Google", terms="Apache-2.0"))
    return terms


def terms_of_faces(origin: ModelOrigin, face_encoder: Path) -> list[PartTerms]:
    """Terms of face networks.

    Args:
        origin: Of the model or the folder that they were taken from.
        face_encoder: Their folder.
    """
    if knows_photographs(face_encoder):
        networks = f"{FACE_ENCODER}/{ANTELOPE_FOLDER.as_posix()}/*.onnx"
        tower = f"{FACE_ENCODER}/EVA02_CLIP_L_336_psz14_s6B.*"
        return [
            PartTerms(part=f"`{networks}`", origin="InsightFace", terms=RESEARCH_ONLY),
            PartTerms(part=f"`{tower}`", origin="EVA-CLIP by BAAI", terms="MIT"),
        ]
    return terms_of_base(origin, [FACE_ENCODER])


def knows_photographs(face_encoder: Path) -> bool:
    """Whether face networks were made for photographs, not for drawings."""
    return (face_encoder / ANTELOPE_FOLDER).is_dir()


def read_card_metadata(folder: Path) -> dict[str, Any]:
    """What a model's card says at its beginning, in the hub's form; nothing, if it has none."""
    path = folder / _CARD_NAME
    try:
        text = read_text(path) if path.is_file() else ""
    except (OSError, UnicodeDecodeError):
        return {}  # it is for people, and nothing depends on it but what another card says
    _, _, rest = text.partition("---\n")
    metadata, separator, _ = rest.partition("\n---")
    if not text.startswith("---\n") or not separator:
        return {}
    try:
        values = parse_yaml(metadata)
    except NotPlainError:
        return {}
    return values if isinstance(values, dict) else {}


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(f"`{part}/`" for part in parts)
