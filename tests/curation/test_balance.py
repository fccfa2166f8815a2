"""Topics, caps, weights, and a split that parts no person."""

import pytest

from ingredients.core.errors import UserInputError
from ingredients.curation.balance import BalancedClip, balance, topics_of
from ingredients.curation.config import BalanceConfig


def clip(name: str, place: str = "beach", action: str = "wave", people: tuple[str, ...] = ()) -> BalancedClip:
    topics = {"people": "2", "size": "close", "place": place, "action": action}
    return BalancedClip(clip_id=name, topics=topics, people=people)


def test_topics_come_from_captions_and_tracks() -> None:
    tracks = [{"boxes": [[0, 10, 30, 60], None]}, {"boxes": [[50, 20, 80, 60], [50, 20, 80, 60]]}]
    caption = "Two friends are talking in a kitchen, one of them waves."
    measured = {"captions": {"caption": caption}, "people": {"tracks": tracks}, "cut": {"height": 120}}
    assert topics_of(measured) == {"people": "2", "size": "close", "place": "kitchen", "action": "talk"}
    assert set(topics_of({}).values()) == {"not said"}


def test_kinds_of_which_there_are_too_many_are_capped_always_alike() -> None:
    clips = [clip(f"b{number}") for number in range(8)] + [clip("c", place="city"), clip("d", place="park")]
    found = balance(clips, BalanceConfig(most_of_one_kind=0.3))
    assert len(found.rejections) == 5
    assert found.rejections == balance(list(reversed(clips)), BalanceConfig(most_of_one_kind=0.3)).rejections
    assert not balance(clips, BalanceConfig()).rejections


def test_weights_make_the_wanted_distribution() -> None:
    clips = [clip(f"b{number}") for number in range(6)] + [clip(f"c{number}", place="city") for number in range(2)]
    weights = balance(clips, BalanceConfig(target=("place=beach:0.5", "place=city:0.5"))).weights
    assert sum(weights[each.clip_id] for each in clips if each.topics["place"] == "city") == pytest.approx(4, abs=1e-3)
    assert sum(weights.values()) == pytest.approx(8, abs=1e-3)
    with pytest.raises(UserInputError, match=r"people=2:0\.7"):
        balance(clips, BalanceConfig(target=("weather=sun:1",)))


def test_nobody_is_in_both_parts() -> None:
    pairs = [("a", "b"), ("b", "c"), ("d", "e"), ("f",), ("g", "h"), ("h", "i"), ("k",), ("l",), ("m", "n"), ("o",)]
    clips = [clip(f"clip{number}", people=people) for number, people in enumerate(pairs)]
    held_out = balance(clips, BalanceConfig(held_out_share=0.3)).held_out
    assert len(held_out) == 3
    inside = {person for each in clips if each.clip_id in held_out for person in each.people}
    outside = {person for each in clips if each.clip_id not in held_out for person in each.people}
    assert not inside & outside
