"""Metrics by mathematics: 3 blocks, 2 timesteps, embeddings 4 wide, 5 cases."""

import dataclasses

import numpy as np
import pytest
import torch

from ingredients.casebook.cases import make_case
from ingredients.core.errors import UserInputError
from ingredients.evaluation.assessment import ClipAssessment, PersonAssessment
from ingredients.evaluation.case_record import (
    INCEPTION_DIM,
    CaseRecord,
    ChangesRecord,
    FacesRecord,
    InceptionRecord,
    MotionRecord,
    PaperRecord,
    RoutingRecord,
    TextRecord,
    TurnsRecord,
    failed_case,
    nobody_found,
    pack_features,
    unpack_features,
)
from ingredients.evaluation.changes import MISSING, STRANGER, Confusion, FaceChanges
from ingredients.evaluation.metrics.distributions import JudgeFrechetDistance, frechet_distance
from ingredients.evaluation.metrics.motion import (
    motion_by_transition,
    transitions,
)
from ingredients.evaluation.metrics.registry import METRICS, choose_available, compute_metrics, find_metrics
from ingredients.evaluation.metrics.router import last_half_recall, mean_recall_table
from ingredients.evaluation.metrics.text import TextCosineDifference, TextRelevance
from ingredients.evaluation.text_encoders import compare_with_prompt, embed_clip
from ingredients.evaluation.traits import frame_changes


def person(similarity: float, *, right: bool = True, present: bool = True) -> PersonAssessment:
    return PersonAssessment(found=True, similarity=similarity, right_person=right, present=present)


def case(index: int, *people: PersonAssessment, prompt: str = "", **parts) -> CaseRecord:
    assessment = ClipAssessment(
        people=people or (person(1.0),),
        num_tracks=len(people),
        greedy_minimum=min((one.similarity for one in people), default=1.0),
        blended=False,
        doubled=False,
    )
    return CaseRecord(index=index, prompt=prompt or f"prompt {index}", people=assessment, **parts)


def compute(name: str, records: list[CaseRecord]) -> float:
    return METRICS[name].compute(records).value


def test_similarity_is_averaged_over_people_and_the_missing_count():
    records = [case(0, person(0.8), person(0.4)), CaseRecord(index=1, prompt="", people=nobody_found(2))]
    assert compute("normalised_similarity", records) == pytest.approx(0.3)
    assert compute("normalised_similarity_minimum", records) == pytest.approx(0.2)
    assert compute("right_person_rate", records) == pytest.approx(0.5)
    assert compute("all_present_rate", records) == pytest.approx(0.5)
    assert compute("found_rate", records) == pytest.approx(0.5)


def test_everybody_must_be_present():
    records = [case(0, person(1.0), person(1.0, present=False)), case(1, person(1.0), person(1.0))]
    assert compute("all_present_rate", records) == pytest.approx(0.5)


def test_permuting_people_changes_no_metric():
    people = (person(0.9), person(0.1, right=False), person(0.5, present=False))
    straight, permuted = [case(0, *people)], [case(0, *people[::-1])]
    for name, metric in METRICS.items():
        if metric.needs <= {"people", "scale"}:
            assert compute(name, straight) == pytest.approx(compute(name, permuted)), name


def test_router_accuracy_takes_the_last_half_of_the_blocks():
    routing = RoutingRecord(timesteps=(100, 500), balanced_recall=((0.0, 0.2), (0.5, 0.7), (0.9, 1.0)))
    assert last_half_recall(routing) == pytest.approx((0.5 + 0.7 + 0.9 + 1.0) / 4)
    perfect = dataclasses.replace(routing, balanced_recall=((1.0, 1.0),) * 3)
    np.testing.assert_allclose(
        mean_recall_table([case(0, routing=routing), case(1, routing=perfect)]), [[0.5, 0.6], [0.75, 0.85], [0.95, 1]]
    )


def test_clips_without_a_face_token_are_left_out_of_the_router_accuracy():
    nothing = RoutingRecord(timesteps=(100, 500), balanced_recall=())
    known = dataclasses.replace(nothing, balanced_recall=((0.0, 0.2), (0.5, 0.7)))
    records = [case(0, routing=nothing), case(1, routing=known)]
    assert compute("router_accuracy", records) == pytest.approx(0.6)
    np.testing.assert_allclose(mean_recall_table(records), [[0.0, 0.2], [0.5, 0.7]])
    assert np.isnan(compute("router_accuracy", records[:1]))
    assert mean_recall_table(records[:1]).size == 0


def text_case(index: int, frames, prompt_embedding, prompt: str = "") -> CaseRecord:
    text = TextRecord(frames=tuple(frames), prompt=tuple(prompt_embedding))
    return case(index, prompt=prompt, text=text)


def test_text_relevance_is_1_where_each_video_shows_its_prompt_and_half_where_none_does():
    basis = np.eye(4).tolist()
    obedient = [text_case(index, basis[index], basis[index]) for index in range(4)]
    assert TextRelevance().compute(obedient).value == 1.0
    assert TextCosineDifference().compute(obedient).value == pytest.approx(1.0)
    heedless = [text_case(index, np.full(4, 0.5), basis[index]) for index in range(4)]
    assert TextRelevance().compute(heedless).value == 0.5
    assert TextCosineDifference().compute(heedless).value == pytest.approx(0.0)


def test_text_relevance_of_swapped_videos_is_lost():
    basis = np.eye(4).tolist()
    swapped = [text_case(0, basis[1], basis[0]), text_case(1, basis[0], basis[1])]
    assert TextRelevance().compute(swapped).value == 0.0


def test_the_same_sentence_is_no_other_prompt():
    basis = np.eye(4).tolist()
    records = [text_case(0, basis[0], basis[0], "same"), text_case(1, basis[1], basis[0], "same")]
    assert TextRelevance().compute(records).value == 0.5


def test_frechet_distance_of_identical_samples_is_0_and_of_shifted_ones_the_square_of_the_shift():
    sample = np.random.default_rng(0).normal(size=(50, 4))
    assert frechet_distance(sample, sample) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(sample, sample + np.array([3, 0, 4, 0])) == pytest.approx(25.0)
    assert frechet_distance(sample, sample[::-1]) == pytest.approx(0.0, abs=1e-9)


def test_frechet_distance_of_scaled_samples_is_the_difference_of_the_deviations():
    # For C2 = k^2 C1 and equal means the distance is (k - 1)^2 tr C1.
    sample = np.random.default_rng(1).normal(size=(60, 4))
    sample -= sample.mean(axis=0)
    assert frechet_distance(sample, 3 * sample) == pytest.approx(4 * np.trace(np.cov(sample, rowvar=False)))


def test_frechet_distance_without_faces_is_infinite():
    faces = FacesRecord(generated=(), real=((1.0, 0.0), (0.0, 1.0)))
    estimate = JudgeFrechetDistance().compute([case(0, faces=faces)])
    assert (estimate.value, estimate.low, estimate.high) == (np.inf, np.inf, np.inf)


def test_motion_is_measured_against_real_clips():
    frames = np.zeros((3, 2, 5, 3), dtype=np.uint8)
    frames[1] = 51
    assert np.mean(frame_changes(frames)) == pytest.approx(0.2)
    assert frame_changes(frames[:1]) == []
    records = [
        case(0, motion=MotionRecord(generated=0.1, real=0.2)),
        case(1, motion=MotionRecord(generated=0.2, real=0.2)),
    ]
    assert METRICS["motion_amount"].compute(records).value == pytest.approx(0.75)


def test_motion_is_told_by_where_the_latent_frames_lie():
    """Nine frames, four a latent frame: transitions 0 and 4 lead across two, all others lie within one."""
    real = (0.1, 0.1, 0.1, 0.1, 0.3, 0.1, 0.1, 0.1)
    jumps = (0.2, 0.0, 0.0, 0.0, 0.6, 0.0, 0.0, 0.0)  # three stills: all of the change lies between them
    records = [
        case(
            index,
            motion=MotionRecord(
                generated=float(np.mean(jumps)),
                real=float(np.mean(real)),
                by_transition=jumps,
                real_by_transition=real,
                temporal_ratio=4,
            ),
        )
        for index in range(2)
    ]
    assert compute("motion_amount", records) == pytest.approx(0.8)
    assert compute("motion_within", records) == 0.0
    assert compute("motion_across", records) == pytest.approx(2.0)
    assert motion_by_transition(records) == pytest.approx([2, 0, 0, 0, 2, 0, 0, 0])
    assert transitions("across", 5, temporal_ratio=2) == [0, 2, 4]
    assert transitions("within", 5, temporal_ratio=1) == []
    unknown = [case(0, motion=MotionRecord(generated=0.1, real=0.2))]
    assert np.isnan(compute("motion_within", unknown))
    assert motion_by_transition(unknown) == []
    frames = np.zeros((4, 2, 5, 3), dtype=np.uint8)
    frames[2] = 51
    assert frame_changes(frames) == pytest.approx([0, 0.2, 0.2])


class SaysTheAction:
    """A judge of text that sees nothing but the action, in pictures as in words."""

    name = "dual_encoder"
    network = torch.nn.Identity()
    words = ("wave", "walk", "talk")

    def embed_frames(self, frames):
        return torch.nn.functional.one_hot(torch.from_numpy(frames[:, 0, 0, 0]).long(), 4).float()

    def embed_sentences(self, sentences):
        return torch.tensor([[*(float(word in sentence) for word in self.words), 0.1] for sentence in sentences])


def test_each_attribute_of_a_prompt_is_asked_for_alone():
    encoder = SaysTheAction()
    prompt = "Two people walk on a beach at sunset, smiling."
    waving, walking = (np.full((3, 2, 2, 3), number, dtype=np.uint8) for number in (0, 1))
    records = [
        case(
            index,
            prompt=prompt,
            text=compare_with_prompt(encoder, frames, prompt, real_frames=embed_clip(encoder, walking)),
        )
        for index, frames in enumerate((waving, walking))
    ]
    action = METRICS["text_relevance_action"].compute(records)
    assert (action.value, action.real_clips, action.chance) == (0.5, 1.0, pytest.approx(1 / 7))
    assert METRICS["text_relevance_action"].of_cases(records) == [0.0, 1.0]
    for attribute, num_values in (("count", 4), ("expression", 4), ("place", 8), ("light", 5)):
        guessed = METRICS[f"text_relevance_{attribute}"].compute(records)  # all are as near: a tie of so many
        assert (guessed.value, guessed.chance) == (pytest.approx(1 / num_values), pytest.approx(1 / num_values))
    foreign = compare_with_prompt(encoder, waving, "A dog runs.")
    assert foreign.choices == ()
    assert foreign.real_frames is None
    assert np.isnan(METRICS["text_relevance_action"].compute([case(0, text=foreign)]).value)


def test_relevance_stands_beside_that_of_real_clips():
    basis = np.eye(4).tolist()
    records = [
        case(index, text=TextRecord(frames=(0.5,) * 4, prompt=tuple(basis[index]), real_frames=tuple(basis[index])))
        for index in range(4)
    ]
    estimate = METRICS["text_relevance"].compute(records)
    assert (estimate.value, estimate.real_clips, estimate.chance) == (0.5, 1.0, 0.5)


def test_eight_of_eight_is_no_certainty():
    """Rates have Wilson's interval at their ends; a similarity of 1 in every case is none."""
    records = [case(index, person(1.0)) for index in range(8)]
    for name in ("right_person_rate", "all_present_rate", "found_rate"):
        estimate = METRICS[name].compute(records)
        assert (estimate.value, estimate.high) == (1.0, 1.0)
        assert estimate.low == pytest.approx(0.676, abs=0.001), name
    for name in ("blended_rate", "doubled_rate"):
        assert METRICS[name].compute(records).high == pytest.approx(0.324, abs=0.001), name
    assert METRICS["normalised_similarity"].compute(records).low == 1.0


def test_the_registry_names_what_it_knows():
    assert [metric.name for metric in find_metrics()] == list(METRICS)
    assert [metric.name for metric in find_metrics(["router_accuracy"])] == ["router_accuracy"]
    with pytest.raises(UserInputError, match="no metric 'beauty'; choose among normalised_similarity, "):
        find_metrics(["beauty"])


def test_every_metric_describes_itself():
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.description
        assert metric.needs


def test_the_interval_of_a_frechet_distance_holds_its_value():
    """Fewer faces than a resample would need: repeated cases alone push the plain percentiles above the value."""
    rng = np.random.default_rng(2)
    faces = [[tuple(map(tuple, rng.normal(size=(2, 8)).tolist())) for _ in range(2)] for _ in range(12)]
    records = [case(index, faces=FacesRecord(generated=one, real=two)) for index, (one, two) in enumerate(faces)]
    estimate = JudgeFrechetDistance().compute(records)
    assert estimate.low < estimate.value < estimate.high


def changed(
    index: int,
    *seen_as: int,
    swapped: bool | None = None,
    extra: int = 0,
    taken: int = 0,
    faces: tuple[FaceChanges | None, ...] = (),
    real: float | None = None,
) -> CaseRecord:
    confusion = Confusion(
        seen_as=seen_as, swapped=swapped, num_extra=extra, switching=index == 2, num_extra_taken=taken
    )
    return case(index, changes=ChangesRecord(confusion=confusion, faces=faces, real_variety=real))


def test_each_confusion_is_a_rate_of_its_own():
    records = [
        changed(0, 0, 1, swapped=True),
        changed(1, 0, 0, extra=2),
        changed(2, STRANGER, 1),
        changed(3, MISSING, MISSING),
    ]
    expected = {
        "dominated_rate": 1 / 8,
        "stranger_rate": 1 / 8,
        "missing_rate": 2 / 8,
        "swapped_rate": 1 / 4,
        "extra_faces": 2 / 4,
        "switching_rate": 1 / 4,
    }
    assert {name: compute(name, records) for name in expected} == pytest.approx(expected)


def test_turns_on_the_way_are_counted_by_person_and_exchanges_by_video():
    turns = [((True, True), (True, True)), ((True, False), (False, False)), ((False, False), (False, False))]
    records = [
        case(index, turns=TurnsRecord(turned=turned, exchanged=exchanged))
        for index, (turned, exchanged) in enumerate(turns)
    ]
    assert compute("turned_rate", records) == pytest.approx(3 / 6)
    assert compute("exchanged_rate", records) == pytest.approx(1 / 3)


def test_changes_are_averaged_over_the_faces_that_have_them():
    short = FaceChanges(drift=None, copy_paste=None, variety=None)
    records = [
        changed(0, 0, 1, faces=(FaceChanges(drift=-0.2, copy_paste=0.1, variety=0.3), None)),
        changed(1, 0, 1, faces=(short, FaceChanges(drift=0.4, copy_paste=0.3, variety=0.1))),
        changed(2, 0, 1, faces=(None, short)),
    ]
    assert compute("drift", records) == pytest.approx(0.1)
    assert compute("copy_paste", records) == pytest.approx(0.2)
    assert np.isnan(compute("drift", records[2:]))


def test_variety_is_a_share_of_real_clips():
    pasted, lively = (FaceChanges(drift=0.0, copy_paste=0.0, variety=variety) for variety in (0.0, 0.03))
    records = [changed(0, 0, faces=(pasted, lively), real=0.03), changed(1, 0, faces=(lively, None), real=0.06)]
    assert compute("variety", records) == pytest.approx(0.5)
    assert compute("variety", [changed(0, 0, faces=(pasted,), real=0.03)]) == 0
    assert np.isnan(compute("variety", [changed(0, 0, faces=(None,), real=0.03)]))
    assert np.isnan(compute("variety", [changed(0, 0, faces=(lively,))]))


def test_the_papers_face_similarity_is_averaged_over_videos():
    records = [case(index, paper=PaperRecord(face_similarity=value)) for index, value in enumerate((0.8, 0.2))]
    assert compute("paper_face_similarity", records) == pytest.approx(0.5)


def test_text_cosine_is_clips_or_the_dual_encoders():
    basis = np.eye(4).tolist()
    records = [text_case(0, basis[0], basis[0]), text_case(1, [0.5] * 4, basis[1])]
    assert compute("dual_encoder_text", records) == pytest.approx(0.75)
    assert METRICS["paper_clip_text"].needs == {"text", "clip"}
    assert METRICS["dual_encoder_text"].needs == {"text", "dual_encoder"}


def test_raw_similarity_is_a_cosine_and_0_for_the_missing():
    found = dataclasses.replace(person(1.3), cosine=0.7)
    missing = PersonAssessment(found=False, similarity=0.0)
    assert compute("raw_similarity", [case(0, found, missing)]) == pytest.approx(0.35)


def features(seed: int, num_faces: int, *, shift: float = 0.0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(num_faces, INCEPTION_DIM)).astype(np.float32)
    rows[:, 7] += shift
    return rows


def test_fid_of_identical_faces_is_0_and_of_shifted_ones_the_square_of_the_shift():
    same = InceptionRecord(generated=pack_features(features(0, 6)), photos=pack_features(features(0, 6)))
    assert compute("paper_fid", [case(0, inception=same)]) == pytest.approx(0, abs=1e-6)
    shifted = InceptionRecord(
        generated=pack_features(features(0, 6, shift=5)),
        photos=pack_features(features(0, 6)),
        real=pack_features(features(0, 6, shift=3)),
    )
    assert compute("paper_fid", [case(0, inception=shifted)]) == pytest.approx(25, rel=1e-2)
    assert compute("fid", [case(0, inception=shifted)]) == pytest.approx(4, rel=2e-2)


def test_permuting_videos_changes_no_fid():
    records = [
        case(index, inception=InceptionRecord(
            generated=pack_features(features(index, 3)), photos=pack_features(features(index + 9, 2))
        ))
        for index in range(3)
    ]  # fmt: skip
    assert compute("paper_fid", records) == pytest.approx(compute("paper_fid", records[::-1]))


def test_fid_without_faces_is_infinite():
    nothing = InceptionRecord(generated="", photos=pack_features(features(0, 4)))
    assert compute("paper_fid", [case(0, inception=nothing)]) == np.inf


def test_features_are_packed_in_half_precision():
    rows = features(3, 5)
    np.testing.assert_allclose(unpack_features(pack_features(rows)), rows, atol=2e-3)
    assert unpack_features("").shape == (0, INCEPTION_DIM)


def test_both_ways_to_a_frechet_distance_agree():
    """Fewer rows than features take singular values; the same samples without empty features take the other way."""
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=(9, 4)), rng.normal(size=(7, 4)) * 2 + 1
    wide = [np.concatenate([sample, np.zeros((len(sample), 20))], axis=1) for sample in (first, second)]
    assert frechet_distance(*wide) == pytest.approx(frechet_distance(first, second))


def test_a_still_loses_on_motion():
    still = np.full((4, 6, 8, 3), 90, dtype=np.uint8)
    lively = np.random.default_rng(0).integers(0, 255, size=(4, 6, 8, 3), dtype=np.uint8)
    records = [
        case(index, motion=MotionRecord(generated=float(np.mean(frame_changes(frames))), real=0.2))
        for index, frames in enumerate((still, lively))
    ]
    assert compute("frame_change", records[:1]) == 0
    assert compute("still_rate", records) == pytest.approx(0.5)
    assert compute("motion_amount", records[:1]) == 0 < compute("motion_amount", records[1:])


def test_motion_without_a_real_video_is_known_but_for_its_share():
    records = [case(0, motion=MotionRecord(generated=0.1))]
    assert compute("frame_change", records) == pytest.approx(0.1)
    assert np.isnan(compute("motion_amount", records))


def test_videos_with_extra_faces_are_counted():
    assert compute("extra_rate", [changed(0, 0, 1, extra=2), changed(1, 0, 1)]) == 0.5


def test_of_extra_faces_those_are_counted_that_are_somebody_who_was_asked_for():
    records = [changed(0, 0, 1, extra=4, taken=1), changed(1, 0, 1), changed(2, 0, 1, extra=1, taken=1)]
    assert compute("extra_taken_rate", records) == pytest.approx((1 / 4 + 1) / 2)  # the second has none
    assert np.isnan(compute("extra_taken_rate", records[1:2]))


def test_a_generator_cannot_win_by_failing():
    good = changed(0, 0, 1)
    failed = failed_case(make_case(1), "no video")
    metrics = choose_available(["normalised_similarity", "missing_rate", "motion_amount"], lacking={}, of_whom="it")
    estimates = compute_metrics(metrics, [dataclasses.replace(good, paper=PaperRecord(face_similarity=1.0)), failed])
    assert estimates["normalised_similarity"].value == pytest.approx(0.5)
    assert estimates["missing_rate"].value == pytest.approx(0.5)
    assert "motion_amount" not in estimates  # no case has any
    assert METRICS["paper_face_similarity"].compute([failed]).value == 0


def test_a_metric_that_cannot_be_had_says_what_is_lacking():
    with pytest.raises(UserInputError, match="paper_fid needs InceptionV3, which this evaluation lacks"):
        choose_available(["paper_fid"], lacking={"inception": "InceptionV3"}, of_whom="this evaluation")
    names = [metric.name for metric in choose_available(None, lacking={"inception": "InceptionV3"}, of_whom="it")]
    assert "fid" not in names
    assert "drift" in names
