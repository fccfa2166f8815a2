"""Topics of clips, caps and weights towards what the data set should be made of, and a split that parts no person.

The paper says that its topics were balanced (4.1), not how. Topics here are how many people there are, how large their
faces appear, and which place and which action the caption names.
"""

import collections
import dataclasses
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

from ingredients.core.errors import UserInputError
from ingredients.curation.config import BalanceConfig
from ingredients.curation.step import Measured, Rejection

STEP = "balance"
OTHER = "not said"
DIMENSIONS = ("people", "size", "place", "action")

PLACES: Mapping[str, str] = {
    "beach": "beach|sea|coast|shore|ocean",
    "park": "park|garden|lawn|meadow",
    "city": "city|street|town|road|square|sidewalk|downtown|bridge|traffic",
    "forest": "forest|wood|woods|trees|jungle",
    "desert": "desert|dune|dunes|sand",
    "snow": "snow|snowy|ice|glacier|ski",
    "mountains": "mountain|mountains|hill|hills|valley|cliff",
    "water": "lake|river|pool|boat|ship",
    "library": "library|bookshop|bookshelf|bookshelves|books",
    "kitchen": "kitchen|stove",
    "restaurant": "restaurant|cafe|café|bar|diner|pub",
    "office": "office|desk|meeting|classroom|school|lab|laboratory",
    "stage": "stage|studio|concert|theatre|theater|podium",
    "shop": "shop|store|market|mall",
    "sport": "stadium|gym|court|pitch|track",
    "car": "car|bus|train|plane|subway",
    "room": "room|house|home|bedroom|sofa|couch|apartment|hall|indoors",
}
"""Places and the words for them; the first that a caption names is taken."""

ACTIONS: Mapping[str, str] = {
    "talk": "talk|talks|talking|speak|speaks|speaking|chat|chats|chatting|discuss|discusses|converse|conversation",
    "wave": "wave|waves|waving",
    "nod": "nod|nods|nodding",
    "hug": "hug|hugs|hugging|embrace|embraces|kiss|kisses",
    "dance": "dance|dances|dancing",
    "sing": "sing|sings|singing|perform|performs|performing",
    "eat": "eat|eats|eating|drink|drinks|drinking|cook|cooks|cooking",
    "play": "play|plays|playing|game",
    "run": "run|runs|running|jump|jumps|jumping",
    "walk": "walk|walks|walking|come in|comes in|leave|leaves|stroll|strolls|strolling",
    "turn": "turn|turns|turning|look around|looks around|looking around",
    "sway": "sway|sways|swaying",
    "laugh": "laugh|laughs|laughing|smile|smiles|smiling",
    "sit": "sit|sits|sitting|seated",
    "stand": "stand|stands|standing|pose|poses|posing",
}
"""Actions and the words for them."""

_SIZES = ((0.35, "close"), (0.15, "half"), (0.0, "far"))
"""Height of the faces from which on a clip is called so, in parts of the picture's height."""

_MANY = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BalancedClip:
    """What balance needs of a clip."""

    clip_id: str
    """Its name."""

    topics: Mapping[str, str]
    """What it is about, by dimension."""

    people: Sequence[str]
    """Who is in it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What balance says of all clips."""

    rejections: Mapping[str, Rejection]
    """Clips that are too many of their kind, by name."""

    held_out: frozenset[str]
    """Clips of the held-out part, by name."""

    weights: Mapping[str, float]
    """How often each clip of the training part should be drawn, 1 on average."""


def topics_of(measured: Mapping[str, Measured]) -> dict[str, str]:
    """What a clip is about, by what was measured of it."""
    caption = str(measured.get("captions", {}).get("caption", ""))
    tracks = measured.get("people", {}).get("tracks", [])
    topics = {"people": OTHER, "size": OTHER, "place": _named(caption, PLACES), "action": _named(caption, ACTIONS)}
    if tracks:
        topics["people"] = str(len(tracks)) if len(tracks) < _MANY else f"{_MANY} or more"
        heights = [box[3] - box[1] for track in tracks for box in track["boxes"] if box is not None]
        if heights:
            share = sum(heights) / len(heights) / measured["cut"]["height"]
            topics["size"] = next(name for least, name in _SIZES if share >= least)
    return topics


def _named(caption: str, words: Mapping[str, str]) -> str:
    """The topic whose word stands first."""
    found = [
        (match.start(), name)
        for name, pattern in words.items()
        if (match := re.search(rf"\b(?:{pattern})\b", caption, re.IGNORECASE))
    ]
    return min(found)[1] if found else OTHER


def balance(clips: Sequence[BalancedClip], config: BalanceConfig) -> Balance:
    """Caps kinds of which there are too many, parts off people who are held out, and weighs the rest.

    Args:
        clips: those of the data set, in order.
        config: what is wanted.

    Raises:
        UserInputError: if the target names something else than a topic.
    """
    targets = _targets(config.target)
    rejections = _capped(clips, config.most_of_one_kind)
    left = [clip for clip in clips if clip.clip_id not in rejections]
    held_out = _held_out(left, config.held_out_share)
    training = [clip for clip in left if clip.clip_id not in held_out]
    return Balance(rejections=rejections, held_out=held_out, weights=_weights(training, targets))


def _targets(settings: Sequence[str]) -> dict[str, dict[str, float]]:
    targets: dict[str, dict[str, float]] = collections.defaultdict(dict)
    for setting in settings:
        match = re.fullmatch(r"(\w+)=([^:]+):([0-9.]+)", setting)
        if match is None or match[1] not in DIMENSIONS:
            raise UserInputError(
                f"The target {setting!r} must have the form people=2:0.7, with one of {', '.join(DIMENSIONS)}."
            )
        targets[match[1]][match[2]] = float(match[3])
    return targets


def _capped(clips: Sequence[BalancedClip], most_share: float) -> dict[str, Rejection]:
    """Leaves out clips of one action at one place beyond a part of all clips; by lot, but always alike."""
    if most_share >= 1:
        return {}
    kinds: dict[tuple[str, str], list[BalancedClip]] = collections.defaultdict(list)
    for clip in clips:
        kinds[clip.topics["place"], clip.topics["action"]].append(clip)
    most = max(int(len(clips) * most_share), 1)
    return {
        clip.clip_id: Rejection(
            step=STEP,
            reason="too many of its kind",
            value=f"{len(of_kind)} clips of {action} at {place}",
            threshold=most,
        )
        for (place, action), of_kind in kinds.items()
        if OTHER not in (place, action)
        for clip in sorted(of_kind, key=lambda each: _lot(each.clip_id))[most:]
    }


def _held_out(clips: Sequence[BalancedClip], share: float) -> frozenset[str]:
    """Whole groups of clips that share people, by lot, until they are a part of all: no person is in both parts."""
    if share <= 0:
        return frozenset()
    groups = people_groups(clips)
    held_out: set[str] = set()
    for group in sorted(groups, key=lambda names: (len(names) > share * len(clips), _lot(min(names)))):
        if len(held_out) + len(group) <= share * len(clips) + 0.5:
            held_out |= group
    return frozenset(held_out)


def people_groups(clips: Iterable[BalancedClip]) -> list[set[str]]:
    """Names of clips in groups: whoever is in two clips joins them, and so on."""
    group_of: dict[str, set[str]] = {}
    clip_of_person: dict[str, str] = {}
    for clip in clips:
        group = group_of[clip.clip_id] = {clip.clip_id}
        for person in clip.people:
            other = group_of[clip_of_person.setdefault(person, clip.clip_id)]
            if other is not group:
                group |= other
                for name in other:
                    group_of[name] = group
    return list({id(group): group for group in group_of.values()}.values())


def _weights(clips: Sequence[BalancedClip], targets: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The wanted share of each topic by its share; kinds that no target names are wanted as they are."""
    weights = dict.fromkeys((clip.clip_id for clip in clips), 1.0)
    for dimension, wanted in targets.items():
        counts = collections.Counter(clip.topics[dimension] for clip in clips)
        there = {name: share for name, share in wanted.items() if counts[name]}
        total = sum(wanted.values())
        rest = sum(count for name, count in counts.items() if name not in there)
        for clip in clips:
            topic = clip.topics[dimension]
            if topic in there:
                weights[clip.clip_id] *= there[topic] / max(total, 1.0) * len(clips) / counts[topic]
            elif rest:
                weights[clip.clip_id] *= max(1 - total, 0.0) * len(clips) / rest
    mean = sum(weights.values()) / max(len(weights), 1)
    return {name: round(weight / mean, 4) for name, weight in weights.items()} if mean else weights


def _lot(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
