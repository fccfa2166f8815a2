"""Whether the video shows what its prompt says rather than what another prompt says.

Legend: cases are rows and prompts columns of the cosines.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ingredients.evaluation.records import CaseRecord, Need
from ingredients.evaluation.statistics import Estimate, bootstrap_mean


class TextRelevance:
    """Share of the pairs of a case and another prompt in which the frames are nearer to the own prompt; a tie is half.

    A video that ignores its prompt scores one half.
    """

    name = "text_relevance"
    description = "pairs of a video and another prompt in which the own prompt is nearer to the frames (chance: 0.5)"
    needs: frozenset[Need] = frozenset({"text"})
    is_percentage = False
    higher_is_better: bool | None = True

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The share with its interval."""
        own, others = _cosines(records)
        wins = [np.mean((mine > theirs) + 0.5 * (mine == theirs)) for mine, theirs in zip(own, others, strict=True)]
        return bootstrap_mean(np.array(wins, dtype=np.float64))


class TextCosineDifference:
    """Mean cosine of the frames with their own prompt, less the mean with the other cases' prompts."""

    name = "text_cosine_difference"
    description = "cosine of the frames with their own prompt, less that with the other prompts"
    needs: frozenset[Need] = frozenset({"text"})
    is_percentage = False
    higher_is_better: bool | None = True

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The difference with its interval."""
        own, others = _cosines(records)
        differences = [mine - np.mean(theirs) for mine, theirs in zip(own, others, strict=True)]
        return bootstrap_mean(np.array(differences, dtype=np.float64))


def _cosines(records: Sequence[CaseRecord]) -> tuple[list[float], list[NDArray[np.float64]]]:
    """For each case, the cosine with its own prompt and those with the prompts that read otherwise.

    A single prompt leaves nothing to compare with: its own cosine then stands for the others, which is a tie.
    """
    texts = [record.text for record in records]
    frames = np.array([text.frames for text in texts if text is not None], dtype=np.float64)
    prompts = np.array([text.prompt for text in texts if text is not None], dtype=np.float64)
    if len(frames) != len(records):
        raise ValueError("a case has no text record")
    cosines = frames @ prompts.T  # (cases, prompts)
    own = np.diag(cosines).tolist()
    sentences = np.array([record.prompt for record in records])
    others = [cosines[index, sentences != sentences[index]] for index in range(len(records))]
    return own, [
        theirs if len(theirs) else np.array([mine], dtype=np.float64) for mine, theirs in zip(own, others, strict=True)
    ]
