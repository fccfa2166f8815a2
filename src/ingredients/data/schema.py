"""What curation hands to training: one record a clip, with the people tracked in it."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PersonTrack:
    """One person through a clip. Coordinates are pixels of the clip; a frame without the face holds None."""

    boxes: tuple[tuple[float, float, float, float] | None, ...]
    """The face in each frame: left, top, right, bottom."""

    landmarks: tuple[tuple[tuple[float, float], ...] | None, ...]
    """Five points in each frame: eyes, nose tip, mouth corners, as the picture has them from left to right."""

    face_masks: Path
    """Image file series or archive (F, H, W) of the visible face: skin and features, without hair and clothes."""

    references: tuple[Path, ...]
    """Photos of the person that are not frames of this clip, or cut from other moments of it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClipRecord:
    """A clip with its caption and its people."""

    clip: Path
    """The video file."""

    fps: float
    """Frames a second."""

    caption: str
    """What happens, without a word about who it is."""

    people: tuple[PersonTrack, ...]
    """Everyone whose face is tracked, in any order."""

    def __post_init__(self) -> None:
        if self.fps <= 0:
            raise ValueError(f"fps must be positive, not {self.fps}.")
        lengths = {len(track) for person in self.people for track in (person.boxes, person.landmarks)}
        if len(lengths) > 1:
            raise ValueError(f"All tracks of {self.clip} must be equally long, not {sorted(lengths)} frames.")
