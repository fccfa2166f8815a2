"""Curation's people, masks and template captions, held against what drawn films say (`ingredients world film`).

    ingredients world film --minutes 5 --seed 1 --output films
    python benchmarks/curation_truth.py films --figure docs/results/figure-7-threshold.png
    python benchmarks/curation_truth.py films --by box --captions

Shots are taken from the truth, so that nothing but people and masks is measured; clips have 49 frames at a stride of
2. Dark, blurred, short and still shots are left out, as the quality steps leave them out. A face counts if it is in
view (four of its five landmarks) and not smaller than the settings ask for. Where a face is as large as they ask for,
give or take 15 %, or where a clip would be kept if three landmarks were asked for and not if five were, the truth does
not decide whether a clip is kept: the filter is judged without such clips, and with them beside it.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ingredients.core.arrays import BoolArray, Float32Array
from ingredients.core.config import load_config
from ingredients.curation.acting import look_around, open_watching, watch_person
from ingredients.curation.config import CurationConfig, MasksConfig, PeopleConfig
from ingredients.curation.identities import LIKENESS, TrackedPerson, name_people
from ingredients.curation.mask_rims import follow_edges
from ingredients.curation.masks import apart, boxes_of, open_segmenter
from ingredients.curation.people import People, describe_people, open_faces
from ingredients.curation.plain_captions import SAID_ACTIONS, SAID_LIGHTS, likeliest, spots_of
from ingredients.data.film_folder import film_file, read_films
from ingredients.faces.detector import intersection_over_union
from ingredients.media.video import read_video
from ingredients.world.film_truth import FilmTruth, ShotTruth
from ingredients.world.scenes import VISIBLE, face_states

_SKIPPED = ("dark", "blurred", "short", "still")
_NUM_FRAMES, _STRIDE = 49, 2
_MASKED_EVERY = 12
_SAME_FACE = 0.3
_ABOUT = 0.15
_DOUBTS = (3, 5)
"""Landmarks in view between which it is a matter of taste whether a face that another one covers is seen."""

_BELIEVED = "selfie_that_covers_enough"
"""Masks of the person segmentation that cover as much of the box as a clip needs to be kept (`masks.min_cover`)."""

Overlaps = dict[str, dict[float, list[float]]]
"""Overlaps with true masks of each face, by what decides and by threshold."""

_LOGITS, _EDGES = "mask_overlap_by_logits", "mask_overlap"
"""The logit alone decides; or near the threshold the picture's edges do, as in curation."""

THRESHOLDS = tuple(float(value) for value in np.arange(-6.0, 6.5, 1.0))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path)
    parser.add_argument("--by", default="sam", choices=("box", "sam"))
    parser.add_argument("--model", default=None, help="folder of another SAM")
    parser.add_argument(
        "--selfie", default=None, metavar="FOLDER", help="MediaPipe's person segmentation, measured too"
    )
    parser.add_argument("--captions", action="store_true", help="what the template says is measured, too")
    parser.add_argument("--figure", type=Path, default=None, help="PNG of mask quality by threshold")
    arguments = parser.parse_args()
    config = load_config(CurationConfig, overrides=["people.faces=drawn"])
    counts = Counts()
    overlaps: Overlaps = {name: {threshold: [] for threshold in THRESHOLDS} for name in (_LOGITS, _EDGES)}
    said = Said()
    others: dict[str, list[float]] = {"box": [], **({"selfie": [], _BELIEVED: []} if arguments.selfie else {})}
    for film in read_films(arguments.films):
        frames = read_video(film_file(arguments.films, film)).frames[:, film.bar : film.height - film.bar]
        for number, shot in enumerate(film.shots):
            if shot.kind in _SKIPPED:
                continue
            chosen = clip_frames(film, number)
            found = describe_people(frames[chosen], open_faces("drawn", None), config.people)
            boxes, visible = truth_of(film, shot, chosen, config.people)
            undecided = is_undecided(film, number, chosen, boxes, visible, config.people)
            owners = counts.add(f"{film.name}-{number}", found, shot, boxes, visible, undecided, config)
            if arguments.captions and People(config).decide(found) is None:
                rate = film.settings.fps / _STRIDE
                said.add(frames[chosen], found, owners, shot, boxes, visible, undecided, rate, config)
            if arguments.by == "sam" and found["tracks"]:
                measure_masks(film, number, frames, chosen, found, owners, arguments, overlaps, others)
        print(film.name, "done", flush=True)
    measured = counts.measured(config) | mask_numbers(overlaps, others) | said.measured()
    print(json.dumps(measured, indent=1))
    if arguments.figure is not None:
        draw_figure(arguments.figure, overlaps, others)


def clip_frames(film: FilmTruth, number: int) -> list[int]:
    """The frames of a clip: from the middle of a shot, without what dissolves."""
    shot = film.shots[number]
    following = film.shots[number + 1].dissolve if number + 1 < len(film.shots) else 0
    frames = list(range(shot.start + shot.dissolve, shot.stop - following, _STRIDE))
    first = max((len(frames) - _NUM_FRAMES) // 2, 0)
    return frames[first : first + _NUM_FRAMES]


def truth_of(
    film: FilmTruth, shot: ShotTruth, chosen: list[int], people: PeopleConfig
) -> tuple[Float32Array, BoolArray]:
    """Boxes (F, N, 4) between the bars, NaN where there is none, and which faces count (F, N)."""
    boxes = np.full((len(chosen), len(shot.people), 4), np.nan, np.float32)
    visible = np.zeros(boxes.shape[:2], bool)
    least = smallest_face(short_side(film), people)
    for index, person in enumerate(shot.people):
        for row, frame in enumerate(chosen):
            box = person.boxes[frame - shot.start]
            if box is not None:
                boxes[row, index] = np.asarray(box) - [0, film.bar, 0, film.bar]
                visible[row, index] = person.is_visible[frame - shot.start]
        heights = _heights(boxes[:, index])
        visible[:, index] &= bool(np.isfinite(heights).any() and np.nanmedian(heights) >= least)
    return boxes, visible


def short_side(film: FilmTruth) -> int:
    """The shorter side of the picture between the bars."""
    return min(film.height - 2 * film.bar, film.width)


def smallest_face(side: int, people: PeopleConfig) -> float:
    """Height in pixels that is asked for."""
    return max(people.min_face * side, people.min_face_pixels)


def is_wanted(visible: BoolArray, people: PeopleConfig) -> bool:
    """Whether a clip in which faces count as they do (F, N) is to be kept."""
    present = visible[:, visible.mean(0) >= people.min_presence]
    together = float((present.sum(1) >= people.min_people).mean())
    return people.min_people <= present.shape[1] <= people.max_people and together >= people.min_together


def is_undecided(
    film: FilmTruth, number: int, chosen: list[int], boxes: Float32Array, visible: BoolArray, people: PeopleConfig
) -> bool:
    """Whether somebody's face is about as large as is asked for, or in view about as long."""
    least = smallest_face(short_side(film), people)
    medians = np.array([np.nanmedian(each) if np.isfinite(each).any() else 0.0 for each in _heights(boxes).T])
    if (np.abs(medians / least - 1) < _ABOUT).any():
        return True
    if not (visible.any(0) & ~visible.all(0)).any():
        return False  # nobody comes, leaves or is hidden
    scene = film.draw_shot(number).scene
    assert scene is not None
    rows = np.array(chosen) - film.shots[number].start
    bounds = [
        (face_states(scene, min_landmarks=landmarks)[rows] == VISIBLE) & (medians >= least) for landmarks in _DOUBTS
    ]
    return len({is_wanted(each, people) for each in (visible, *bounds)}) > 1


def _heights(boxes: Float32Array) -> Float32Array:
    """Heights (F, N) of boxes (F, N, 4)."""
    return boxes[..., 3] - boxes[..., 1]


class Counts:
    """What is counted over all clips."""

    def __init__(self) -> None:
        self.undecided: Counter[tuple[bool, bool]] = Counter()
        self.pure = self.tracked = self.covered = self.visible = 0
        self.filter: Counter[tuple[bool, bool]] = Counter()
        self.wrong: list[str] = []
        self.tracks: list[TrackedPerson] = []
        self.true_people: list[str] = []

    def add(
        self,
        clip: str,
        found: dict[str, Any],
        shot: ShotTruth,
        boxes: Float32Array,
        visible: BoolArray,
        undecided: bool,
        config: CurationConfig,
    ) -> list[int]:
        """Counts a clip; returns whose each track is, -1 for nobody's."""
        owners, best = [], np.zeros(len(shot.people), int)
        for number, track in enumerate(found["tracks"]):
            whose = [
                _whose(np.asarray(box, np.float32), boxes[row])
                for row, box in enumerate(track["boxes"])
                if box is not None
            ]
            owner, times = Counter(whose).most_common(1)[0]
            owners.append(owner)
            self.pure, self.tracked = self.pure + times, self.tracked + len(whose)
            if owner >= 0:
                there = np.array([box is not None for box in track["boxes"]])
                best[owner] = max(best[owner], int((there & visible[:, owner]).sum()))
                self.tracks.append(TrackedPerson(clip_id=clip, number=number, embed=track["embed"]))
                self.true_people.append(shot.people[owner].person)
        self.covered, self.visible = self.covered + int(best.sum()), self.visible + int(visible.sum())
        wanted, kept = is_wanted(visible, config.people), People(config).decide(found) is None
        (self.undecided if undecided else self.filter)[wanted, kept] += 1
        if wanted != kept:
            present = int((visible.mean(0) >= config.people.min_presence).sum())
            doubt = ", undecided" if undecided else ""
            self.wrong.append(f"{clip} ({shot.kind}{doubt}): {found['num_people']} found, {present} there")
        return owners

    def measured(self, config: CurationConfig) -> dict[str, Any]:
        """The numbers."""
        names = name_people(self.tracks, same_person=LIKENESS["drawn"].same_person)
        found = [names[track.clip_id, track.number] for track in self.tracks]
        pairs = Counter(
            (self.true_people[one] == self.true_people[other], found[one] == found[other])
            for one in range(len(found))
            for other in range(one)
        )
        return {
            "clips": sum(self.filter.values()),
            "track_purity": self.pure / max(self.tracked, 1),
            "track_recall": self.covered / max(self.visible, 1),
            **_precision_and_recall("filter", self.filter),
            "filter_undecided": self.undecided.total(),
            **_precision_and_recall("filter_with_undecided", self.filter + self.undecided),
            "filter_wrong": self.wrong,
            "same_person_precision": pairs[True, True] / max(pairs[True, True] + pairs[False, True], 1),
            "same_person_recall": pairs[True, True] / max(pairs[True, True] + pairs[True, False], 1),
        }


def _precision_and_recall(name: str, judged: Counter[tuple[bool, bool]]) -> dict[str, float]:
    """Of how often clips were wanted, and kept."""
    right = judged[True, True]
    return {
        f"{name}_precision": right / max(right + judged[False, True], 1),
        f"{name}_recall": right / max(right + judged[True, False], 1),
        f"{name}_kept": right + judged[False, True],
    }


class Said:
    """What template captions say, held against the truth: how often something is said, and how often it is right."""

    def __init__(self) -> None:
        self.values: dict[str, list[bool | None]] = {}
        self.wrong: Counter[tuple[str, str, str]] = Counter()

    def add(
        self,
        frames: np.ndarray,
        found: dict[str, Any],
        owners: list[int],
        shot: ShotTruth,
        boxes: Float32Array,
        visible: BoolArray,
        undecided: bool,
        fps: float,
        config: CurationConfig,
    ) -> None:
        """Counts a clip that is kept."""
        watching, captions = open_watching(), config.captions
        tracks = boxes_of(found["tracks"], len(frames))
        setting = look_around(frames, watching.encoder)
        self._count("place", likeliest(setting["place"], captions.min_place), shot.place)
        light = likeliest(setting["light"], captions.min_light)
        self._count("light", light if light in SAID_LIGHTS else None, shot.light)
        if not undecided:
            present = int((visible.mean(0) >= config.people.min_presence).sum())
            self._count("count", str(found["num_people"]), str(present))
        middles = np.nanmedian((boxes[..., 0] + boxes[..., 2]) / 2, axis=0)
        for number, (owner, spot) in enumerate(zip(owners, spots_of(found["tracks"]), strict=True)):
            if owner < 0:
                continue
            acts = watch_person(frames, tracks[:, number], watching.acting, fps=fps)
            done = likeliest(acts["actions"], captions.min_action)
            self._count("action", done if done in SAID_ACTIONS else None, shot.people[owner].action)
            told = likeliest(acts["expressions"], captions.min_expression)
            self._count("expression", told, shot.people[owner].expression)
            if spot is not None:
                others = [middles[each] for each in owners if each >= 0 and each != owner]
                words = [word for word in ("left", "middle", "right") if word in spot]
                is_right = {
                    "left": any(middles[owner] < each for each in others),
                    "right": any(middles[owner] > each for each in others),
                    "middle": any(middles[owner] < each for each in others)
                    and any(middles[owner] > each for each in others),
                }
                rows = [word for word in ("behind", "front") if word in spot and word not in shot.people[owner].spot]
                rows = [word for word in rows if not (word == "behind" and "back" in shot.people[owner].spot)]
                correct = all(is_right[word] for word in words) and not rows
                self.values.setdefault("where_a_person_is", []).append(correct)

    def _count(self, what: str, told: str | None, true: str) -> None:
        self.values.setdefault(what, []).append(None if told is None else told == true)
        if told is not None and told != true:
            self.wrong[what, true, told] += 1

    def measured(self) -> dict[str, Any]:
        """The numbers: of how many, said, right where it was said; and what was wrong."""
        numbers = {
            f"caption_{name}": {
                "of": len(values),
                "said": round(float(np.mean([value is not None for value in values])), 4),
                "right": round(float(np.mean([value for value in values if value is not None] or [np.nan])), 4),
            }
            for name, values in self.values.items()
        }
        wrong = [f"{what}: {told} for {true}, {times}" for (what, true, told), times in self.wrong.most_common()]
        return {**numbers, "caption_wrong": wrong} if numbers else {}


def _whose(box: Float32Array, boxes: Float32Array) -> int:
    """Whose box of boxes (N, 4) it is; -1 for nobody's."""
    shared = [intersection_over_union(box, each) if np.isfinite(each).all() else 0.0 for each in boxes]
    return int(np.argmax(shared)) if shared and max(shared) > _SAME_FACE else -1


def measure_masks(
    film: FilmTruth,
    number: int,
    frames: np.ndarray,
    chosen: list[int],
    found: dict[str, Any],
    owners: list[int],
    arguments: argparse.Namespace,
    overlaps: Overlaps,
    others: dict[str, list[float]],
) -> None:
    """Overlaps of the masks of some frames with the true ones, from the boxes that were found, by threshold."""
    config = MasksConfig(by="sam")
    if arguments.model is None:
        segmenter = open_segmenter(config)
    else:
        from ingredients.faces.segmenters import load_small_sam

        segmenter = load_small_sam(Path(arguments.model))
    scene = film.draw_shot(number).scene
    assert scene is not None
    tracks = boxes_of(found["tracks"], len(chosen))
    for row in range(0, len(chosen), _MASKED_EVERY):
        there = [index for index, owner in enumerate(owners) if owner >= 0 and np.isfinite(tracks[row, index]).all()]
        if not there:
            continue
        boxes = tracks[row, there]
        true = scene.face_masks[chosen[row] - film.shots[number].start, [owners[index] for index in there]]
        true = true[:, film.bar : film.height - film.bar]
        logits = segmenter.segment(frames[chosen[row]], boxes)
        for threshold in THRESHOLDS:
            by_edges = follow_edges(frames[chosen[row]], logits, boxes, threshold=threshold, rim=config.rim_width)
            for name, decided in ((_LOGITS, logits), (_EDGES, by_edges)):
                found = apart(decided, boxes, threshold=threshold, margin=config.margin)
                overlaps[name][threshold] += _overlaps(found, true)
        for name in ("box", *(["selfie"] if arguments.selfie else ())):
            by = MasksConfig(by=name, model=arguments.selfie if name == "selfie" else None)
            found = open_segmenter(by).segment(frames[chosen[row]], boxes)
            if by.rim_width:
                found = follow_edges(frames[chosen[row]], found, boxes, threshold=0.0, rim=by.rim_width)
            masks = apart(found, boxes, threshold=0.0, margin=by.margin if by.rim_width else 0.0)
            others[name] += _overlaps(masks, true)
            if name == "selfie":
                is_there = masks.sum((1, 2)) >= config.min_cover * (boxes[:, 2:] - boxes[:, :2]).prod(-1)
                others[_BELIEVED] += _overlaps(masks[is_there], true[is_there])


def _overlaps(found: BoolArray, true: BoolArray) -> list[float]:
    return [float((one & other).sum() / max((one | other).sum(), 1)) for one, other in zip(found, true, strict=True)]


def mask_numbers(overlaps: Overlaps, others: dict[str, list[float]]) -> dict[str, Any]:
    """Mean overlaps, of the SAM by threshold."""
    if not others["box"]:
        return {}
    numbers: dict[str, Any] = {}
    for name, by_threshold in overlaps.items():
        numbers[name] = {
            f"{threshold:g}": round(float(np.mean(found)), 4) for threshold, found in by_threshold.items()
        }
        numbers[f"{name}_worst_tenth"] = {
            f"{threshold:g}": round(float(np.quantile(found, 0.1)), 4) for threshold, found in by_threshold.items()
        }
    return {
        **numbers,
        **{f"{name}_overlap": round(float(np.mean(found)), 4) for name, found in others.items()},
        **{f"{name}_faces": len(found) for name, found in others.items()},
    }


def draw_figure(path: Path, overlaps: Overlaps, others: dict[str, list[float]]) -> None:
    """Mask quality by threshold: Figure 7 of the paper in numbers."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, label, colour in ((_EDGES, "small SAM along edges", "tab:green"), (_LOGITS, "small SAM", "tab:blue")):
        found = list(overlaps[name].values())
        axes.plot(THRESHOLDS, [np.mean(each) for each in found], marker="o", color=colour, label=f"{label}, mean")
        worst = [np.quantile(each, 0.1) for each in found]
        axes.plot(THRESHOLDS, worst, marker=".", color=colour, linestyle=":", label=f"{label}, worst tenth")
    axes.axhline(float(np.mean(others["box"])), color="grey", linestyle="--", label="the box itself")
    axes.axvline(-2.0, color="grey", linewidth=0.8)
    axes.set(xlabel="logit threshold", ylabel="intersection over union with the true mask", ylim=(0, 1))
    axes.legend(loc="lower center")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
