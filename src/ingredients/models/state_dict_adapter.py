"""Weights from elsewhere: the published checkpoint's names, both ways, and a CogVideoX base without identities.

Nothing is skipped: a key or shape without its counterpart raises and is named.
"""

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from ingredients.core.model_files import name_some
from ingredients.models.presets import published
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel

# (ours, published); {block} counts transformer blocks, {routed} those that have identity modules, both are numbers.
# Keys that match nothing here are diffusers' own and keep their names.
KEY_MAP = (
    ("multi_scale_projector.embedding_mapping.", "local_facial_extractor.id_embedding_mapping."),
    ("multi_scale_projector.scale_mappings.{n}.", "local_facial_extractor.mapping_{n}."),
    ("multi_scale_projector.latents", "local_facial_extractor.latents"),
    ("multi_scale_projector.proj_out", "local_facial_extractor.proj_out"),
    ("multi_scale_projector.layers.{n}.attn.norm_context.", "local_facial_extractor.layers.{n}.0.norm1."),
    ("multi_scale_projector.layers.{n}.attn.norm_latents.", "local_facial_extractor.layers.{n}.0.norm2."),
    ("multi_scale_projector.layers.{n}.attn.to_", "local_facial_extractor.layers.{n}.0.to_"),
    ("multi_scale_projector.layers.{n}.ff.", "local_facial_extractor.layers.{n}.1."),
    ("transformer_blocks.{block}.id_attn.norm_identity.", "perceiver_cross_attention.{routed}.norm1."),
    ("transformer_blocks.{block}.id_attn.norm_video.", "perceiver_cross_attention.{routed}.norm2."),
    ("transformer_blocks.{block}.id_attn.to_", "perceiver_cross_attention.{routed}.to_"),
    ("transformer_blocks.{block}.id_router.norm_identity.", "router.{routed}.norm1."),
    ("transformer_blocks.{block}.id_router.norm_video.", "router.{routed}.norm2."),
    ("transformer_blocks.{block}.id_router.aggregate.", "router.{routed}.id_merge."),
    ("transformer_blocks.{block}.id_router.identity_out.", "router.{routed}.to_kv."),
    ("transformer_blocks.{block}.id_router.video_out.", "router.{routed}.to_q."),
)

# Published config fields that the published code never reads, or that are an argument of a call here.
_PUBLISHED_ONLY_FIELDS = {"LFE_num_tokens": 32, "LFE_output_dim": 768, "LFE_heads": 12, "local_face_scale": 1.0}
_PUBLISHED_FIXED_FIELDS = {"is_train_face": True, "is_kps": False}
# Fields of diffusers' that came after the published code.
_LATER_FIELDS = {"ofs_embed_dim", "patch_size_t", "patch_bias"}
_PATCH_WEIGHT = "patch_embed.proj.weight"
_POSITIONS = "patch_embed.pos_embedding"


def published_key_map(model: IngredientsTransformer3DModel) -> dict[str, str]:
    """Our name of every weight of `model` -> its published name.

    Raises:
        ValueError: The model's router has two-layer networks, for which no published names exist.
    """
    _check_linear_router(model)
    interval = model.config.cross_attn_interval
    return {key: published_name(key, cross_attn_interval=interval) for key in model.state_dict()}


def from_published(
    state_dict: Mapping[str, torch.Tensor], model: IngredientsTransformer3DModel
) -> dict[str, torch.Tensor]:
    """Rename published weights for `model`.

    Raises:
        ValueError: A key is missing or unknown, or a shape differs from the model's.
    """
    key_map = {theirs: ours for ours, theirs in published_key_map(model).items()}
    _check_keys("published state dict", state_dict, key_map)
    renamed = {key_map[key]: tensor for key, tensor in state_dict.items()}
    _check_shapes("published state dict", renamed, model.state_dict())
    return renamed


def to_published(model: IngredientsTransformer3DModel) -> dict[str, torch.Tensor]:
    """The weights of `model` under their published names."""
    key_map = published_key_map(model)
    return {key_map[key]: tensor for key, tensor in model.state_dict().items()}


def config_from_published(config: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor arguments for a published `transformer/config.json`.

    The identity widths are not in that file: they are fixed in the published code and are our defaults.

    Raises:
        ValueError: A field is unknown, or says that the checkpoint has no identity modules.
    """
    known = set(inspect.signature(IngredientsTransformer3DModel.__init__).parameters)
    arguments = published()
    for field, value in config.items():
        if field.startswith("_") or field in _PUBLISHED_ONLY_FIELDS:
            continue
        if field in _PUBLISHED_FIXED_FIELDS:
            if value != _PUBLISHED_FIXED_FIELDS[field]:
                raise ValueError(f"{field}={value!r} in a published config is not supported")
        elif field in known:
            arguments[field] = value
        else:
            raise ValueError(f"unknown field {field!r} in the published config")
    return arguments


def config_to_published(model: IngredientsTransformer3DModel) -> dict[str, Any]:
    """A published `transformer/config.json` for `model`, of which `config_from_published` makes its config again.

    Fields that the published code does not know are there only where they differ from what it does.

    Raises:
        ValueError: The model has no identity modules, or its router has two-layer networks.
    """
    if not model.config.identity_modules:
        raise ValueError("the published checkpoint has identity modules, this model has none")
    _check_linear_router(model)
    parameters = inspect.signature(IngredientsTransformer3DModel.__init__).parameters
    fields = [name for name in parameters if name != "self"]
    of_cogvideox = [name for name in fields[: fields.index("rope_base_height")] if name not in _LATER_FIELDS]
    config = {name: model.config[name] for name in [*of_cogvideox, "cross_attn_interval"]}
    config |= _PUBLISHED_FIXED_FIELDS | _PUBLISHED_ONLY_FIELDS
    understood = {name: parameters[name].default for name in fields} | config_from_published(config)
    return config | {name: model.config[name] for name in fields if model.config[name] != understood[name]}


def load_base_weights(
    model: IngredientsTransformer3DModel,
    state_dict: Mapping[str, torch.Tensor],
    *,
    drop_positional_embedding: bool = False,
) -> None:
    """Start `model` from a CogVideoX without identities, text-to-video or image-to-video.

    Input channels that the base lacks (the image latents beside the noise) start at zero, and the identity modules
    that the base lacks keep their own start, which adds zero: at first the model does what the base did.

    Args:
        model: Takes the weights, in place; on the meta device it takes the tensors over as they are.
        state_dict: Weights of a `CogVideoXTransformer3DModel`, or of ours with identity modules to be taken over.
        drop_positional_embedding: Leave out learned positions (CogVideoX-5b-I2V), which fix the size of the video.

    Raises:
        ValueError: A key is missing or unknown, or a shape differs otherwise than by missing input channels.
    """
    target = model.state_dict()
    weights = dict(state_dict)
    if drop_positional_embedding:
        weights.pop(_POSITIONS, None)

    if _PATCH_WEIGHT in weights:
        patches = weights[_PATCH_WEIGHT]
        # A temporal patch is a row of numbers, channels slowest: more channels are more numbers at its end.
        missing = target[_PATCH_WEIGHT].shape[1] - patches.shape[1]
        if patches.ndim == target[_PATCH_WEIGHT].ndim and missing > 0:
            zeros = patches.new_zeros(patches.shape[0], missing, *patches.shape[2:])
            weights[_PATCH_WEIGHT] = torch.cat([patches, zeros], dim=1)

    expected = set(target)
    if not any(_is_identity_key(key) for key in weights):
        expected = {key for key in target if not _is_identity_key(key)}
    _check_keys("base state dict", weights, expected)
    _check_shapes("base state dict", weights, target)
    model.load_state_dict(weights, strict=False, assign=any(tensor.is_meta for tensor in target.values()))


def published_name(key: str, *, cross_attn_interval: int) -> str:
    """The published name of our weight `key`; diffusers' own layers have the same name in both."""
    for ours, theirs in KEY_MAP:
        pattern = re.escape(ours).replace(r"\{n\}", "(?P<n>\\d+)").replace(r"\{block\}", "(?P<block>\\d+)")
        match = re.match(pattern, key)
        if match:
            numbers = match.groupdict()
            routed = int(numbers.get("block", 0)) // cross_attn_interval
            return theirs.format(n=numbers.get("n"), routed=routed) + key[match.end() :]
    return key


def _check_linear_router(model: IngredientsTransformer3DModel) -> None:
    if model.config.router_type != "linear":
        raise ValueError(
            f"the published checkpoint has linear routers, this model has router_type={model.config.router_type!r}"
        )


def _is_identity_key(key: str) -> bool:
    return key.startswith(("multi_scale_projector.", "phrase_proj.")) or ".id_attn." in key or ".id_router." in key


def _check_keys(source: str, keys: Iterable[str], expected: Iterable[str]) -> None:
    keys, expected = set(keys), set(expected)
    if keys != expected:
        raise ValueError(
            f"{source} does not fit the model: missing {name_some(sorted(expected - keys)) or 'none'}, "
            f"unknown {name_some(sorted(keys - expected)) or 'none'}"
        )


def _check_shapes(source: str, weights: Mapping[str, torch.Tensor], target: Mapping[str, torch.Tensor]) -> None:
    for key, tensor in weights.items():
        if tensor.shape != target[key].shape:
            raise ValueError(
                f"{source}: {key} has shape {tuple(tensor.shape)}, the model has {tuple(target[key].shape)}"
            )
