"""Training examples from a data set of videos: frames of a bucket, masks and tracks that follow, references.

Legend: F frames, N people, H/W pixels.
"""

import dataclasses
import hashlib
from collections.abc import Iterator

import numpy as np

from ingredients.core.arrays import BoolArray, Float32Array
from ingredients.core.errors import UserInputError
from ingredients.core.protocols import FaceDetector
from ingredients.data.buckets import Bucket, Framing, choose_bucket, frame_bucket
from ingredients.data.clip_check import check_item
from ingredients.data.clip_example import ClipExample, ReadExample, ReferencePhoto
from ingredients.data.clip_source import ClipItem, ClipSource
from ingredients.data.lent_references import Lenders, open_lenders
from ingredients.data.mask_files import read_masks
from ingredients.data.record_json import BadRecordError
from ingredients.data.schema import NUM_LANDMARKS, ClipRecord, PersonTrack
from ingredients.faces.face_choice import largest_face
from ingredients.media.photos import load_photo
from ingredients.media.video import read_video


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReadingConfig:
    """How clips are read; part of the record of what encoded clips were made from."""

    buckets: tuple[Bucket, ...]
    """Lengths and sizes that are trained on."""

    stride: int = 1
    """Every how many frames one is taken; the paper takes every second (4.1)."""

    seed: int = 0
    """Draws where in a longer clip the frames begin."""

    lent_references: int = 0
    """Pictures of each person that are taken from other clips of the same `person_id`."""

    def __post_init__(self) -> None:
        if not self.buckets or self.stride < 1 or self.lent_references < 0:
            raise ValueError(
                f"there must be a bucket, a stride of at least 1, not {self.stride}, and no fewer than no lent "
                f"references, not {self.lent_references}"
            )


def read_example(
    record: ClipRecord, config: ReadingConfig, *, detector: FaceDetector | None, lenders: Lenders | None = None
) -> ClipExample:
    """Reads a clip that `check_clip` found no fault with.

    Args:
        record: the clip.
        config: lengths and sizes.
        detector: finds the faces of photos; None leaves photos out.
        lenders: the other clips of the data set; None lends nothing.

    Raises:
        UserInputError: if it is too short for every bucket.
    """
    bucket = choose_bucket(
        config.buckets,
        num_frames=record.num_frames,
        height=record.height,
        width=record.width,
        stride=config.stride,
    )
    if bucket is None:
        shortest = min(config.buckets)
        raise UserInputError(
            f"It has {record.num_frames} frames, and the shortest length trained on takes "
            f"{(shortest.num_frames - 1) * config.stride + 1} ({shortest} at a stride of {config.stride})."
        )
    chosen = _choose_frames(record, bucket, config)
    framing = frame_bucket(bucket, height=record.height, width=record.width)
    tracks = [_read_track(record, person, chosen, framing) for person in record.people]
    face_masks, person_masks, boxes, landmarks = (list(each) for each in zip(*tracks, strict=True))
    return ClipExample(
        clip_id=record.clip_id,
        caption=record.caption,
        frames=framing.frames(read_video(record.video).frames[chosen]),
        face_masks=np.stack(face_masks, axis=1),
        person_masks=None if any(masks is None for masks in person_masks) else np.stack(person_masks, axis=1),
        boxes=np.stack(boxes, axis=1),
        landmarks=np.stack(landmarks, axis=1),
        person_ids=tuple(person.person_id for person in record.people),
        references=tuple(
            _read_photos(person, detector)
            + (() if lenders is None else lenders.lend(record, person, config.lent_references))
            for person in record.people
        ),
        phrases=_phrases(record),
    )


def _phrases(record: ClipRecord) -> tuple[str | None, ...]:
    """What the caption calls each person; empty where it calls nobody anything."""
    phrases = tuple(person.phrase for person in record.people)
    return phrases if any(phrase is not None for phrase in phrases) else ()


def _choose_frames(record: ClipRecord, bucket: Bucket, config: ReadingConfig) -> slice:
    span = (bucket.num_frames - 1) * config.stride + 1
    digest = hashlib.sha256(f"{config.seed} start {record.clip_id}".encode()).digest()
    start = int(np.random.default_rng(list(digest)).integers(record.num_frames - span + 1))
    return slice(start, start + span, config.stride)


def _read_track(
    record: ClipRecord, person: PersonTrack, chosen: slice, framing: Framing
) -> tuple[BoolArray, BoolArray | None, Float32Array, Float32Array]:
    size = {"num_frames": record.num_frames, "height": record.height, "width": record.width}
    face_masks = framing.masks(read_masks(person.face_masks, **size)[chosen])
    person_masks = None
    if person.person_masks is not None:
        person_masks = framing.masks(read_masks(person.person_masks, **size)[chosen])
    boxes = framing.points(_fill(person.boxes[chosen], (4,)))
    landmarks = framing.points(_fill(person.landmarks[chosen], (NUM_LANDMARKS, 2)))
    limits = np.array([framing.width, framing.height], np.float32)
    inside = ((landmarks >= 0) & (landmarks <= limits)).all(axis=-1).sum(axis=-1) >= NUM_LANDMARKS - 1  # (F,)
    in_view = inside & np.isfinite(boxes).all(axis=-1)
    boxes = np.clip(boxes, 0, np.tile(limits, 2))
    return (
        face_masks,
        person_masks,
        np.where(in_view[:, None], boxes, np.float32(np.nan)),
        np.where(in_view[:, None, None], landmarks, np.float32(np.nan)),
    )


def _fill(values: tuple[object, ...], shape: tuple[int, ...]) -> Float32Array:
    nothing = np.full(shape, np.nan, np.float32)
    return np.stack([nothing if each is None else np.asarray(each, np.float32) for each in values])


def _read_photos(person: PersonTrack, detector: FaceDetector | None) -> tuple[ReferencePhoto, ...]:
    photos = []
    for path in person.references if detector is not None else ():
        image = load_photo(path)
        assert detector is not None
        if faces := detector.detect(image):
            photos.append(ReferencePhoto(image=image, landmarks=largest_face(faces).landmarks, kind="photo"))
    return tuple(photos)


def source_examples(
    source: ClipSource, config: ReadingConfig, *, detector: FaceDetector | None
) -> Iterator[tuple[str, ReadExample]]:
    """Each clip's name, and what reads it.

    Args:
        source: the data set.
        config: lengths and sizes.
        detector: finds the faces of photos; None leaves photos out.

    Raises:
        UserInputError: if clips should lend references, and cannot.
    """
    lenders = open_lenders(source) if config.lent_references else None
    return _examples(source, config, detector, lenders)


def _examples(
    source: ClipSource, config: ReadingConfig, detector: FaceDetector | None, lenders: Lenders | None
) -> Iterator[tuple[str, ReadExample]]:
    for where, record in source:
        name = where if isinstance(record, BadRecordError) else record.clip_id

        def read(item: ClipItem = (where, record)) -> ClipExample:
            return _read_checked(source, item, config, detector, lenders)

        yield name, read


def _read_checked(
    source: ClipSource,
    item: ClipItem,
    config: ReadingConfig,
    detector: FaceDetector | None,
    lenders: Lenders | None,
) -> ClipExample:
    where, record = item
    fatal = [found.problem for found in check_item(source, where, record) if found.is_fatal]
    if isinstance(record, BadRecordError) or fatal:
        raise UserInputError(" ".join(fatal))
    return read_example(record, config, detector=detector, lenders=lenders)
