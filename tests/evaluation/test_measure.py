"""What is measured of a video, by judges who see colours."""

from pathlib import Path

import numpy as np
import pytest

from ingredients.casebook.cases import Case, Person
from ingredients.evaluation.assessment import SimilarityScale, TrackEmbeddings
from ingredients.evaluation.case_record import failed_case
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.judges import Judges
from ingredients.evaluation.known_people import KnownPeople
from ingredients.evaluation.measure import Measurer, stands_in_place
from ingredients.media.pictures import write_picture
from ingredients.pipelines.places import Place, PlacePath
from tests.evaluation.stand_ins import COLOURS, ColourPatchDetector, MeanColourRecogniser, make_frames

NUM_FRAMES = 9
RED, GREEN, _ = COLOURS.values()
LEFT, RIGHT = PlacePath(places={0: Place(right=0.5)}), PlacePath(places={0: Place(left=0.5)})


def test_faces_are_looked_for_by_pixels_of_the_frame() -> None:
    """Frames of 40x100: the boxes lie in the lower half of the right third, and in the upper half of the left one."""
    corner = PlacePath(places={0: Place(left=0.7, top=0.5)})
    other = PlacePath(places={0: Place(right=0.3, bottom=0.5)})
    is_placed = stands_in_place((corner, other), (40, 100))

    def seen(left: float, top: float) -> TrackEmbeddings:
        boxes = np.tile(np.array([left, top, left + 10, top + 8], np.float32), (3, 1))
        return TrackEmbeddings(
            frame_indices=(1, 2, 4), embeddings=np.ones((3, 2), np.float32), centre=(0.5, 0.5), boxes=boxes
        )

    assert [is_placed(person, seen(80, 24)) for person in (0, 1)] == [True, False]
    assert [is_placed(person, seen(10, 4)) for person in (0, 1)] == [False, True]
    assert not is_placed(0, seen(80, 4))
    assert not is_placed(0, seen(30, 32))  # right of the middle only if width and height were exchanged


def make_case(*places: PlacePath) -> Case:
    people = tuple(Person(name=name, photos=(f"{name}.png",)) for name in ("ana", "ben"))
    return Case(people=people, prompt="They wave.", places=places)


@pytest.mark.parametrize(
    ("places", "expected"), [((LEFT, RIGHT), 2), ((RIGHT, LEFT), 0), ((LEFT, LEFT), 1), ((), None)]
)
def test_a_video_is_measured_by_the_places_of_its_case(
    tmp_path: Path, places: tuple[PlacePath, ...], expected: int | None
) -> None:
    for name, colour in (("ana", RED), ("ben", GREEN)):
        write_picture(tmp_path / f"{name}.png", make_frames(1, {20: colour})[0])
    judge = Judge(
        detector=ColourPatchDetector(),
        recogniser=MeanColourRecogniser(),
        scale=SimilarityScale(same_person_mean=1.0, stranger_mean=0.0),
    )
    measurer = Measurer(
        Judges(judge=judge, judge_name="colours", detector_name="patches"),
        KnownPeople(judge, folder=tmp_path, use_drawn_world=False),
        needs=frozenset({"changes"}),
        real_frames=lambda case: None,
        probe_router=lambda case: pytest.fail("nobody asks"),
    )
    record = measurer.measure(make_case(*places), make_frames(NUM_FRAMES, {5: RED, 40: GREEN}))
    assert record.changes is not None
    assert record.changes.confusion.num_placed == expected


@pytest.mark.parametrize(("places", "expected"), [((LEFT, RIGHT), 0), ((), None)])
def test_of_a_video_that_failed_nobody_is_in_place(places: tuple[PlacePath, ...], expected: int | None) -> None:
    changes = failed_case(make_case(*places), "no video").changes
    assert changes is not None
    assert changes.confusion.num_placed == expected
