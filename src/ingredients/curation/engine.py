"""Curation from raw videos to a data set: which work is done in which order, and that none of it is lost.

Sources are surveyed one by one, their clips compared with each other, people looked at in those that are left, and the
data set written from the store in the order of the sources: it is the same, row for row, however often the work was
interrupted and however many processes did it.
"""

import dataclasses
import functools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ingredients.core.config import config_from_dict
from ingredients.core.errors import UserInputError
from ingredients.core.files import make_folder, remove_leftovers
from ingredients.core.json_yaml import NotPlainError, read_json_lines, write_json_lines
from ingredients.core.usable_cores import usable_cores
from ingredients.curation import probe
from ingredients.curation.answers import estimate_cost
from ingredients.curation.balance import BalancedClip, balance, topics_of
from ingredients.curation.config import CurationConfig
from ingredients.curation.duplicates import ClipThumbs, HashedClip, clip_thumbs, find_duplicates
from ingredients.curation.identities import LIKENESS, TrackedPerson, name_people
from ingredients.curation.near_duplicates import EmbeddedClip, find_near_duplicates, from_text
from ingredients.curation.probe import FileState
from ingredients.curation.signals import Signals
from ingredients.curation.source_work import (
    SIGNALS,
    ClipState,
    SourceState,
    SourceTask,
    annotate,
    digest_file,
    num_unanswered,
    source_signals,
    survey,
)
from ingredients.curation.sources import Source, name_of
from ingredients.curation.step import SETUP_ERRORS, Rejection
from ingredients.curation.store import SourceStore
from ingredients.curation.workers import LocalPool, Pool

WORK_NAME = ".curation"
"""Folder of the store within the data set's."""

COPIES_NAME = "raw"
"""Folder in it of videos that were copied out of object storage."""

_FILES_NAME = "files.jsonl"


class Watcher(Protocol):
    """Told how far the work has come."""

    def step(self, name: str, done: float, total: float | None, note: str = "") -> None:
        """A step has done so much of so much; without a total, nobody knows how much there is."""
        ...

    def clip(self, line: str) -> None:
        """A line for the log: what became of a clip or of a source."""
        ...

    def tell(self, sentence: str) -> None:
        """What the user should know before it goes on."""
        ...


def first_problems(sources: Sequence[Source]) -> list[str | None]:
    """Why sources cannot be opened, up to the first that can be: None for that one."""
    problems: list[str | None] = []
    for source in sources:
        if source.address is not None:  # whose copy will be looked at
            return [*problems, None]
        found = probe.look(source.path)
        if not isinstance(found, Rejection):
            return [*problems, None]
        problems.append(probe.problem_in_words(source.path, found))
    return problems


@dataclasses.dataclass(slots=True, kw_only=True)
class CuratedSource:
    """A source, and what became of it."""

    source: Source
    """The file, and what was said of it."""

    digest: str
    """The digest of its content; empty where it cannot be read."""

    num_bytes: int
    """Its size."""

    state: SourceState
    """What is known of it."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Curated:
    """What became of all sources and clips."""

    config: CurationConfig
    """The settings by which it was decided."""

    sources: list[CuratedSource]
    """All of them, in order."""

    work: Path
    """Folder of the store."""

    @property
    def clips(self) -> list[tuple[CuratedSource, ClipState]]:
        """All clips with their sources, in order."""
        return [(source, clip) for source in self.sources for clip in source.state.clips]

    @property
    def kept(self) -> list[tuple[CuratedSource, ClipState]]:
        """The clips of the data set."""
        return [(source, clip) for source, clip in self.clips if clip.rejection is None]


def curate(
    sources: Sequence[Source],
    config: CurationConfig,
    work: Path,
    *,
    watcher: Watcher,
    num_workers: int = 0,
    pool: Pool | None = None,
) -> Curated:
    """Takes all steps of the chain; what the store has is not measured again.

    Args:
        sources: raw videos, each file once.
        config: all settings.
        work: folder of the store, made if it is not there; nobody else may be working in it.
        watcher: told how far it has come.
        num_workers: processes, with a source at a time each; 0 does it all in this one.
        pool: does the work in their place, such as a `RayPool`.

    Raises:
        OutputError: if the store cannot be written.
    """
    pool = pool or LocalPool(num_workers=num_workers)
    make_folder(work)
    remove_leftovers(work)
    curated = Curated(config=config, sources=_identified(sources, work, pool, watcher), work=work)
    _survey_all(curated, pool, watcher)
    _drop_duplicates(curated, watcher)
    _annotate_all(curated, pool, watcher)
    _name_people(curated)
    _drop_near_duplicates(curated, watcher)
    _balance(curated, watcher)
    return curated


def _name_people(curated: Curated) -> None:
    """Gives the same person the same name in all clips."""
    config = curated.config.people
    threshold = LIKENESS[config.faces].same_person if config.same_person is None else config.same_person
    names = name_people(
        [
            TrackedPerson(clip_id=clip.clip_id, number=number, embed=track["embed"])
            for _, clip in curated.kept
            for number, track in enumerate(clip.measured.get("people", {}).get("tracks", []))
        ],
        same_person=threshold,
    )
    for _, clip in curated.kept:
        if "people" in clip.measured:
            people = clip.measured["people"]
            tracks = [
                {**track, "person_id": names[clip.clip_id, number]} for number, track in enumerate(people["tracks"])
            ]
            clip.measured["people"] = {**people, "tracks": tracks}


def _drop_near_duplicates(curated: Curated, watcher: Watcher) -> None:
    """Leaves out clips that show nearly what others do, by embeddings."""
    if curated.config.duplicates.embedding is None:
        return
    of_clip = {clip.clip_id: clip for _, clip in curated.kept}
    rejections = find_near_duplicates(
        [
            EmbeddedClip(
                clip_id=clip.clip_id,
                shot=f"{source.digest}-{clip.shot}",
                num_pixels=clip.measured["cut"]["height"] * clip.measured["cut"]["width"],
                people=frozenset(
                    str(track["person_id"]) for track in clip.measured.get("people", {}).get("tracks", [])
                ),
                frames=from_text(clip.measured["embedding"]["frames"]),
            )
            for source, clip in curated.kept
        ],
        curated.config.duplicates,
    )
    for clip_id, rejection in rejections.items():
        of_clip[clip_id].rejection = rejection
        _log(of_clip[clip_id], watcher)
    watcher.step("near duplicates", len(of_clip), len(of_clip), f"{len(rejections)} left out")


def _balance(curated: Curated, watcher: Watcher) -> None:
    """Leaves out clips that are too many of their kind, and says which are held out."""
    of_clip = {clip.clip_id: clip for _, clip in curated.kept}
    for clip in of_clip.values():
        clip.topics = topics_of(clip.measured)
    found = balance(
        [
            BalancedClip(
                clip_id=clip.clip_id,
                topics=clip.topics,
                people=[
                    str(track["person_id"])
                    for track in clip.measured.get("people", {}).get("tracks", [])
                    if track.get("person_id") is not None
                ],
            )
            for clip in of_clip.values()
        ],
        curated.config.balance,
    )
    for clip_id, clip in of_clip.items():
        clip.rejection = found.rejections.get(clip_id)
        clip.is_held_out = clip_id in found.held_out
        clip.weight = found.weights.get(clip_id, 1.0)
        if clip.rejection is not None:
            _log(clip, watcher)


def _identified(sources: Sequence[Source], work: Path, pool: Pool, watcher: Watcher) -> list[CuratedSource]:
    """The sources with their digests: known ones by size and time of the file; of the same file twice, the first."""
    known = _read_files(work / _FILES_NAME)
    found: list[CuratedSource] = []
    unread: list[int] = []
    states: dict[int, FileState] = {}
    for source in sources:
        each = CuratedSource(source=source, digest="", num_bytes=0, state=SourceState())
        found.append(each)
        state = probe.file_state(source.path)
        if isinstance(state, Rejection):
            each.state.rejection = state
        elif source.problem is not None:
            each.state.rejection = Rejection(
                step=probe.STEP, reason="what is said beside it cannot be read", value=source.problem
            )
        else:
            each.num_bytes = state.num_bytes
            states[len(found) - 1] = state
            if state in known:
                each.digest = known[state]
            else:
                unread.append(len(found) - 1)
    paths = [found[place].source.path.absolute() for place in unread]
    for done, (place, outcome) in enumerate(
        pool.do_all(digest_file, paths, on_done=lambda step, amount: None, is_heavy=False), start=1
    ):
        each = found[unread[place]]
        if isinstance(outcome, str):
            each.digest = outcome
            known[states[unread[place]]] = outcome
        else:
            each.state.rejection = (
                outcome
                if isinstance(outcome, Rejection)
                else Rejection(step=probe.STEP, reason="cannot be opened", value=str(outcome))
            )
        watcher.step("reading", done, len(unread))
    if unread:
        write_json_lines(
            work / _FILES_NAME, ({**dataclasses.asdict(state), "digest": digest} for state, digest in known.items())
        )
    first_of: dict[str, CuratedSource] = {}
    for each in found:
        if each.digest and (first := first_of.setdefault(each.digest, each)) is not each:
            each.state.rejection = Rejection(
                step=probe.STEP, reason="the same file as another one", value=name_of(first.source.path)
            )
        _log_source(each, watcher)
    return found


def _read_files(path: Path) -> dict[FileState, str]:
    known: dict[FileState, str] = {}
    if path.is_file():
        for _, values in read_json_lines(path, remedy="delete it, and the videos are read again"):
            if not isinstance(values, NotPlainError):
                digest = values.pop("digest")
                known[config_from_dict(FileState, values)] = digest
    return known


def _tasks(curated: Curated, num_workers: int) -> dict[int, SourceTask]:
    """What is to be done with each source that is left, by its number."""
    num_threads = max(usable_cores() // num_workers, 1) if num_workers > 1 else 0
    return {
        number: SourceTask(
            path=each.source.path.absolute(),  # others may work in another folder
            digest=each.digest,
            num_bytes=each.num_bytes,
            work=curated.work.absolute(),
            config=curated.config,
            num_threads=num_threads,
        )
        for number, each in enumerate(curated.sources)
        if each.state.rejection is None
    }


def _survey_all(curated: Curated, pool: Pool, watcher: Watcher) -> None:
    tasks = _tasks(curated, pool.num_workers)
    numbers = list(tasks)
    seconds = 0.0
    num_clips = num_rejected = 0

    def note() -> str:
        return f"{num_clips} clips, {num_rejected} left out"

    def on_done(step: str, amount: float) -> None:
        nonlocal seconds
        if step == SIGNALS:
            seconds += amount
            watcher.step("survey", seconds, None)

    watcher.step("videos", 0, len(numbers), note())
    outcomes = pool.do_all(survey, [tasks[each] for each in numbers], on_done=on_done, is_heavy=False)
    for done, (place, outcome) in enumerate(outcomes, start=1):
        if isinstance(outcome, SETUP_ERRORS):
            raise outcome
        each = curated.sources[numbers[place]]
        each.state = outcome if isinstance(outcome, SourceState) else _failed(outcome)
        num_clips += len(each.state.clips)
        num_rejected += sum(clip.rejection is not None for clip in each.state.clips)
        watcher.step("videos", done, len(numbers), note())
        _log_source(each, watcher)
        for clip in each.state.clips:
            _log(clip, watcher)


def _failed(error: object) -> SourceState:
    return SourceState(rejection=Rejection(step=SIGNALS, reason="cannot be decoded", value=str(error)))


def _log_source(each: CuratedSource, watcher: Watcher) -> None:
    rejection = each.state.rejection
    if rejection is not None:
        watcher.clip(f"{name_of(each.source.path)}: left out at {rejection.step}: {rejection.sentence}")


def _log(clip: ClipState, watcher: Watcher, *, is_final: bool = False) -> None:
    where = f"{clip.clip_id} ({clip.span.start_seconds:.2f} to {clip.span.end_seconds:.2f} s)"
    if clip.rejection is not None:
        watcher.clip(f"{where}: left out at {clip.rejection.step}: {clip.rejection.sentence}")
    elif is_final:
        watcher.clip(f"{where}: kept")


def _drop_duplicates(curated: Curated, watcher: Watcher) -> None:
    """Leaves out clips that show what others do."""
    of_clip = {clip.clip_id: (source, clip) for source, clip in curated.kept}

    @functools.lru_cache(maxsize=8)
    def signals_of(digest: str) -> Signals:
        source = next(each for each in curated.sources if each.digest == digest and each.state.clips)
        task = SourceTask(
            path=source.source.path,
            digest=digest,
            num_bytes=source.num_bytes,
            work=curated.work,
            config=curated.config,
            num_threads=0,
        )
        signals = source_signals(task, SourceStore(curated.work, digest), lambda step, amount: None)
        assert isinstance(signals, Signals), "it was decoded before"
        return signals

    def thumbs(clip_id: str) -> ClipThumbs:
        source, clip = of_clip[clip_id]
        return clip_thumbs(signals_of(source.digest), clip.span, clip.crop)

    hashed = [
        HashedClip(
            clip_id=clip.clip_id,
            shot=f"{source.digest}-{clip.shot}",
            num_pixels=clip.crop.height * clip.crop.width,
            hashes=clip.measured["hashes"]["hashes"],
        )
        for source, clip in of_clip.values()
    ]
    rejections = find_duplicates(hashed, thumbs, curated.config.duplicates)
    for clip_id, rejection in rejections.items():
        of_clip[clip_id][1].rejection = rejection
        _log(of_clip[clip_id][1], watcher)
    watcher.step("duplicates", len(hashed), len(hashed), f"{len(rejections)} left out")


def _announce_cost(tasks: Sequence[SourceTask], config: CurationConfig, watcher: Watcher) -> None:
    """Says what captions by a server will cost at most, before the first one is asked for; answers are kept.

    Raises:
        UserInputError: if that is more than the settings allow.
    """
    if not config.asks_a_server:
        return
    num_requests = sum(num_unanswered(task) for task in tasks)
    if num_requests == 0:
        return
    captions = config.captions
    cost = estimate_cost(num_requests, captions)
    watcher.tell(f"Captions by {captions.model}, at most: {cost.sentence}.")
    if captions.most_dollars is not None and cost.dollars > captions.most_dollars:
        raise UserInputError(
            f"Captions may cost {cost.dollars:.2f} US dollars, and captions.most_dollars allows "
            f"{captions.most_dollars:g}; raise it, or curate fewer videos. What was done is kept."
        )


def _annotate_all(curated: Curated, pool: Pool, watcher: Watcher) -> None:
    tasks = {
        number: dataclasses.replace(
            task,
            clip_ids=tuple(clip.clip_id for clip in curated.sources[number].state.clips if clip.rejection is None),
        )
        for number, task in _tasks(curated, pool.num_workers).items()
    }
    numbers = [number for number, task in tasks.items() if task.clip_ids]
    num_clips = sum(len(tasks[number].clip_ids) for number in numbers)
    _announce_cost([tasks[number] for number in numbers], curated.config, watcher)
    done: Counter[str] = Counter()

    def on_done(step: str, amount: float) -> None:
        done[step] += int(amount)
        if step.endswith(" rejected"):
            done["rejected"] += 1
        else:
            watcher.step(
                step, done[step], max(num_clips - done["rejected"], done[step]), f"{done['rejected']} left out"
            )

    work = [tasks[number] for number in numbers]
    for place, outcome in pool.do_all(annotate, work, on_done=on_done, is_heavy=True):
        state = curated.sources[numbers[place]].state
        if isinstance(outcome, SETUP_ERRORS):
            raise outcome
        if isinstance(outcome, Exception):
            for clip in state.clips:
                if clip.rejection is None:
                    clip.rejection = Rejection(step="cut", reason="cannot be read", value=str(outcome))
                    _log(clip, watcher)
            continue
        annotated = {clip.clip_id: clip for clip in outcome}
        state.clips = [annotated.get(clip.clip_id, clip) for clip in state.clips]
        for clip in annotated.values():
            _log(clip, watcher, is_final=True)
