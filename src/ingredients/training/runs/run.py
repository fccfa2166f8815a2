"""One run of the paper's two stages (3.3) on encoded clips: what `ingredients train align` and `train route` do."""

import contextlib
import dataclasses
import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import psutil
import torch

from ingredients.core.config import config_to_dict, save_config
from ingredients.core.errors import OutOfMemoryError, UserInputError
from ingredients.core.json_yaml import BadFileError, read_yaml
from ingredients.core.model_files import name_some
from ingredients.core.out_of_memory import is_out_of_memory
from ingredients.core.output_folders import check_output_folder
from ingredients.core.protocols import DifferentiableRecogniser, ValidationCallback
from ingredients.core.warnings_told import Notice, TrainingWarning
from ingredients.data.clip_encoder import has_shared_frames
from ingredients.data.encoded_clips import EncodedClips
from ingredients.faces.face_stack import load_face_stack
from ingredients.model_folders.components import load_scheduler, load_vae
from ingredients.model_folders.find_model import find_model
from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.backbones import VideoScheduler, VideoVae, backbone_of_vae
from ingredients.pipelines.encoding_model import find_face_encoder, model_digests
from ingredients.training.loop.checkpoints import Checkpoints, read_position
from ingredients.training.loop.optimizers import check_optimizer
from ingredients.training.loop.processes import Processes, check_trackers
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.loop.trainer import Trainer, check_goes_on
from ingredients.training.runs.configuration import CONFIG_NAME, ModelConfig, RunConfig
from ingredients.training.runs.folder import as_yaml, check_not_read, is_finished, place, run_folder
from ingredients.training.runs.kinds import RunKind
from ingredients.training.runs.start import load_base_start, load_start
from ingredients.training.stages.diffusion import DiffusionStage, FrozenParts
from ingredients.training.stages.settings import AlignmentConfig, IdentityConfig

_MODEL_SETTINGS = (
    "folder", "start", "identity_start", "scale_source", "drop_learned_positions", "dtype", "transformer"
)  # fmt: skip
"""Settings of `ModelConfig` that say with which weights a run began."""


class HeldOutClipsWarning(TrainingWarning):
    """Held-out clips are missing where they are asked for, or are learnt from."""


SamplerFactory = Callable[[RunConfig, FrozenParts, Path], ValidationCallback]
"""Makes what looks at a run's model, from its settings, parts and folder; supplied from above."""


def train_run(
    kind: RunKind,
    config: RunConfig,
    folder: Path,
    *,
    resume: bool = False,
    show: bool = True,
    sampler_factory: SamplerFactory | None = None,
    notice: Notice | None = None,
) -> Mapping[str, float]:
    """Trains a stage into a folder: checkpoints, log, metrics, and at the end the merged transformer.

    Raises:
        UserInputError: if there are no clips, they were encoded by another model, or the run cannot go on so.
        OutputError: if the folder holds something else, or another process trains into it.
        ModelFolderError: if a part of the model is missing or damaged.
        TrainingInterruptedError: for Ctrl-C or SIGTERM; its text says what is kept.
    """
    processes = Processes(trackers=config.trainer.trackers, folder=folder)
    _check_inputs(config, folder)
    try:
        with run_folder(folder, resume=resume) if processes.is_main else contextlib.nullcontext():
            metrics = _train(kind, config, folder, processes, resume, show, sampler_factory, notice)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"The memory was not enough for the run in {folder}; lower stage.micro_batch_size (clips of a backward "
            "pass) or stage.batch_size, set stage.gradient_checkpointing=true, and see what --dry-run says."
        ) from error
    processes.close()
    return metrics


def check_run(kind: RunKind, config: RunConfig, folder: Path, *, resume: bool = False) -> None:
    """Refuses what `train_run` would refuse before it reads the model: settings, folder, and what is not installed.

    Nothing is changed.

    Raises:
        UserInputError: as `train_run`.
    """
    trainer = config.trainer
    check_trackers(trainer.trackers)
    _check_inputs(config, folder)
    paths = Checkpoints(folder, keep=1).paths() if resume else []
    if not paths:
        check_output_folder(folder, "a training run")
    _check_earlier_run(config, folder, resume=resume)
    check_optimizer(trainer.optimizer, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    if paths:
        check_goes_on(read_position(paths[-1]), trainer, paths[-1])
        is_finished(folder, config, trainer, defaults=kind.config_type())


def _check_inputs(config: RunConfig, folder: Path) -> None:
    """Refuses a folder that holds what the run reads."""
    model = config.model
    check_not_read(
        folder,
        {f"model.{name}": getattr(model, name) for name in ("folder", "start", "identity_start", "face_encoder")}
        | {f"data.train={path}": path for path in config.data.train}
        | {f"data.validation={path}": path for path in config.data.validation},
    )


def _check_earlier_run(config: RunConfig, folder: Path, *, resume: bool) -> None:
    """Refuses to go on with another model, or to begin where a run is."""
    if resume:
        _check_same_model(folder, config.model)
    elif paths := Checkpoints(folder, keep=1).paths():
        raise UserInputError(
            f"The folder {folder} holds a run, up to {paths[-1].stem}; --resume goes on with it, and a new one needs "
            "another folder, or this one deleted."
        )


def _train(
    kind: RunKind,
    config: RunConfig,
    folder: Path,
    processes: Processes,
    resume: bool,
    show: bool,
    sampler_factory: SamplerFactory | None,
    notice: Notice | None,
) -> Mapping[str, float]:
    _check_earlier_run(config, folder, resume=resume)
    stage, parts = build_stage(kind, config, device=processes.device, notice=notice)
    _check_step_fits(config, parts)
    if processes.is_main:
        _warn_of_held_out_clips(config.trainer, parts)
    sampler = None
    if sampler_factory is not None and config.trainer.sample_every is not None and parts.validation_clips is not None:
        sampler = sampler_factory(config, parts, folder)
    trainer = Trainer(stage, folder, config.trainer, processes=processes, sampler=sampler)

    def begin() -> None:
        if not (resume and is_finished(folder, config, config.trainer, defaults=kind.config_type())):
            save_config(config, folder / CONFIG_NAME)

    return trainer.fit(resume=resume, show=show, on_begin=begin)


def _check_step_fits(config: RunConfig, parts: FrozenParts) -> None:
    """Refuses steps of which the clips alone, as they are read, are larger than the memory of this machine.

    Raises:
        OutOfMemoryError: if they are.
    """
    assert parts.clips is not None  # a run has some
    largest = max(math.prod(shape) for shape in parts.clips.buckets())
    num_numbers = 2 * largest + parts.clips.empty_prompt_embeds.numel()  # latents, noise, caption
    for name, num_clips in (
        ("batch_size", config.stage.batch_size),
        ("image_batch_size", config.stage.image_batch_size),
    ):
        if name == "image_batch_size" and config.stage.image_share == 0:
            continue
        needed, there = 4 * num_clips * num_numbers, psutil.virtual_memory().total
        if needed > there:
            raise OutOfMemoryError(
                f"A step of stage.{name}={num_clips} takes {needed / 1e9:,.0f} GB for its clips alone, and this "
                f"machine has {there / 1e9:,.0f} GB; set a smaller one."
            )


def _warn_of_held_out_clips(config: TrainerConfig, parts: FrozenParts) -> None:
    if parts.validation_clips is None:
        idle = [f"trainer.{name}" for name in ("validate_every", "sample_every") if getattr(config, name) is not None]
        if idle:
            warnings.warn(
                f"There are no held-out clips, so {' and '.join(idle)} will do nothing; name some with "
                "--validation-data.",
                HeldOutClipsWarning,
                stacklevel=3,
            )
        return
    assert parts.clips is not None  # a run has some
    held_out = {entry.clip_id for entry in parts.validation_clips.entries}
    if shared := sorted(held_out & {entry.clip_id for entry in parts.clips.entries}):
        warnings.warn(
            f"{len(shared)} of {len(held_out)} held-out clips are learnt from as well ({name_some(shared)}), so "
            "held-out losses will look better than they are; leave them out of --data or of --validation-data.",
            HeldOutClipsWarning,
            stacklevel=3,
        )


def _check_same_model(folder: Path, config: ModelConfig) -> None:
    """Refuses to go on with other frozen weights than those with which the run's own were trained.

    Raises:
        UserInputError: if the run began with another model; it names the setting.
    """
    path = folder / CONFIG_NAME
    if not path.exists() or not Checkpoints(folder, keep=1).paths():
        return
    try:
        before = {"identity_start": None} | read_yaml(path, remedy="put it back as it was")["model"]  # a later setting
        now = config_to_dict(config)
        differing = [name for name in _MODEL_SETTINGS if place(before[name]) != place(now[name])]
    except (BadFileError, ValueError, TypeError, KeyError) as error:
        raise UserInputError(f"The settings {path} of the run cannot be read; put them back as they were.") from error
    if differing:
        name = differing[0]
        raise UserInputError(
            f"The run {folder} began with model.{name}={as_yaml(before[name])}, not {as_yaml(now[name])}; set "
            f"model.{name}={as_yaml(before[name])}, or start without --resume."
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelParts:
    """Where a run finds the parts of its model that it leaves alone: here, those of a model folder."""

    folder: Path | None
    """The model folder, whose transformer a run begins with if it names no other."""

    face_encoder: Path | None = None
    """Folder of the face networks, where the model's has none."""

    draws_first: ClassVar[bool] = False
    """Whether the transformer's new weights are drawn before a recogniser is built, which draws as well.

    What stays frozen of a run is drawn again whenever the run goes on, so the order is for good.
    """

    is_planned: ClassVar[bool] = False
    """Whether nothing has weights, and clips need not be there."""

    def load_vae(self) -> VideoVae:
        """The VAE, in float32."""
        return load_vae(self._folder / "vae", dtype=torch.float32)

    def load_start(
        self, config: ModelConfig, widths: Mapping[str, int], **options: Any
    ) -> IngredientsTransformer3DModel:
        """The transformer that a stage with people begins with; arguments and errors as `load_start`."""
        return load_start(config, self.folder, widths, **options)

    def load_scheduler(self) -> VideoScheduler:
        """The scheduler, whose noise levels are trained on."""
        return load_scheduler(self._folder / "scheduler")

    def load_recogniser(self) -> DifferentiableRecogniser | None:
        """The recogniser; None if gradients cannot flow through it."""
        found = load_face_stack(find_face_encoder(self._folder, self.face_encoder)).recogniser
        return found if isinstance(found, DifferentiableRecogniser) else None

    def digests(self) -> dict[str, str]:
        """Digests of the parts that encode clips, by name."""
        return model_digests(self._folder, face_encoder=self.face_encoder)

    @property
    def _folder(self) -> Path:
        assert self.folder is not None  # a plan alone, or parts that are still trained, do without
        return self.folder


def build_stage(
    kind: RunKind,
    config: RunConfig,
    *,
    device: torch.device,
    model: ModelParts | None = None,
    notice: Notice | None = None,
) -> tuple[DiffusionStage, FrozenParts]:
    """The stage of a run, as it begins, and its frozen parts: the one way from settings to what is trained.

    Args:
        kind: which stage.
        config: the settings of the run.
        device: where it trains.
        model: where the parts are; None finds the folder that the settings name.
        notice: told of a download before it begins.

    Raises:
        UserInputError: as `train_run`.
        ModelFolderError: as `train_run`.
    """
    torch.manual_seed(config.trainer.seed)
    model = model or ModelParts(
        folder=find_model(config.model.folder, notice=notice), face_encoder=config.model.face_encoder
    )
    parts = load_parts(config, model)
    if has_identity_loss(config) and not model.draws_first:
        parts.recogniser = model.load_recogniser()
    seed = config.trainer.seed if model.draws_first else None
    if kind.task is not None:
        transformer = load_base_start(config.model, kind.task, seed=seed)
    else:
        transformer = model.load_start(
            config.model,
            _feature_widths(config, parts.clips),
            must_be_aligned=kind.needs_aligned,
            trains_patch_embed=trains_patch_embed(config),
            seed=seed,
        )
    if parts.clips is not None:
        check_positions(transformer, config, parts)
    if has_identity_loss(config) and model.draws_first:
        parts.recogniser = model.load_recogniser()
    with torch.device(device) if model.is_planned else contextlib.nullcontext():
        stage: DiffusionStage = kind.build(transformer.to(device), parts, config.stage)
    return stage, parts


def _feature_widths(config: RunConfig, clips: EncodedClips | None) -> dict[str, int]:
    """Widths of the clips' features; without any clips, those of the transformer hold."""
    if clips is not None:
        widths: dict[str, int] = clips.descriptions[0]["widths"]
        return widths
    if config.model.scale_source == "recognition_and_clip":
        raise UserInputError(
            "How wide the recogniser's maps are is known of encoded clips alone; name some with --data, or take "
            "model.scale_source=clip."
        )
    return {}


def trains_patch_embed(config: RunConfig) -> bool:
    """Whether a run may begin with image channels of zero: it trains them, or comes after the stage that does."""
    stage = config.stage
    return not isinstance(stage, AlignmentConfig) or stage.train_patch_embed or stage.tuning == "full"


def has_identity_loss(config: RunConfig) -> bool:
    """Whether a run needs the recogniser."""
    return isinstance(config.stage, IdentityConfig) and config.stage.identity_loss_weight > 0


def load_parts(config: RunConfig, model: ModelParts) -> FrozenParts:
    """What a run uses and leaves alone, but for the recogniser.

    Raises:
        UserInputError: if there are no clips, or they were encoded by another model.
        ModelFolderError: if a part of the model is missing or damaged.
    """
    if not config.data.train and not model.is_planned:
        raise UserInputError(
            "There is nothing to learn from; name folders of encoded clips with --data, which `ingredients data "
            "encode` makes."
        )
    vae = model.load_vae()
    clips, validation_clips = open_clips(config, model)
    return FrozenParts(vae=vae, clips=clips, validation_clips=validation_clips, scheduler=model.load_scheduler())


def open_clips(config: RunConfig, model: ModelParts) -> tuple[EncodedClips | None, EncodedClips | None]:
    """The clips that a run names, to learn from and held out.

    Raises:
        UserInputError: if a folder holds none, or they were encoded by another model.
    """
    clips = EncodedClips(config.data.train) if config.data.train else None
    validation_clips = EncodedClips(config.data.validation) if config.data.validation else None
    opened = [each for each in (clips, validation_clips) if each is not None]
    digests = model.digests() if opened else {}
    for each in opened:
        each.check_parts(digests)
        _check_maps(each, config.model)
        _check_frames(each, config)
    return clips, validation_clips


def _check_frames(clips: EncodedClips, config: RunConfig) -> None:
    """Refuses folders whose people were not taken from common frames, where all references come from one."""
    for folder, description in zip(clips.folders, clips.descriptions, strict=True):
        if config.stage.reference_source == "same_frame" and not has_shared_frames(description):
            raise UserInputError(
                f"stage.reference_source=same_frame needs clips that were encoded with --shared-frames, and those in "
                f"{folder} were not; encode them so, or take same_clip."
            )


def _check_maps(clips: EncodedClips, config: ModelConfig) -> None:
    """Refuses folders without the recogniser's maps where they are trained on."""
    for folder, description in zip(clips.folders, clips.descriptions, strict=True):
        if config.scale_source == "recognition_and_clip" and "recognition_map_dim" not in description["widths"]:
            raise UserInputError(
                "model.scale_source=recognition_and_clip needs clips that were encoded with --recognition-maps, and "
                f"those in {folder} were not; encode them so, or take clip."
            )


def check_positions(transformer: IngredientsTransformer3DModel, config: RunConfig, parts: FrozenParts) -> None:
    """Refuses clips, or single frames, of another shape than that for which positions were learned.

    Raises:
        UserInputError: if there are some.
    """
    made_for = transformer.config
    if not made_for.use_learned_positional_embeddings:
        return
    ratio = backbone_of_vae(parts.vae).temporal_ratio(parts.vae.config)
    only_shape = ((made_for.sample_frames - 1) // ratio + 1, made_for.sample_height, made_for.sample_width)
    shapes = {
        (shape[0], *shape[2:])
        for clips in (parts.clips, parts.validation_clips)
        if clips is not None
        for shape in clips.buckets()
    }
    if shapes != {only_shape} or config.stage.image_share > 0:
        raise UserInputError(
            f"The model has learned positions, which fit latents of {only_shape[0]} frames of {only_shape[1]}x"
            f"{only_shape[2]} only; encode clips of that shape and set stage.image_share=0, or leave the positions "
            "of a base out with model.drop_learned_positions=true."
        )
