import shutil
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch

from ingredients.core.errors import ModelFolderError, UserInputError
from ingredients.evaluation.evaluation_folder import judge_fingerprint
from ingredients.evaluation.inception import InceptionFeatures
from ingredients.evaluation.judges import has_own_detector, load_judges, load_model_calibration
from ingredients.evaluation.tables import calibration_table
from ingredients.faces.detector import HeatmapFaceDetector
from ingredients.faces.dlib_faces import DlibFaceDetector, DlibFaceRecogniser
from ingredients.faces.drawn_face_stack import save_judge_detector
from ingredients.faces.face_stack import load_face_stack
from ingredients.faces.onnx_faces import ScrfdFaceDetector
from ingredients.faces.onnx_judges import OnnxArcFaceJudge, OnnxFaceNetJudge
from ingredients.generation.people_report import load_people_check
from ingredients.model_folders.find_model import default_model_path
from tests.apps.tiny_model import save_tiny_model
from tests.evaluation.clip_folders import write_clip_folder
from tests.faces.onnx_models import write_mean_colour, write_scrfd

WEIGHT = np.random.default_rng(0).normal(size=(3, 5))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_tiny_model(folder)
    return folder


def test_the_models_judge_comes_with_its_scale_its_detector_and_its_text_encoder(model):
    backends = load_judges(model)
    assert backends.judge.is_calibrated
    assert backends.calibration is not None
    assert backends.judge.scale == backends.calibration.scale
    assert isinstance(backends.judge.detector, HeatmapFaceDetector)
    assert backends.text_encoder is not None
    assert backends.text_encoder.name == "dual_encoder"
    assert (backends.judge_name, backends.detector_name) == ("model", "model")


def test_the_judge_of_the_model_that_ships_finds_faces_by_a_detector_of_its_own(model, tmp_path):
    """It neither aligns the photos nor steers the generator; a model without one lends the generator's."""
    shipped = default_model_path()
    judges, generators = load_judges(shipped).judge.detector, load_face_stack(shipped / "face_encoder").detector
    assert has_own_detector(shipped)
    assert judges.config.widths != generators.config.widths
    calibration = load_model_calibration(shipped)
    assert calibration.has_own_detector
    assert "the judge's detector finds" in calibration_table(calibration)
    check = load_people_check(shipped, load_face_stack(shipped / "face_encoder"))
    assert check.judge.detector.config == judges.config  # what is said after `ingredients generate`
    assert not has_own_detector(model)
    lent = load_judges(model).judge.detector.network.state_dict()
    own = load_face_stack(model / "face_encoder").detector.network.state_dict()
    assert all(torch.equal(tensor, lent[name]) for name, tensor in own.items())
    assert "the generator's detector finds" in calibration_table(load_model_calibration(model))
    shutil.copytree(model, tmp_path / "half")
    save_judge_detector(judges, tmp_path / "half" / "judge")
    (tmp_path / "half" / "judge" / "detector.safetensors").unlink()
    with pytest.raises(ModelFolderError, match="detector"):
        load_judges(tmp_path / "half")


def test_dlib_compares_distances_within_its_own_limit(model):
    backends = load_judges(model, judge="dlib")
    assert isinstance(backends.judge.detector, DlibFaceDetector)
    assert isinstance(backends.judge.recogniser, DlibFaceRecogniser)
    assert (backends.judge.measure, backends.judge.is_calibrated) == ("distance", False)
    assert backends.judge.scale.same_person_limit == pytest.approx(0.4)
    assert backends.text_encoder is None
    drawn = load_judges(model, judge="dlib", own_videos=True)
    assert isinstance(drawn.judge.detector, HeatmapFaceDetector)


def test_dlib_takes_a_photograph_for_itself(model):
    judge = load_judges(model, judge="dlib").judge
    photo = np.asarray(skimage.data.astronaut())[:200, 100:340]
    frames = np.stack([photo[:, ::-1]] * 2)
    (ana,) = judge.assess(frames, [judge.embed_person([photo])]).people
    assert ana.found
    assert 0.6 < ana.similarity <= 1  # a mirrored face lies at a distance of .18


@pytest.mark.parametrize(
    ("name", "kind", "size", "limit"),
    [
        ("arcface", OnnxArcFaceJudge, 112, 0.32),
        ("curricularface", OnnxArcFaceJudge, 112, 0.32),
        ("facenet", OnnxFaceNetJudge, 160, 0.6),
    ],
)
def test_onnx_files_are_read_as_what_they_are_called(model, tmp_path, name, kind, size, limit):
    file = write_mean_colour(tmp_path / "net.onnx", WEIGHT, size=size)
    backends = load_judges(model, judge=f"{name}:{file}")
    assert type(backends.judge.recogniser) is kind
    assert (backends.judge.measure, backends.judge.scale.limit) == ("cosine", limit)
    assert isinstance(backends.judge.detector, DlibFaceDetector)


def test_a_detector_can_be_named(model, tmp_path):
    scrfd = write_scrfd(tmp_path / "scrfd.onnx")
    judge = f"arcface:{write_mean_colour(tmp_path / 'net.onnx', WEIGHT)}"
    assert isinstance(load_judges(model, judge=judge, detector=f"scrfd:{scrfd}").judge.detector, ScrfdFaceDetector)
    assert isinstance(load_judges(model, judge=judge, detector="model").judge.detector, HeatmapFaceDetector)
    assert isinstance(load_judges(model, detector="dlib").judge.detector, DlibFaceDetector)


def test_clip_and_inception_are_files(model, tmp_path):
    write_clip_folder(tmp_path / "clip")
    inception = write_mean_colour(tmp_path / "inception.onnx", np.ones((3, 2048)), size=299)
    backends = load_judges(model, clip=tmp_path / "clip", inception=inception)
    assert backends.text_encoder is not None
    assert backends.text_encoder.name == "clip"
    assert isinstance(backends.inception, InceptionFeatures)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"judge": "facebook"}, "no judge 'facebook'; choose among model, dlib, arcface:FILE.onnx, "),
        ({"judge": "arcface"}, "no judge 'arcface'"),
        ({"judge": "arcface:"}, "no judge 'arcface:'"),
        ({"judge": "dlib:file.onnx"}, "no judge 'dlib:file.onnx'"),
        ({"judge": "facenet:none.onnx"}, "network none.onnx of the judge facenet does not exist"),
        ({"detector": "mtcnn"}, "no detector 'mtcnn'; choose among model, dlib, scrfd:FILE.onnx"),
        ({"inception": Path("none.onnx")}, "none.onnx does not exist"),
    ],
)
def test_what_there_is_not_is_named(model, options, message):
    with pytest.raises(UserInputError, match=message):
        load_judges(model, **options)


def test_a_model_without_a_judge_is_named(tmp_path):
    with pytest.raises(ModelFolderError):
        load_judges(tmp_path)


def test_the_fingerprint_changes_with_the_file_and_with_the_kind(model, tmp_path):
    one = write_mean_colour(tmp_path / "one.onnx", WEIGHT)
    same = write_mean_colour(tmp_path / "same.onnx", WEIGHT)
    same.write_bytes(one.read_bytes())
    other = write_mean_colour(tmp_path / "other.onnx", WEIGHT + 1)
    prints = {
        name: judge_fingerprint(load_judges(model, judge=judge).judge)
        for name, judge in {
            "one": f"arcface:{one}",
            "same": f"arcface:{same}",
            "other": f"arcface:{other}",
            "dlib": "dlib",
            "model": "model",
        }.items()
    }
    assert prints["one"] == prints["same"]
    assert len({prints[name] for name in ("one", "other", "dlib", "model")}) == 4
