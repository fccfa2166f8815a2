"""The benchmark of the drawn world, and its cases as an evaluation runs them."""

import functools

from ingredients.core.errors import UserInputError
from ingredients.evaluation.benchmark.cases import make_cases
from ingredients.evaluation.benchmark.drawn_people import drawn_identities, drawn_people
from ingredients.evaluation.benchmark.drawn_prompts import drawn_prompts, drawn_scenes
from ingredients.evaluation.benchmark.schema import Benchmark, BenchmarkInfo
from ingredients.evaluation.cases import Case
from ingredients.world import WORLD_VERSION
from ingredients.world.captions import SceneAttributes
from ingredients.world.held_out_pairs import HELD_OUT_PAIRS

BENCHMARK_VERSION = "1"
"""Raised whenever a person, a prompt or a case changes: numbers of different versions cannot be compared."""

DRAWN_COUNTS = (2, 3, 4)
"""People in the sets."""


@functools.cache
def drawn_benchmark() -> Benchmark:
    """The benchmark: 50 people, 60 prompts, and for 2, 3 and 4 people 100 cases."""
    benchmark = Benchmark(
        info=BenchmarkInfo(
            name="ingredients-world",
            version=BENCHMARK_VERSION,
            source=f"the drawn world, version {WORLD_VERSION}, of the package ingredients",
            licence="Apache-2.0, as the package",
            notes="The model that ships was trained on clips of all pairs of action and background, so it may have "
            "seen every pair of this benchmark, the held-out ones too. A model has not seen them if it was trained "
            "on clips drawn with `ingredients world clips --without-held-out-pairs`. Nobody in the benchmark was "
            "drawn in any training clip: all are of the world's evaluation split.",
            num_people=DRAWN_COUNTS,
            held_out_pairs=tuple(sorted(HELD_OUT_PAIRS)),
        ),
        identities=drawn_identities(),
        prompts=drawn_prompts(),
    )
    cases = [case for num_people in DRAWN_COUNTS for case in make_cases(benchmark, num_people)]
    return Benchmark(
        info=benchmark.info, identities=benchmark.identities, prompts=benchmark.prompts, cases=tuple(cases)
    )


def drawn_cases(num_cases: int, *, num_people: int = 2) -> list[Case]:
    """The first cases of so many people, as an evaluation runs them.

    Raises:
        UserInputError: for a number of people or of cases that the benchmark does not have.
    """
    if num_people not in DRAWN_COUNTS:
        raise UserInputError(
            f"The benchmark has cases of {', '.join(map(str, DRAWN_COUNTS))} people, not of {num_people}."
        )
    benchmark = drawn_benchmark()
    cases = benchmark.cases_of(num_people)
    if not 1 <= num_cases <= len(cases):
        raise UserInputError(f"The benchmark has 1 to {len(cases)} cases of {num_people} people, not {num_cases}.")
    people, scenes = drawn_people(), drawn_scenes()
    prompts = {prompt.id: prompt for prompt in benchmark.prompts}
    return [
        Case(
            index=index,
            people=tuple(people[name][1] for name in case.identities),
            portrait_seeds=tuple(people[name][0] for name in case.identities),
            attributes=_for_count(scenes[case.prompt], num_people),
            prompt=prompts[case.prompt].for_count(num_people),
            seed=case.seed,
        )
        for index, case in enumerate(cases[:num_cases])
    ]


def _for_count(scene: SceneAttributes, num_people: int) -> SceneAttributes:
    return SceneAttributes(
        count=num_people,
        action=scene.action,
        expression=scene.expression,
        place=scene.place,
        light=scene.light,
    )
