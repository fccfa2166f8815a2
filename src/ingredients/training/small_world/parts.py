"""The parts of the small model, each made by one command, in the order in which they need each other."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ingredients.core.config import save_config
from ingredients.core.files import make_folder
from ingredients.core.progress import show_progress
from ingredients.data.world_examples import encode_drawn_clips
from ingredients.models.presets import SMALL_WORLDS, base_of
from ingredients.training.loop.processes import Processes
from ingredients.training.loop.trainer import Trainer
from ingredients.training.runs.configuration import (
    AlignRunConfig,
    BaseRunConfig,
    ModelConfig,
    RouteRunConfig,
    RunConfig,
)
from ingredients.training.runs.folder import CONFIG_NAME, is_finished, run_folder
from ingredients.training.runs.kinds import BASE_KINDS, RUN_KINDS, RunKind
from ingredients.training.runs.run import build_stage
from ingredients.training.small_world.faces.acting import train_acting_judge
from ingredients.training.small_world.faces.attributes_judge import train_attributes_judge
from ingredients.training.small_world.faces.detector import train_detector, train_judge_detector
from ingredients.training.small_world.faces.image_encoder import train_image_encoder
from ingredients.training.small_world.faces.picture_kind import train_close_ups, train_picture_kind
from ingredients.training.small_world.faces.recognition import train_judge, train_recogniser
from ingredients.training.small_world.faces.segmenter import train_segmenter
from ingredients.training.small_world.folders import TrainedParts, drawn_clips, load_clip_encoder, part_folder
from ingredients.training.small_world.pack import pack, unpack
from ingredients.training.small_world.plan import drawing_processes
from ingredients.training.small_world.settings import (
    PART_SETTINGS,
    AlignPartConfig,
    BasePartConfig,
    ImageToVideoPartConfig,
    LatentsConfig,
    PartSettings,
    RoutePartConfig,
)
from ingredients.training.small_world.text_encoder import train_text_encoder
from ingredients.training.small_world.vae import train_vae, train_vae_decoder
from ingredients.training.stages.settings import BaseTask

VALIDATION_SEED = 10**9


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorldPart:
    """One part of the small model."""

    name: str
    """As the command names it; also its folder under the output."""

    makes: str
    """What comes out, in a few words."""

    train: Callable[..., Any]
    """`train(config, output, resume=False, *, show=True)`."""

    @property
    def settings(self) -> PartSettings:
        """How its settings are read."""
        return PART_SETTINGS[self.name]

    def run(self, output: Path, config: Any | None = None, *, resume: bool = False, show: bool = True) -> Any:
        """Makes the part in `output / name`.

        Args:
            output: folder of all runs.
            config: its settings, as `PartSettings.load` reads them; None takes the defaults.
            resume: go on from the last checkpoint.
            show: show a progress bar.

        Raises:
            UserInputError: for a part that is needed and not there.
        """
        if config is None:
            config = self.settings.make_defaults()
        folder = output / self.name
        if not self.settings.is_run:
            make_folder(folder)
            save_config(config, folder / CONFIG_NAME)
            return self.train(config, output, resume, show=show)
        assert self.settings.minutes_key is not None
        *groups, _ = self.settings.minutes_key.split(".")
        trainer = functools.reduce(getattr, groups, config)
        with run_folder(folder, resume=resume):
            if not (resume and is_finished(folder, config, trainer, defaults=self.settings.make_defaults())):
                save_config(config, folder / CONFIG_NAME)
            return self.train(config, output, resume, show=show)


def make_latents(config: LatentsConfig, output: Path, resume: bool = False, *, show: bool = True) -> None:
    """Draws and encodes clips into `output / "latents"`; shards that are there are always kept."""
    del resume
    encoder = load_clip_encoder(output, config.encoder, model=config.model, device=Processes().device)
    digests = TrainedParts(output=output).digests()
    with show_progress("latents", enabled=show) as report:
        for folder, first_seed, number, minutes in (
            (output / "latents" / "validation", VALIDATION_SEED, config.num_validation_clips, None),
            (output / "latents" / "train", 0, config.num_clips, config.minutes),
        ):
            encode_drawn_clips(
                folder,
                config.world,
                encoder,
                parts=digests,
                first_seed=first_seed,
                number=number,
                without_held_out_pairs=config.without_held_out_pairs,
                num_processes=drawing_processes() if config.num_processes is None else config.num_processes,
                minutes=minutes,
                progress=report,
            )


def train_base(
    config: BasePartConfig, output: Path, resume: bool = False, *, task: BaseTask = "t2v", show: bool = True
) -> dict[str, float]:
    """Trains a base into `output / "base-t2v"` or `"base-i2v"`; image-to-video starts from text-to-video."""
    if task == "t2v":
        model = ModelConfig(transformer=base_of(SMALL_WORLDS[config.model]()))
    else:
        model = ModelConfig(start=part_folder(output, "base-t2v", "transformer"))
    run = BaseRunConfig(model=model, data=drawn_clips(output), stage=config.stage, trainer=config.trainer)
    return _train(BASE_KINDS[task], run, output, resume=resume, show=show)


def train_image_to_video(
    config: ImageToVideoPartConfig, output: Path, resume: bool = False, *, show: bool = True
) -> dict[str, float]:
    """Trains the image-to-video base."""
    return train_base(config, output, resume, task="i2v", show=show)


def train_alignment(
    config: AlignPartConfig, output: Path, resume: bool = False, *, show: bool = True
) -> dict[str, float]:
    """Trains projector and base, in full or by a LoRA, into `output / "align"`."""
    start = part_folder(output, "route" if config.base == "route" else f"base-{config.base}", "transformer")
    model = ModelConfig(start=start)
    run = AlignRunConfig(model=model, data=drawn_clips(output), stage=config.stage, trainer=config.trainer)
    return _train(RUN_KINDS["align"], run, output, resume=resume, show=show)


def train_router(
    config: RoutePartConfig, output: Path, resume: bool = False, *, show: bool = True
) -> dict[str, float]:
    """Trains routers and a LoRA on the aligned transformer, into `output / "route"`."""
    model = ModelConfig(start=part_folder(output, "align", "transformer"))
    run = RouteRunConfig(model=model, data=drawn_clips(output), stage=config.stage, trainer=config.trainer)
    return _train(RUN_KINDS["route"], run, output, resume=resume, show=show)


def _train(kind: RunKind, run: RunConfig, output: Path, *, resume: bool, show: bool) -> dict[str, float]:
    folder = output / kind.name
    processes = Processes(trackers=run.trainer.trackers, folder=folder)
    stage, _ = build_stage(kind, run, device=processes.device, model=TrainedParts(output=output))
    return Trainer(stage, folder, run.trainer, processes=processes).fit(resume=resume, show=show)


PARTS: dict[str, WorldPart] = {
    part.name: part
    for part in (
        WorldPart(name="detector", makes="the face detector with five landmarks", train=train_detector),
        WorldPart(name="recogniser", makes="the face recogniser", train=train_recogniser),
        WorldPart(name="image-encoder", makes="the dual encoder of faces and sentences", train=train_image_encoder),
        WorldPart(
            name="picture-kind",
            makes="what tells the drawn world from photographs and other drawings",
            train=train_picture_kind,
        ),
        WorldPart(
            name="picture-kind-close-ups",
            makes="a second network of that kind, which looks from close up",
            train=train_close_ups,
        ),
        WorldPart(name="judge", makes="the other recogniser, which only measures", train=train_judge),
        WorldPart(
            name="judge-detector", makes="the other face detector, which only measures", train=train_judge_detector
        ),
        WorldPart(
            name="acting-judge",
            makes="the judge of actions and expressions, which only measures",
            train=train_acting_judge,
        ),
        WorldPart(
            name="attributes-judge",
            makes="the judge of what people look like, which only measures",
            train=train_attributes_judge,
        ),
        WorldPart(name="sam", makes="a small SAM, which masks faces in curation", train=train_segmenter),
        WorldPart(name="text-encoder", makes="the tokenizer and the text encoder", train=train_text_encoder),
        WorldPart(name="vae", makes="the causal video VAE", train=train_vae),
        WorldPart(
            name="vae-decoder",
            makes="a sharper decoder for the same latents, if there is time for it",
            train=train_vae_decoder,
        ),
        WorldPart(
            name="latents", makes="the pool of encoded clips that the transformer learns from", train=make_latents
        ),
        WorldPart(name="base-t2v", makes="the text-to-video base", train=train_base),
        WorldPart(name="base-i2v", makes="the image-to-video base", train=train_image_to_video),
        WorldPart(
            name="align", makes="multi-scale projector and LoRA (section 3.3, first stage)", train=train_alignment
        ),
        WorldPart(name="route", makes="router and LoRA (section 3.3, second stage)", train=train_router),
        WorldPart(name="pack", makes="the model folder in the published layout", train=pack),
        WorldPart(
            name="unpack", makes="the parts' folders out of a model folder, to train them further", train=unpack
        ),
    )
}
