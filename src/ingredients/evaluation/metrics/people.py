"""Who is seen, how alike, and what goes wrong with several people: section 4.1's similarity and the stronger forms.

`evaluation/changes.py` defines the words of confusion, drift and copying.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ingredients.evaluation.case_record import CaseRecord, Need, TurnsRecord
from ingredients.evaluation.changes import Binding, BindingWord, Confusion
from ingredients.evaluation.metrics.metric import CaseMean
from ingredients.evaluation.statistics import Estimate, bootstrap

NORMALISED_SIMILARITY = CaseMean(
    name="normalised_similarity",
    description="(cosine - stranger mean) / (same-person mean - stranger mean): mean over people; a missing one is 0",
    of_case=lambda record: record.people.mean_similarity,
    needs=frozenset({"people", "scale"}),
)

NORMALISED_SIMILARITY_MINIMUM = CaseMean(
    name="normalised_similarity_minimum",
    description="the paper's form (4.1): people matched greedily, the least similar one of each video",
    of_case=lambda record: record.people.greedy_minimum,
    needs=frozenset({"people", "scale"}),
)

RAW_SIMILARITY = CaseMean(
    name="raw_similarity",
    description="cosine of matched faces and photos (dlib: 1 - distance): mean over people; a missing one is 0",
    of_case=lambda record: float(np.mean([person.cosine or 0.0 for person in record.people.people])),
)

RIGHT_PERSON_RATE = CaseMean(
    name="right_person_rate",
    description="people whose track is nearest to their own photos among those of the case and of others",
    of_case=lambda record: float(np.mean([person.right_person for person in record.people.people])),
    is_rate=True,
)

ALL_PRESENT_RATE = CaseMean(
    name="all_present_rate",
    description="videos in which everybody is matched, and ranked first in at least half of the frames",
    of_case=lambda record: float(record.people.all_present),
    is_rate=True,
)

FOUND_RATE = CaseMean(
    name="found_rate",
    description="people for whom the video holds a face at all",
    of_case=lambda record: float(np.mean([person.found for person in record.people.people])),
    is_rate=True,
)

BLENDED_RATE = CaseMean(
    name="blended_rate",
    description="videos in which one face is above the same person's limit for two people",
    of_case=lambda record: float(record.people.blended),
    higher_is_better=False,
    is_rate=True,
)

DOUBLED_RATE = CaseMean(
    name="doubled_rate",
    description="videos in which two simultaneous faces are the same person",
    of_case=lambda record: float(record.people.doubled),
    higher_is_better=False,
    is_rate=True,
)


def _of_confusion(number: Callable[[Confusion], float]) -> Callable[[CaseRecord], float]:
    def of_case(record: CaseRecord) -> float:
        assert record.changes is not None
        return number(record.changes.confusion)

    return of_case


def _rate(name: str, description: str, number: Callable[[Confusion], float], *, is_rate: bool = True) -> CaseMean:
    return CaseMean(
        name=name,
        description=description,
        of_case=_of_confusion(number),
        needs=frozenset({"changes"}),
        higher_is_better=False,
        is_rate=is_rate,
    )


def _per_person(count: int, confusion: Confusion) -> float:
    return count / len(confusion.seen_as)


DOMINATED_RATE = _rate(
    "dominated_rate",
    "people in whose place somebody else of those asked for appears",
    lambda confusion: _per_person(confusion.num_dominated, confusion),
)
STRANGER_RATE = _rate(
    "stranger_rate",
    "people in whose place a stranger appears",
    lambda confusion: _per_person(confusion.num_strangers, confusion),
)
MISSING_RATE = _rate(
    "missing_rate",
    "people without a face that lasts half of the video",
    lambda confusion: _per_person(confusion.num_missing, confusion),
)
SWAPPED_RATE = _rate(
    "swapped_rate",
    "videos in which everybody appears, but in another order than asked for",
    lambda confusion: float(confusion.swapped is True),
)


def _of_places(record: CaseRecord) -> float | None:
    assert record.changes is not None
    placed, num_people = record.changes.confusion.num_placed, len(record.changes.confusion.seen_as)
    return None if placed is None else placed / num_people


PLACED_RATE = CaseMean(
    name="placed_rate",
    description="people who appear as themselves and where they were asked for: in their place, or their column where "
    "an order from left to right was asked for",
    of_case=_of_places,
    needs=frozenset({"changes", "order"}),
    is_rate=True,
)
EXTRA_FACES = _rate(
    "extra_faces",
    "lasting faces beyond the people asked for, a video",
    lambda confusion: float(confusion.num_extra),
    is_rate=False,
)
EXTRA_RATE = _rate(
    "extra_rate",
    "videos with more lasting faces than people asked for",
    lambda confusion: float(confusion.num_extra > 0),
)


def _of_extras(record: CaseRecord) -> float | None:
    assert record.changes is not None
    confusion = record.changes.confusion
    return confusion.num_extra_taken / confusion.num_extra if confusion.num_extra else None


EXTRA_TAKEN_RATE = CaseMean(
    name="extra_taken_rate",
    description="lasting faces beyond the people asked for that are seen as one of these, where there are such faces",
    of_case=_of_extras,
    needs=frozenset({"changes"}),
    higher_is_better=False,
    is_rate=True,
)


def _of_turns(number: Callable[[TurnsRecord], float]) -> Callable[[CaseRecord], float]:
    def of_case(record: CaseRecord) -> float:
        assert record.turns is not None
        return number(record.turns)

    return of_case


TURNED_RATE = CaseMean(
    name="turned_rate",
    description="people whose face becomes somebody else's on the way through the video",
    of_case=_of_turns(lambda turns: float(np.mean(turns.turned))),
    needs=frozenset({"turns"}),
    higher_is_better=False,
    is_rate=True,
)

EXCHANGED_RATE = CaseMean(
    name="exchanged_rate",
    description="videos in which the faces of two people become each other's on the way",
    of_case=_of_turns(lambda turns: float(any(turns.exchanged))),
    needs=frozenset({"turns"}),
    higher_is_better=False,
    is_rate=True,
)

SWITCHING_RATE = _rate(
    "switching_rate",
    "videos in which one face is now one person, now another",
    lambda confusion: float(confusion.switching),
)


def _face_similarity(record: CaseRecord) -> float:
    assert record.paper is not None
    return record.paper.face_similarity


PAPER_FACE_SIMILARITY = CaseMean(
    name="paper_face_similarity",
    description="4.1: a frame's faces matched greedily to the people, lowest cosine of the matches, mean over frames "
    "and videos (the paper's recogniser is FaceNet)",
    of_case=_face_similarity,
    needs=frozenset({"paper"}),
    is_percentage=True,
)


def _face_change_mean(name: str, description: str, *, higher_is_better: bool) -> CaseMean:
    """The mean over people of one number of their face; those without one do not count."""

    def of_case(record: CaseRecord) -> float | None:
        assert record.changes is not None
        numbers = [getattr(face, name) for face in record.changes.faces if face is not None]
        known = [number for number in numbers if number is not None]
        return float(np.mean(known)) if known else None

    return CaseMean(
        name=name,
        description=description,
        of_case=of_case,
        needs=frozenset({"changes"}),
        higher_is_better=higher_is_better,
    )


DRIFT = _face_change_mean(
    "drift",
    "cosine to the person at the end of the video minus that at its beginning",
    higher_is_better=True,
)
COPY_PASTE = _face_change_mean(
    "copy_paste",
    "cosine to the person in frames posed like the photo minus that in others: a copy keeps only those",
    higher_is_better=False,
)


def _of_copying(record: CaseRecord) -> float | None:
    assert record.changes is not None
    return float(np.mean(record.changes.copied)) if record.changes.copied else None


COPIED_SHARE = CaseMean(
    name="copied_share",
    description="WithAnyone's: angle to the real clip less that to the photo, over the angle between these two: 1 "
    "repeats the photo, -1 is the real clip; a missing person is 1",
    of_case=_of_copying,
    needs=frozenset({"changes", "real_video"}),
    higher_is_better=False,
)


def _binding(name: str, description: str, number: Callable[[Binding], float | None], *, is_rate: bool) -> CaseMean:
    def of_case(record: CaseRecord) -> float | None:
        assert record.changes is not None
        return None if record.changes.binding is None else number(record.changes.binding)

    return CaseMean(
        name=name,
        description=description,
        of_case=of_case,
        needs=frozenset({"changes", "real_video", "scale"}),
        higher_is_better=False,
        is_rate=is_rate,
    )


def _share_of(word: BindingWord) -> Callable[[Binding], float | None]:
    return lambda binding: binding.count(word) / len(binding.difference)


BINDINGS = (
    _binding(
        "own_loss",
        "MultiBind's diagonal: what people have lost of themselves against the real clip, 1 is all",
        lambda binding: float(np.mean(binding.own_losses)),
        is_rate=False,
    ),
    _binding(
        "others_gained",
        "MultiBind's rest: what people have got of another of the case beyond natural likeness, 1 is all",
        lambda binding: float(np.mean(binding.gains)) if binding.gains else None,
        is_rate=False,
    ),
    _binding("binding_drift", "people who are lost, with nobody in their place", _share_of("drift"), is_rate=True),
    _binding("binding_swap", "people who have changed faces with another", _share_of("swap"), is_rate=True),
    _binding("binding_dominance", "people with another's face instead", _share_of("dominance"), is_rate=True),
    _binding("binding_blending", "people with another's face beside their own", _share_of("blending"), is_rate=True),
)


class Variety:
    """How far faces move in themselves, as a share of that in real clips: a pasted photo has 0."""

    name = "variety"
    description = "change within the faces (their landmarks), as a share of that in real clips: 0 is a pasted photo"
    needs: frozenset[Need] = frozenset({"changes", "real_video"})
    is_percentage = False
    is_rate = False
    higher_is_better: bool | None = None

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The mean over videos divided by the mean over real clips; not a number where these do not move."""
        pairs = [pair for record in records if (pair := _varieties(record)) is not None]
        if not pairs or not any(real for _, real in pairs):
            return Estimate(value=math.nan, low=math.nan, high=math.nan)
        generated, real = np.array(pairs).T

        def share(indices: NDArray[np.int64]) -> float:
            total = real[indices].sum()
            return float(generated[indices].sum() / total) if total > 0 else math.inf

        return bootstrap(share, len(pairs))

    def of_cases(self, records: Sequence[CaseRecord]) -> None:
        """A ratio of means is no mean over cases."""


def _varieties(record: CaseRecord) -> tuple[float, float] | None:
    """Variety of the video's faces and of the real clip's."""
    if record.changes is None or record.changes.real_variety is None:
        return None
    faces = [face.variety for face in record.changes.faces if face is not None and face.variety is not None]
    return (float(np.mean(faces)), record.changes.real_variety) if faces else None
