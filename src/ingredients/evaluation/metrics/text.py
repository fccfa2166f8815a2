"""Whether the video shows what its prompt says, as a whole and attribute by attribute.

Legend: cases are rows and prompts columns of the cosines.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ingredients.evaluation.case_record import CaseRecord, Need, TextChoice, TextRecord
from ingredients.evaluation.metrics.metric import CaseMean, mean_of_cases
from ingredients.evaluation.statistics import Estimate
from ingredients.world.captions import AttributeName


class TextRelevance:
    """Share of the pairs of a case and another prompt in which the frames are nearer to the own prompt; a tie is half.

    A video that ignores its prompt scores one half. Prompts that differ in everything are easily told apart: place and
    light suffice for nearly all pairs, and nothing is learnt about actions (`AttributeChoice` asks for each alone).
    """

    name = "text_relevance"
    description = "pairs of a video and another prompt in which the own one is nearer to the frames; place suffices"
    needs: frozenset[Need] = frozenset({"text"})
    is_percentage = False
    is_rate = True
    higher_is_better: bool | None = True

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The share with its interval, beside that of the real clips."""
        of_real = [_wins(record_cosines) for record_cosines in _cosines(records, lambda text: text.real_frames)]
        return dataclasses.replace(
            mean_of_cases(self.of_cases(records), is_rate=self.is_rate),
            chance=0.5,
            real_clips=float(np.mean(of_real)) if of_real else None,
        )

    def of_cases(self, records: Sequence[CaseRecord]) -> list[float | None]:
        """The share of each case's pairs."""
        return [_wins(each) for each in _own_cosines(records)]


class TextCosineDifference:
    """Mean cosine of the frames with their own prompt, less the mean with the other cases' prompts."""

    name = "text_cosine_difference"
    description = "cosine of the frames with their own prompt, less that with the other prompts"
    needs: frozenset[Need] = frozenset({"text"})
    is_percentage = False
    is_rate = False
    higher_is_better: bool | None = True

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The difference with its interval."""
        return mean_of_cases(self.of_cases(records), is_rate=self.is_rate)

    def of_cases(self, records: Sequence[CaseRecord]) -> list[float | None]:
        """The difference of each case."""
        return [own - float(np.mean(others)) for own, others in _own_cosines(records)]


class AttributeChoice:
    """Share of the videos nearest to the sentence that says their own attribute, the rest of it unchanged."""

    is_percentage = False
    is_rate = True
    higher_is_better: bool | None = True
    needs: frozenset[Need] = frozenset({"text", "attributes"})

    def __init__(self, attribute: AttributeName) -> None:
        self.attribute = attribute
        self.name = f"text_relevance_{attribute}"
        self.description = f"videos whose {attribute} is told right among all, with the rest of the sentence unchanged"

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The share with its interval, beside what guessing gives and what the same judge tells of real clips."""
        choices = [choice for record in records if (choice := self._choice(record)) is not None]
        of_real = [choice.real_right for choice in choices if choice.real_right is not None]
        return dataclasses.replace(
            mean_of_cases(self.of_cases(records), is_rate=self.is_rate),
            chance=float(np.mean([1 / choice.num_values for choice in choices])) if choices else math.nan,
            real_clips=float(np.mean(of_real)) if of_real else None,
        )

    def of_cases(self, records: Sequence[CaseRecord]) -> list[float | None]:
        """Whether each case's is told right; None where the sentence does not say."""
        choices = [self._choice(record) for record in records]
        return [None if choice is None else choice.right for choice in choices]

    def _choice(self, record: CaseRecord) -> TextChoice | None:
        choices = [] if record.text is None else record.text.choices
        return next((choice for choice in choices if choice.attribute == self.attribute), None)


ATTRIBUTE_CHOICES = tuple(AttributeChoice(name) for name in ("count", "action", "expression", "place", "light"))


def _text_cosine(record: CaseRecord) -> float:
    assert record.text is not None
    return record.text.cosine


def _cosine_with_prompt(name: str, description: str, encoder: Need) -> CaseMean:
    return CaseMean(
        name=name,
        description=description,
        of_case=_text_cosine,
        needs=frozenset({"text", encoder}),
        is_percentage=True,
    )


PAPER_CLIP_TEXT = _cosine_with_prompt(
    "paper_clip_text", "4.1: cosine of frames and prompt in CLIP, mean over frames and videos", "clip"
)

DUAL_ENCODER_TEXT = _cosine_with_prompt(
    "dual_encoder_text",
    "cosine of frames and prompt in the model's own dual encoder, which stands in for CLIP: not the paper's number",
    "dual_encoder",
)

_Cosines = tuple[float, NDArray[np.float64]]
"""Cosines with the own prompt, and with those that read otherwise."""


def _wins(cosines: _Cosines) -> float:
    own, others = cosines
    return float(np.mean((own > others) + 0.5 * (own == others)))


def _own_cosines(records: Sequence[CaseRecord]) -> list[_Cosines]:
    """The cosines of every case.

    Raises:
        ValueError: if a case has no text record.
    """
    cosines = _cosines(records, lambda text: text.frames)
    if len(cosines) != len(records):
        raise ValueError("a case has no text record")
    return cosines


def _cosines(
    records: Sequence[CaseRecord], frames_of: Callable[[TextRecord], tuple[float, ...] | None]
) -> list[_Cosines]:
    """For each case with such frames, the cosine with its own prompt and those with the prompts that read otherwise.

    A single prompt leaves nothing to compare with: its own cosine then stands for the others, which is a tie.
    """
    known = [(record, record.text) for record in records if record.text is not None]
    if not known:
        return []
    prompts = np.array([text.prompt for _, text in known], dtype=np.float64)
    sentences = np.array([record.prompt for record, _ in known])
    found = []
    for index, (_, text) in enumerate(known):
        frames = frames_of(text)
        if frames is not None:
            cosines = prompts @ np.array(frames, dtype=np.float64)  # (prompts,)
            others = cosines[sentences != sentences[index]]
            own = float(cosines[index])
            found.append((own, others if len(others) else np.array([own], dtype=np.float64)))
    return found
