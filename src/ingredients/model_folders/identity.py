"""Identity weights on their own: what a CogVideoX base needs beside it to show the people of photos.

identity/
config.json                             what the identity modules are like, and how the base is used
identity.safetensors                    projector, routers, cross-attentions; and what was trained of the base, if any
pytorch_lora_weights.safetensors        optional: a LoRA for the base, as diffusers keeps it
face_encoder/                           optional: the face networks that they were trained with
"""

import dataclasses
import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from ingredients.core.errors import ModelFolderError, OutputError
from ingredients.core.files import atomic_path
from ingredients.core.json_yaml import to_json
from ingredients.core.model_files import name_some, read_json
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel

_CONFIG_NAME, _WEIGHTS_NAME = "config.json", "identity.safetensors"
_LORA_NAME = "pytorch_lora_weights.safetensors"

_BASE_FIELDS = ("in_channels", "use_learned_positional_embeddings", "rope_base_height", "rope_base_width")
"""Fields of the base's own that the identity weights may have been trained with otherwise."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IdentityFolder:
    """What such a folder holds."""

    folder: Path
    """Where."""

    config: dict[str, Any]
    """Constructor arguments of the transformer that differ from the base's."""

    weights: Path
    """Identity modules."""

    lora: Path | None
    """LoRA for the base."""


def read_identity_folder(folder: Path) -> IdentityFolder:
    """Reads a folder's config and finds its files.

    Raises:
        ModelFolderError: If a file is missing or damaged, or the config has an unknown field.
    """
    config = {name: value for name, value in read_json(folder / _CONFIG_NAME).items() if not name.startswith("_")}
    if unknown := sorted(set(config) - set(_identity_fields())):
        raise ModelFolderError(
            f"The file {folder / _CONFIG_NAME} has the unknown field {name_some(unknown)}; it was written by another "
            "version."
        )
    if not (folder / _WEIGHTS_NAME).is_file():
        raise ModelFolderError(f"The model folder lacks {folder / _WEIGHTS_NAME}; copy the folder again.")
    lora = folder / _LORA_NAME
    return IdentityFolder(
        folder=folder,
        config={"identity_modules": True} | config,
        weights=folder / _WEIGHTS_NAME,
        lora=lora if lora.is_file() else None,
    )


def save_identity_folder(
    transformer: IngredientsTransformer3DModel, folder: Path, *, trained_base: Iterable[str] = ()
) -> None:
    """Writes a transformer's identity modules, and its LoRA if it has one, for use beside the base.

    Args:
        transformer: With identity modules.
        folder: To write; it is made if it is not there.
        trained_base: Names of the base's own weights that were trained and go along, such as
            `patch_embed.proj.weight`.

    Raises:
        ValueError: If the transformer has no identity modules, or a name is not one of its weights.
        OutputError: If the folder cannot be written, or the disk is full.
    """
    if not transformer.config.identity_modules:
        raise ValueError("this transformer was built with identity_modules=False and has no identity weights")
    weights = {name.replace(".base_layer", ""): tensor for name, tensor in transformer.state_dict().items()}
    chosen = [name for name, _ in transformer.identity_parameters()] + list(trained_base)
    if unknown := [name for name in chosen if name not in weights]:
        raise ValueError(f"the transformer has no weights named {name_some(unknown)}")
    adapters = list(getattr(transformer, "peft_config", {}))
    if len(adapters) > 1:
        raise ValueError(f"the transformer has the adapters {', '.join(adapters)}; keep one or fuse them")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made ({error.strerror}); choose another one.") from error
    config = {"_class_name": "IngredientsIdentity"} | {name: transformer.config[name] for name in _identity_fields()}
    with atomic_path(folder / _CONFIG_NAME) as temporary:
        temporary.write_text(to_json(config, indent=2) + "\n", encoding="utf-8")
    with atomic_path(folder / _WEIGHTS_NAME) as temporary:
        save_file({name: weights[name].detach().cpu().contiguous() for name in chosen}, temporary)
    if not adapters:
        (folder / _LORA_NAME).unlink(missing_ok=True)
    else:
        with atomic_path(folder / _LORA_NAME) as temporary:
            transformer.save_lora_adapter(temporary.parent, adapter_name=adapters[0], weight_name=temporary.name)


def _identity_fields() -> list[str]:
    fields = list(inspect.signature(IngredientsTransformer3DModel.__init__).parameters)
    return [*_BASE_FIELDS, *fields[fields.index("cross_attn_interval") :]]
