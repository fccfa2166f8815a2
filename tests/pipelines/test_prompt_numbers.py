"""How many people a sentence speaks of."""

import numpy as np
import pytest

from ingredients.pipelines.prompts import count_people, says_who
from ingredients.world import describe_scene, sample_scene


@pytest.mark.parametrize(
    ("prompt", "count"),
    [
        ("A person waves on a beach", 1),
        ("Somebody waves", 1),
        ("A happy young woman smiles", 1),
        ("One person reads", 1),
        ("Two people wave on a beach", 2),
        ("2 people wave", 2),
        ("Two happy old friends wave", 2),
        ("Both women laugh", 2),
        ("A couple walks", 2),
        ("A couple of friends walk", 2),
        ("A man and a woman dance", 2),
        ("Two people, a man and a woman, dance", 2),
        ("In a cafe, two friends talk. The woman on the left laughs, and a man nods.", 2),
        ("Two men and a woman talk", 3),
        ("A bearded man and two tall girls", 3),
        ("a video of three friends, smiling: three friends nod", 3),
        ("a video of a person, smiling: a person nods", 1),
        ("A family of four at a table", 4),
        ("Twelve dogs and a group of 5 kids", 5),
        ("People wave", None),
        ("Ana and Ben wave", None),
        ("A couple of dogs in a park with a tree", None),
        ("A dog and two cats", None),
        ("On a day in 1990, people wave", None),
        ("", None),
    ],
)
def test_people_are_counted(prompt: str, count: int | None) -> None:
    assert count_people(prompt) == count


def test_the_sentences_of_the_drawn_world_are_counted_right() -> None:
    wrong = []
    for seed in range(300):
        scene = sample_scene(seed).attributes
        sentence = describe_scene(scene, np.random.default_rng(seed))
        if count_people(sentence) != scene.count:
            wrong.append(sentence)
    assert not wrong


@pytest.mark.parametrize(
    ("prompt", "num_people", "names", "says"),
    [
        ("the person on the left waves, the person on the right nods", 2, (), True),
        ("the person on the left waves, the person on the right nods", 3, (), False),
        ("Ana waves to Ben", 2, ("ana", "ben"), True),
        ("Ana waves to Benno", 2, ("ana", "ben"), False),
        ("in a park, 4.", 4, (), True),
        ("people wave", 2, (), False),
    ],
)
def test_a_sentence_without_a_number_may_leave_no_doubt(
    prompt: str, num_people: int, names: tuple[str, ...], says: bool
) -> None:
    assert says_who(prompt, num_people, names) is says
