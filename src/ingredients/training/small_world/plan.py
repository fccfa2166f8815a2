"""Which parts of the small model are trained one after the other, in which time and with which settings.

Nothing here needs PyTorch: a plan is printed before anything is loaded.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ingredients.core.config import config_from_dict
from ingredients.core.errors import UserInputError
from ingredients.core.json_yaml import read_json, write_json
from ingredients.core.markdown import markdown_table
from ingredients.core.progress import duration_in_words
from ingredients.core.training_log import LOG_NAME, METRICS_NAME, read_training_log
from ingredients.core.usable_cores import usable_cores
from ingredients.training.small_world.settings import PART_SETTINGS, SmallWorldName

PROGRESS_NAME = "all.json"
"""What `world train all` writes beside the parts: those that are done."""

Scale = Literal["full", "card", "tiny"]
"""The size of a plan: for a processor; for a GPU, whose memory wants larger batches; or for a rehearsal."""

_SHARES = {
    "detector": 3.0,
    "recogniser": 8.0,
    "image-encoder": 8.0,
    "picture-kind": 3.0,
    "picture-kind-close-ups": 3.0,
    "judge": 8.0,
    "judge-detector": 3.0,
    "acting-judge": 4.0,
    "attributes-judge": 4.0,
    "text-encoder": 4.0,
    "vae": 12.0,
    "latents": 8.0,
    "base-t2v": 24.0,
    "align": 45.0,
    "route": 8.0,
}
"""Minutes of each part against the others', about those in which the shipped model was made; the rest takes none."""

_ORDER = (*_SHARES, "pack")

_OF_MODEL: Mapping[SmallWorldName, Mapping[str, tuple[str, ...]]] = {
    "small_world": {},
    "acting_world": {
        "text-encoder": ("style=each-own", "max_length=48", "attribute_weight=8", "masked_share=0.1"),
        "vae": (
            "temporal_compression_ratio=1",
            "height=128",
            "width=192",
            "style=each-own",
            "crop_size=64",
            "num_frames=17",
            "image_batch_size=8",
            "num_pool_images=3000",
            "trainer.precision=auto",
        ),
        "latents": (
            "model=acting_world",
            "world.height=128",
            "world.width=192",
            "world.num_frames=17",
            "world.style=each-own",
        ),
        "base-t2v": (
            "model=acting_world",
            "stage.image_batch_size=32",
            "stage.batch_size=8",
            "stage.image_share=0.75",
            "stage.face_weight=2.0",
        ),
        "align": (
            "stage.image_batch_size=32",
            "stage.batch_size=8",
            "stage.image_share=0.6",
            "stage.identity_loss_weight=0.0",
        ),
        "route": (
            "stage.image_batch_size=32",
            "stage.batch_size=8",
            "stage.image_share=0.5",
            "stage.identity_loss_weight=0.0",
        ),
        "pack": ("sampling.perturbed_attention_scale=1", "speed.precision=auto"),
    },
}
"""What each model changes in the settings of its parts."""

_CARD = {
    "vae": ("image_batch_size=64", "num_pool_images=12000"),
    "latents": ("num_clips=20000", "num_images=40000"),
    "base-t2v": ("stage.image_batch_size=512", "stage.batch_size=96", "stage.compile=true"),
    "align": ("stage.image_batch_size=256", "stage.batch_size=64", "stage.compile=true"),
    "route": ("stage.image_batch_size=256", "stage.batch_size=64", "stage.compile=true"),
}
"""Batches that fill a large GPU: about ten times a processor's, and clips enough that none is seen too often."""

_TINY_POOLS = ("num_scenes=6", "num_portraits=6")
_TINY_RECOGNITION = tuple(
    f"recognition.{setting}"
    for setting in (
        "num_people=8",
        "num_group_scenes=0",
        "num_pair_scenes=0",
        "num_portraits=1",
        "num_validation_clips=1",
        "batch_size=4",
        "trainer.num_steps=2",
    )
)
_TINY_STAGE = (
    "stage.image_batch_size=2",
    "stage.batch_size=2",
    "stage.num_validation_batches=1",
    "trainer.num_steps=2",
    "trainer.trackers=[]",
)
_TINY: Mapping[str, tuple[str, ...]] = {
    "detector": (*_TINY_POOLS, "num_validation_scenes=2", "trainer.num_steps=2"),
    "recogniser": _TINY_RECOGNITION,
    "image-encoder": (*_TINY_POOLS, "num_validation_pairs=4", "face_batch_size=4", "trainer.num_steps=2"),
    "picture-kind": (*_TINY_POOLS, "num_foreign=6", "batch_size=6", "num_validation=6", "trainer.num_steps=2"),
    "judge": _TINY_RECOGNITION,
    "acting-judge": ("num_clips=4", "batch_size=2", "num_validation_clips=2", "trainer.num_steps=2"),
    "text-encoder": ("batch_size=4", "num_validation_captions=4", "trainer.num_steps=2"),
    "vae": (
        *("height=64", "width=96", "crop_size=32", "num_frames=9"),
        *("num_pool_images=8", "num_validation_clips=1", "image_batch_size=2", "trainer.num_steps=2"),
    ),
    "latents": (
        *("world.height=64", "world.width=96", "world.num_frames=9", "world.portrait_size=48"),
        *("num_clips=2", "num_images=2", "num_validation_clips=2"),
    ),
    "base-t2v": _TINY_STAGE,
    "align": _TINY_STAGE,
    "route": _TINY_STAGE,
}
_TINY = {
    **_TINY,
    "picture-kind-close-ups": _TINY["picture-kind"],
    "judge-detector": _TINY["detector"],
    "attributes-judge": _TINY["acting-judge"],
}
"""A rehearsal: every part takes two steps on a handful of pictures, by the very path that a long run takes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPart:
    """One part of the plan."""

    name: str
    """The name that `world train` knows."""

    share: float
    """The share of the training time, in [0, 1]; 0 for parts that take as long as they take."""

    settings: tuple[str, ...]
    """What differs from the part's defaults, as `key=value`."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Progress:
    """How far a run of all parts is, as `all.json` keeps it."""

    model: SmallWorldName
    """What is trained."""

    done: tuple[str, ...] = ()
    """Parts that are whole."""


def plan_parts(model: SmallWorldName, scale: Scale = "full", overrides: Sequence[str] = ()) -> tuple[PlannedPart, ...]:
    """The parts of a model in the order in which they need each other.

    Args:
        model: which.
        scale: what the parts' batches and data are made for.
        overrides: settings that differ, as `PART.key=value`.

    Raises:
        UserInputError: for a setting of a part that is not in the plan, or one that the part does not have.
    """
    chosen: dict[str, list[str]] = {name: [] for name in _ORDER}
    for override in overrides:
        name, _, setting = override.partition(".")
        if name not in chosen or "=" not in setting:
            raise UserInputError(
                f"{override!r} is no setting of all parts; write PART.key=value with a part of {', '.join(_ORDER)}."
            )
        chosen[name].append(setting)
    of_scale: Mapping[str, tuple[str, ...]] = {"full": {}, "card": _CARD, "tiny": _TINY}[scale]
    total = sum(_SHARES.values())
    planned = tuple(
        PlannedPart(
            name=name,
            share=_SHARES.get(name, 0.0) / total,
            settings=(*_OF_MODEL[model].get(name, ()), *of_scale.get(name, ()), *chosen[name]),
        )
        for name in _ORDER
    )
    for part in planned:
        PART_SETTINGS[part.name].load(overrides=part.settings)
    return planned


def settings_of_model(model: SmallWorldName, part: str) -> tuple[str, ...]:
    """What a model changes in the settings of a part, as `key=value`."""
    return _OF_MODEL[model].get(part, ())


def next_minutes(planned: Sequence[PlannedPart], name: str, *, left: float) -> float:
    """The time of one part: its share of what is left, among the parts from it on.

    So a part that took longer than planned, or what it draws and measures beside its training, costs those after it
    a little, and the whole ends in time.

    Args:
        planned: all parts.
        name: the name of the one that is next.
        left: minutes until all must be done.
    """
    names = [part.name for part in planned]
    coming = planned[names.index(name) :]
    whole = sum(part.share for part in coming)
    return max(left, 0.0) * coming[0].share / whole if whole else 0.0


def trained_minutes(folder: Path) -> float:
    """How long a part has been trained so far, by its log."""
    log = folder / LOG_NAME
    seconds = (
        [values["seconds"] for _, values in read_training_log(log) if "seconds" in values] if log.exists() else []
    )
    return float(seconds[-1]) / 60 if seconds else 0.0


def read_progress(output: Path, model: SmallWorldName) -> Progress:
    """How far the run in a folder is; a part that was trained there by itself is done as well.

    Raises:
        UserInputError: if another model's parts are there, or the record is damaged.
    """
    path = output / PROGRESS_NAME
    progress = Progress(model=model)
    if path.exists():
        values: Any = read_json(path, remedy="delete it; parts that are trained are found again")
        progress = config_from_dict(Progress, values)
        if progress.model != model:
            raise UserInputError(
                f"The folder {output} holds the parts of {progress.model}, not of {model}; choose another --output."
            )
    found = [name for name in _ORDER if name in progress.done or (output / name / METRICS_NAME).exists()]
    return dataclasses.replace(progress, done=tuple(found))


def write_progress(output: Path, progress: Progress) -> None:
    """Writes how far a run is."""
    write_json(output / PROGRESS_NAME, dataclasses.asdict(progress))


def show_plan(planned: Sequence[PlannedPart], output: Path, *, minutes: float, done: Sequence[str]) -> str:
    """A table of the plan: time, and the speed that a part had, where one was measured in this folder."""
    left = minutes
    rows = []
    for part in planned:
        if part.name in done:
            rows.append([part.name, "done", _speed(output / part.name), " ".join(part.settings)])
            continue
        waiting = [each for each in planned if each.name not in done]
        own = next_minutes(waiting, part.name, left=left)
        left -= own
        takes = duration_in_words(60 * own) if part.share else "what it takes"
        rows.append([part.name, takes, _speed(output / part.name), " ".join(part.settings)])
    return markdown_table(["part", "time", "speed here", "settings"], rows)


def _speed(folder: Path) -> str:
    """Samples a second of a part's last log line, or steps."""
    log = folder / LOG_NAME
    if not log.exists():
        return "not measured"
    speeds = [values for _, values in read_training_log(log) if "seconds_per_step" in values]
    if not speeds:
        return "not measured"
    if "samples_per_second" in speeds[-1]:
        return f"{float(speeds[-1]['samples_per_second']):.1f} samples/s"
    return f"{1 / float(speeds[-1]['seconds_per_step']):.1f} steps/s"


def drawing_processes() -> int:
    """How many processes draw clips while this one encodes them: 0 where there are no cores to spare."""
    cores = usable_cores()
    return cores - 1 if cores > 2 else 0
