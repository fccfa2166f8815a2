"""Fixed sets of people, and the prompts that are asked of each (4.1): balanced, and the same every time.

Legend: P identities of the benchmark, N people of a set.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ingredients.casebook.benchmark import Benchmark, BenchmarkCase, BenchmarkIdentity, BenchmarkPrompt
from ingredients.core.errors import UserInputError

PROMPTS_PER_SET = 2

_FIRST_CASE_SEED = 4_000_000
_SEEDS_PER_COUNT = 10_000


def deal_cases(benchmark: Benchmark, num_people: int) -> list[BenchmarkCase]:
    """As many sets of people as there are identities, and two cases of each set.

    The first case of every set comes before the second of any, so that the first half of the cases holds everybody
    equally often as well.

    Raises:
        UserInputError: if there are too few people for different sets, or a set that fewer than two prompts fit.
    """
    sets = [
        [benchmark.identities[index] for index in indices]
        for indices in reference_sets(len(benchmark.identities), num_people)
    ]
    held_out = set(benchmark.info.held_out_pairs)
    cases: list[BenchmarkCase] = []
    for prompt_round, prompts in enumerate(deal_prompts(benchmark.prompts, sets), start=1):
        for number, (people, prompt) in enumerate(zip(sets, prompts, strict=True), start=1):
            cases.append(
                BenchmarkCase(
                    id=f"{num_people}-{number:03d}-{prompt_round}",
                    identities=tuple(person.id for person in people),
                    prompt=prompt.id,
                    seed=_FIRST_CASE_SEED + _SEEDS_PER_COUNT * num_people + len(cases),
                    held_out_pair=(prompt.action, prompt.background) in held_out,
                )
            )
    return cases


def choose_cases(benchmark: Benchmark, *, num_people: int, num_cases: int | None) -> list[BenchmarkCase]:
    """The first cases of so many people.

    Raises:
        UserInputError: if there are none, or fewer; it says what there is.
    """
    cases = benchmark.cases_of(num_people)
    if not cases:
        there = ", ".join(map(str, benchmark.info.num_people)) or "no number of"
        raise UserInputError(
            f"The benchmark has cases of {there} people, not of {num_people}; make them with: ingredients benchmark "
            f"make FOLDER --people {num_people}"
        )
    if num_cases is not None and num_cases > len(cases):
        raise UserInputError(f"The benchmark has {len(cases)} cases of {num_people} people, not {num_cases}.")
    return cases[:num_cases]


def reference_sets(num_identities: int, num_people: int) -> list[tuple[int, ...]]:
    """P sets of N of P people, in which each person is once first, once second and so on.

    The people stand in a circle, in an order drawn once for each N; a set takes those at fixed distances, and moves on
    by one. No two people meet twice if `spread_offsets` finds distances of which no two are as far apart.

    Raises:
        UserInputError: for fewer than 2 people in a set, or not more identities than that.
    """
    if not 2 <= num_people < num_identities:
        raise UserInputError(
            f"Sets of {num_people} people cannot be made of {num_identities} identities; a set needs at least 2 "
            "people, and the benchmark more identities than that."
        )
    circle = np.random.default_rng([num_people, num_identities]).permutation(num_identities).tolist()
    offsets = spread_offsets(num_identities, num_people)
    return [tuple(circle[(start + offset) % num_identities] for offset in offsets) for start in range(num_identities)]


def spread_offsets(num_identities: int, num_people: int) -> tuple[int, ...]:
    """N distances from a start on a circle of P, no two of which are as far apart as two others: a Golomb ruler.

    Each is the smallest that fits the earlier ones; where the circle is too small for that, they are neighbours.
    """
    offsets = [0]
    apart: set[int] = set()
    for offset in range(1, num_identities):
        added = {(sign * (offset - other)) % num_identities for other in offsets for sign in (1, -1)}
        if len(offsets) < num_people and len(added) == 2 * len(offsets) and not added & apart:
            offsets.append(offset)
            apart |= added
    return tuple(offsets) if len(offsets) == num_people else tuple(range(num_people))


def deal_prompts(
    prompts: Sequence[BenchmarkPrompt], sets: Sequence[Sequence[BenchmarkIdentity]]
) -> list[list[BenchmarkPrompt]]:
    """For each round, a fitting prompt for each set: another one each round, and all prompts about equally often.

    Of the fitting prompts that were used least, a set gets the one that repeats least of its earlier prompts, then the
    one whose expression, action and background were used least.

    Raises:
        UserInputError: for a set that fewer than two prompts fit.
    """
    rank = np.random.default_rng([len(sets), len(sets[0])]).permutation(len(prompts)).tolist()
    uses: Counter[str] = Counter()
    contents: Counter[tuple[str, str]] = Counter()
    rounds: list[list[BenchmarkPrompt]] = []
    for _ in range(PROMPTS_PER_SET):
        dealt: list[BenchmarkPrompt] = []
        for number, people in enumerate(sets):
            before = [earlier[number] for earlier in rounds]
            seen = {content for prompt in before for content in _contents(prompt)}
            fitting = [
                (
                    uses[prompt.id],
                    len(seen.intersection(_contents(prompt))),
                    sum(contents[content] for content in _contents(prompt)),
                    place,
                    index,
                )
                for index, (prompt, place) in enumerate(zip(prompts, rank, strict=True))
                if prompt not in before and prompt.fits(people)
            ]
            if not fitting:
                raise UserInputError(
                    f"Fewer than {PROMPTS_PER_SET} prompts fit the {len(people)} people "
                    f"{', '.join(person.id for person in people)}; add prompts with "
                    f'{{count}} or with a text for "{len(people)}", whose `requires` these people fulfil.'
                )
            chosen = prompts[min(fitting)[-1]]
            dealt.append(chosen)
            uses[chosen.id] += 1
            contents.update(_contents(chosen))
        rounds.append(dealt)
    return rounds


def _contents(prompt: BenchmarkPrompt) -> list[tuple[str, str]]:
    return [("expression", prompt.expression), ("action", prompt.action), ("background", prompt.background)]
