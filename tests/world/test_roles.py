"""Scenes in which each person has a part of the own: what their sentences say is what the picture shows."""

import itertools

import numpy as np
import pytest

from ingredients.world import (
    EACH_OWN,
    TOGETHER,
    Scene,
    SceneSpec,
    phrase_of,
    render_scene,
    sample_identity,
    sample_scene,
)
from ingredients.world.captions import EXPRESSIONS, NAMES, ROLE_ACTIONS, role_vocabulary, vocabulary, words
from ingredients.world.identity import HAIR_COLOURS, SKINS


def scenes(count: int, *, num_people: int | None = None, action: str | None = None) -> list[SceneSpec]:
    return [sample_scene(seed, num_people=num_people, action=action, style=EACH_OWN) for seed in range(count)]


def middles(scene: Scene) -> np.ndarray:
    """(F, N, 2), the middle of each face."""
    return scene.landmarks.mean(axis=2)


def test_the_other_style_leaves_scenes_as_they_were() -> None:
    assert sample_scene(3) == sample_scene(3, style=TOGETHER)
    assert sample_scene(3).roles == ()
    assert sample_scene(3).cast == tuple(range(len(sample_scene(3).people)))


def test_every_sentence_keeps_to_the_vocabulary_and_names_no_feature() -> None:
    known = set(role_vocabulary())
    forbidden = {"hair", "skin", "hat", "beard", "glasses", "shirt", "eyes", "bald", *SKINS, *HAIR_COLOURS} - {"grey"}
    assert not forbidden & known
    assert set(vocabulary()) < known
    for spec in scenes(300):
        assert set(words(spec.caption)) <= known, spec.caption
        assert "  " not in spec.caption
        assert " ," not in spec.caption
        assert ",," not in spec.caption


def test_a_sentence_is_the_same_whoever_takes_part() -> None:
    """Neither looks nor the split can be told from a caption, or from a name."""
    for seed in range(60):
        one, two = (
            [sample_identity(seed + index, split) for index in range(3)]  # type: ignore[arg-type]
            for split in ("train", "eval")
        )
        first, second = (sample_scene(seed, people=people, style=EACH_OWN) for people in (one, two))
        assert first.caption == second.caption
        assert first.roles == second.roles


def test_names_are_dealt_evenly_and_never_twice_in_a_scene() -> None:
    dealt = [role.name for spec in scenes(600) for role in spec.roles]
    assert len(set(dealt)) == len(NAMES) == 100
    assert max(dealt.count(name) for name in set(dealt)) < 35  # 13 on average
    for spec in scenes(100):
        assert len({role.name for role in spec.roles}) == len(spec.roles)


def test_people_stand_where_their_roles_say() -> None:
    for spec in scenes(80):
        if any(role.action in ("come", "leave", "walk") for role in spec.roles):
            continue
        where = middles(render_scene(spec, num_frames=1))[0]
        by_spot = {role.spot: where[index] for index, role in enumerate(spec.roles)}
        for left, right in (("left", "middle"), ("middle", "right"), ("left", "right"), ("back left", "back right")):
            if left in by_spot and right in by_spot:
                assert by_spot[left][0] < by_spot[right][0]  # type: ignore[index]
        for back, front in (("behind", "front"), ("back left", "front left"), ("back right", "front right")):
            if back in by_spot:
                assert by_spot[back][1] < by_spot[front][1]  # type: ignore[index]


def test_the_order_of_the_people_says_nothing_about_their_spots() -> None:
    first = [spec.roles[0].spot for spec in scenes(400, num_people=3)]
    for spot in ("left", "middle", "right"):
        assert abs(first.count(spot) / len(first) - 1 / 3) < 0.08


def test_everybody_in_the_cast_is_mentioned_with_what_they_do() -> None:
    """A sentence of all the same has one verb; one of parts has each person's name or place with the own verb."""
    for spec in scenes(200):
        text = spec.caption.lower()
        cast = [spec.roles[index] for index in spec.cast]
        verbs = [verb for role in cast for verb in ROLE_ACTIONS[role.action]]
        verbs += [verb for role in cast if role.to is not None for verb in (f"{role.action}s to", "turns to")]
        assert any(verb in text for verb in verbs), text
        named = [role.name.lower() for role in cast if role.name.lower() in words(text)]
        assert len(named) in (0, len(cast)), text  # all by name, or nobody
        assert ("stranger" in text) == (len(cast) < len(spec.people)), text


def test_an_action_meant_for_somebody_turns_the_head_there() -> None:
    """The nose stands nearer to the side of the person who is waved to."""
    shifts = []
    for spec in scenes(600, num_people=2):
        where = None
        for index, role in enumerate(spec.roles):
            if role.to is None or role.action != "wave":
                continue
            scene = render_scene(spec, num_frames=1)
            where = middles(scene)[0]
            eyes, nose = scene.landmarks[0, index, :2].mean(0), scene.landmarks[0, index, 2]
            shifts.append((nose[0] - eyes[0]) * np.sign(where[role.to][0] - where[index][0]))
    assert len(shifts) > 20
    assert np.mean([shift > 0 for shift in shifts]) > 0.85


@pytest.mark.parametrize(("action", "first", "last"), [("come", False, True), ("leave", True, False)])
def test_who_comes_is_not_there_at_first_and_who_leaves_is_gone_at_last(action: str, first: bool, last: bool) -> None:
    seen = 0
    for spec in scenes(150, num_people=2):
        for index, role in enumerate(spec.roles):
            if role.action != action:
                continue
            masks = render_scene(spec, num_frames=17).person_masks[:, index]
            assert bool(masks[0].any()) is first
            assert bool(masks[-1].any()) is last
            seen += 1
    assert seen > 5


def test_motions_are_of_the_size_that_people_make() -> None:
    """Change of the picture and way of the face, in face heights, against the other style."""

    def way(action: str, style: object) -> float:
        moved = []
        for seed in range(8):
            scene = render_scene(
                sample_scene(seed, num_people=2, action=action, style=style),  # type: ignore[arg-type]
                num_frames=17,
            )
            heights = np.nanmedian(scene.boxes[..., 3] - scene.boxes[..., 1])
            moved.append(np.ptp(middles(scene), axis=0).max(axis=-1).mean() / heights)
        return float(np.mean(moved))

    for action in ("walk", "sway", "nod"):
        assert way(action, EACH_OWN) > 1.5 * way(action, TOGETHER), action
    assert way("stand", EACH_OWN) < 0.05


def test_shoulders_fit_and_faces_keep_four_tokens() -> None:
    """Of a 192x128 clip with tokens of sixteen pixels: four each way for two people (median of those not loose)."""
    close = [spec for spec in scenes(120, num_people=2) if spec.zoom == 1.0]
    assert 0.6 < len(close) / 120 < 0.9
    sides = []
    for spec in close[:40]:
        scene = render_scene(spec, height=128, width=192, num_frames=1)
        box = scene.boxes[0][np.isfinite(scene.boxes[0]).all(-1)]
        sides.append(np.median(box[:, 2:] - box[:, :2], axis=0))
        assert scene.person_masks[0, :, -1].any()  # somebody's clothes reach the bottom
    assert np.median(sides, axis=0)[1] >= 56  # a hat covers a part of the forehead
    assert np.median(sides, axis=0)[0] >= 48


def test_parts_are_dealt_evenly() -> None:
    roles = list(itertools.chain.from_iterable(spec.roles for spec in scenes(500)))
    for expression in EXPRESSIONS:
        assert 0.2 < np.mean([role.expression == expression for role in roles]) < 0.3
    shares = {action: np.mean([role.action == action for role in roles]) for action in ROLE_ACTIONS}
    assert all(0.06 < shares[action] < 0.2 for action in ROLE_ACTIONS if action not in ("come", "leave"))
    assert 0.03 < shares["come"] + shares["leave"] < 0.2


def test_unknown_actions_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown action 'fly'; known: stand"):
        sample_scene(1, action="fly", style=EACH_OWN)


def test_the_words_that_stand_for_a_person_are_found_in_the_sentence() -> None:
    found = 0
    for spec in scenes(300):
        phrases = [phrase_of(spec.caption, spec.roles[index]) for index in spec.cast]
        said = [phrase for phrase in phrases if phrase is not None]
        assert all(phrase in spec.caption for phrase in said)
        assert len({phrase.lower() for phrase in said}) == len(said), spec.caption
        names = [spec.roles[index].name for index in spec.cast]
        if any(name in words_of(spec.caption) for name in names):
            assert phrases == names
        elif "person" in spec.caption.lower() and len(spec.cast) > 1:
            assert all(phrase is not None and phrase.lower().startswith("the person") for phrase in phrases)
        found += len(said)
    assert found > 300
    assert phrase_of("Two people wave on a beach.", scenes(1)[0].roles[0]) is None


def words_of(sentence: str) -> list[str]:
    return [word.strip(".,:") for word in sentence.split()]
