"""The judge on real clips, with a detector that knows the truth: its counts must come out exactly."""

import numpy as np
import pytest
import torch

from ingredients.casebook.cases import FIRST_CALIBRATION_SEED, make_case
from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import ModelFolderError
from ingredients.core.protocols import Face
from ingredients.evaluation.calibrate import (
    calibrate_judge,
    measure_vae_sharpness,
    psnr_by_frame,
    reconstruct_clip,
)
from ingredients.evaluation.calibration import JudgeCalibration, load_calibration, save_calibration
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.judges import calibration_path, load_model_calibration
from ingredients.faces.alignment import crop_arcface
from ingredients.world.scenes import render_scene
from tests.evaluation.stand_ins import make_face
from tests.pipelines.stand_ins import make_vae

SIZE = {"height": 32, "width": 48, "num_frames": 3}
NUM_CLIPS = 4


class ColourLayoutRecogniser:
    """Embeds a face as the colours of a coarse grid over it, less their mean: enough to tell drawn people apart."""

    crop_size = 16
    embedding_dim = 48

    def align(self, image: UInt8Array, landmarks: Float32Array) -> UInt8Array:
        return crop_arcface(image, landmarks, size=self.crop_size)

    def embed(self, crops: UInt8Array) -> torch.Tensor:
        pixels = torch.from_numpy(crops).float().permute(0, 3, 1, 2) / 255
        grid = torch.nn.functional.avg_pool2d(pixels, 4).flatten(1)  # (B, 48)
        return grid - 0.5


class TrueDetector:
    """Looks frames of the calibration's clips up; every `miss_every`-th is empty, each has `num_extra` false faces."""

    def __init__(self, *, miss_every: int | None = None, num_extra: int = 0, style: str = "together") -> None:
        self.faces: dict[bytes, list[Face]] = {}
        self.num_visible = 0
        frame_number = 0
        for index in range(NUM_CLIPS):
            case = make_case(index, first_seed=FIRST_CALIBRATION_SEED, style=style)
            scene = render_scene(case.scene(), **SIZE)
            for frame, boxes, landmarks in zip(scene.frames, scene.boxes, scene.landmarks, strict=True):
                frame_number += 1
                missed = miss_every is not None and frame_number % miss_every == 0
                faces = [] if missed else [
                    Face(box=box, score=1.0, landmarks=points)
                    for box, points in zip(boxes, landmarks, strict=True)
                    if not np.isnan(box).any()
                ]  # fmt: skip
                self.faces[frame.tobytes()] = faces + [make_face(0, 0, 3, 3)] * num_extra

    def detect(self, image: UInt8Array) -> list[Face]:
        return self.faces.get(image.tobytes(), [])


def calibrate(detector: TrueDetector, **options) -> JudgeCalibration:
    judge = Judge(detector=detector, recogniser=ColourLayoutRecogniser())
    return calibrate_judge(judge, num_clips=NUM_CLIPS, num_distractors=4, **SIZE, **options)


@pytest.fixture(scope="module")
def perfect() -> tuple[JudgeCalibration, list[tuple[int, int]]]:
    """A perfect detector and VAE, and the progress that was reported."""
    reports: list[tuple[int, int]] = []
    calibration = calibrate(
        TrueDetector(),
        reconstruct=lambda frames: frames,
        progress=lambda done, total: reports.append((done, total)),
    )
    return calibration, reports


def test_a_perfect_detector_has_full_recall_and_no_false_positives(perfect):
    calibration, reports = perfect
    assert calibration.detector_recall == 1.0
    assert calibration.false_positives_per_frame == 0.0
    assert calibration.same_person_mean > calibration.stranger_mean
    # Every face is found, so that the mean over tracks is the mean over faces: 1 by definition, but for short tracks.
    assert calibration.real.normalised_similarity == pytest.approx(1.0, abs=0.1)
    assert calibration.after_vae == calibration.real  # the perfect VAE's ceiling
    assert calibration.vae_motion is not None
    assert calibration.vae_motion.motion_within == calibration.vae_motion.motion_across == 1.0
    assert calibration.vae_motion.by_transition == (1.0, 1.0)
    assert reports[-1] == (2 * NUM_CLIPS, 2 * NUM_CLIPS)


def test_the_clips_are_those_of_the_style_that_is_asked_for():
    calibration = calibrate(TrueDetector(style="each-own"), style="each-own")
    assert calibration.style == "each-own"
    assert calibration.detector_recall == 1.0  # of faces that are known in clips of that style alone


def test_misses_and_false_detections_are_counted_and_a_black_video_has_a_ceiling_of_0():
    calibration = calibrate(TrueDetector(miss_every=3, num_extra=2), reconstruct=np.zeros_like)
    assert calibration.detector_recall == pytest.approx(2 / 3, abs=0.02)
    assert calibration.false_positives_per_frame == 2.0
    assert calibration.after_vae is not None
    assert calibration.after_vae.normalised_similarity == 0.0


def test_a_vae_that_repeats_frames_keeps_no_motion_within_a_latent_frame():
    """Of three frames, two a latent frame: 0 | 1 1. All that is left of the motion leads across."""
    calibration = calibrate(TrueDetector(), reconstruct=lambda frames: frames[[0, 1, 1]], temporal_ratio=2)
    motion = calibration.vae_motion
    assert motion is not None
    assert (motion.motion_within, motion.motion_across) == (0.0, 1.0)
    assert motion.by_transition == (1.0, 0.0)


def test_calibration_survives_the_disk(perfect, tmp_path):
    calibration, _ = perfect
    path = calibration_path(tmp_path)
    path.parent.mkdir()
    save_calibration(calibration, path)
    assert load_calibration(path) == calibration
    assert load_model_calibration(tmp_path).scale == calibration.scale


def test_a_missing_or_damaged_calibration_is_named(tmp_path):
    with pytest.raises(ModelFolderError, match=r"lacks judge/calibration\.json"):
        load_model_calibration(tmp_path)
    calibration_path(tmp_path).parent.mkdir()
    calibration_path(tmp_path).write_text('{"height": 64}')
    with pytest.raises(ModelFolderError, match="no calibration of a judge"):
        load_model_calibration(tmp_path)


def test_one_person_has_no_strangers():
    judge = Judge(detector=TrueDetector(), recogniser=ColourLayoutRecogniser())
    with pytest.raises(ValueError, match="at least 1 clip of 2 people"):
        calibrate_judge(judge, num_people=1)


def test_a_clip_comes_back_from_the_vae_in_its_size():
    frames = np.random.default_rng(0).integers(0, 256, size=(9, 16, 24, 3), dtype=np.uint8)
    decoded = reconstruct_clip(make_vae(), frames)
    assert decoded.shape == frames.shape
    assert decoded.dtype == np.uint8


def test_psnr_is_told_of_each_frame() -> None:
    """10 log10 of the squared range over the mean squared error; a frame without any is as good as can be said."""
    real = np.random.default_rng(4).integers(20, 200, (3, 5, 7, 3), dtype=np.uint8)
    frames = real.copy()
    frames[1] += 10
    frames[2, 0] += 20  # a fifth of the frame
    expected = [99.0, 10 * np.log10(255**2 / 100), 10 * np.log10(255**2 / (400 / 5))]
    assert psnr_by_frame(frames, real) == pytest.approx(expected)


def test_sharpness_through_a_vae_is_a_share_of_what_it_was_where_faces_are_seen() -> None:
    clips = [((1.0, 2.0, None), (2.0, 2.0, 2.0)), ((3.0, 1.0, None), (2.0, 4.0, None))]
    found = measure_vae_sharpness([[20.0, 30.0, 25.0], [30.0, 30.0, 27.0]], clips)
    assert found.psnr_by_frame == (25.0, 30.0, 26.0)
    assert found.faces_by_frame == (1.0, 0.5, None)
