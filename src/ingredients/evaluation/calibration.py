"""What the judge says about real clips: the scale of its similarities, its misses, and the ceiling after the VAE."""

import dataclasses
from pathlib import Path

from ingredients.core.config import load_config, save_config
from ingredients.evaluation.assessment import SimilarityScale
from ingredients.world.styles import TOGETHER


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
    """Share at the transitions within a latent frame; None where there is none."""

    motion_across: float | None
    """Share at those from one latent frame to the next."""

    by_transition: tuple[float, ...]
    """Share at each transition of a clip."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VaeSharpness:
    """How near real clips through the VAE come to what they were, frame by frame."""

    psnr_by_frame: tuple[float, ...]
    """Peak signal-to-noise ratio in dB, from the mean squared error of each clip's frame, averaged over clips."""

    faces_by_frame: tuple[float | None, ...]
    """High-frequency energy of the faces as a share of what it was; None in a frame that no face is found in."""


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

    style: str = TOGETHER.name
    """How they are cast, framed and played."""

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

    vae_sharpness: VaeSharpness | None = None
    """How sharp it leaves each frame; None likewise."""

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
