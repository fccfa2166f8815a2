"""What curation of some videos would take: time, disk and money, from a sample of them."""

import dataclasses
import itertools
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ingredients.curation import probe
from ingredients.curation.answers import CaptionCost, estimate_cost
from ingredients.curation.config import CaptionsConfig, CurationConfig
from ingredients.curation.source_work import SourceState, SourceTask, annotate, survey
from ingredients.curation.sources import Source
from ingredients.curation.step import Rejection

SAMPLED_SOURCES = 3
SAMPLED_SECONDS = 30.0
SAMPLED_CLIPS = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CurationCost:
    """What it would take."""

    num_videos: int
    """Videos that can be decoded."""

    num_left_out: int
    """Videos that cannot, or that are left out for their size or length."""

    problems: tuple[str, ...]
    """Sentences that say why, of each of the latter that cannot be read."""

    film_seconds: float
    """Length of the former, by what they say."""

    sampled_seconds: float
    """Length of what was tried."""

    num_clips: int
    """Clips that would be kept, about."""

    work_seconds: float
    """Time, about, with as many processes as were asked for."""

    decoding_share: float
    """Part of it for decoding."""

    num_bytes: int
    """Disk, about, for the store, and the data set, which shares its files."""

    captions: CaptionCost | None
    """What a server of others would take for captions, if one is to write them."""


def estimate(sources: Sequence[Source], config: CurationConfig, *, num_workers: int) -> CurationCost:
    """Looks at all videos from outside, and tries the chain on the beginnings of a few.

    Args:
        sources: raw videos.
        config: all settings.
        num_workers: processes that would share the work; 0 is one.
    """
    good: list[tuple[Source, float, int]] = []
    problems: list[str] = []
    for source in sources:
        found = probe.look(source.path)
        if isinstance(found, Rejection):
            problems.append(probe.problem_in_words(source.path, found))
            continue
        state, facts = found
        if probe.decide(facts, state.num_bytes, config.probe) is None:
            good.append((source, facts.duration or 0.0, state.num_bytes))
    for_nothing = dataclasses.replace(config, captions=CaptionsConfig()) if config.asks_a_server else config
    film_seconds = sum(seconds for _, seconds, _ in good)
    decoding = annotating = sampled = 0.0
    num_kept = num_annotated = num_timed = num_bytes = num_after = 0
    with tempfile.TemporaryDirectory(prefix="ingredients-") as folder:
        work = Path(folder)
        for source, seconds, size in _sample(good):
            task = SourceTask(
                path=source.path,
                digest=f"{len(str(source.path)):02d}sample",
                num_bytes=size,
                work=work / str(len(list(work.iterdir()))),
                config=for_nothing,
                num_threads=0,
                most_seconds=SAMPLED_SECONDS,
            )
            begun = time.monotonic()
            surveyed = survey(task, lambda step, amount: None)
            decoding += time.monotonic() - begun
            sampled += min(seconds, SAMPLED_SECONDS)
            kept = _kept(surveyed)
            num_kept += len(kept)
            tried = tuple(kept[:SAMPLED_CLIPS])
            if not tried:
                continue
            is_first = num_annotated == 0 and len(tried) > 1
            if is_first:  # which reads networks, and is not counted
                annotate(dataclasses.replace(task, clip_ids=tried[:1]), lambda step, amount: None)
            begun = time.monotonic()
            annotated = annotate(dataclasses.replace(task, clip_ids=tried), lambda step, amount: None)
            annotating += time.monotonic() - begun
            num_timed += len(tried) - is_first
            num_annotated += len(tried)
            num_after += sum(clip.rejection is None for clip in annotated)
        num_bytes = sum(path.stat().st_size for path in work.rglob("*") if path.is_file())
    clips = num_kept * film_seconds / sampled if sampled else 0.0
    per_clip = annotating / num_timed if num_timed else 0.0
    decoding_seconds = decoding * film_seconds / sampled if sampled else 0.0
    total = decoding_seconds + clips * per_clip
    num_clips = round(clips * num_after / num_annotated) if num_annotated else 0
    return CurationCost(
        num_videos=len(good),
        num_left_out=len(sources) - len(good),
        problems=tuple(problems),
        film_seconds=film_seconds,
        sampled_seconds=sampled,
        num_clips=num_clips,
        work_seconds=total / max(min(num_workers, len(good)), 1),
        decoding_share=decoding_seconds / total if total else 0.0,
        num_bytes=round(num_bytes * clips / num_annotated) if num_annotated else 0,
        captions=estimate_cost(num_clips, config.captions) if config.asks_a_server else None,
    )


def _sample(good: Sequence[tuple[Source, float, int]]) -> list[tuple[Source, float, int]]:
    """A few videos from all over the list, always the same ones."""
    step = max(len(good) // SAMPLED_SOURCES, 1)
    return list(itertools.islice(good[step // 2 :: step], SAMPLED_SOURCES))


def _kept(state: SourceState) -> list[str]:
    return [clip.clip_id for clip in state.clips if clip.rejection is None]
