"""The drawn benchmark, and the rule by which sets and cases are made."""

import dataclasses
import hashlib
import itertools
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingredients.casebook.benchmark import Benchmark, BenchmarkIdentity, BenchmarkInfo, BenchmarkPrompt
from ingredients.casebook.cases import make_cases as make_default_cases
from ingredients.casebook.drawn import (
    BENCHMARK_VERSION,
    DRAWN_COUNTS,
    drawn_benchmark,
    drawn_cases,
    drawn_people,
    drawn_scenes,
)
from ingredients.casebook.sets import deal_cases, deal_prompts, reference_sets, spread_offsets
from ingredients.core.config import config_to_dict
from ingredients.core.errors import UserInputError
from ingredients.world import vocabulary
from ingredients.world.captions import ACTIONS, EXPRESSIONS, LIGHT_PHRASES, PLACE_PHRASES, words
from ingredients.world.held_out_pairs import HELD_OUT_PAIRS
from ingredients.world.identity import HAIR_COLOURS, HAIR_STYLES, HATS, SKINS


def spread(counts: Counter[str]) -> int:
    return max(counts.values()) - min(counts.values())


def test_the_benchmark_is_that_of_its_version():
    """Another digest is another benchmark: raise BENCHMARK_VERSION before changing it here."""
    parts = config_to_dict(drawn_benchmark())
    del parts["info"]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    assert (BENCHMARK_VERSION, digest) == ("1", "39bc46e5feae9758")


def test_fifty_people_of_the_evaluation_split_are_spread_over_the_features():
    people = [person for _, person in drawn_people().values()]
    assert len(set(people)) == 50
    assert {person.split for person in people} == {"eval"}
    for feature, table in {"skin": SKINS, "hair_style": HAIR_STYLES, "hair_colour": HAIR_COLOURS}.items():
        counts = Counter(getattr(person, feature) for person in people)
        assert set(counts) == set(table)
        assert spread(counts) <= 1, feature
    hats = Counter(person.hat for person in people)
    assert set(hats) == set(HATS)
    assert 20 <= hats.pop("none") <= 23  # three sevenths, as the world draws them
    assert spread(hats) <= 1


def test_nobody_of_the_benchmark_is_in_the_default_cases():
    people = {person for _, person in drawn_people().values()}
    assert not people & {person for case in make_default_cases(100) for person in case.identities}


def test_sixty_prompts_are_balanced():
    scenes = list(drawn_scenes().values())
    assert len(scenes) == len(set(scenes)) == 60
    assert Counter(scene.expression for scene in scenes) == dict.fromkeys(EXPRESSIONS, 15)
    assert Counter(scene.light for scene in scenes) == dict.fromkeys(LIGHT_PHRASES, 12)
    assert spread(Counter(scene.action for scene in scenes)) == 1
    assert spread(Counter(scene.place for scene in scenes)) == 1
    pairs = Counter((scene.action, scene.place) for scene in scenes)
    assert set(pairs) == set(itertools.product(ACTIONS, PLACE_PHRASES))
    with_expressions = Counter((scene.action, scene.expression) for scene in scenes)
    assert len(with_expressions) == len(ACTIONS) * len(EXPRESSIONS)
    held_out = [scene for scene in scenes if (scene.action, scene.place) in HELD_OUT_PAIRS]
    assert spread(Counter(scene.expression for scene in held_out)) <= 2


@pytest.mark.parametrize("num_people", DRAWN_COUNTS)
def test_a_hundred_cases_use_everybody_equally(num_people: int):
    benchmark = drawn_benchmark()
    cases = benchmark.cases_of(num_people)
    assert len(cases) == 100
    for half in (cases[:50], cases[50:]):  # the first case of each set, then the second
        for place in range(num_people):
            assert Counter(case.identities[place] for case in half) == {p.id: 1 for p in benchmark.identities}
    prompts = {prompt.id: prompt for prompt in benchmark.prompts}
    by_set: dict[tuple[str, ...], list[BenchmarkPrompt]] = {}
    for case in cases:
        by_set.setdefault(case.identities, []).append(prompts[case.prompt])
    assert len(by_set) == 50
    assert {len({prompt.id for prompt in pair}) for pair in by_set.values()} == {2}
    meetings = Counter(frozenset(pair) for identities in by_set for pair in itertools.combinations(identities, 2))
    assert set(meetings.values()) == {1}  # nobody is with the same person twice
    assert set(Counter(case.prompt for case in cases)) == set(prompts)
    assert max(Counter(case.prompt for case in cases).values()) == 2
    for content in ("expression", "action", "background"):
        assert spread(Counter(getattr(prompts[case.prompt], content) for case in cases)) <= 2
    assert len({case.seed for case in benchmark.cases}) == len({case.id for case in benchmark.cases}) == 300
    for case in cases:
        pair = (prompts[case.prompt].action, prompts[case.prompt].background)
        assert case.held_out_pair == (pair in HELD_OUT_PAIRS)


@pytest.mark.parametrize("num_people", DRAWN_COUNTS)
def test_cases_of_the_evaluation_are_those_of_the_folder(num_people: int):
    benchmark = drawn_benchmark()
    people, known = drawn_people(), set(vocabulary())
    cases = drawn_cases(100, num_people=num_people)
    assert drawn_cases(7, num_people=num_people) == cases[:7]
    for case, written in zip(cases, benchmark.cases_of(num_people), strict=True):
        assert case.identities == tuple(people[name][1] for name in written.identities)
        assert case.seed == written.seed
        assert case.attributes.count == num_people
        assert set(words(case.prompt)) <= known
        assert {2: "two", 3: "three", 4: "four"}[num_people] in words(case.prompt)
        assert case.prompt[0].isupper()
        assert any(phrase in case.prompt.lower() for phrase in PLACE_PHRASES[case.attributes.place])
        assert case.scene().caption == case.prompt


@pytest.mark.parametrize(
    ("arguments", "complaint"), [((5, 1), "2, 3, 4 people"), ((101, 2), "1 to 100"), ((0, 3), "1 to 100")]
)
def test_cases_that_the_benchmark_lacks_are_refused(arguments: tuple[int, int], complaint: str):
    with pytest.raises(UserInputError, match=complaint):
        drawn_cases(arguments[0], num_people=arguments[1])


@given(st.integers(2, 7), st.integers(1, 60))
def test_sets_are_different_and_use_everybody_once_in_each_place(num_people: int, more: int):
    num_identities = num_people + more
    sets = reference_sets(num_identities, num_people)
    assert len(sets) == num_identities
    assert len({frozenset(people) for people in sets}) == num_identities
    for place in zip(*sets, strict=True):
        assert sorted(place) == list(range(num_identities))


def test_people_of_a_set_are_spread_where_there_is_room():
    assert spread_offsets(50, 4) == (0, 1, 3, 7)
    assert spread_offsets(5, 4) == (0, 1, 2, 3)
    meetings = Counter(
        frozenset(pair) for people in reference_sets(13, 4) for pair in itertools.combinations(people, 2)
    )
    assert len(meetings) == 78  # of 13 people everybody meets everybody once
    assert set(meetings.values()) == {1}


@pytest.mark.parametrize(("num_identities", "num_people"), [(3, 3), (2, 4), (9, 1)])
def test_sets_that_would_repeat_are_refused(num_identities: int, num_people: int):
    with pytest.raises(UserInputError, match=f"Sets of {num_people} people cannot be made of {num_identities}"):
        reference_sets(num_identities, num_people)


def make_prompt(name: str, **changes: object) -> BenchmarkPrompt:
    settings = {"text": "{count} people wave", "expression": "smile", "action": "wave", "background": "park"}
    return BenchmarkPrompt(id=name, **(settings | changes))


def make_person(name: str, **attributes: str) -> BenchmarkIdentity:
    return BenchmarkIdentity(id=name, photos=(f"photos/{name}.png",), attributes=attributes)


def test_a_prompt_fits_the_number_of_people_that_it_states():
    two, three = [make_person("a"), make_person("b")], [make_person(name) for name in "abc"]
    assert make_prompt("p").fits(two)
    assert make_prompt("p").for_count(3) == "Three people wave"
    assert not make_prompt("p").fits(two[:1])  # "one people"
    assert make_prompt("p").for_count(11) == "11 people wave"
    couple = make_prompt("p", text={"2": "A couple dances"})
    assert couple.fits(two)
    assert not couple.fits(three)
    assert couple.for_count(2) == "A couple dances"
    uncounted = make_prompt("p", text="People wave")
    assert uncounted.fits(three)
    assert uncounted.for_count(3) == "People wave"


def test_a_prompt_fits_those_whom_it_requires():
    prompt = make_prompt("p", requires={"age group": ("adult", "senior")})
    adult, senior, child, unknown = (
        make_person("a", **{"age group": "adult"}),
        make_person("b", **{"age group": "senior"}),
        make_person("c", **{"age group": "child"}),
        make_person("d"),
    )
    assert prompt.fits([adult, senior])
    assert not prompt.fits([adult, child])
    assert not prompt.fits([adult, unknown])


def test_prompts_are_dealt_to_those_whom_they_fit():
    people = [make_person(name, age="child" if name in "ab" else "adult") for name in "abcdef"]
    prompts = [make_prompt(f"any-{index}", action=f"act {index}") for index in range(4)]
    prompts += [make_prompt("adults", requires={"age": ("adult",)}, action="drive")]
    sets = [[people[index] for index in indices] for indices in reference_sets(6, 2)]
    rounds = deal_prompts(prompts, sets)
    for dealt in rounds:
        for pair, prompt in zip(sets, dealt, strict=True):
            assert prompt.fits(pair)
    assert all(first != second for first, second in zip(*rounds, strict=True))
    uses = Counter(prompt.id for dealt in rounds for prompt in dealt)
    assert set(uses) == {prompt.id for prompt in prompts}
    assert spread(uses) <= 1


def test_a_set_without_two_fitting_prompts_is_named():
    benchmark = Benchmark(
        info=BenchmarkInfo(name="mine", version="1"),
        identities=tuple(make_person(name) for name in "abc"),
        prompts=(make_prompt("p"), make_prompt("q", text={"3": "Three people wave"})),
    )
    with pytest.raises(UserInputError, match=r'Fewer than 2 prompts fit the 2 people .*a text for "2"'):
        deal_cases(benchmark, 2)


def test_held_out_pairs_are_stated_in_the_cases():
    benchmark = Benchmark(
        info=BenchmarkInfo(name="mine", version="1", held_out_pairs=(("wave", "park"),)),
        identities=tuple(make_person(name) for name in "abcd"),
        prompts=(make_prompt("p"), make_prompt("q", background="beach")),
    )
    cases = deal_cases(benchmark, 3)
    assert {(case.prompt, case.held_out_pair) for case in cases} == {("p", True), ("q", False)}
    unknown = dataclasses.replace(benchmark, info=BenchmarkInfo(name="mine", version="1"))
    assert not any(case.held_out_pair for case in deal_cases(unknown, 3))
