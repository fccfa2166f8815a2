"""Every axis another size: 9 frames, 2 or 3 references, 4 distractors, embeddings 5 wide."""

import numpy as np
import pytest

from ingredients.core.arrays import Float32Array
from ingredients.evaluation.assessment import SimilarityScale, TrackEmbeddings, assess_tracks

NUM_FRAMES = 9
SCALE = SimilarityScale(same_person_mean=0.8, stranger_mean=0.2)
BASIS = np.eye(5, dtype=np.float32)


def unit(*values: float) -> Float32Array:
    vector = np.array(values + (0.0,) * (5 - len(values)), dtype=np.float32)
    return vector / np.linalg.norm(vector)


def track(vector: Float32Array, frames=range(NUM_FRAMES)) -> TrackEmbeddings:
    return TrackEmbeddings(
        frame_indices=tuple(frames), embeddings=np.tile(vector, (len(frames), 1)), centre=(0.25, 0.5)
    )


def assess(tracks, references, **options):
    return assess_tracks(tracks, np.stack(references), scale=SCALE, num_frames=NUM_FRAMES, **options)


def test_scale_is_0_for_strangers_1_for_the_same_person_and_never_clipped():
    assert SCALE.normalise(0.2) == pytest.approx(0.0)
    assert SCALE.normalise(0.8) == pytest.approx(1.0)
    assert SCALE.normalise(1.0) == pytest.approx(4 / 3)
    assert SCALE.normalise(-0.4) == pytest.approx(-1.0)
    with pytest.raises(ValueError, match="above stranger_mean"):
        SimilarityScale(same_person_mean=0.2, stranger_mean=0.2)


def test_similarity_of_the_same_person_mean_is_1():
    # A track whose cosine with its reference is the same-person mean exactly.
    assessment = assess([track(unit(0.8, 0.6))], [BASIS[0]])
    assert assessment.people[0].cosine == pytest.approx(0.8)
    assert assessment.people[0].similarity == pytest.approx(1.0)
    assert assessment.mean_similarity == pytest.approx(1.0)


def test_everybody_is_matched_one_to_one_and_present():
    assessment = assess([track(BASIS[1]), track(BASIS[0])], [BASIS[0], BASIS[1]])
    assert [person.track for person in assessment.people] == [1, 0]
    assert all(person.right_person and person.present for person in assessment.people)
    assert assessment.all_present
    assert not assessment.blended
    assert not assessment.doubled
    assert assessment.greedy_minimum == pytest.approx(SCALE.normalise(1.0))


def test_permuting_references_permutes_the_answer():
    rng = np.random.default_rng(3)
    references = [unit(*rng.normal(size=5)) for _ in range(3)]
    tracks = [track(unit(*rng.normal(size=5))) for _ in range(4)]
    distractors = [np.stack([unit(*rng.normal(size=5)) for _ in range(4)]) for _ in range(3)]
    order = [2, 0, 1]
    straight = assess(tracks, references, distractors=distractors)
    permuted = assess(tracks, [references[i] for i in order], distractors=[distractors[i] for i in order])
    assert permuted.people == tuple(straight.people[i] for i in order)
    assert permuted.greedy_minimum == straight.greedy_minimum


def test_a_missing_person_scores_0_and_stays_in_the_count():
    assessment = assess([track(BASIS[0])], [BASIS[0], BASIS[1]])
    missing = assessment.people[1]
    assert (missing.found, missing.similarity, missing.right_person, missing.present) == (False, 0.0, False, False)
    assert assessment.mean_similarity == pytest.approx(SCALE.normalise(1.0) / 2)
    assert assessment.greedy_minimum == 0.0
    assert not assessment.all_present


def test_nobody_in_the_clip():
    assessment = assess([], [BASIS[0], BASIS[1]])
    assert [person.found for person in assessment.people] == [False, False]
    assert (assessment.mean_similarity, assessment.greedy_minimum, assessment.num_tracks) == (0.0, 0.0, 0)


def test_the_assignment_is_best_in_sum_while_the_papers_is_greedy():
    # Cosines: track 0 has .8 and .6 with the references, track 1 has .6 and 0.
    first, second = track(unit(0.8, 0.6)), track(unit(0.6, 0.0, 0.8))
    assessment = assess([first, second], [BASIS[0], BASIS[1]])
    assert [person.track for person in assessment.people] == [1, 0]  # .6 + .6 beats .8 + 0
    assert assessment.greedy_minimum == pytest.approx(SCALE.normalise(0.0))  # greedy takes .8, and 0 is left


def test_a_distractor_that_is_nearer_makes_it_the_wrong_person():
    tracks, references = [track(unit(0.8, 0.6))], [BASIS[0]]
    near = np.stack([BASIS[2], BASIS[3], BASIS[4], unit(0.75, 0.65)])
    assert not assess(tracks, references, distractors=[near]).people[0].right_person
    far = np.stack([BASIS[2], BASIS[3], BASIS[4], BASIS[1]])
    assert assess(tracks, references, distractors=[far]).people[0].right_person


def test_the_other_reference_counts_among_the_candidates():
    # The only track is nearer to the second reference, which another track takes.
    assessment = assess([track(unit(0.6, 0.8)), track(BASIS[1])], [BASIS[0], BASIS[1]])
    assert assessment.people[0].track == 0
    assert not assessment.people[0].right_person
    assert assessment.people[1].right_person


@pytest.mark.parametrize(("num_good", "present"), [(4, False), (5, True)])
def test_present_needs_half_of_the_clips_frames(num_good: int, present: bool):
    embeddings = np.stack([BASIS[0]] * num_good + [BASIS[1]] * (NUM_FRAMES - num_good))
    mixed = TrackEmbeddings(frame_indices=tuple(range(NUM_FRAMES)), embeddings=embeddings, centre=(0.5, 0.5))
    person = assess([mixed], [BASIS[0]], distractors=[BASIS[1:2]]).people[0]
    assert person.frames_ranked_first == num_good
    assert person.present is present


def test_frames_without_the_face_count_against_presence():
    person = assess([track(BASIS[0], frames=[0, 3, 5, 8])], [BASIS[0]]).people[0]
    assert person.right_person
    assert not person.present
    assert person.frames_found == 4


def test_blended_is_two_references_above_the_midpoint_on_one_track():
    midpoint_angle = unit(1.0, 1.0)  # cosine .707 with both, above the midpoint .5
    assert assess([track(midpoint_angle)], [BASIS[0], BASIS[1]]).blended
    assert not assess([track(unit(1.0, 0.5))], [BASIS[0], BASIS[1]]).blended  # .89 and .45


def test_doubled_is_two_simultaneous_tracks_of_one_reference():
    references = [BASIS[0], BASIS[1]]
    twins = [track(BASIS[0]), track(unit(1.0, 0.1))]
    assert assess(twins, references).doubled
    one_after_the_other = [track(BASIS[0], frames=range(4)), track(BASIS[0], frames=range(4, 9))]
    assert not assess(one_after_the_other, references).doubled
    assert not assess([track(BASIS[0]), track(BASIS[1])], references).doubled


def test_distractors_must_match_the_references():
    with pytest.raises(ValueError, match="1 sets of distractors for 2 references"):
        assess([track(BASIS[0])], [BASIS[0], BASIS[1]], distractors=[BASIS[2:]])


def test_among_few_others_the_first_must_pass_the_limit_as_well():
    """The midpoint is .5: a face that is not quite a stranger's ranks somebody first wherever there is somebody."""
    vague, clear = unit(0.45, 0.1, 0.9), unit(0.6, 0.0, 0.8)
    assert assess([track(vague)], [BASIS[0]]).people[0].right_person
    strict = {"needs_limit": True}
    assert not assess([track(vague)], [BASIS[0]], **strict).people[0].right_person
    assert not assess([track(vague)], [BASIS[0]], **strict).all_present
    assert assess([track(clear)], [BASIS[0]], **strict).people[0].right_person
    bystander = [track(BASIS[0]), track(vague)]
    assert assess(bystander, [BASIS[0], BASIS[1]]).doubled
    assert not assess(bystander, [BASIS[0], BASIS[1]], **strict).doubled
