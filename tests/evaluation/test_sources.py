"""One evaluation for every source: clips of 9 frames of 32 x 40 pixels, judged as they are drawn and from files."""

import numpy as np
import pytest

from ingredients.casebook.cases import make_cases
from ingredients.evaluation.evaluate import evaluate
from ingredients.evaluation.folder_source import FolderSource
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.judges import Judges
from ingredients.evaluation.known_people import KnownPeople
from ingredients.evaluation.sources import DrawnClips, SourceVideo
from tests.apps.tiny_model import make_calibration
from tests.evaluation.stand_ins import MeanColourRecogniser
from tests.evaluation.test_pipeline_source import HalvesDetector

SIZE = {"height": 32, "width": 40, "num_frames": 9}


@pytest.fixture
def judges() -> Judges:
    calibration = make_calibration()
    judge = Judge(detector=HalvesDetector(), recogniser=MeanColourRecogniser(), scale=calibration.scale)
    return Judges(judge=judge, judge_name="model", detector_name="model", calibration=calibration)


def test_real_clips_are_as_real_as_can_be(judges, tmp_path):
    result = evaluate(DrawnClips(make_cases(2), **SIZE), judges, tmp_path)
    assert result.metrics["motion_amount"].value == 1
    assert result.metrics["variety"].value == 1
    assert result.metrics["judge_frechet_distance"].value == pytest.approx(0, abs=1e-6)
    assert result.motion == [1.0] * 8
    assert result.account.title == "Evaluation: 2 real clips of 2 people"
    assert not {"router_accuracy", "motion_within"} & set(result.metrics)


def test_a_folder_of_the_same_videos_is_judged_alike(judges, tmp_path):
    drawn = evaluate(DrawnClips(make_cases(2), **SIZE), judges, tmp_path / "drawn", save_videos=True)
    read = evaluate(FolderSource(tmp_path / "drawn"), judges, tmp_path / "read")
    for first, second in zip(drawn.records, read.records, strict=True):
        assert second.people == first.people
        assert second.paper == first.paper
        assert second.motion == first.motion
        assert second.faces == first.faces
        assert second.changes.confusion == first.changes.confusion
        assert second.changes.real_variety == first.changes.real_variety
    assert set(read.metrics) == set(drawn.metrics)


def test_a_source_yields_each_case_once_with_its_frames(judges):
    source = DrawnClips(make_cases(3), **SIZE)
    pairs = list(source.videos(source.cases, KnownPeople(judges.judge)))
    assert [case.index for case, _ in pairs] == [0, 1, 2]
    for case, video in pairs:
        assert isinstance(video, SourceVideo)
        assert video.frames.shape == (9, 32, 40, 3)
        np.testing.assert_array_equal(video.frames, source.real_frames(case))
