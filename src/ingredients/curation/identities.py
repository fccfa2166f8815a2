"""The same people in several clips: a graph of tracks that look alike, so that one clip lends references to another.

Legend: M tracks of all clips, D embedding.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from ingredients.core.arrays import Float32Array

_ROWS = 2048
"""Tracks that are compared with all others at once: memory does not grow with the square of their number."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """Cosines of a face stack's embeddings that tell people apart."""

    step: float
    """Below, the next frame's face is somebody else's."""

    join: float
    """From here on two pieces of track in a clip are one person's."""

    same_person: float
    """From here on people of two clips are one."""

    min_confidence: float | None = None
    """The detector's confidence that a face must reach in one of its frames at least, to be somebody's; None asks for
    no more than the detector does."""

    seen_confidence: float | None = None
    """The detector's confidence from which a face counts as seen in a frame; None asks for no more than the detector
    does."""


LIKENESS: dict[str, Likeness] = {
    "drawn": Likeness(step=0.3, join=0.6, same_person=0.5, min_confidence=0.55, seen_confidence=0.5),
    "dlib": Likeness(step=0.85, join=0.92, same_person=0.93),
    "antelopev2": Likeness(step=0.1, join=0.4, same_person=0.45),
}
"""By face stack. Drawn: measured on drawn films, where means of one person in two clips lie at 0.89 and of two people
below 0.43; what was no face reached a confidence of 0.54 at most; of faces with one or two landmarks in view
68 % stay below 0.5, of those with all five 0.4 %. dlib: its own limit, a distance of 0.6, is a cosine of about 0.91;
above it, as a wrong join costs more than a missed one. antelopev2: above the 0.32 at which ArcFace's authors tell
people apart; not measured here."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackedPerson:
    """One track of one clip."""

    clip_id: str
    """The name of the clip."""

    number: int
    """Which of its tracks."""

    embed: Sequence[float]
    """(D,), its mean embedding."""


def name_people(tracks: Sequence[TrackedPerson], *, same_person: float) -> Mapping[tuple[str, int], str]:
    """A name for each track, by clip and number, the same for all tracks of one person.

    Pairs of tracks are joined from the most alike on, as long as the means of what is joined are alike as well, so
    that no chain of doubtful pairs makes one person of two; two tracks of one clip are two people. A person is called
    after the first track, so that names stay when clips are added behind.

    Args:
        tracks: the tracks of all clips, in order.
        same_person: cosine from which two are one.
    """
    if not tracks:
        return {}
    embeds = np.asarray([track.embed for track in tracks], np.float32)
    embeds = embeds / np.maximum(np.linalg.norm(embeds, axis=1, keepdims=True), 1e-8)
    groups: dict[int, list[int]] = {index: [index] for index in range(len(tracks))}
    group_of = list(range(len(tracks)))
    for first, second in _pairs(embeds, same_person):
        one, other = sorted((group_of[first], group_of[second]))
        if one == other or _share_a_clip(tracks, groups[one], groups[other]):
            continue
        means = [embeds[groups[each]].mean(axis=0) for each in (one, other)]
        cosine = float(means[0] @ means[1] / max(np.linalg.norm(means[0]) * np.linalg.norm(means[1]), 1e-8))
        if cosine >= same_person:
            for index in groups[other]:
                group_of[index] = one
            groups[one] += groups.pop(other)
    names = {group: _name(tracks[min(members)]) for group, members in groups.items()}
    return {(track.clip_id, track.number): names[group_of[index]] for index, track in enumerate(tracks)}


def _pairs(embeds: Float32Array, same_person: float) -> list[tuple[int, int]]:
    """Pairs of tracks that look alike, the most alike first."""
    found: list[tuple[float, int, int]] = []
    for start in range(0, len(embeds), _ROWS):
        cosines = embeds[start : start + _ROWS] @ embeds[start:].T
        rows, columns = np.nonzero(cosines >= same_person)
        is_above = columns > rows
        for row, column in zip(rows[is_above].tolist(), columns[is_above].tolist(), strict=True):
            found.append((-float(cosines[row, column]), start + row, start + column))
    return [(first, second) for _, first, second in sorted(found)]


def _share_a_clip(tracks: Sequence[TrackedPerson], one: Sequence[int], other: Sequence[int]) -> bool:
    return not {tracks[index].clip_id for index in one}.isdisjoint(tracks[index].clip_id for index in other)


def _name(track: TrackedPerson) -> str:
    return "person-" + hashlib.sha256(f"{track.clip_id}/{track.number}".encode()).hexdigest()[:12]
