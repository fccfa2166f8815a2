"""What curation hands to training: one record a clip, with the people tracked in it.

Legend: F frames, N people, H/W pixels.
"""

import dataclasses
from pathlib import Path

Box = tuple[float, float, float, float]
Points = tuple[tuple[float, float], ...]

NUM_LANDMARKS = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PersonTrack:
    """One person through a clip. Coordinates are pixels of the clip; a frame without the face holds None."""

    person_id: str | None = None
    """Who it is, where the same person is known in other clips, which then can lend a reference; None if not."""

    boxes: tuple[Box | None, ...]
    """The face in each frame: left, top, right, bottom."""

    landmarks: tuple[Points | None, ...]
    """Five points in each frame: eyes, nose tip, mouth corners, as the picture has them from left to right."""

    face_masks: Path
    """The visible face in each frame, skin and features without hair and clothes (`data/mask_files.py`)."""

    person_masks: Path | None = None
    """Everything visible of the person in each frame, hair and clothes included; None where nobody cut it out."""

    references: tuple[Path, ...] = ()
    """Photos of the person beside the clip's own frames."""

    phrase: str | None = None
    """The words of the caption that stand for the person, as they stand in it, such as "the person on the left"; None
    where there are none, or nobody knows."""

    @property
    def frames_with_face(self) -> tuple[int, ...]:
        """Frames in which the face was found."""
        return tuple(frame for frame, box in enumerate(self.boxes) if box is not None)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClipRecord:
    """A clip with its caption and its people."""

    clip_id: str
    """Its name, unique in the data set."""

    video: Path
    """The file."""

    fps: float
    """Frames a second."""

    num_frames: int
    """F."""

    height: int
    """H."""

    width: int
    """W."""

    caption: str
    """What happens, without a word about who it is."""

    people: tuple[PersonTrack, ...]
    """Everyone whose face is tracked, in any order."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of the clip once, the video first."""
        files = [self.video]
        for person in self.people:
            files += [person.face_masks, *([person.person_masks] if person.person_masks else []), *person.references]
        return tuple(dict.fromkeys(files))
