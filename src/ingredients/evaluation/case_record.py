"""What one case leaves behind: small enough for JSON, enough for every metric.

Legend: J routed blocks, t timesteps, D embedding or features, n rows of features.
"""

import base64
import dataclasses
from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from ingredients.casebook.cases import Case
from ingredients.core.arrays import Float32Array
from ingredients.evaluation.assessment import ClipAssessment, PersonAssessment
from ingredients.evaluation.changes import Binding, Confusion, FaceChanges, nobody_seen
from ingredients.evaluation.traits import LandmarkMotion
from ingredients.world.captions import AttributeName

RecordPart = Literal[
    "people", "routing", "text", "faces", "motion", "changes", "turns", "paper", "inception", "traits", "sharpness"
]
"""A part of a case's record that a metric reads."""

Need = (
    RecordPart
    | Literal["scale", "clip", "dual_encoder", "real_video", "attributes", "latent_frames", "roles", "order"]
)
"""What a metric cannot do without: a part of the record, a calibrated judge, CLIP (or the model's own dual encoder) as
the text record's encoder, real videos beside the generated ones, prompts of the drawn world whose attributes can be
read, a VAE of which one knows how many frames a latent frame holds, prompts that ask different things of people, and
people who were asked for in an order."""

RECORD_PARTS: frozenset[Need] = frozenset(get_args(RecordPart))

TextEncoderName = Literal["clip", "dual_encoder"]

Vector = tuple[float, ...]

Traits = tuple[Mapping[str, str] | None, ...]
"""What is seen of each person; None for one without a face."""

INCEPTION_DIM = 2048
"""InceptionV3's features of a picture."""

MEASURES_VERSION = 4
"""Raised whenever a record holds more than before: a folder of older ones would lack it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RoutingRecord:
    """How well the router finds each person's face tokens, on noised latents of the real clip."""

    timesteps: tuple[int, ...]
    """The noise levels t."""

    balanced_recall: tuple[tuple[float, ...], ...]
    """J rows of one number for each t: recall on each person's face tokens, averaged over people; no row where no
    token shows a face, so that there is nothing to recall."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TextChoice:
    """Whether one attribute of the prompt is told right among all that the world knows, the rest being the same."""

    attribute: AttributeName
    """The attribute."""

    num_values: int
    """Number of values that are told apart."""

    right: float
    """1 if the video is nearest to the sentence that says its own; a tie of two is a half."""

    real_right: float | None = None
    """The same of a real clip of the same people and prompt; None without one."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TextRecord:
    """Embeddings of the frames and of the prompt in the dual encoder's common space."""

    frames: Vector
    """Mean over frames of the embeddings of length 1 (D,): its product with a prompt's is the mean cosine."""

    prompt: Vector
    """Embedding of the sentence, of length 1 (D,)."""

    encoder: TextEncoderName = "dual_encoder"
    """Encoder whose space it is."""

    real_frames: Vector | None = None
    """As `frames`, of a real clip of the same people and prompt; None without one."""

    choices: tuple[TextChoice, ...] = ()
    """One an attribute; none for a prompt that is no sentence of the drawn world."""

    @property
    def cosine(self) -> float:
        """Mean cosine of the frames with the prompt."""
        return sum(frame * prompt for frame, prompt in zip(self.frames, self.prompt, strict=True))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PaperRecord:
    """What only the paper's own measures read."""

    face_similarity: float
    """`paper_face_similarity` of the video."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InceptionRecord:
    """InceptionV3's features of face regions, packed by `pack_features`."""

    generated: str
    """One row a face and frame of the video."""

    photos: str
    """One row a photo of the people asked for."""

    real: str | None = None
    """One row a face and frame of the real video; None without one."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FacesRecord:
    """The judge's embeddings of all tracked faces, of the video and of a real clip of the same people and prompt."""

    generated: tuple[Vector, ...]
    """One a face and frame (D,)."""

    real: tuple[Vector, ...]
    """One a face and frame (D,)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MotionRecord:
    """Mean absolute change of a pixel from frame to frame, as a share of the full range."""

    generated: float
    """Change in the video."""

    real: float | None = None
    """Change in a real clip of the same prompt; None without one."""

    by_transition: tuple[float, ...] = ()
    """Change in the video at each transition from one frame to the next."""

    real_by_transition: tuple[float, ...] = ()
    """The same in the real clip."""

    temporal_ratio: int | None = None
    """Frames that are made as one after the first, which is made alone: those of a latent frame, or of a temporal
    patch of several; None for a video of which one does not know."""

    landmarks: tuple[LandmarkMotion | None, ...] = ()
    """Motion of each person's face; None for one who is not followed."""

    real_landmarks: tuple[LandmarkMotion | None, ...] = ()
    """The same in the real clip; none without one."""

    vae_landmarks: tuple[LandmarkMotion | None, ...] = ()
    """The same in the real clip through the model's VAE; none without both."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SharpnessRecord:
    """High-frequency energy of the faces in each frame (`traits.face_details`); None in a frame without a face."""

    generated: tuple[float | None, ...]
    """The numbers in the video."""

    real: tuple[float | None, ...]
    """Those in the real clip of the same people and prompt."""

    after_vae: tuple[float | None, ...] = ()
    """Those in the real clip through the model's VAE; none without a VAE."""

    temporal_ratio: int | None = None
    """Frames that are made as one, as in `MotionRecord`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TraitsRecord:
    """What each person does and looks like: traits by name, as `traits.py` has them."""

    truth: tuple[Mapping[str, str], ...]
    """What was asked for and drawn, for each person; what a picture would not show is left out."""

    num_values: Mapping[str, int]
    """How many values of each trait are told apart."""

    generated: tuple[Mapping[str, str] | None, ...]
    """What is seen in the video; None for a person without a face."""

    real: tuple[Mapping[str, str] | None, ...] = ()
    """The same in the real clip; none where there is no video."""

    after_vae: tuple[Mapping[str, str] | None, ...] = ()
    """The same in the real clip through the model's VAE; none without a VAE."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChangesRecord:
    """Who appears as whom, and how the faces change through the clip."""

    confusion: Confusion
    """Who appears as whom."""

    faces: tuple[FaceChanges | None, ...]
    """Changes of each person's face; None for a person who was not found."""

    real_variety: float | None = None
    """Mean variety of the faces in a real clip of the same people and prompt."""

    binding: Binding | None = None
    """Whose face each person has got, against the real clip; None without one."""

    copied: tuple[float, ...] = ()
    """How much nearer each person's face is to the photo than to the real clip (`changes.copied_share`); 1 for a
    person without a face, none without a real clip."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TurnsRecord:
    """Whose face becomes somebody else's on the way, which a face as a whole does not show."""

    turned: tuple[bool, ...]
    """For each person, whether a face that shows them goes on as somebody else's, who was asked for or not."""

    exchanged: tuple[bool, ...]
    """For each person, whether it becomes that of somebody whose face becomes theirs at the same moment."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CaseRecord:
    """All that was measured on one case; a part that was not asked for is None."""

    index: int
    """Number of the case."""

    prompt: str
    """What was asked for."""

    case_id: str | None = None
    """Name of the case, where a manifest gives one."""

    source: str | None = None
    """Hash of the video and of what was asked for, where the video was made elsewhere."""

    people: ClipAssessment
    """Who is seen, how well."""

    other_people: ClipAssessment | None = None
    """The same for the people that the local branch alone was given, where they are others."""

    routing: RoutingRecord | None = None
    """Router accuracy by block and timestep."""

    text: TextRecord | None = None
    """What tells the agreement with the prompt."""

    faces: FacesRecord | None = None
    """What tells distances between distributions of faces."""

    motion: MotionRecord | None = None
    """What tells the amount of motion."""

    changes: ChangesRecord | None = None
    """What tells confusions, drift and copying."""

    turns: TurnsRecord | None = None
    """What tells who becomes whom on the way."""

    paper: PaperRecord | None = None
    """What tells the paper's face similarity."""

    inception: InceptionRecord | None = None
    """What tells FID."""

    traits: TraitsRecord | None = None
    """What tells whether people do and look like what they should."""

    sharpness: SharpnessRecord | None = None
    """What tells how sharp the faces are."""

    seconds: float = 0.0
    """Time that the generation took."""

    error: str | None = None
    """Why there is no video; everybody then counts as missing."""

    @property
    def label(self) -> str:
        """What the case is called in reports."""
        return str(self.index) if self.case_id is None else self.case_id

    @property
    def parts(self) -> frozenset[Need]:
        """The parts that were measured."""
        return frozenset(part for part in RECORD_PARTS if getattr(self, part) is not None)


def failed_case(case: Case, error: str, *, source: str | None = None) -> CaseRecord:
    """The record of a case without a video: nobody is seen in it, so that a generator cannot win by failing."""
    num_people = len(case.people)
    return CaseRecord(
        index=case.index,
        prompt=case.prompt,
        case_id=case.name,
        source=source,
        people=nobody_found(num_people),
        other_people=nobody_found(len(case.other_people)) if case.other_people else None,
        changes=ChangesRecord(
            confusion=nobody_seen(num_people, placed=case.ordered or bool(case.places)),
            faces=(None,) * num_people,
            copied=(1.0,) * num_people if case.has_real_video else (),
        ),
        turns=TurnsRecord(turned=(False,) * num_people, exchanged=(False,) * num_people),  # nobody is there to
        paper=PaperRecord(face_similarity=0.0),
        traits=traits_record(case, (None,) * num_people) if case.attributes is not None else None,
        error=error,
    )


def traits_record(
    case: Case,
    generated: Traits,
    *,
    real: Traits = (),
    after_vae: Traits = (),
) -> TraitsRecord:
    """What is seen of the people of a case of the drawn world, beside what was asked for and drawn."""
    return TraitsRecord(
        truth=case.traits,
        num_values={name: len(values) for name, values in case.trait_values.items()},
        generated=generated,
        real=real,
        after_vae=after_vae,
    )


def nobody_found(num_people: int) -> ClipAssessment:
    """The assessment of a video that could not be made."""
    return ClipAssessment(
        people=(PersonAssessment(found=False, similarity=0.0),) * num_people,
        num_tracks=0,
        greedy_minimum=0.0,
        blended=False,
        doubled=False,
    )


def pack_features(features: Float32Array) -> str:
    """Packs rows (n, D) as text, small enough for a record: half precision, base64."""
    return base64.b64encode(features.astype("<f2").tobytes()).decode("ascii")


def unpack_features(packed: str, *, dim: int = INCEPTION_DIM) -> Float32Array:
    """The rows (n, D) again."""
    rows = np.frombuffer(base64.b64decode(packed), dtype="<f2").reshape(-1, dim)
    return rows.astype(np.float32)
