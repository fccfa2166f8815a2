"""Shows a judge real clips: for the scale of its similarities, its misses, and the ceiling that a model's VAE sets.

Legend: F frames, N people, H/W pixels, D embedding.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from ingredients.casebook.cases import CASES_VERSION, FIRST_CALIBRATION_SEED, make_case, style_for
from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.protocols import Face, ProgressCallback
from ingredients.data.latents import decode_clips, encode_clips, video_to_pixels
from ingredients.evaluation.assessment import ClipAssessment, SimilarityScale
from ingredients.evaluation.calibration import (
    ClipSummary,
    JudgeCalibration,
    VaeMotion,
    VaeSharpness,
    save_calibration,
)
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.judges import calibration_path, has_own_detector, load_uncalibrated_judge
from ingredients.evaluation.known_people import NUM_DISTRACTORS, DistractorGallery, embed_people
from ingredients.evaluation.metrics.motion import Where, share_by_transition, share_of_sums, transitions
from ingredients.evaluation.sources import DrawnClips
from ingredients.evaluation.traits import face_details, frame_changes
from ingredients.faces.detector import intersection_over_union
from ingredients.model_folders.components import load_vae, transformer_part
from ingredients.model_folders.transformer import build_transformer
from ingredients.models.backbones import VideoVae, backbone_of_vae
from ingredients.pipelines.pipeline_output import to_pixels
from ingredients.pipelines.video_shape import VideoGeometry
from ingredients.world.scenes import Scene
from ingredients.world.styles import TOGETHER

MIN_OVERLAP = 0.5
"""Intersection over union from which a detected box counts as the true one."""

MIN_VISIBLE_SHARE = 0.3
"""Share of a face's box that must be visible skin for the face to be there to find (a hand may cover it)."""

Reconstruct = Callable[[UInt8Array], UInt8Array]


def calibrate_model(
    model_folder: str | Path,
    *,
    num_clips: int = 100,
    height: int | None = None,
    width: int | None = None,
    num_frames: int | None = None,
    progress: ProgressCallback | None = None,
) -> JudgeCalibration:
    """Measures the judge of a model folder on real clips and writes `judge/calibration.json`.

    The clips show what the model is made for: people who all do the same, or each their own.

    The folder needs `face_encoder/`, `judge/` and `vae/`, and of the transformer its config.

    Args:
        model_folder: folder of the model.
        num_clips: real clips of held-out people.
        height: pixels; this and the next two are those of the videos to judge, None the model's own.
        width: pixels.
        num_frames: frames of each clip.
        progress: told of the clips done.

    Raises:
        ModelFolderError: if a part is missing or damaged.
    """
    judge = load_uncalibrated_judge(model_folder)
    vae = load_vae(Path(model_folder) / "vae", dtype=torch.float32)
    transformer = build_transformer(Path(model_folder) / transformer_part(Path(model_folder)))  # without weights
    geometry = VideoGeometry.of(transformer.backbone, transformer.config, vae.config)
    shape = geometry.shape(height=height, width=width, num_frames=num_frames)
    calibration = calibrate_judge(
        judge,
        num_clips=num_clips,
        height=shape.height,
        width=shape.width,
        num_frames=shape.num_frames,
        style=style_for(transformer.config),
        reconstruct=lambda frames: reconstruct_clip(vae, frames),
        temporal_ratio=backbone_of_vae(vae).temporal_ratio(vae.config),
        progress=progress,
    )
    calibration = dataclasses.replace(calibration, has_own_detector=has_own_detector(model_folder))
    save_calibration(calibration, calibration_path(model_folder))
    return calibration


@torch.inference_mode()
def reconstruct_clip(vae: VideoVae, frames: UInt8Array) -> UInt8Array:
    """Sends a clip (F, H, W, 3) through the VAE and back, without noise."""
    pixels = video_to_pixels(frames[None]).to(vae.device, vae.dtype)  # (1, 3, F, H, W)
    decoded = decode_clips(vae, encode_clips(vae, pixels))[0].float().cpu()
    return to_pixels((decoded.permute(1, 2, 3, 0) + 1) / 2)


def calibrate_judge(
    judge: Judge,
    *,
    num_clips: int = 100,
    num_people: int = 2,
    height: int = 64,
    width: int = 96,
    num_frames: int = 9,
    style: str = TOGETHER.name,
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
        style: how the clips are cast, framed and played, a key of `STYLES`.
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
    cases = [
        make_case(index, num_people=num_people, first_seed=FIRST_CALIBRATION_SEED, style=style)
        for index in range(num_clips)
    ]
    clips = DrawnClips(cases, height=height, width=width, num_frames=num_frames)
    scenes = [clips.scene(case) for case in cases]
    references = [embed_people(judge, case.identities, case.identity_seeds) for case in cases]
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
    errors: list[list[float]] = []
    details: list[tuple[Details, Details]] = []
    for index, (case, scene, embeddings) in enumerate(zip(cases, scenes, references, strict=True)):
        distractors = gallery.for_people(case.identities, case.identity_seeds)
        real.append(scaled.assess(scene.frames, embeddings, distractors=distractors))
        if reconstruct is not None:
            reconstructed = reconstruct(scene.frames)
            after_vae.append(scaled.assess(reconstructed, embeddings, distractors=distractors))
            errors.append(psnr_by_frame(reconstructed, scene.frames))
            boxes = scaled.look(scene.frames).boxes
            details.append((face_details(reconstructed, boxes), face_details(scene.frames, boxes)))
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
        style=style,
        same_person_mean=scale.same_person_mean,
        same_person_mean_one_photo=float(np.mean(cosines.same_one_photo)),
        stranger_mean=scale.stranger_mean,
        detector_recall=faces_found / faces_there,
        false_positives_per_frame=false_detections / (num_clips * num_frames),
        real=summarise_clips(real),
        after_vae=summarise_clips(after_vae) if after_vae else None,
        vae_sharpness=measure_vae_sharpness(errors, details) if errors else None,
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


Details = tuple[float | None, ...]
"""High-frequency energy of the faces in each frame of a clip."""


def psnr_by_frame(frames: UInt8Array, real: UInt8Array) -> list[float]:
    """Peak signal-to-noise ratio of each frame (F, H, W, 3) against the real one, in dB; no more than 99."""
    errors = ((frames.astype(np.float64) - real) ** 2).mean(axis=(1, 2, 3)) / 255.0**2
    return [min(-10.0 * math.log10(error), 99.0) if error > 0 else 99.0 for error in errors.tolist()]


def measure_vae_sharpness(psnr: Sequence[Sequence[float]], details: Sequence[tuple[Details, Details]]) -> VaeSharpness:
    """How sharp a VAE leaves the frames of clips.

    Args:
        psnr: the PSNR of each clip, by frame.
        details: energies of each clip's faces through the VAE, and of the same places of the clip itself.
    """

    def share(index: int) -> float | None:
        kept = share_of_sums([(after[index], before[index]) for after, before in details])
        return None if kept is None else round(kept, 5)

    means = np.mean(np.array(psnr), axis=0)  # (F,)
    return VaeSharpness(
        psnr_by_frame=tuple(round(float(mean), 3) for mean in means),
        faces_by_frame=tuple(share(index) for index in range(len(means))),
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
