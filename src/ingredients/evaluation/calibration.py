"""What the judge says about real clips: the scale of its similarities, its misses, and the ceiling after the VAE."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.config import load_config, save_config
from ingredients.core.faces_types import Face
from ingredients.core.protocols import ProgressCallback
from ingredients.evaluation.assessment import ClipAssessment, SimilarityScale
from ingredients.evaluation.cases import CASES_VERSION, FIRST_CALIBRATION_SEED, make_case
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.known_people import NUM_DISTRACTORS, DistractorGallery, embed_people
from ingredients.evaluation.metrics.motion import Where, frame_changes, share_by_transition, transitions
from ingredients.faces.detector import intersection_over_union
from ingredients.world.scenes import Scene, render_scene

MIN_OVERLAP = 0.5
"""Intersection over union from which a detected box counts as the true one."""

MIN_VISIBLE_SHARE = 0.3
"""Share of a face's box that must be visible skin for the face to be there to find (a hand may cover it)."""

Reconstruct = Callable[[UInt8Array], UInt8Array]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClipSummary:
    """Identity metrics over many clips."""

    normalised_similarity: float
    """Mean over clips of the mean over people."""

    right_person_rate: float
    """Share of people."""

    all_present_rate: float
    """Share of clips."""

    blended_rate: float
    """Share of clips."""

    doubled_rate: float
    """Share of clips."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VaeMotion:
    """Change from frame to frame of real clips through the VAE, as a share of what it was: the ceiling of motion."""

    motion_within: float | None
    """Of the transitions within a latent frame; None where there is none."""

    motion_across: float | None
    """Of those from one latent frame to the next."""

    by_transition: tuple[float, ...]
    """At each transition of a clip."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JudgeCalibration:
    """What `calibrate_judge` measured; stored beside the judge's weights."""

    cases_version: int
    """Version of the cases that the clips were made like."""

    num_clips: int
    """Real clips of held-out people."""

    num_people: int
    """People in each."""

    height: int
    """Pixels."""

    width: int
    """Pixels."""

    num_frames: int
    """Frames of each clip."""

    same_person_mean: float
    """Mean cosine between a face in a real clip and the photos of the same person."""

    same_person_mean_one_photo: float
    """The same where the person is known by one photo, as in the report after a generation."""

    stranger_mean: float
    """Mean cosine between a face in a real clip and the photos of another person of that clip."""

    has_own_detector: bool = False
    """Whether the detector is the judge's own, rather than the one that aligns the generator's photos."""

    detector_recall: float
    """Share of the visible faces in real frames that are detected."""

    false_positives_per_frame: float
    """Detections on a real frame that lie on no face."""

    real: ClipSummary
    """The metrics of the real clips themselves."""

    after_vae: ClipSummary | None = None
    """The metrics of the real clips through the VAE: the ceiling of what a generator on its latents can reach."""

    vae_motion: VaeMotion | None = None
    """How much of the motion in real clips the VAE alone keeps; None if it was not asked."""

    @property
    def scale(self) -> SimilarityScale:
        """The judge's scale."""
        return SimilarityScale(same_person_mean=self.same_person_mean, stranger_mean=self.stranger_mean)

    @property
    def one_photo_scale(self) -> SimilarityScale:
        """The judge's scale where people are known by one photo each."""
        return SimilarityScale(same_person_mean=self.same_person_mean_one_photo, stranger_mean=self.stranger_mean)


def load_calibration(path: str | Path) -> JudgeCalibration:
    """Reads a calibration.

    Raises:
        UserInputError: if the file is missing or holds something else.
    """
    return load_config(JudgeCalibration, path)


def save_calibration(calibration: JudgeCalibration, path: str | Path) -> None:
    """Writes a calibration as JSON."""
    save_config(calibration, path)


def calibrate_judge(
    judge: Judge,
    *,
    num_clips: int = 100,
    num_people: int = 2,
    height: int = 64,
    width: int = 96,
    num_frames: int = 9,
    fps: float = 8.0,
    reconstruct: Reconstruct | None = None,
    temporal_ratio: int = 4,
    num_distractors: int = NUM_DISTRACTORS,
    progress: ProgressCallback | None = None,
) -> JudgeCalibration:
    """Shows the judge real clips of held-out people at the video's size.

    Args:
        judge: its scale is not used.
        num_clips: clips to show; their people are none of the evaluation's cases.
        num_people: people in each, at least 2, or there would be no strangers.
        height: pixels.
        width: pixels.
        num_frames: frames of each clip.
        fps: frames a second.
        reconstruct: sends a clip (F, H, W, 3) through the VAE and back.
        temporal_ratio: frames in each latent frame of that VAE but the first.
        num_distractors: other people that each person is ranked among.
        progress: told of the clips done.

    Raises:
        ValueError: if there is no clip, or only one person in each.
        UserInputError: for more people than prompts can state.
    """
    if num_clips < 1 or num_people < 2:
        raise ValueError(f"calibration needs at least 1 clip of 2 people, not {num_clips} of {num_people}")
    cases = [make_case(index, num_people=num_people, first_seed=FIRST_CALIBRATION_SEED) for index in range(num_clips)]
    scenes = [render_scene(case.scene(), height=height, width=width, num_frames=num_frames, fps=fps) for case in cases]
    references = [embed_people(judge, case.people, case.portrait_seeds) for case in cases]
    one_photo = [
        judge.embed_landmarks([photo.image for photo in photos], [photo.landmarks for photo in photos])
        for photos in (case.portraits() for case in cases)
    ]

    counts = np.zeros(3, dtype=np.int64)  # faces there, faces found, false detections
    cosines = _Cosines()
    for index, (scene, embeddings, of_one_photo) in enumerate(zip(scenes, references, one_photo, strict=True)):
        counts += _compare_with_truth(judge, scene, embeddings, of_one_photo, cosines)
        if progress is not None:
            progress(index + 1, 2 * num_clips)
    if not cosines.same:
        raise ValueError("the detector found no face in any real clip, so the judge has no scale")
    scale = SimilarityScale(
        same_person_mean=float(np.mean(cosines.same)), stranger_mean=float(np.mean(cosines.strangers))
    )

    scaled = Judge(detector=judge.detector, recogniser=judge.recogniser, scale=scale, tracking=judge.tracking)
    gallery = DistractorGallery(scaled, num_distractors=num_distractors)
    real, after_vae = [], []
    changes, real_changes = [], []
    for index, (case, scene, embeddings) in enumerate(zip(cases, scenes, references, strict=True)):
        distractors = gallery.for_people(case.people, case.portrait_seeds)
        real.append(scaled.assess(scene.frames, embeddings, distractors=distractors))
        if reconstruct is not None:
            reconstructed = reconstruct(scene.frames)
            after_vae.append(scaled.assess(reconstructed, embeddings, distractors=distractors))
            changes.append(frame_changes(reconstructed))
            real_changes.append(frame_changes(scene.frames))
        if progress is not None:
            progress(num_clips + index + 1, 2 * num_clips)
    faces_there, faces_found, false_detections = counts.tolist()
    return JudgeCalibration(
        cases_version=CASES_VERSION,
        num_clips=num_clips,
        num_people=num_people,
        height=height,
        width=width,
        num_frames=num_frames,
        same_person_mean=scale.same_person_mean,
        same_person_mean_one_photo=float(np.mean(cosines.same_one_photo)),
        stranger_mean=scale.stranger_mean,
        detector_recall=faces_found / faces_there,
        false_positives_per_frame=false_detections / (num_clips * num_frames),
        real=summarise_clips(real),
        after_vae=summarise_clips(after_vae) if after_vae else None,
        vae_motion=measure_vae_motion(changes, real_changes, temporal_ratio=temporal_ratio) if changes else None,
    )


def measure_vae_motion(
    changes: Sequence[Sequence[float]], real_changes: Sequence[Sequence[float]], *, temporal_ratio: int
) -> VaeMotion:
    """What a VAE leaves of the motion of clips.

    Args:
        changes: for each clip through the VAE, the change at each transition, as `frame_changes` gives it.
        real_changes: the same of the clips themselves.
        temporal_ratio: frames in each latent frame but the first.
    """

    def share(where: Where) -> float | None:
        chosen = transitions(where, len(changes[0]), temporal_ratio=temporal_ratio)
        after, before = (sum(each[index] for each in clips for index in chosen) for clips in (changes, real_changes))
        return after / before if chosen and before > 0 else None

    return VaeMotion(
        motion_within=share("within"),
        motion_across=share("across"),
        by_transition=tuple(share_by_transition(changes, real_changes)),
    )


def summarise_clips(assessments: Sequence[ClipAssessment]) -> ClipSummary:
    """Means of the identity metrics over clips."""
    right = [person.right_person for assessment in assessments for person in assessment.people]
    return ClipSummary(
        normalised_similarity=float(np.mean([assessment.mean_similarity for assessment in assessments])),
        right_person_rate=float(np.mean(right)),
        all_present_rate=float(np.mean([assessment.all_present for assessment in assessments])),
        blended_rate=float(np.mean([assessment.blended for assessment in assessments])),
        doubled_rate=float(np.mean([assessment.doubled for assessment in assessments])),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Cosines:
    """Between faces of real clips and the people's photos, clip after clip."""

    same: list[float] = dataclasses.field(default_factory=list)
    same_one_photo: list[float] = dataclasses.field(default_factory=list)
    strangers: list[float] = dataclasses.field(default_factory=list)


def _compare_with_truth(
    judge: Judge, scene: Scene, references: Float32Array, of_one_photo: Float32Array, cosines: _Cosines
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Counts faces there, found, and falsely detected in a clip; appends the cosines of those found."""
    faces_there = faces_found = false_detections = 0
    images: list[UInt8Array] = []
    faces: list[Face] = []
    people: list[int] = []
    for frame, boxes, masks in zip(scene.frames, scene.boxes, scene.face_masks, strict=True):
        detected = judge.detector.detect(frame)
        overlaps = np.array([[intersection_over_union(face.box, box) for box in boxes] for face in detected])
        overlaps = overlaps.reshape(len(detected), len(boxes))
        pairs = [
            (int(face), int(person))
            for face, person in zip(*linear_sum_assignment(overlaps, maximize=True), strict=True)
            if overlaps[face, person] >= MIN_OVERLAP
        ]
        visible = {person for person in range(len(boxes)) if _is_visible(boxes[person], masks[person])}
        faces_there += len(visible)
        faces_found += sum(person in visible for _, person in pairs)
        false_detections += len(detected) - len(pairs)
        images += [frame] * len(pairs)
        faces += [detected[face] for face, _ in pairs]
        people += [person for _, person in pairs]
    embeddings = judge.embed_faces(images, faces)
    for row, one_row, person in zip(embeddings @ references.T, embeddings @ of_one_photo.T, people, strict=True):
        cosines.same.append(float(row[person]))
        cosines.same_one_photo.append(float(one_row[person]))
        cosines.strangers.extend(np.delete(row, person).tolist())
    return np.array([faces_there, faces_found, false_detections])


def _is_visible(box: Float32Array, mask: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> bool:
    left, top, right, bottom = box
    area = (right - left) * (bottom - top)
    return bool(area > 0) and bool(mask.sum() >= MIN_VISIBLE_SHARE * area)  # a hidden face's box is NaN: not above 0
