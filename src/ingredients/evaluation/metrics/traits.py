"""Whether people do and look like what they should: what the prompt asks of each, and what only their photo says.

A person without a face has got nothing right: nobody gains by leaving people out.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from ingredients.evaluation.case_record import CaseRecord, Need, Traits, TraitsRecord
from ingredients.evaluation.metrics.metric import mean_of_cases
from ingredients.evaluation.statistics import Estimate
from ingredients.world.identity import ATTRIBUTES

OfVideo = Callable[[TraitsRecord, Traits], float | None]
"""The number of one video, from what is seen in it; None where there is nothing to be right about."""


class TraitMetric:
    """A `Metric`: the mean over cases of a share of what is right, beside real clips, the VAE's ceiling and chance.

    Args:
        name: key in the results.
        description: one line for the report.
        of_video: the share of one video.
        chance: what guessing would give in one case.
        higher_is_better: direction.
        needs: what it cannot do without.
    """

    is_percentage = False
    is_rate = True

    def __init__(
        self,
        name: str,
        description: str,
        of_video: OfVideo,
        *,
        chance: Callable[[TraitsRecord], float],
        higher_is_better: bool | None = True,
        needs: frozenset[Need] = frozenset({"traits"}),
    ) -> None:
        self.needs = needs
        self.name = name
        self.description = description
        self.higher_is_better = higher_is_better
        self._of_video = of_video
        self._chance = chance

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The mean with its interval, and the same of what else is known."""
        known = [record.traits for record in records if record.traits is not None]
        known = [each for each in known if self._of_video(each, each.generated) is not None]
        chances = [self._chance(each) for each in known]
        return dataclasses.replace(
            mean_of_cases(self.of_cases(records), is_rate=True),
            real_clips=self._mean([(each, each.real) for each in known]),
            after_vae=self._mean([(each, each.after_vae) for each in known]),
            chance=float(np.mean(chances)) if chances else math.nan,
        )

    def of_cases(self, records: Sequence[CaseRecord]) -> list[float | None]:
        """The share of each case."""
        return [
            None if record.traits is None else self._of_video(record.traits, record.traits.generated)
            for record in records
        ]

    def _mean(self, videos: Sequence[tuple[TraitsRecord, Traits]]) -> float | None:
        numbers = [self._of_video(record, seen) for record, seen in videos if seen]
        known = [number for number in numbers if number is not None]
        return float(np.mean(known)) if known else None


def _share_right(*names: str) -> OfVideo:
    """Share of the people's traits of these names that are right, of those that a picture shows."""

    def of_video(record: TraitsRecord, seen: Traits) -> float | None:
        right = [
            looks is not None and looks.get(name) == truth[name]
            for truth, looks in zip(record.truth, seen, strict=True)
            for name in names
            if name in truth
        ]
        return float(np.mean(right)) if right else None

    return of_video


def _guessed(*names: str) -> Callable[[TraitsRecord], float]:
    """What guessing among all values gives for the traits that the people have."""

    def chance(record: TraitsRecord) -> float:
        return float(
            np.mean([1 / record.num_values[name] for truth in record.truth for name in names if name in truth])
        )

    return chance


def _trait_right(name: str, description: str) -> TraitMetric:
    return TraitMetric(f"{name}_right", description, _share_right(name), chance=_guessed(name))


ACTION_RIGHT = _trait_right("action", "people who do what the prompt asks of them")
EXPRESSION_RIGHT = _trait_right("expression", "people who look as the prompt asks: smiling, serious, sad, surprised")

_LOOKS = {
    "hat": "people with the kind of hat that they have in the photo, or with none",
    "hat_colour": "people with a hat of the colour that it has in the photo; of those with one",
    "hair_style": "people whose hair is cut as in the photo; of those whose hat leaves it to be seen",
    "hair_colour": "people whose hair has the colour that it has in the photo; likewise",
    "glasses": "people with the kind of glasses that they have in the photo, or with none",
    "beard": "people with the kind of beard that they have in the photo, or with none",
    "shirt_colour": "people whose clothes have the colour that they have in the photo",
}
ATTRIBUTES_RIGHT = TraitMetric(
    "attributes_right",
    "hat, hair, glasses, beard and clothes that are those of the photo: what only it says",
    _share_right(*ATTRIBUTES),
    chance=_guessed(*ATTRIBUTES),
)
EACH_ATTRIBUTE_RIGHT = tuple(_trait_right(name, description) for name, description in _LOOKS.items())


def _own_acts(record: TraitsRecord) -> bool:
    """Whether the people of a case are asked to do different things."""
    return len({truth["action"] for truth in record.truth}) > 1


def _all_right(record: TraitsRecord, seen: Traits) -> float | None:
    if not _own_acts(record):
        return None
    return float(_actions(seen) == _actions(record.truth))


def _exchanged(record: TraitsRecord, seen: Traits) -> float | None:
    """Whether the people do what was asked, but one for the other."""
    if not _own_acts(record):
        return None
    asked, done = _actions(record.truth), _actions(seen)
    return float(done != asked and done in set(itertools.permutations(asked)))


def _actions(seen: Traits) -> tuple[str | None, ...]:
    return tuple(None if each is None else each["action"] for each in seen)


def _chance_of(number_of_ways: Callable[[TraitsRecord], int]) -> Callable[[TraitsRecord], float]:
    def chance(record: TraitsRecord) -> float:
        return number_of_ways(record) / float(record.num_values["action"] ** len(record.truth))

    return chance


WHO_DOES_WHAT = TraitMetric(
    "who_does_what",
    "videos in which everybody does what is asked of them; of prompts that ask different things of people",
    _all_right,
    chance=_chance_of(lambda record: 1),
    needs=frozenset({"traits", "roles"}),
)
ACTIONS_EXCHANGED = TraitMetric(
    "actions_exchanged",
    "videos in which the people do what was asked, but one for the other; of the same prompts",
    _exchanged,
    chance=_chance_of(lambda record: len(set(itertools.permutations(_actions(record.truth)))) - 1),
    higher_is_better=False,
    needs=frozenset({"traits", "roles"}),
)

TRAIT_METRICS = (
    ACTION_RIGHT,
    EXPRESSION_RIGHT,
    WHO_DOES_WHAT,
    ACTIONS_EXCHANGED,
    ATTRIBUTES_RIGHT,
    *EACH_ATTRIBUTE_RIGHT,
)
