"""The parts of the small model, each made by one command, in the order in which they need each other."""

import dataclasses
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ingredients.core.config import load_config, save_config
from ingredients.core.files import make_folder
from ingredients.core.progress import show_progress
from ingredients.data.world_examples import encode_drawn_clips
from ingredients.models.presets import SMALL_WORLDS, base_of
from ingredients.training.loop.processes import Processes
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.loop.stage import Stage
from ingredients.training.loop.trainer import Trainer
from ingredients.training.runs.configuration import (
    CONFIG_NAME,
    AlignRunConfig,
    BaseRunConfig,
    ModelConfig,
    RouteRunConfig,
    RunConfig,
)
from ingredients.training.runs.folder import is_finished, run_folder
from ingredients.training.runs.kinds import BASE_KINDS, RUN_KINDS, RunKind
from ingredients.training.runs.run import build_stage
from ingredients.training.small_world.faces.acting import ActingStage
from ingredients.training.small_world.faces.attributes_judge import AttributesStage
from ingredients.training.small_world.faces.detector import DetectorStage
from ingredients.training.small_world.faces.image_encoder import ImageEncoderStage
from ingredients.training.small_world.faces.picture_kind import PictureKindStage
from ingredients.training.small_world.faces.recognition import judge_stage, recogniser_stage
from ingredients.training.small_world.faces.segmenter import SegmenterStage
from ingredients.training.small_world.folders import (
    IMAGES,
    TrainedParts,
    drawn_clips,
    load_clip_encoder,
    part_folder,
)
from ingredients.training.small_world.pack import pack, unpack
from ingredients.training.small_world.plan import drawing_processes
from ingredients.training.small_world.settings import (
    PART_SETTINGS,
    AlignPartConfig,
    BasePartConfig,
    LatentsConfig,
    PartSettings,
    RoutePartConfig,
)
from ingredients.training.small_world.start import make_start
from ingredients.training.small_world.text_encoder import TextEncoderStage
from ingredients.training.small_world.vae import VaeStage, decoder_stage
from ingredients.training.stages.settings import BaseTask

VALIDATION_SEED = 10**9
IMAGES_SEED = 5 * 10**8


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorldPart:
    """One part of the small model: what is trained, or made at once."""

    name: str
    """The name in commands; also of its folder under the output."""

    makes: str
    """What comes out, in a few words."""

    stage: Callable[[Any, Path, torch.device], Stage] | None = None
    """Makes what is trained of its settings, its folder and where it computes; None for what is made at once."""

    make: Callable[[Any, Path, bool], Any] | None = None
    """Makes the part of its settings and the folder of all runs, and says whether progress is shown."""

    @property
    def settings(self) -> PartSettings:
        """How its settings are read."""
        return PART_SETTINGS[self.name]

    def run(self, output: Path, config: Any | None = None, *, resume: bool = False, show: bool = True) -> Any:
        """Makes the part in `output / name`: settings, weights, log, checkpoints, metrics.

        Args:
            output: folder of all runs.
            config: its settings, as `PartSettings.load` reads them; None takes the defaults.
            resume: go on from the last checkpoint.
            show: show a progress bar.

        Returns:
            The metrics on what is held out, or what was made.

        Raises:
            UserInputError: for a part that is needed and not there.
        """
        config = self.settings.make_defaults(output) if config is None else config
        folder = output / self.name
        if self.stage is None:
            assert self.make is not None
            make_folder(folder)
            save_config(config, folder / CONFIG_NAME)
            return self.make(config, output, show)
        trainer = self._trainer(config)
        with run_folder(folder, resume=resume):
            if not (resume and is_finished(folder, config, trainer, defaults=self.settings.make_defaults())):
                save_config(config, folder / CONFIG_NAME)
            processes = Processes(trackers=trainer.trackers, folder=folder)
            stage = self.stage(config, folder, processes.device)
            return Trainer(stage, folder, trainer, processes=processes).fit(resume=resume, show=show)

    def ended_config(self, output: Path) -> Any | None:
        """The settings of a part whose loop is over by them, whatever comes after a loop; None for any other part."""
        path = output / self.name / CONFIG_NAME
        if self.stage is None or not path.exists():
            return None
        defaults = self.settings.make_defaults()
        config = load_config(self.settings.config_type, path, defaults=defaults)
        is_over = is_finished(path.parent, config, self._trainer(config), defaults=self.settings.make_defaults())
        return config if is_over else None

    def _trainer(self, config: Any) -> TrainerConfig:
        """The loop's settings within those of the part."""
        assert self.settings.minutes_key is not None  # what is trained has a loop
        *groups, _ = self.settings.minutes_key.split(".")
        trainer: TrainerConfig = functools.reduce(getattr, groups, config)
        return trainer


def make_latents(config: LatentsConfig, output: Path, show: bool) -> None:
    """Draws and encodes clips into `output / "latents"`; shards that are there are always kept.

    Of limited minutes, held-out clips (all of them) and images have the first quarter, and clips what is left.
    """
    began = time.monotonic()
    encoder = load_clip_encoder(output, config.encoder, model=config.model, device=Processes().device)
    digests = TrainedParts(output=output).digests()
    with show_progress("latents", enabled=show) as progress:
        still = dataclasses.replace(config.world, num_frames=1)
        for folder, world, first_seed, number, until in (
            (output / "latents" / "validation", config.world, VALIDATION_SEED, config.num_validation_clips, None),
            (output / "latents" / IMAGES, still, IMAGES_SEED, config.num_images, 0.25),
            (output / "latents" / "train", config.world, 0, config.num_clips, 1.0),
        ):
            if number == 0:
                continue
            minutes = None
            if until is not None and config.minutes is not None:
                minutes = max(until * config.minutes - (time.monotonic() - began) / 60, 0.0)
            encode_drawn_clips(
                folder,
                world,
                encoder,
                parts=digests,
                first_seed=first_seed,
                number=number,
                without_held_out_pairs=config.without_held_out_pairs,
                num_processes=drawing_processes() if config.num_processes is None else config.num_processes,
                minutes=minutes,
                progress=progress,
            )


def base_stage(config: BasePartConfig, folder: Path, device: torch.device, *, task: BaseTask) -> Stage:
    """A base; image-to-video starts from text-to-video."""
    if task == "t2v":
        model = ModelConfig(transformer=base_of(SMALL_WORLDS[config.model]()))
    else:
        model = ModelConfig(start=part_folder(folder.parent, "base-t2v", "transformer"))
    return _diffusion_stage(BASE_KINDS[task], BaseRunConfig, model, config, folder, device)


def align_stage(config: AlignPartConfig, folder: Path, device: torch.device) -> Stage:
    """Projector and base, in full or by a LoRA."""
    start = config.base if config.base in {"route", "start"} else f"base-{config.base}"
    model = ModelConfig(start=part_folder(folder.parent, start, "transformer"), identity_start=config.identity_start)
    return _diffusion_stage(RUN_KINDS["align"], AlignRunConfig, model, config, folder, device)


def route_stage(config: RoutePartConfig, folder: Path, device: torch.device) -> Stage:
    """Routers and a LoRA on the aligned transformer."""
    model = ModelConfig(start=part_folder(folder.parent, "align", "transformer"))
    return _diffusion_stage(RUN_KINDS["route"], RouteRunConfig, model, config, folder, device)


def _diffusion_stage(
    kind: RunKind,
    run_type: Callable[..., RunConfig],
    model: ModelConfig,
    config: BasePartConfig | AlignPartConfig | RoutePartConfig,
    folder: Path,
    device: torch.device,
) -> Stage:
    """The stage of a run on the clips of the drawn world, beside the parts that are trained already."""
    output = folder.parent
    run = run_type(model=model, data=drawn_clips(output), stage=config.stage, trainer=config.trainer)
    return build_stage(kind, run, device=device, model=TrainedParts(output=output))[0]


def _alone(stage_type: Callable[[Any, Path], Stage]) -> Callable[[Any, Path, torch.device], Stage]:
    """A stage that one process trains; the loop moves it to where it computes."""
    return lambda config, folder, _: stage_type(config, folder)


PARTS: dict[str, WorldPart] = {
    part.name: part
    for part in (
        WorldPart(name="detector", makes="the face detector with five landmarks", stage=_alone(DetectorStage)),
        WorldPart(name="recogniser", makes="the face recogniser", stage=_alone(recogniser_stage)),
        WorldPart(
            name="image-encoder", makes="the dual encoder of faces and sentences", stage=_alone(ImageEncoderStage)
        ),
        WorldPart(
            name="picture-kind",
            makes="what tells the drawn world from photographs and other drawings",
            stage=_alone(PictureKindStage),
        ),
        WorldPart(
            name="picture-kind-close-ups",
            makes="a second network of that kind, which looks from close up",
            stage=_alone(PictureKindStage),
        ),
        WorldPart(name="judge", makes="the other recogniser, which only measures", stage=_alone(judge_stage)),
        WorldPart(
            name="judge-detector", makes="the other face detector, which only measures", stage=_alone(DetectorStage)
        ),
        WorldPart(
            name="acting-judge",
            makes="the judge of actions and expressions, which only measures",
            stage=_alone(ActingStage),
        ),
        WorldPart(
            name="attributes-judge",
            makes="the judge of what people look like, which only measures",
            stage=_alone(AttributesStage),
        ),
        WorldPart(name="sam", makes="a small SAM, which masks faces in curation", stage=_alone(SegmenterStage)),
        WorldPart(
            name="text-encoder",
            makes="the tokenizer and the text encoder",
            stage=_alone(lambda config, _: TextEncoderStage(config)),
        ),
        WorldPart(name="vae", makes="the causal video VAE", stage=_alone(lambda config, _: VaeStage(config))),
        WorldPart(
            name="vae-decoder",
            makes="a sharper decoder for the same latents, if there is time for it",
            stage=_alone(decoder_stage),
        ),
        WorldPart(
            name="start",
            makes="what a larger model begins with: a smaller one's transformer and VAE, laid over a finer grid",
            make=make_start,
        ),
        WorldPart(
            name="latents", makes="the pool of encoded clips that the transformer learns from", make=make_latents
        ),
        WorldPart(name="base-t2v", makes="the text-to-video base", stage=functools.partial(base_stage, task="t2v")),
        WorldPart(name="base-i2v", makes="the image-to-video base", stage=functools.partial(base_stage, task="i2v")),
        WorldPart(name="align", makes="multi-scale projector and LoRA (section 3.3, first stage)", stage=align_stage),
        WorldPart(name="route", makes="router and LoRA (section 3.3, second stage)", stage=route_stage),
        WorldPart(name="pack", makes="the model folder in the published layout", make=pack),
        WorldPart(name="unpack", makes="the parts' folders out of a model folder, to train them further", make=unpack),
    )
}
