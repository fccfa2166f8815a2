"""The drawn world as a data set of the same form as real videos: clips, masks, tracks, photos, captions.

Legend: F frames, N people, H/W pixels.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ingredients.core.errors import OutputError
from ingredients.core.files import make_folder
from ingredients.core.output_folders import fills_folder
from ingredients.core.protocols import ProgressCallback
from ingredients.data.clip_folder import METADATA_NAME, read_clip_folder, write_metadata
from ingredients.data.mask_files import write_masks
from ingredients.data.schema import ClipRecord, PersonTrack
from ingredients.media.pictures import write_picture
from ingredients.media.video import write_video
from ingredients.world import Identity, Split, render_portrait, render_scene, sample_scene
from ingredients.world.captions import phrase_of
from ingredients.world.scenes import VISIBLE, Scene, face_states
from ingredients.world.styles import TOGETHER, SceneStyle

_CRF = 4
"""Nearly lossless: what is drawn is what is learnt."""

_SAVE_EVERY = 20


@fills_folder("a data set of clips", "folder")
def write_world_folder(
    folder: Path,
    seeds: Sequence[int],
    *,
    split: Split = "train",
    height: int = 64,
    width: int = 96,
    num_frames: int = 9,
    fps: float = 8.0,
    num_references: int = 2,
    style: SceneStyle = TOGETHER,
    progress: ProgressCallback | None = None,
) -> list[ClipRecord]:
    """Draws clips into a data set; those that are there already are kept, so that a stopped run goes on.

    Args:
        folder: the folder of the data set; made if it is not there.
        seeds: one a clip; clip `split-SEED`, or `split-STYLE-SEED` of another style than `together`.
        split: whose identities take part.
        height: the height of the clips, in pixels.
        width: the width of the clips, in pixels.
        num_frames: the number of frames of each.
        fps: frames a second.
        num_references: photos of each person, none of which is a frame of a clip.
        style: how scenes are cast, framed and played; extras have no track.
        progress: told of the clips done.

    Returns:
        The records of the whole data set.

    Raises:
        OutputError: if the folder cannot be written to, or holds clips of another kind.
    """
    for name in ("videos", "masks", "references"):
        make_folder(folder / name)
    records = read_clip_folder(folder) if (folder / METADATA_NAME).is_file() else []
    kind = split if style is TOGETHER else f"{split}-{style.name}"
    for record in records:
        found, asked = (record.height, record.width, record.num_frames), (height, width, num_frames)
        if found != asked or record.clip_id.rpartition("-")[0].rstrip("-") != kind:
            raise OutputError(
                f"The data set {folder} has {record.clip_id} with {found[2]} frames of {found[1]}x{found[0]}, not "
                f"{kind} clips with {asked[2]} of {asked[1]}x{asked[0]}; choose another folder."
            )
    there = {record.clip_id for record in records}
    for done, seed in enumerate(seeds, start=1):
        clip_id = f"{kind}-{seed:08d}"
        if clip_id not in there:
            spec = sample_scene(seed, split=split, style=style)
            scene = render_scene(spec, height=height, width=width, num_frames=num_frames, fps=fps)
            write_video(folder / "videos" / f"{clip_id}.mp4", scene.frames, fps=fps, constant_rate_factor=_CRF)
            photo_seeds = np.random.default_rng([abs(seed), int(seed < 0), 41]).integers(
                2**40, size=(len(spec.people), num_references)
            )
            people = []
            for index in spec.cast:
                identity = spec.people[index]
                photos = []
                for number, photo_seed in enumerate(photo_seeds[index].tolist()):
                    photos.append(folder / "references" / f"{clip_id}-{index}-{number}.png")
                    write_picture(photos[-1], render_portrait(identity, photo_seed, size=2 * height).image)
                phrase = phrase_of(scene.caption, spec.roles[index]) if spec.roles else None
                track = _write_track(folder, clip_id, scene, index, person_id(identity), tuple(photos))
                people.append(dataclasses.replace(track, phrase=phrase))
            records.append(
                ClipRecord(
                    clip_id=clip_id,
                    video=folder / "videos" / f"{clip_id}.mp4",
                    fps=fps,
                    num_frames=num_frames,
                    height=height,
                    width=width,
                    caption=scene.caption,
                    people=tuple(people),
                )
            )
            if done % _SAVE_EVERY == 0:
                write_metadata(folder, records)
        if progress is not None:
            progress(done, len(seeds))
    write_metadata(folder, records)
    return records


def person_id(identity: Identity) -> str:
    """The same for the same drawn person in every clip."""
    return hashlib.sha256(repr(dataclasses.astuple(identity)).encode()).hexdigest()[:12]


def _write_track(
    folder: Path, clip_id: str, scene: Scene, index: int, person_id: str, references: tuple[Path, ...]
) -> PersonTrack:
    face_masks = folder / "masks" / f"{clip_id}-{index}.png"
    person_masks = folder / "masks" / f"{clip_id}-{index}-person.png"
    write_masks(face_masks, scene.face_masks[:, index])
    write_masks(person_masks, scene.person_masks[:, index])
    is_visible = face_states(scene)[:, index] == VISIBLE
    boxes, landmarks = [], []
    for frame in range(len(scene.frames)):
        has_box = is_visible[frame] and np.isfinite(scene.boxes[frame, index]).all()
        left, top, right, bottom = scene.boxes[frame, index].tolist()
        boxes.append((left, top, right, bottom) if has_box else None)
        points = tuple((across, down) for across, down in scene.landmarks[frame, index].tolist())
        landmarks.append(points if has_box else None)
    return PersonTrack(
        person_id=person_id,
        boxes=tuple(boxes),
        landmarks=tuple(landmarks),
        face_masks=face_masks,
        person_masks=person_masks,
        references=references,
    )
