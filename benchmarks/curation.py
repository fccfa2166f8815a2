"""What curation finds in drawn films, against their truth, and what it costs: `python benchmarks/curation.py FILMS`.

FILMS is what `ingredients world film --output FILMS` draws. Shots, duplicates and burnt-in text are held against the
truth beside the films, and sharpness is shown for blurred shots and others, and for photographs blurred by known
amounts. Costs are processor time, all processes of a run together, which other programs beside this one hardly
change; minutes of film a second are those of one core that it has for itself. The survey (decoding, shots, quality)
is done with one process and with two, and each costly step on a few clips.
"""

import argparse
import dataclasses
import resource
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from ingredients.core.config import load_config
from ingredients.core.optional_dependencies import import_optional
from ingredients.curation.config import CurationConfig
from ingredients.curation.engine import Curated, curate
from ingredients.curation.shots import find_transitions
from ingredients.curation.signals import Signals, sharpness_of
from ingredients.curation.source_work import SourceTask, annotate, source_signals, survey
from ingredients.curation.sources import find_sources
from ingredients.curation.store import SourceStore
from ingredients.curation.workers import do_all
from ingredients.world.film_truth import FilmTruth, read_film_truth

MEASURING = (
    "probe.min_short_side=32", "shots.min_seconds=1", "quality.max_still_share=1", "quality.min_motion=0",
    "quality.max_text_share=1", "quality.min_sharpness=0", "quality.min_brightness=0", "quality.min_contrast=0",
    "quality.max_clipped=1",
)  # fmt: skip
"""Settings under which no step before hides what another one should find."""

MOST_FRAMES_OFF = 1
"""By which a cut that was found may lie off."""

PHOTOGRAPHS = ("astronaut", "camera", "coffee", "cat")
_PHOTO_SIDE = 512


class Silent:
    """Nobody watches."""

    def step(self, name: str, done: float, total: float | None, note: str = "") -> None:
        """Nothing."""

    def tell(self, sentence: str) -> None:
        """Nothing."""

    def clip(self, line: str) -> None:
        """Nothing."""


def nothing(step: str, amount: float) -> None:
    """Nobody is told."""


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path)
    parser.add_argument("--min-people", type=int, default=2)
    parser.add_argument("--clips", type=int, default=6, help="clips whose costly steps are timed")
    parser.add_argument("--without-costs", action="store_true", help="only what is found is measured")
    arguments = parser.parse_args()
    truths = {path.stem: read_film_truth(path) for path in sorted((arguments.films / "truth").glob("*.json"))}
    seconds = sum(truth.num_frames / truth.settings.fps for truth in truths.values())
    print(
        f"{len(truths)} films, {seconds / 60:.1f} minutes, {sum(len(truth.shots) for truth in truths.values())} shots"
    )
    config = load_config(
        CurationConfig, overrides=[*MEASURING, f"people.min_people={arguments.min_people}", "people.faces=drawn"]
    )
    with tempfile.TemporaryDirectory() as folder:
        if arguments.without_costs:
            tasks = survey_tasks(arguments.films / "films", config, Path(folder))
        else:
            tasks = speed(arguments.films / "films", config, Path(folder), seconds, truths)
        shots(tasks, truths)
        without_people = load_config(CurationConfig, overrides=[*MEASURING, "people.min_people=0"])
        curated = curate(
            find_sources([arguments.films / "films"]), without_people, tasks[0].work, num_workers=0, watcher=Silent()
        )
        duplicates(curated, truths)
        text(curated, truths)
        sharpness(curated, truths)
        if arguments.without_costs:
            return
        steps(tasks, arguments.clips)
    photographs()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of this process {peak:.0f} MB")


def processor_seconds() -> float:
    """Processor time of this process and of those of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def speed(
    films: Path, config: CurationConfig, folder: Path, seconds: float, truths: dict[str, FilmTruth]
) -> list[SourceTask]:
    """What the survey of all films costs in one and two other processes, and here; then again, from the store."""
    cost: dict[int, float] = {}
    clock: dict[int, float] = {}
    tasks: list[SourceTask] = []
    for num_workers in (1, 2, 0):
        tasks = survey_tasks(films, config, folder / str(num_workers))
        begun = time.monotonic()
        cost[num_workers] = _survey_all(tasks, num_workers)
        clock[num_workers] = time.monotonic() - begun
        print(f"survey, {num_workers} other processes: {cost[num_workers]:.1f} s of processor time, "
              f"{seconds / 60 / cost[num_workers]:.2f} minutes of film for each")  # fmt: skip
    again = _survey_all(tasks, 0)
    print(f"survey again, from the store: {again:.2f} s, {again / cost[0]:.1%}: nothing is decoded a second time")
    longest = max(truth.num_frames for truth in truths.values()) / sum(truth.num_frames for truth in truths.values())
    print(f"two processes cost {cost[2] / cost[1]:.2f} times what one does, their start included; a core for each, "
          f"they would be {cost[1] / cost[2] / max(longest, 0.5):.2f} times as fast, as the longest film is "
          f"{longest:.0%} of all")  # fmt: skip
    gain = clock[1] / clock[2]
    print(f"by the clock {clock[1]:.1f} s with one and {clock[2]:.1f} s with two: {gain:.2f} times as fast, "
          f"{gain * max(longest, 0.5):.0%} of what two free cores allow")  # fmt: skip
    return tasks


def survey_tasks(films: Path, config: CurationConfig, work: Path) -> list[SourceTask]:
    """What is to be done with each film."""
    return [
        SourceTask(
            path=source.path,
            digest=f"{number:04d}benchmark",
            num_bytes=source.path.stat().st_size,
            work=work,
            config=config,
            num_threads=1,
        )
        for number, source in enumerate(find_sources([films]))
    ]


def _survey_all(tasks: Sequence[SourceTask], num_workers: int) -> float:
    """Surveys films; returns the processor time."""
    begun = processor_seconds()
    for _, outcome in do_all(survey, tasks, num_workers=num_workers, on_done=nothing):
        if isinstance(outcome, Exception):
            raise outcome
    return processor_seconds() - begun


def shots(tasks: Sequence[SourceTask], truths: dict[str, FilmTruth]) -> None:
    """Holds cuts and dissolves against the truth: a cut to the frame beside, a dissolve by any overlap."""
    counts = {"cut": [0, 0, 0], "dissolve": [0, 0, 0]}
    for task in tasks:
        signals = source_signals(task, SourceStore(task.work, task.digest), nothing)
        assert isinstance(signals, Signals)
        found = find_transitions(signals, CurationConfig().shots)
        wanted = [
            (shot.transition, shot.start, shot.start + shot.dissolve)
            for shot in truths[task.path.stem].shots
            if shot.transition != "start"
        ]
        for kind, count in counts.items():
            mine = [(each.first, each.end) for each in found if each.kind == kind]
            theirs = [(first, end) for name, first, end in wanted if name == kind]
            slack = MOST_FRAMES_OFF if kind == "cut" else -1
            hits = [
                any(min(end, other_end) - max(first, other) >= -slack for other, other_end in mine)
                for first, end in theirs
            ]
            count[0] += sum(hits)
            count[1] += len(theirs)
            count[2] += len(mine)
    for kind, (hits_of_kind, num_wanted, num_found) in counts.items():
        score(f"{kind}s", hits_of_kind, num_found - hits_of_kind, num_wanted - hits_of_kind)


def _shot_of(truth: FilmTruth, first: int, end: int) -> int:
    middle = (first + end) / 2
    return next(number for number, shot in enumerate(truth.shots) if shot.start <= middle < shot.stop)


def duplicates(curated: Curated, truths: dict[str, FilmTruth]) -> None:
    """Counts repeated shots that were found and others that were taken for some.

    Of shots that show the same and come as far as the comparison, all but one are repeated, whichever stays. One that
    is drawn anew in another shape is none.
    """
    shown: dict[tuple[str, int, bool], dict[tuple[str, int], bool]] = defaultdict(dict)
    for source, clip in curated.clips:
        truth = truths[source.source.path.stem]
        number = _shot_of(truth, clip.span.first, clip.span.end)
        double = truth.shots[number].double_of
        is_found = clip.rejection is not None and clip.rejection.step == "duplicates"
        if clip.rejection is not None and not is_found:
            continue
        film, shot = (truth.name, number) if double is None else (double.film, double.shot)
        same = shown[film, shot, truth.height > truth.width]
        same[truth.name, number] = same.get((truth.name, number), True) and is_found  # a shot may give several clips
    num_found = [sum(each.values()) for each in shown.values()]
    num_there = [len(each) - 1 for each in shown.values()]
    hits = sum(min(pair) for pair in zip(num_found, num_there, strict=True))
    score("duplicates", hits, sum(num_found) - hits, sum(num_there) - hits)


def text(curated: Curated, truths: dict[str, FilmTruth]) -> None:
    """Counts clips with burnt-in text that were found, and others that were taken for some."""
    limit = CurationConfig().quality.max_text_share
    hits = wrong = missed = 0
    for source, clip in curated.clips:
        if "text" not in clip.measured:
            continue
        truth = truths[source.source.path.stem]
        has_text = bool(truth.shots[_shot_of(truth, clip.span.first, clip.span.end)].texts)
        is_found = clip.measured["text"]["share"] > limit
        hits += has_text and is_found
        missed += has_text and not is_found
        wrong += is_found and not has_text
    score("burnt-in text", hits, wrong, missed)


def sharpness(curated: Curated, truths: dict[str, FilmTruth]) -> None:
    """Prints the sharpness of blurred shots and of others, from the least to the largest."""
    found: dict[bool, list[float]] = {True: [], False: []}
    for source, clip in curated.clips:
        truth = truths[source.source.path.stem]
        value = clip.measured.get("sharpness", {}).get("sharpness")
        if value is not None:
            shot = truth.shots[_shot_of(truth, clip.span.first, clip.span.end)]
            found[shot.kind == "blurred"].append(value)
    for is_blurred, values in found.items():
        if values:
            print(f"sharpness of {len(values)} {'blurred' if is_blurred else 'other'} clips: "
                  f"{min(values):.3g} to {max(values):.3g}")  # fmt: skip


def photographs() -> None:
    """Prints the sharpness of scikit-image's photographs at 512 pixels, blurred by a Gaussian of so many pixels."""
    data: Any = import_optional("skimage.data", extra="faces")
    for radius in (0, 1, 2):
        values = []
        for name in PHOTOGRAPHS:
            picture = Image.fromarray(getattr(data, name)()).convert("RGB")
            picture.thumbnail((_PHOTO_SIDE, _PHOTO_SIDE))
            if radius:
                picture = picture.filter(ImageFilter.GaussianBlur(radius))
            values.append(sharpness_of(np.asarray(picture)))
        print(f"sharpness of photographs, blurred by {radius} pixels: {min(values):.3g} to {max(values):.3g}")


def steps(tasks: Sequence[SourceTask], num_clips: int) -> None:
    """Cost of each costly step on a few clips of the first film; the first, which reads networks, does not count."""
    task = tasks[0]
    left = [clip.clip_id for clip in survey(task, nothing).clips if clip.rejection is None][: num_clips + 1]
    spent: dict[str, float] = defaultdict(float)
    numbers: Counter[str] = Counter()
    last = 0.0

    def report(step: str, amount: float) -> None:
        nonlocal last
        now = time.process_time()
        if not step.endswith(" rejected"):
            numbers[step] += 1
            if numbers[step] > 1 and step != "cut":  # before a cut there is the end of another clip
                spent[step] += now - last
        last = now

    annotate(dataclasses.replace(task, clip_ids=tuple(left)), report)
    for name, seconds in spent.items():
        print(f"{name}: {seconds / (numbers[name] - 1):.2f} s a clip")


def score(what: str, hits: int, wrong: int, missed: int) -> None:
    """Prints precision, recall and F1."""
    precision, recall = hits / max(hits + wrong, 1), hits / max(hits + missed, 1)
    f1 = 2 * hits / max(2 * hits + wrong + missed, 1)
    print(f"{what}: {hits + missed} there, precision {precision:.3f}, recall {recall:.3f}, F1 {f1:.3f}")


if __name__ == "__main__":
    sys.exit(main())
