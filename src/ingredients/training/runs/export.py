"""Trained weights go out: a model folder in our layout or the published one, or identity weights beside a base."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict

from ingredients.core.errors import UserInputError
from ingredients.core.json_yaml import to_json
from ingredients.core.output_folders import check_new_folder, new_folder
from ingredients.core.warnings_told import Notice
from ingredients.model_folders.components import transformer_part
from ingredients.model_folders.folder_names import TRANSFORMER
from ingredients.model_folders.identity import save_identity_folder
from ingredients.model_folders.new_folder_parts import check_finite, copy_face_encoder, copy_model_parts, forget_paths
from ingredients.model_folders.transformer import build_transformer, load_transformer
from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.state_dict_adapter import config_to_published, to_published
from ingredients.training.loop.checkpoints import read_checkpoint
from ingredients.training.runs.adapter_chain import Adapter, adapter_of, add_adapter, join_adapters, trained_beside
from ingredients.training.runs.card import CURVES_NAME, run_card
from ingredients.training.runs.export_plan import RECORD_NAME, ExportPlan
from ingredients.training.runs.folder import RunFolder, find_checkpoint
from ingredients.training.runs.run import build_stage
from ingredients.training.small_world.card import MODEL_CARD_NAME

CurvesWriter = Callable[[Sequence[RunFolder], Path], bool]
"""Draws the losses of some runs into a picture; False: there was nothing to draw. Supplied from above."""

_WEIGHTS_PATTERN = "diffusion_pytorch_model{suffix}.safetensors"


def export_run(
    plan: ExportPlan,
    output: Path,
    *,
    repo_id: str | None = None,
    draw_curves: CurvesWriter | None = None,
    notice: Notice | None = None,
) -> None:
    """Writes the folder, whole or not at all.

    Args:
        plan: What goes in.
        output: The folder, which must not hold anything yet.
        repo_id: Where on the hub it will be, for the commands in its card.
        draw_curves: Draws the losses.
        notice: Told of a download before it begins.

    Raises:
        UserInputError: If the weights cannot have that form.
        ModelFolderError: If a part of the model is missing or damaged.
        OutputError: If the folder holds something, or cannot be written.
    """
    check_new_folder(output)
    dtype = torch.float32 if plan.layout == "identity" else plan.dtype  # to be compared with the base first
    transformer = run_transformer(plan.run, checkpoint=plan.checkpoint, dtype=dtype, notice=notice)
    with new_folder(output) as folder:
        if plan.layout == "identity":
            _save_identity(plan, transformer, folder)
        else:
            save = _save_published if plan.layout == "published" else _save_ours
            check_finite(transformer, TRANSFORMER)
            save(transformer, folder / TRANSFORMER)
            copy_model_parts(plan.model, folder, dtype=plan.dtype_of_parts)
        copy_face_encoder(plan.face_encoder, folder, scale_source=plan.run.config.model.scale_source)
        has_curves = draw_curves is not None and draw_curves(plan.chain, folder / CURVES_NAME)
        card = run_card(plan, name=output.absolute().name, repo_id=repo_id, has_curves=has_curves)
        (folder / MODEL_CARD_NAME).write_text(card, encoding="utf-8")
        (folder / RECORD_NAME).write_text(to_json(plan.record(), indent=2) + "\n", encoding="utf-8")
        forget_paths(folder)


def _save_ours(transformer: IngredientsTransformer3DModel, folder: Path) -> None:
    transformer.save_pretrained(folder)


def _save_published(transformer: IngredientsTransformer3DModel, folder: Path) -> None:
    if transformer.config.router_type != "linear":
        raise UserInputError(
            f"The published layout has linear routers, and this run's are of the type "
            f"{transformer.config.router_type}; train from a base with model.transformer.router_type=linear for it, "
            "or export with --layout ours."
        )
    folder.mkdir()
    config = {"_class_name": type(transformer).__name__} | config_to_published(transformer)
    (folder / "config.json").write_text(to_json(config, indent=2) + "\n", encoding="utf-8")
    save_torch_state_dict(to_published(transformer), folder, filename_pattern=_WEIGHTS_PATTERN, max_shard_size="10GB")


def _save_identity(plan: ExportPlan, transformer: IngredientsTransformer3DModel, folder: Path) -> None:
    base = plan.model / transformer_part(plan.model)
    adapter = _joined_adapter(plan)
    run_dtype = getattr(torch, plan.run.config.model.dtype)
    trained = trained_beside(base, transformer, adapter, run_dtype=run_dtype)
    add_adapter(transformer, adapter)
    transformer.to(plan.dtype)
    check_finite(transformer, TRANSFORMER)
    save_identity_folder(transformer, folder, trained_base=trained)
    beside = build_transformer(base, identity=folder).config
    lost = [name for name, value in transformer.config.items() if not name.startswith("_") and beside[name] != value]
    if lost:
        raise UserInputError(
            f"The runs changed {lost[0]} of the base (model.transformer), which identity weights beside it cannot "
            "say; export with --layout ours."
        )


def _joined_adapter(plan: ExportPlan) -> Adapter:
    checkpoints = [find_checkpoint(run, "last") for run in plan.chain[:-1]]
    checkpoints.append(plan.checkpoint or find_checkpoint(plan.run, "last"))
    return join_adapters([adapter_of(read_averages(checkpoint)) for checkpoint in checkpoints])


def run_transformer(
    run: RunFolder,
    *,
    checkpoint: Path | None = None,
    dtype: torch.dtype = torch.float32,
    notice: Notice | None = None,
) -> IngredientsTransformer3DModel:
    """The transformer of a run, its LoRA merged, on the processor.

    Args:
        run: Of which.
        checkpoint: Whose averages are taken; None: what the run exported at its end.
        dtype: Of the weights.
        notice: Told of a download before it begins.

    Raises:
        UserInputError: If the checkpoint is damaged, or does not fit the run's settings.
        ModelFolderError: If a part of the model is missing or damaged, or the run has not ended.
    """
    if checkpoint is None:
        return load_transformer(run.transformer, dtype=dtype)
    transformer = _merged_checkpoint(run, checkpoint, notice=notice)
    transformer.to(dtype).eval()
    return transformer


def read_averages(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The moving averages in a checkpoint, by the names of their parameters.

    Raises:
        UserInputError: If the file is missing, damaged or of another kind.
    """
    return read_checkpoint(checkpoint, remedy="export another one").averages


def _merged_checkpoint(run: RunFolder, checkpoint: Path, *, notice: Notice | None) -> IngredientsTransformer3DModel:
    averages = read_averages(checkpoint)
    stage, _ = build_stage(run.kind, run.config, device=torch.device("cpu"), notice=notice)
    trained = {name: each for group in stage.parameter_groups() for name, each in group.parameters.items()}
    shapes, expected = ({name: each.shape for name, each in tensors.items()} for tensors in (averages, trained))
    if differing := sorted(name for name in {**shapes, **expected} if shapes.get(name) != expected.get(name)):
        raise UserInputError(
            f"{checkpoint} does not fit the settings beside it (first difference: {differing[0]}), so they were "
            "changed after it was written; put the run's own config.yaml back."
        )
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(averages[name])
    if run.config.stage.tuning == "lora":
        stage.transformer.fuse_lora()
        stage.transformer.unload_lora()
    return stage.transformer
