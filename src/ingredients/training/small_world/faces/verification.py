"""How well a recogniser tells held-out people apart in clips at the video's size, faces found by the real detector.

Legend: Q faces seen in clips, G people of the gallery, M distractors, D embedding.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.faces.detector import HeatmapFaceDetector, intersection_over_union
from ingredients.faces.recogniser import ArcFaceRecogniser
from ingredients.world import Identity, render_portrait, render_scene, sample_identity, sample_scene
from ingredients.world.scenes import VISIBLE, face_states

NUM_DISTRACTORS = 98
"""Held-out people that a face is ranked among; half of them share skin, hair colour and hat (DESIGN: right person)."""

METRICS = ("found", "rank_1", "clip_rank_1", "stranger_rank_1", "tar_at_far_1e-3", "threshold_at_far_1e-3",
           "same_mean", "stranger_mean", "alike_mean")  # fmt: skip

_FIRST_SEED = 2_000_000_000
_NUM_FRAMES = 5


def measure_recogniser(
    recogniser: ArcFaceRecogniser, detector: HeatmapFaceDetector, *, num_clips: int
) -> dict[str, float]:
    """Verification and identification on held-out clips of two people.

    Each person's reference is one portrait; each clip shows the person in five frames at 64x96 pixels.

    Returns:
        `found`: share of visible faces that the detector finds. `rank_1`: share of found faces nearest to the own
        reference, among 98 distractors; `clip_rank_1`: the same for the mean embedding of a clip;
        `stranger_rank_1`: without lookalikes, among all references and 49 strangers. `tar_at_far_1e-3`: share of
        faces accepted at the threshold that accepts one stranger in a thousand. `same_mean`, `stranger_mean`: mean
        cosines with the own reference and with other people's; `alike_mean`: with distractors who share skin, hair
        colour and hat. Where the detector finds nothing, all are 0.
    """
    people = [sample_identity(_FIRST_SEED + index, "eval") for index in range(2 * num_clips)]
    references = _embed_portraits(recogniser, people, first_seed=_FIRST_SEED)  # (G, D)
    strangers = [sample_identity(_FIRST_SEED + 10_000 + index, "eval") for index in range(NUM_DISTRACTORS // 2)]
    distractors = _embed_portraits(recogniser, strangers, first_seed=_FIRST_SEED + 10_000)
    faces, owners, num_visible = _clip_faces(recogniser, detector, people)
    if not faces:
        return dict.fromkeys(METRICS, 0.0)
    queries = _embed(recogniser, faces)  # (Q, D)
    num_alike = NUM_DISTRACTORS - len(strangers)
    correct, clip_correct, alike_cosines = [], [], []
    for index, person in enumerate(people):
        own = queries[owners == index]
        if not len(own):
            clip_correct.append(False)
            continue
        seed = _FIRST_SEED + 100_000 + 1000 * index
        alike = [sample_identity(seed + number, "eval", like=person) for number in range(num_alike)]
        alike_embeds = _embed_portraits(recogniser, alike, first_seed=seed)
        others = torch.cat([distractors, alike_embeds])
        highest = (
            torch.cat([own, F.normalize(own.mean(0), dim=0)[None]]) @ torch.cat([references[index, None], others]).T
        )
        ranked_first = (highest.argmax(1) == 0).tolist()
        correct += ranked_first[:-1]
        clip_correct.append(ranked_first[-1])
        alike_cosines.append((own @ alike_embeds.T).mean())
    cosines = queries @ references.T  # (Q, G)
    among_strangers = (queries @ torch.cat([references, distractors]).T).argmax(1) == torch.from_numpy(owners)
    is_own = torch.from_numpy(owners)[:, None] == torch.arange(len(people))
    same, stranger = cosines[is_own], cosines[~is_own]
    threshold = stranger.quantile(0.999) if len(stranger) else torch.tensor(1.0)
    return {
        "found": len(owners) / max(num_visible, 1),
        "rank_1": float(np.mean(correct)),
        "clip_rank_1": float(np.mean(clip_correct)),
        "stranger_rank_1": float(among_strangers.float().mean()),
        "tar_at_far_1e-3": float((same > threshold).float().mean()),
        "threshold_at_far_1e-3": float(threshold),
        "same_mean": float(same.mean()),
        "stranger_mean": float(stranger.mean()),
        "alike_mean": float(torch.stack(alike_cosines).mean()),
    }


def _clip_faces(
    recogniser: ArcFaceRecogniser, detector: HeatmapFaceDetector, people: list[Identity]
) -> tuple[list[UInt8Array], np.ndarray, int]:
    """Crops of the faces found in clips of two, whose they are (Q,), and how many there were to find."""
    crops: list[UInt8Array] = []
    owners: list[int] = []
    num_visible = 0
    for first in range(0, len(people), 2):
        spec = sample_scene(_FIRST_SEED + first, people=people[first : first + 2])
        scene = render_scene(spec, num_frames=_NUM_FRAMES, fps=4.0)
        states = face_states(scene)
        for frame, found in enumerate(detector.detect_frames(scene.frames)):
            for index in np.flatnonzero(states[frame] == VISIBLE):
                num_visible += 1
                overlaps = [intersection_over_union(face.box, scene.boxes[frame, index]) for face in found]
                if overlaps and max(overlaps) >= 0.4:
                    landmarks = found[int(np.argmax(overlaps))].landmarks
                    crops.append(recogniser.align(scene.frames[frame], landmarks))
                    owners.append(first + int(index))
    return crops, np.array(owners, np.int64), num_visible


def _embed_portraits(recogniser: ArcFaceRecogniser, people: list[Identity], *, first_seed: int) -> Tensor:
    """Normalised embeddings (people, D) of one portrait of each, at its true landmarks."""
    crops = []
    for index, person in enumerate(people):
        portrait = render_portrait(person, first_seed + index, size=96)
        landmarks: Float32Array = portrait.landmarks
        crops.append(recogniser.align(portrait.image, landmarks))
    return _embed(recogniser, crops)


def _embed(recogniser: ArcFaceRecogniser, crops: list[UInt8Array]) -> Tensor:
    if not crops:
        return torch.zeros(0, recogniser.embedding_dim)
    parts = [recogniser.embed(np.stack(crops[start : start + 128])) for start in range(0, len(crops), 128)]
    return F.normalize(torch.cat(parts), dim=-1)
