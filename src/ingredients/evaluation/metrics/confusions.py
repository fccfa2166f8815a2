"""What goes wrong with several people, each as a rate of its own (`evaluation/confusion.py` defines the words)."""

from collections.abc import Callable

from ingredients.evaluation.confusion import Confusion
from ingredients.evaluation.metrics.per_case import CaseMean
from ingredients.evaluation.records import CaseRecord


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
SWITCHING_RATE = _rate(
    "switching_rate",
    "videos in which one face is now one person, now another",
    lambda confusion: float(confusion.switching),
)
