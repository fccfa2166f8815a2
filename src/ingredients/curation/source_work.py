"""What is done with one source, as plain functions: in this process, in others, or on other machines.

`survey` decodes the source once and says which of its clips are good enough; `annotate` looks at people in those that
are left. Both take from the store what is there already, and leave there what they measured.
"""

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ingredients.core.config import config_to_dict
from ingredients.core.errors import UserInputError
from ingredients.curation import probe
from ingredients.curation.answers import Answers
from ingredients.curation.chain import cheap_steps, costly_steps
from ingredients.curation.config import CurationConfig
from ingredients.curation.quality import crop_of
from ingredients.curation.shots import STEP as SHOTS
from ingredients.curation.shots import find_spans
from ingredients.curation.signals import Signals, load_signals, measure_signals, save_signals
from ingredients.curation.step import (
    SETUP_ERRORS,
    Clip,
    ClipStep,
    Crop,
    Measured,
    Rejection,
    Span,
    settings_digest,
    step_keys,
)
from ingredients.curation.store import SourceStore
from ingredients.curation.workers import OnDone
from ingredients.media.film import FilmFacts

SIGNALS = "signals"
_SIGNALS_VERSION = "1"
_WHOLE = "source"
"""Stands for the clip in results of a whole source."""

_MOST_LETTERS_OF_NAME = 40


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SourceTask:
    """What is to be done with a source."""

    path: Path
    """The file."""

    digest: str
    """The digest of its content."""

    num_bytes: int
    """Its size."""

    work: Path
    """Folder of the store."""

    config: CurationConfig
    """All settings."""

    num_threads: int
    """Threads that decoding may use; 0 takes as many as there are cores."""

    most_seconds: float | None = None
    """Where to stop in the source, to try settings on its beginning; None goes to its end."""

    clip_ids: tuple[str, ...] = ()
    """The clips that are left, in order, for `annotate`."""


@dataclasses.dataclass(slots=True, kw_only=True)
class ClipState:
    """A clip, and what is known of it."""

    clip_id: str
    """Its name."""

    shot: int
    """Which shot of the source it is of."""

    span: Span
    """Which part of the source."""

    crop: Crop
    """Which part of the picture."""

    preview: Mapping[int, int | None]
    """Three frames that show it, with their positions in the file."""

    measured: dict[str, Measured]
    """What each step measured, by name."""

    rejection: Rejection | None = None
    """Why it is left out, if it is."""

    topics: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """What it is about (`curation/balance.py`)."""

    weight: float = 1.0
    """How often it should be drawn, by the wanted distribution."""

    is_held_out: bool = False
    """Whether it is of the part that nobody of the training part is in."""


@dataclasses.dataclass(slots=True, kw_only=True)
class SourceState:
    """A source, and its clips."""

    facts: FilmFacts | None = None
    """What it is; None for what is none."""

    rejection: Rejection | None = None
    """Why the whole source is left out, if it is."""

    damage: str = ""
    """What ended it before its end, if anything did."""

    seconds: float = 0.0
    """How long it is, decoded."""

    num_shots: int = 0
    """Shots in it."""

    motion_source: str = ""
    """What motion was measured by."""

    clips: list[ClipState] = dataclasses.field(default_factory=list)
    """Its clips, in order."""


def digest_file(path: Path, on_done: OnDone) -> str | Rejection:
    """The digest of a file, or why it cannot be read."""
    try:
        digest = probe.file_digest(path)
    except UserInputError as error:
        return Rejection(step=probe.STEP, reason="cannot be opened", value=str(error))
    on_done("reading", 1)
    return digest


def survey(task: SourceTask, on_done: OnDone) -> SourceState:
    """Probes a source, decodes it once, finds its clips, and takes all cheap steps."""
    store = SourceStore(task.work, task.digest)
    state = SourceState()
    values = store.get(probe.STEP, _WHOLE, "1")
    if values is None:
        found = probe.probe(task.path)
        values = store.put(
            probe.STEP,
            _WHOLE,
            "1",
            {"rejection": dataclasses.asdict(found)} if isinstance(found, Rejection) else config_to_dict(found),
        )
    if "rejection" in values:
        state.rejection = Rejection(**values["rejection"])
        return state
    state.facts = probe.facts_from(values)
    state.rejection = probe.decide(state.facts, task.num_bytes, task.config.probe)
    if state.rejection is not None:
        on_done(SIGNALS, state.facts.duration or 0.0)
        return state
    signals = source_signals(task, store, on_done)
    if isinstance(signals, Rejection):
        state.rejection = signals
        return state
    state.damage, state.motion_source = signals.damage, signals.motion_source
    state.seconds = float(signals.times[-1]) + 1 / signals.fps
    steps = cheap_steps(task.config)
    for shot, spans in enumerate(find_spans(signals, task.config.shots)):
        for span in spans:
            state.clips.append(_surveyed(task, signals, steps, shot, span))
        state.num_shots += 1
    if not state.clips:
        state.rejection = Rejection(step=SHOTS, reason="no shots")
    return state


def _surveyed(task: SourceTask, signals: Signals, steps: Sequence[ClipStep], shot: int, span: Span) -> ClipState:
    state = ClipState(
        clip_id=clip_name(task.path, task.digest, span),
        shot=shot,
        span=span,
        crop=crop_of(signals, span),
        preview={place: _position(signals, place) for place in _preview_frames(span)},
        measured={},
    )
    clip = _clip(task, signals, state, Path())
    for step in steps:
        state.measured[step.name] = clip.results[step.name] = step.measure(clip)
        state.rejection = step.decide(state.measured[step.name])
        if state.rejection is not None:
            break
    return state


def _preview_frames(span: Span) -> list[int]:
    return [span.first + round((span.end - 1 - span.first) * part) for part in (0.15, 0.5, 0.85)]


def _position(signals: Signals, place: int) -> int | None:
    position = int(signals.positions[place])
    return None if position < 0 else position


def annotate(task: SourceTask, on_done: OnDone) -> list[ClipState]:
    """Takes all costly steps for the clips of a source that are left."""
    state = survey(task, lambda step, amount: None)
    store = SourceStore(task.work, task.digest)
    signals = source_signals(task, store, lambda step, amount: None)
    assert isinstance(signals, Signals), "the survey of a source that has clips found them"
    wanted = set(task.clip_ids)
    steps, keys = _costly(task.config)
    clips = [clip for clip in state.clips if clip.clip_id in wanted]
    for each in clips:
        clip = _clip(task, signals, each, store.clips)
        for step in steps:
            each.rejection = take_step(step, keys[step.name], clip, store)
            if step.name in clip.results:
                each.measured[step.name] = clip.results[step.name]
            on_done(step.name, 1)
            if each.rejection is not None:
                on_done(f"{step.name} rejected", 1)
                break
        clip.release()
    return clips


def num_unanswered(task: SourceTask) -> int:
    """Number of a source's clips that are left and of which no captioner has said anything yet."""
    state = survey(task, lambda step, amount: None)
    store = SourceStore(task.work, task.digest)
    _, keys = _costly(task.config)
    wanted = set(task.clip_ids)
    return sum(
        store.get(Answers.name, _span_key(clip), keys[Answers.name]) is None
        for clip in state.clips
        if clip.clip_id in wanted
    )


def take_step(step: ClipStep, key: str, clip: Clip, store: SourceStore | None) -> Rejection | None:
    """Takes one step with a clip: measures it, unless that was done, and decides.

    Args:
        step: the step to take.
        key: digest of all that its measurement depends on beside the clip.
        clip: with what the steps before measured; gets what this one does.
        store: the store of measurements; None measures in any case, and keeps nothing.
    """
    where = _span_key(clip)
    values = None if store is None else store.get(step.name, where, key)
    if values is None:
        clip.file_prefix = f"{clip.clip_id}-{step.name}-{key[:8]}"
        try:
            values = dict(step.measure(clip))
        except SETUP_ERRORS:
            raise
        except UserInputError as error:
            values = {"problem": str(error)}
        if store is not None:
            values = store.put(step.name, where, key, values)
    if "problem" in values:
        return step.rejection("cannot be read", str(values["problem"]))
    clip.results[step.name] = values
    return step.decide(values)


def open_clip(task: SourceTask, clip_id: str) -> tuple[Clip, SourceStore, list[ClipStep], dict[str, str]]:
    """A clip with all that was measured of it, its store, and the costly steps with their keys: to look at, or replay.

    Raises:
        UserInputError: if the source has no such clip.
    """
    state = survey(task, lambda step, amount: None)
    store = SourceStore(task.work, task.digest)
    signals = source_signals(task, store, lambda step, amount: None)
    found = next((clip for clip in state.clips if clip.clip_id == clip_id), None)
    if found is None or isinstance(signals, Rejection):
        raise UserInputError(
            f"The source {task.path} has no clip {clip_id!r}; clips.jsonl lists those that there are."
        )
    clip = _clip(task, signals, found, store.clips)
    steps, keys = _costly(task.config)
    for step in steps:
        values = store.get(step.name, _span_key(clip), keys[step.name])
        if values is not None:
            clip.results[step.name] = values
    return clip, store, steps, keys


def source_signals(task: SourceTask, store: SourceStore, on_done: OnDone) -> Signals | Rejection:
    """The signals of a source, from the store or from decoding it."""
    until = "" if task.most_seconds is None else f"-{task.most_seconds:g}"
    path = store.folder / f"signals-{signals_key(task.config)}{until}.npz"
    signals = load_signals(path)
    if signals is not None:
        on_done(SIGNALS, float(signals.times[-1]))
        return signals
    told = 0.0

    def progress(seconds: float) -> None:
        nonlocal told
        on_done(SIGNALS, seconds - told)
        told = seconds

    try:
        signals = measure_signals(
            task.path,
            task.config.signals,
            bar_brightness=task.config.quality.bar_brightness,
            shot_network=_shot_network(task.config),
            num_threads=task.num_threads,
            most_seconds=task.most_seconds,
            progress=progress,
        )
    except SETUP_ERRORS:
        raise
    except UserInputError as error:
        return Rejection(step=SIGNALS, reason="cannot be decoded", value=str(error))
    save_signals(path, signals)
    on_done(SIGNALS, float(signals.times[-1]) - told)
    return signals


def signals_key(config: CurationConfig) -> str:
    """A digest of all that signals depend on beside the source."""
    network = config.shots.detector if config.shots.detector == "transnet" else ""
    return settings_digest(config, ("signals", "quality.bar_brightness"), _SIGNALS_VERSION, network)


def _shot_network(config: CurationConfig) -> Any:
    if config.shots.detector != "transnet":
        return None
    from ingredients.curation.transnet import TransNet

    return TransNet


@functools.lru_cache(maxsize=1)
def _costly(config: CurationConfig) -> tuple[list[ClipStep], dict[str, str]]:
    """Made once for a process: networks are loaded once."""
    steps = costly_steps(config)
    return steps, step_keys(steps, config, base="")


def clip_name(path: Path, digest: str, span: Span) -> str:
    """A name that says where a clip is from, and stays the same wherever the source lies."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", path.stem).strip("-")[:_MOST_LETTERS_OF_NAME].strip("-") or "clip"
    return f"{name}-{digest[:8]}-{round(span.start_seconds * 1000):08d}"


def _clip(task: SourceTask, signals: Signals, state: ClipState, folder: Path) -> Clip:
    return Clip(
        clip_id=state.clip_id,
        path=task.path,
        span=state.span,
        crop=state.crop,
        signals=signals,
        folder=folder,
        results=dict(state.measured),
        num_threads=task.num_threads,
    )


def _span_key(clip: Clip | ClipState) -> str:
    span, crop = clip.span, clip.crop
    return f"{span.first}-{span.end}-{crop.left}-{crop.top}-{crop.width}-{crop.height}"


def scalars(measured: Mapping[str, Measured]) -> dict[str, dict[str, Any]]:
    """What was measured without lists and the like: what tables and distributions need."""
    return {
        step: {name: value for name, value in values.items() if isinstance(value, int | float | str)}
        for step, values in measured.items()
    }
