"""A folder that an evaluation of a model left, judged again from its files."""

import dataclasses
import json

import numpy as np
import pytest

from ingredients.casebook.cases import make_cases, person_photos
from ingredients.core.arrays import UInt8Array
from ingredients.core.protocols import Face
from ingredients.evaluation.assessment import SimilarityScale
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.judges import Judges
from ingredients.evaluation.manifest import read_manifest
from ingredients.evaluation.pipeline_source import GenerationSettings
from ingredients.media.photos import load_photo
from ingredients.media.video import read_video
from ingredients.world.identity import sample_identity
from tests.apps.tiny_model import make_calibration
from tests.evaluation.stand_ins import MeanColourRecogniser
from tests.evaluation.test_pipeline_source import HalvesDetector, evaluate_model
from tests.evaluation.video_folders import judge_videos
from tests.faces.tiny_faces import classifier_that_says
from tests.pipelines.stand_ins import make_pipeline, make_seeing_face_stack

SETTINGS = GenerationSettings(num_inference_steps=2, guidance_scale=2.0, height=32, width=40)


class KnowingDetector(HalvesDetector):
    """Knows the landmarks of the cases' photos; sees a face in each half of everything else."""

    def __init__(self) -> None:
        self.faces: dict[bytes, Face] = {}
        for case in make_cases(2):
            for person, seed in zip(case.identities, case.identity_seeds, strict=True):
                for photo in person_photos(person, seed, size=128):
                    box = np.concatenate([photo.landmarks.min(axis=0), photo.landmarks.max(axis=0)])
                    self.faces[photo.image.tobytes()] = Face(box=box, score=1.0, landmarks=photo.landmarks)

    def detect(self, image: UInt8Array) -> list[Face]:
        known = self.faces.get(image.tobytes())
        return super().detect(image) if known is None else [known]


@pytest.fixture(scope="module")
def pipeline():
    return make_pipeline(face_encoder=make_seeing_face_stack())


@pytest.fixture
def judge() -> Judge:
    scale = SimilarityScale(same_person_mean=1.0, stranger_mean=0.8)
    return Judge(detector=KnowingDetector(), recogniser=MeanColourRecogniser(), scale=scale)


def test_a_saved_evaluation_is_read_and_gives_the_same_people(pipeline, judge, tmp_path):
    own = evaluate_model(pipeline, judge, tmp_path / "own", num_cases=2, settings=SETTINGS, save_videos=True)
    judges = Judges(judge=judge, judge_name="colour", detector_name="halves")
    again = judge_videos(tmp_path / "own", judges, tmp_path / "again")
    assert again.num_errors == 0
    for first, second in zip(own.records, again.cases, strict=True):
        assert [person.found for person in second.record.people.people] == [True, True]
        for person, other in zip(first.people.people, second.record.people.people, strict=True):
            assert other.cosine == pytest.approx(person.cosine, abs=5e-3)  # photos of another size
            assert other.track == person.track
            assert other.frames_found == person.frames_found
        assert second.record.motion.real == pytest.approx(first.motion.real)
    for name in ("raw_similarity", "paper_face_similarity", "found_rate", "missing_rate", "extra_faces"):
        assert again.metrics[name].value == pytest.approx(own.metrics[name].value, abs=5e-3), name
    assert {"motion_amount", "variety", "judge_frechet_distance"} <= set(again.metrics)


def test_people_of_the_drawn_world_are_known_exactly(pipeline, judge, tmp_path):
    """As they are to a judge that ships with a model, which has a calibration."""
    own = evaluate_model(pipeline, judge, tmp_path / "own", num_cases=2, settings=SETTINGS, save_videos=True)
    judges = Judges(judge=judge, judge_name="model", detector_name="model", calibration=make_calibration())
    again = judge_videos(tmp_path / "own", judges, tmp_path / "again")
    for first, second in zip(own.records, again.cases, strict=True):
        assert second.record.people == first.people
        assert second.record.paper == first.paper
        assert second.record.motion == dataclasses.replace(first.motion, vae_landmarks=())  # there is no VAE to ask
        assert second.record.changes.confusion == first.changes.confusion


def test_people_whom_the_world_drew_are_never_refused(pipeline, judge, tmp_path):
    evaluate_model(pipeline, judge, tmp_path / "own", num_cases=1, settings=SETTINGS, save_videos=True)
    judge.picture_kind = classifier_that_says((0.01, 0.01, 0.98))  # a photograph, it says
    judges = Judges(judge=judge, judge_name="model", detector_name="model", calibration=make_calibration())
    assert judge_videos(tmp_path / "own", judges, tmp_path / "again").num_errors == 0


def test_the_folder_holds_what_the_manifest_names(pipeline, judge, tmp_path):
    evaluate_model(pipeline, judge, tmp_path, num_cases=2, num_distractors=4, settings=SETTINGS, save_videos=True)
    videos = read_manifest(tmp_path)
    assert len(videos) == 2
    for video in videos:
        assert read_video(tmp_path / video.file_name).frames.shape == (9, 32, 40, 3)
        assert read_video(tmp_path / video.real_video).frames.shape == (9, 32, 40, 3)
        for person in video.people:
            assert [load_photo(tmp_path / photo).shape for photo in person.photos] == [(128, 128, 3)] * 3
            assert person.identity_seed is not None
            sample_identity(person.identity_seed, "eval")
    names = [person.name for video in videos for person in video.people]
    assert len(set(names)) == 4


def test_videos_that_were_not_kept_are_made_again_when_they_should_be(pipeline, judge, tmp_path):
    options = {"num_cases": 1, "num_distractors": 4, "settings": SETTINGS}
    first = evaluate_model(pipeline, judge, tmp_path, **options)
    assert not (tmp_path / "manifest.jsonl").exists()
    assert not (tmp_path / "videos").exists()
    second = evaluate_model(pipeline, judge, tmp_path, save_videos=True, **options)
    assert (tmp_path / "videos" / "whole" / "0000.mp4").is_file()
    assert second.metrics["raw_similarity"] == first.metrics["raw_similarity"]
    assert json.loads((tmp_path / "result.json").read_text())["num_errors"] == 0
