"""What a stage begins with: the transformer of a base, of a model, or of an earlier run."""

import contextlib
import dataclasses
import inspect
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import psutil
import torch

from ingredients.core.config import config_from_dict, config_to_dict
from ingredients.core.errors import UserInputError
from ingredients.core.ranges import Range
from ingredients.model_folders.components import transformer_part
from ingredients.model_folders.known_models import find_known_model
from ingredients.model_folders.transformer import build_transformer, is_base, load_transformer
from ingredients.model_folders.weight_files import without_weights
from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.presets import paper, published
from ingredients.models.state_dict_adapter import load_base_weights
from ingredients.training.runs.configuration import ModelConfig
from ingredients.training.stages.identity import unseen_canvas
from ingredients.training.stages.settings import BaseTask

_MOST_LAYERS, _MOST_CHANNELS = 256, 65_536
_PATCH_WEIGHT = "patch_embed.proj.weight"
_PAPER_ROUTER = {name: paper()[name] for name in ("router_type", "router_inner_dim", "routing")}


def load_start(
    config: ModelConfig,
    folder: Path | None,
    widths: Mapping[str, int],
    *,
    must_be_aligned: bool = False,
    trains_patch_embed: bool = True,
    empty: bool = False,
    seed: int | None = None,
) -> IngredientsTransformer3DModel:
    """The transformer that a run of a stage with people begins with, on the processor.

    Args:
        config: the settings of the model.
        folder: the folder of the model, found; None is enough where an earlier run is named.
        widths: the widths of the features that the clips were encoded with.
        must_be_aligned: whether a base, which has no identity modules, is refused.
        trains_patch_embed: whether the run trains what reads the canvas; False refuses a base without it.
        empty: leave out the weights, on the meta device: for plans.
        seed: the seed of what is drawn anew, whatever was drawn before; None: it is drawn as the generator stands.

    Raises:
        UserInputError: if a field is unknown, a start has other ones, or it should be aligned and is not.
        ModelFolderError: if a part is missing or damaged.
    """
    dtype = cast(torch.dtype, getattr(torch, config.dtype))
    if config.start is not None:
        source = transformer_of_run(config.start)
    else:
        assert folder is not None
        source = folder / transformer_part(folder)
    base = build_transformer(source, drop_learned_positions=config.drop_learned_positions)
    wanted = _feature_widths(config, widths)
    if base.config.identity_modules:
        if config.identity_start is not None:
            raise UserInputError(
                f"The transformer in {source} has identity modules of its own, which do not begin as those of "
                f"identity_start={config.identity_start}; leave it out, or start from a base."
            )
        return _load_whole(config, base, source, wanted, dtype=dtype, empty=empty, seed=seed)
    if must_be_aligned:
        raise UserInputError(
            f"The transformer in {source} has no identity modules; name the run of its alignment with model.start=RUN."
        )
    if base.config.in_channels == base.config.out_channels and not trains_patch_embed:
        raise unseen_canvas(f"The text-to-video base in {source}")
    for name in ("patch_size", "patch_size_t"):
        if name in wanted and base.config[name] != wanted[name]:
            raise UserInputError(
                f"The base in {source} has {name}={base.config[name]}, and the clips were encoded for {wanted[name]}; "
                "encode them by a model with the base's own patches."
            )
    fields = _fields_of(base)
    fields |= _PAPER_ROUTER if is_base(source) else {}
    chosen = _chosen_fields(config)
    fields |= {"identity_modules": True, "in_channels": 2 * fields["out_channels"]} | wanted | chosen
    if chosen and not empty:
        _check_memory(fields, dtype)
    started = _build(fields, dtype=dtype, empty=empty, seed=seed)
    if not empty:
        weights = load_transformer(source, dtype=dtype, drop_learned_positions=config.drop_learned_positions)
        load_base_weights(started, weights.state_dict())
    _begin_with_identities(started, config, empty=empty)
    return started


def _begin_with_identities(started: IngredientsTransformer3DModel, config: ModelConfig, *, empty: bool) -> None:
    """Gives the identity modules that were added to a base what another model has learnt of faces.

    Raises:
        UserInputError: if that model has none, or they do not fit.
        ModelFolderError: if its transformer is damaged.
    """
    if config.identity_start is None:
        return
    source = transformer_of_run(config.identity_start)
    other = build_transformer(source)
    if not other.config.identity_modules:
        raise UserInputError(
            f"The transformer in {source} has no identity modules that others could begin with; name an aligned model "
            "with identity_start."
        )
    remedy = "name another identity_start, or choose the same fields of the transformer for this run"
    for name, value in other.config.items():
        if name.startswith("id_") and name != "id_phrases" and started.config[name] != value:
            raise UserInputError(
                f"The identity modules of identity_start, in {source}, have {name}={value}, and those of this run "
                f"{started.config[name]}; {remedy}."
            )
    places = dict(started.people_parameters())
    if places.keys() != dict(other.people_parameters()).keys():
        raise UserInputError(
            f"The transformer of identity_start, in {source}, has {len(other.identity_layers)} identity attentions in "
            f"{len(other.transformer_blocks)} blocks, and that of this run {len(started.identity_layers)} in "
            f"{len(started.transformer_blocks)}; {remedy}."
        )
    if empty:
        return
    weights = dict(load_transformer(source, dtype=started.dtype).people_parameters())
    with torch.no_grad():
        for name, parameter in places.items():
            parameter.copy_(weights[name])


def load_base_start(config: ModelConfig, task: BaseTask, *, seed: int | None = None) -> IngredientsTransformer3DModel:
    """The transformer that the training of a base begins with: drawn, or an earlier base.

    An image-to-video base that begins with a text-to-video one has image channels of zero.

    Args:
        config: the settings of the model; without a start, `transformer` has all fields that differ from the defaults.
        task: the task of the base.
        seed: as `load_start`.

    Raises:
        UserInputError: if a field is unknown, or there is no start where one is named.
        ModelFolderError: if the start is damaged.
    """
    if config.identity_start is not None:
        raise UserInputError("A base has no identity modules; leave model.identity_start to the alignment.")
    dtype = cast(torch.dtype, getattr(torch, config.dtype))
    source = None if config.start is None else transformer_of_run(config.start)
    fields = {} if source is None else _fields_of(build_transformer(source))
    fields |= _chosen_fields(config)
    fields |= {"identity_modules": False, "in_channels": (2 if task == "i2v" else 1) * fields["out_channels"]}
    started = _build(fields, dtype=dtype, empty=False, seed=seed)
    if source is not None:
        load_base_weights(started, load_transformer(source, dtype=dtype).state_dict())
    return started


def published_start(
    config: ModelConfig, widths: Mapping[str, int], *, trains_patch_embed: bool = True
) -> IngredientsTransformer3DModel:
    """As `load_start` without weights, for a known model of the published size that is not on this machine.

    Raises:
        UserInputError: if a field is unknown, or the canvas would never be seen.
    """
    known = find_known_model(str(config.folder))
    is_text_to_video = known is not None and not known.takes_people and not known.name.endswith("-i2v")
    if is_text_to_video and not trains_patch_embed:
        raise unseen_canvas(f"The text-to-video base {config.folder}")
    fields = published() if known is not None and known.takes_people else paper()
    fields |= _feature_widths(config, widths) | _chosen_fields(config)
    started = _build(fields, dtype=getattr(torch, config.dtype), empty=True)
    _begin_with_identities(started, config, empty=True)
    return started


def _build(
    fields: Mapping[str, Any], *, dtype: torch.dtype, empty: bool, seed: int | None = None
) -> IngredientsTransformer3DModel:
    if seed is not None:
        torch.manual_seed(seed)
    try:
        with without_weights() if empty else contextlib.nullcontext():
            built: IngredientsTransformer3DModel = IngredientsTransformer3DModel(**fields)
    except (TypeError, ValueError, ArithmeticError, RuntimeError, AssertionError) as error:
        raise UserInputError(f"The transformer cannot be built as model.transformer says: {error}.") from error
    built.to(dtype)
    return built


def _fields_of(transformer: IngredientsTransformer3DModel) -> dict[str, Any]:
    return {name: value for name, value in transformer.config.items() if not name.startswith("_")}


def _chosen_fields(config: ModelConfig) -> dict[str, Any]:
    """The fields of the transformer that a run names, of the right types and of sizes that can be.

    Raises:
        UserInputError: if one is unknown, or is not.
    """
    hints = typing.get_type_hints(IngredientsTransformer3DModel.__init__)
    parameters = inspect.signature(IngredientsTransformer3DModel.__init__).parameters
    fields = [
        (name, _ranged(name, hints[name]), dataclasses.field(default=parameters[name].default))
        for name in hints
        if name != "return"
    ]
    kind: Any = dataclasses.make_dataclass("model.transformer", fields, kw_only=True)
    checked = config_to_dict(config_from_dict(kind, config.transformer))
    return {name: checked[name] for name in config.transformer}


def _ranged(name: str, hint: Any) -> Any:
    """The type of a field with its range: what counts blocks is smaller than what counts channels."""
    most = _MOST_LAYERS if name in ("num_layers", "id_qformer_depth") else _MOST_CHANNELS
    least = 0 if name == "freq_shift" else 1
    return Annotated[hint, Range(at_least=least, at_most=most)] if int in (hint, *typing.get_args(hint)) else hint


def _check_memory(fields: Mapping[str, Any], dtype: torch.dtype) -> None:
    """Refuses a transformer that this machine cannot hold, before it is made.

    Raises:
        UserInputError: if it cannot.
    """
    with torch.device("meta"):
        num_numbers = sum(each.numel() for each in _build(fields, dtype=dtype, empty=True).parameters())
    needed, there = num_numbers * dtype.itemsize, psutil.virtual_memory().total
    if needed > there:
        raise UserInputError(
            f"The transformer that model.transformer asks for takes {needed / 1e9:,.0f} GB, and this machine has "
            f"{there / 1e9:,.0f} GB; choose smaller sizes."
        )


def transformer_of_run(run: Path) -> Path:
    """The transformer that a run exported.

    Raises:
        UserInputError: if it has none yet.
    """
    for folder in (run / "transformer", run):
        if (folder / "config.json").is_file():
            return folder
    raise UserInputError(f"The run {run} has no transformer/ to start from; let it finish, or name another run.")


def base_within(transformer: IngredientsTransformer3DModel) -> IngredientsTransformer3DModel:
    """A text-to-video base with an aligned model's own weights, without its identity modules and image channels.

    It is the base as the stages left it, not the one that they began with: it has learnt along with the people.
    """
    channels = transformer.config.out_channels
    fields = _fields_of(transformer) | {"identity_modules": False, "in_channels": channels}
    base: IngredientsTransformer3DModel = IngredientsTransformer3DModel(**fields)
    weights = {name: tensor for name, tensor in transformer.state_dict().items() if name in base.state_dict()}
    kept = base.state_dict()[_PATCH_WEIGHT].shape[1]  # those of the noise come first
    weights[_PATCH_WEIGHT] = weights[_PATCH_WEIGHT][:, :kept]
    load_base_weights(base, weights)
    return base


def draw_routers_anew(transformer: IngredientsTransformer3DModel, seed: int) -> None:
    """Gives an aligned transformer routers that have learnt nothing."""
    torch.manual_seed(seed)
    fresh = dict(IngredientsTransformer3DModel(**_fields_of(transformer)).router_parameters())
    with torch.no_grad():
        for name, parameter in transformer.router_parameters():
            parameter.copy_(fresh[name])


def _feature_widths(config: ModelConfig, widths: Mapping[str, int]) -> dict[str, int | None]:
    """What the transformer must agree with; clips that say nothing of temporal patches were encoded for none."""
    wanted: dict[str, int | None] = {name: width for name, width in widths.items() if name != "recognition_map_dim"}
    if config.scale_source == "recognition_and_clip":
        wanted["id_vit_dim"] = widths["id_vit_dim"] + widths["recognition_map_dim"]
    if "patch_size" in widths:
        wanted.setdefault("patch_size_t", None)
    return wanted


def _load_whole(
    config: ModelConfig,
    built: IngredientsTransformer3DModel,
    source: Path,
    wanted: Mapping[str, int | None],
    *,
    dtype: torch.dtype,
    empty: bool,
    seed: int | None,
) -> IngredientsTransformer3DModel:
    differing = {name: value for name, value in _chosen_fields(config).items() if built.config.get(name) != value}
    if differing:
        name = next(iter(differing))
        raise UserInputError(
            f"The transformer in {source} has {name}={built.config.get(name)!r}, which model.transformer cannot "
            f"change to {differing[name]!r}; start from a base (`ingredients world train unpack` takes one out of the "
            "small model), or leave the field out."
        )
    for name, width in wanted.items():
        if built.config[name] != width:
            raise UserInputError(
                f"The transformer in {source} reads features with {name}={built.config[name]}, and the clips were "
                f"encoded with {width}; encode them by this model's face networks."
            )
    if seed is not None:
        torch.manual_seed(seed)
    transformer = built.to(dtype) if empty else load_transformer(source, dtype=dtype)
    transformer.train()
    return transformer
