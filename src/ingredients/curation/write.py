"""The data set that training reads, written from the store, and beside it what became of every clip.

metadata.jsonl, videos/, masks/, references/    the data set (`data/clip_folder.py`)
provenance.jsonl              a line for each of its clips: source, time span, licence, creator, consent
clips.jsonl, sources.jsonl    a line for every clip and every source, kept or not, and why
held-out/                     the same for clips of people who are in no other one, where some were asked for
"""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ingredients.core.files import atomic_path, make_folder
from ingredients.core.json_yaml import write_json_lines
from ingredients.curation.engine import Curated, CuratedSource
from ingredients.curation.source_work import ClipState, scalars
from ingredients.curation.sources import name_of
from ingredients.curation.step import Measured, Rejection
from ingredients.curation.store import SourceStore
from ingredients.data.clip_folder import write_metadata
from ingredients.data.lent_references import lot
from ingredients.data.schema import Box, ClipRecord, PersonTrack

CLIPS_NAME, SOURCES_NAME, PROVENANCE_NAME = "clips.jsonl", "sources.jsonl", "provenance.jsonl"
HELD_OUT_NAME = "held-out"
_Lender: TypeAlias = tuple[CuratedSource, ClipState, int]
"""A clip of a source, and which of its people it lends a picture of."""

_FOLDERS = ("videos", "masks", "references")


def write_data_set(folder: Path, curated: Curated) -> list[ClipRecord]:
    """Writes the data set: files first, then the table that names them, so that it is whole at any moment.

    Files of clips that an earlier run had and this one has not are removed.

    Returns:
        The records of the training part.

    Raises:
        OutputError: if it cannot be written.
    """
    records = _write_part(folder, curated, [pair for pair in curated.kept if not pair[1].is_held_out])
    held_out = [pair for pair in curated.kept if pair[1].is_held_out]
    if held_out or (folder / HELD_OUT_NAME).is_dir():
        _write_part(folder / HELD_OUT_NAME, curated, held_out)
    write_json_lines(folder / SOURCES_NAME, (_source_line(source) for source in curated.sources))
    write_json_lines(folder / CLIPS_NAME, (_clip_line(source, clip) for source, clip in curated.clips))
    return records


def _write_part(folder: Path, curated: Curated, clips: Sequence[tuple[CuratedSource, ClipState]]) -> list[ClipRecord]:
    for name in _FOLDERS:
        make_folder(folder / name)
    lenders = _lenders(clips)
    records = [_record(folder, curated, source, clip, lenders) for source, clip in clips]
    write_json_lines(folder / PROVENANCE_NAME, (_provenance_line(source, clip) for source, clip in clips))
    write_metadata(folder, records)
    named = {path for record in records for path in record.files}
    for name in _FOLDERS:
        for path in (folder / name).iterdir():
            if path not in named:
                path.unlink()
    return records


def _lenders(clips: Sequence[tuple[CuratedSource, ClipState]]) -> Mapping[str, Sequence[_Lender]]:
    """By person, all pictures that clips can lend."""
    lenders: dict[str, list[_Lender]] = {}
    for source, clip in clips:
        tracks = clip.measured.get("people", {}).get("tracks", [])
        files = clip.measured.get("portraits", {}).get("files", [])
        for number, (track, file) in enumerate(zip(tracks, files, strict=True)):
            if file is not None and track.get("person_id") is not None:
                lenders.setdefault(track["person_id"], []).append((source, clip, number))
    return lenders


def _lent(source: CuratedSource, clip: ClipState, lenders: Sequence[_Lender], number: int) -> Sequence[_Lender]:
    """Who lends a clip a picture of one person: other sources first, then other shots, and otherwise by lot."""
    others = [lender for lender in lenders if lender[1].clip_id != clip.clip_id]

    def nearness(lender: _Lender) -> tuple[bool, bool, str]:
        is_same_source = lender[0].digest == source.digest
        return is_same_source, is_same_source and lender[1].shot == clip.shot, lot(clip.clip_id, lender[1].clip_id)

    return sorted(others, key=nearness)[:number]


def _record(
    folder: Path,
    curated: Curated,
    source: CuratedSource,
    clip: ClipState,
    lenders: Mapping[str, Sequence[_Lender]],
) -> ClipRecord:
    store = SourceStore(curated.work, source.digest)
    cut = clip.measured["cut"]
    video = folder / "videos" / f"{clip.clip_id}.mp4"
    _place(store.clips / cut["video"], video)
    return ClipRecord(
        clip_id=clip.clip_id,
        video=video,
        fps=cut["fps"],
        num_frames=cut["num_frames"],
        height=cut["height"],
        width=cut["width"],
        caption=clip.measured.get("captions", {}).get("caption", ""),
        people=tuple(_people(folder, curated, source, clip, lenders)),
    )


def _people(
    folder: Path,
    curated: Curated,
    source: CuratedSource,
    clip: ClipState,
    lenders: Mapping[str, Sequence[_Lender]],
) -> Iterator[PersonTrack]:
    store = SourceStore(curated.work, source.digest)
    tracks = clip.measured.get("people", {}).get("tracks", [])
    masks = clip.measured.get("masks", {})
    for number, track in enumerate(tracks):
        face_masks = folder / "masks" / f"{clip.clip_id}-{number}.png"
        _place(store.clips / masks["face_masks"][number], face_masks)
        person_masks = None
        if name := (masks.get("person_masks") or {number: None})[number]:
            person_masks = folder / "masks" / f"{clip.clip_id}-{number}-person.png"
            _place(store.clips / name, person_masks)
        lent = _lent(source, clip, lenders.get(str(track.get("person_id")), ()), curated.config.people.lent_references)
        phrases = clip.measured.get("captions", {}).get("phrases", [])
        boxes = [_within(box, clip.measured["cut"]) for box in track["boxes"]]
        yield PersonTrack(
            person_id=track.get("person_id"),
            phrase=phrases[number] if number < len(phrases) else None,
            boxes=tuple(boxes),
            landmarks=tuple(
                None if points is None or box is None else tuple(tuple(point) for point in points)
                for points, box in zip(track["landmarks"], boxes, strict=True)
            ),
            face_masks=face_masks,
            person_masks=person_masks,
            references=tuple(_portrait(folder, curated.work, *lender) for lender in lent),
        )


def _portrait(folder: Path, work: Path, source: CuratedSource, clip: ClipState, number: int) -> Path:
    """The picture that a clip lends of one of its people; several clips may borrow the same one."""
    path = folder / "references" / f"{clip.clip_id}-{number}.png"
    _place(SourceStore(work, source.digest).clips / clip.measured["portraits"]["files"][number], path)
    return path


def _within(box: Sequence[float] | None, size: Measured) -> Box | None:
    """The part of a box that lies in the picture, if there is any: detectors see faces that are cut off."""
    if box is None:
        return None
    left, right = (min(max(edge, 0.0), float(size["width"])) for edge in box[::2])
    top, bottom = (min(max(edge, 0.0), float(size["height"])) for edge in box[1::2])
    return (left, top, right, bottom) if right - left >= 1 and bottom - top >= 1 else None


def _place(source: Path, target: Path) -> None:
    """Puts a file of the store into the data set: as the same file where the disk can, otherwise as a copy."""
    with contextlib.suppress(OSError):
        if source.samefile(target):
            return
    with atomic_path(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def _source_line(each: CuratedSource) -> dict[str, Any]:
    state = each.state
    return {
        "path": name_of(each.source.path),
        "address": each.source.copied_from,
        "digest": each.digest,
        **_verdict(state.rejection),
        "damage": state.damage,
        "seconds": round(state.seconds, 3),
        "num_shots": state.num_shots,
        "num_clips": len(state.clips),
        "num_kept": sum(clip.rejection is None for clip in state.clips),
        "provenance": dict(each.source.provenance),
    }


def _clip_line(source: CuratedSource, clip: ClipState) -> dict[str, Any]:
    return {
        "clip_id": clip.clip_id,
        "source": name_of(source.source.path),
        "start_seconds": round(clip.span.start_seconds, 4),
        "end_seconds": round(clip.span.end_seconds, 4),
        **_verdict(clip.rejection),
        "held_out": clip.is_held_out,
        "measured": scalars(clip.measured),
    }


def _provenance_line(source: CuratedSource, clip: ClipState) -> dict[str, Any]:
    return {
        "clip_id": clip.clip_id,
        "source": name_of(source.source.path),
        "address": source.source.copied_from,
        "source_digest": source.digest,
        "start_seconds": round(clip.span.start_seconds, 4),
        "end_seconds": round(clip.span.end_seconds, 4),
        "topics": dict(clip.topics),
        "weight": clip.weight,
        "said": dict(source.source.provenance),
    }


def _verdict(rejection: Rejection | None) -> dict[str, Any]:
    if rejection is None:
        return {"kept": True}
    return {
        "kept": False,
        "step": rejection.step,
        "reason": rejection.reason,
        "value": rejection.value,
        "threshold": rejection.threshold,
    }
