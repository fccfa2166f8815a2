"""What a step of the chain is: it measures a clip, which costs, and decides by thresholds, which is free.

A measurement is kept (`curation/store.py`) under a key of everything that it depends on: the source's digest, the time
span, the settings that the step measures by, and the keys of the steps whose results it reads. Thresholds are not
among them: another threshold decides anew on what was measured.
"""

import abc
import dataclasses
import hashlib
import operator
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ingredients.core.config import config_to_dict
from ingredients.core.errors import HubError, MissingDependencyError, ModelFolderError
from ingredients.core.json_yaml import to_json
from ingredients.curation.config import CurationConfig

if TYPE_CHECKING:
    from ingredients.core.arrays import UInt8Array
    from ingredients.curation.signals import Signals

Cost = Literal["cheap", "frames", "network"]
"""What a step needs: numbers that are there already, the clip's frames, or a network that looks at them."""

SETUP_ERRORS = (MissingDependencyError, ModelFolderError, HubError)
"""What is wrong with the machine and not with a clip: the work ends, or all clips would be left out for it."""

Measured = Mapping[str, Any]
"""What a step found out: plain values, as JSON holds them."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why a clip, or a whole source, is left out."""

    step: str
    """Name of the step that says so."""

    reason: str
    """What is wrong in a few words, the same for all clips with the same fault, such as "too dark"."""

    value: float | str | None = None
    """What was measured."""

    threshold: float | str | None = None
    """What it was held against."""

    @property
    def sentence(self) -> str:
        """All of it for a person."""
        compared = "" if self.value is None else f": {_said(self.value)}"
        return f"{self.reason}{compared}" + ("" if self.threshold is None else f" (limit {_said(self.threshold)})")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """The part of the picture that is taken, in pixels of the source as shown."""

    left: int
    """First column."""

    top: int
    """First row."""

    width: int
    """Columns."""

    height: int
    """Rows."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of a source."""

    first: int
    """Its first frame."""

    end: int
    """The frame after its last."""

    start_seconds: float
    """Time of its first frame."""

    end_seconds: float
    """Time after its last frame."""

    @property
    def seconds(self) -> float:
        """Length."""
        return self.end_seconds - self.start_seconds


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class Clip:
    """A clip on its way through the chain."""

    clip_id: str
    """Its name, unique in the data set."""

    path: Path
    """The source's file."""

    span: Span
    """Which part of it."""

    crop: Crop
    """Which part of the picture: without bars."""

    signals: "Signals"
    """What was measured of each frame of the whole source."""

    folder: Path
    """Where steps may leave files, under names that begin with `file_prefix`; what they measured names them."""

    results: dict[str, Measured]
    """What each step before measured, by the step's name."""

    file_prefix: str = ""
    """Set for each step: no two measurements share a file."""

    num_threads: int = 0
    """Threads that the step may use; 0 is as many as there are cores."""

    _frames: "UInt8Array | None" = None

    @property
    def video(self) -> Path:
        """The video that the step `cut` wrote, with the frames that the data set will have."""
        return self.folder / str(self.results["cut"]["video"])

    @property
    def fps(self) -> float:
        """Frames a second of that video."""
        return float(self.results["cut"]["fps"])

    @property
    def frames(self) -> "UInt8Array":
        """Its frames (F, H, W, 3), RGB, decoded once for all steps."""
        if self._frames is None:
            from ingredients.media.video import read_video

            self._frames = read_video(self.video).frames
        return self._frames

    def release(self) -> None:
        """Forgets the frames."""
        self._frames = None


class ClipStep(abc.ABC):
    """A step that looks at one clip.

    Attributes:
        name: the name of the step, and of its results.
        cost: what it needs.
        needs: names of the steps whose results it reads.
        measured_by: the settings, such as "people.min_size", or whole groups, that `measure` depends on.
        version: raised with every change of what it measures, so that older results are not taken for the same.
        title: what progress bars call it.
    """

    name: ClassVar[str]
    cost: ClassVar[Cost]
    needs: tuple[str, ...] = ()
    measured_by: ClassVar[tuple[str, ...]] = ()
    version: int = 1
    title: ClassVar[str] = ""

    def __init__(self, config: CurationConfig) -> None:
        self.config = config

    @abc.abstractmethod
    def measure(self, clip: Clip) -> Measured:
        """Measures a clip: plain values; files go into `clip.folder`, and their names into the values.

        Raises:
            UserInputError: if the clip cannot be read; it is rejected with this sentence.
        """

    @abc.abstractmethod
    def decide(self, measured: Measured) -> Rejection | None:
        """Says why the clip is left out, by what was measured; None keeps it."""

    def rejection(
        self, reason: str, value: float | str | None = None, threshold: float | str | None = None
    ) -> Rejection:
        """A rejection by this step."""
        return Rejection(step=self.name, reason=reason, value=value, threshold=threshold)


def step_keys(steps: Sequence[ClipStep], config: CurationConfig, *, base: str) -> dict[str, str]:
    """For each step, in the order of the chain, a digest of all that its measurements depend on but the clip.

    Args:
        steps: those before what they are needed by.
        config: all settings.
        base: a digest of what the clips themselves depend on.
    """
    keys: dict[str, str] = {}
    for step in steps:
        keys[step.name] = settings_digest(
            config,
            step.measured_by,
            step.name,
            str(step.version),
            *(keys[name] for name in step.needs),
            *([] if step.needs else [base]),
        )
    return keys


def settings_digest(config: CurationConfig, names: Sequence[str], *others: str) -> str:
    """A digest of some settings by their dotted names, and of other words."""
    values = {name: operator.attrgetter(name)(config) for name in names}
    plain = {
        name: config_to_dict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value
        for name, value in values.items()
    }
    return hashlib.sha256(to_json([plain, *others]).encode()).hexdigest()[:16]


def _said(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
