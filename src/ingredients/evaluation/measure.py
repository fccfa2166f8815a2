"""What is measured on a video, whoever made it: its record.

Legend: F frames, H/W pixels, N people, M other people, D embedding.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from ingredients.casebook.cases import Case
from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.protocols import Face
from ingredients.evaluation.assessment import ClipAssessment, TrackEmbeddings, paper_face_similarity
from ingredients.evaluation.case_record import (
    CaseRecord,
    ChangesRecord,
    FacesRecord,
    InceptionRecord,
    MotionRecord,
    Need,
    PaperRecord,
    RoutingRecord,
    SharpnessRecord,
    Traits,
    TurnsRecord,
    Vector,
    pack_features,
    traits_record,
)
from ingredients.evaluation.changes import (
    FaceChanges,
    IsPlaced,
    copied_share,
    face_variety,
    find_confusion,
    measure_binding,
    measure_changes,
)
from ingredients.evaluation.inception import InceptionFeatures, cut_face_region
from ingredients.evaluation.judge import ClipView, Judge
from ingredients.evaluation.judges import Judges
from ingredients.evaluation.known_people import KnownPeople, KnownPerson
from ingredients.evaluation.placings import is_in_place
from ingredients.evaluation.text_encoders import compare_with_prompt, embed_clip
from ingredients.evaluation.traits import LandmarkMotion, face_details, frame_changes, landmark_motion, see_traits
from ingredients.evaluation.turns import clear_margin, follow_turns
from ingredients.pipelines.places import PlacePath

_DECIMALS = 5
"""Digits of embeddings in records."""

_OF_REAL_VIDEOS: frozenset[Need] = frozenset({"faces", "routing", "sharpness"})
"""Parts of a record that there are only where there is a real video."""

_OF_REAL_FACES: frozenset[Need] = frozenset({"faces", "changes", "inception"})
"""Parts for which the faces of the real video are looked at."""

_OF_REAL_PEOPLE: frozenset[Need] = frozenset({"motion", "sharpness", "traits"})
"""Parts that say what the same people do in the real video, and in this through the model's VAE."""

_OF_REAL_PIXELS: frozenset[Need] = frozenset({"text", "motion"})
"""Parts that compare with the real video as a whole."""


def measure_turns(
    judge: Judge, tracks: Sequence[TrackEmbeddings], references: Float32Array, *, frame_size: tuple[int, int]
) -> TurnsRecord:
    """Whose face becomes somebody else's on the way.

    Args:
        judge: who saw them.
        tracks: faces of a clip.
        references: (N, D), of the people asked for.
        frame_size: height and width of the frames.
    """
    turns = follow_turns(
        tracks,
        references,
        limit=judge.scale.same_person_limit,
        margin=clear_margin(judge.scale, measure=judge.measure, is_calibrated=judge.is_calibrated),
        frame_size=frame_size,
        measure=judge.measure,
        tracking=judge.tracking,
    )
    people = range(len(references))
    return TurnsRecord(
        turned=tuple(any(turn.was == person for turn in turns) for person in people),
        exchanged=tuple(any(turn.was == person and turn.is_exchange for turn in turns) for person in people),
    )


def parts_of_case(case: Case, needs: frozenset[Need]) -> frozenset[Need]:
    """Which of the parts that are needed a case can have."""
    needs = needs if case.has_real_video else needs - _OF_REAL_VIDEOS
    return needs if case.attributes is not None else needs - {"traits"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RealView:
    """What counts of a real video."""

    looked: ClipView | None
    """Its faces; None where nobody asks for them."""

    num_frames: int
    """Frames that were looked at."""

    changes: tuple[float, ...]
    """Mean change of a pixel at each transition from one frame to the next."""

    text: Vector | None
    """Embeddings of its frames, averaged; None where nobody judges text."""

    features: str | None
    """InceptionV3's features of its face regions, packed; None without the network."""

    @property
    def tracks(self) -> list[TrackEmbeddings]:
        """Its faces, followed from frame to frame."""
        return [] if self.looked is None else self.looked.tracks


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RealPeople:
    """What the people of a case do and look like in the real video, or in this through a model's VAE."""

    traits: Traits
    """Their traits; none where nobody judges them."""

    landmarks: tuple[LandmarkMotion | None, ...]
    """Motion of their faces."""

    details: tuple[float | None, ...]
    """High-frequency energy of the faces in each frame."""


_NOBODY = RealPeople(traits=(), landmarks=(), details=())


class Measurer:
    """Measures the videos of a source, for all metrics that are wanted.

    Args:
        judges: everybody who judges; another scale may be given to the judge of faces afterwards.
        known: the people of the cases.
        needs: parts of the records to measure.
        real_frames: a real video (F, H, W, 3) of a case, if there is one.
        through_vae: the real video as the model's VAE leaves it, if there are both.
        probe_router: what the model's router does, if it is needed.
        max_frames: frames of a video that are looked at for faces and text, spread evenly; None: all.
    """

    def __init__(
        self,
        judges: Judges,
        known: KnownPeople,
        *,
        needs: frozenset[Need],
        real_frames: Callable[[Case], UInt8Array | None],
        through_vae: Callable[[Case], UInt8Array | None] = lambda case: None,
        probe_router: Callable[[Case], RoutingRecord],
        max_frames: int | None = None,
    ) -> None:
        self.judges = judges
        self.known = known
        self.needs = needs
        self.max_frames = max_frames
        self._real_frames = real_frames
        self._through_vae = through_vae
        self._probe_router = probe_router
        self._real_views: dict[str, RealView] = {}
        self._real_people: dict[int, tuple[RealPeople, RealPeople]] = {}

    def measure(
        self, case: Case, frames: UInt8Array, *, seconds: float = 0.0, source: str | None = None
    ) -> CaseRecord:
        """Measures one video.

        Args:
            case: what it was asked for with.
            frames: (F, H, W, 3).
            seconds: time that the generation took.
            source: hash of the video and of what was asked for, where the video was made elsewhere.

        Raises:
            UserInputError: if a photo or the real video cannot be used.
        """
        needs, judge = parts_of_case(case, self.needs), self.judges.judge
        people = self.known.of_case(case)
        references = np.stack([person.reference for person in people])  # (N, D)
        real = self.view_real(case)
        seen = self._spread(frames)
        view = judge.look(seen)
        record = CaseRecord(
            index=case.index,
            prompt=case.prompt,
            case_id=case.name,
            source=source,
            people=self._assess(view, people, num_frames=len(seen)),
            seconds=round(seconds, 3),
        )
        if case.other_people:
            others = self.known.know(case.other_people)
            record = dataclasses.replace(record, other_people=self._assess(view, others, num_frames=len(seen)))
        if "paper" in needs:
            similarity = paper_face_similarity(view.embeddings, references, measure=judge.measure)
            record = dataclasses.replace(record, paper=PaperRecord(face_similarity=round(similarity, _DECIMALS)))
        if "text" in needs:
            assert self.judges.text_encoder is not None  # `needs` were checked against the judges
            text = compare_with_prompt(
                self.judges.text_encoder, seen, case.prompt, real_frames=None if real is None else real.text
            )
            record = dataclasses.replace(record, text=text)
        if "routing" in needs:
            record = dataclasses.replace(record, routing=self._probe_router(case))
        if "faces" in needs:
            assert real is not None  # or the case could not have this part
            faces = FacesRecord(generated=face_vectors(view.tracks), real=face_vectors(real.tracks))
            record = dataclasses.replace(record, faces=faces)
        if "inception" in needs:
            record = dataclasses.replace(record, inception=self._see_regions(seen, view, people, real))
        real_people, ceiling = self._look_at_real_people(case, real) if needs & _OF_REAL_PEOPLE else (_NOBODY, _NOBODY)
        if "changes" in needs:
            changes = follow_changes(
                judge,
                record.people,
                view.tracks,
                people,
                num_frames=len(seen),
                ordered=case.ordered,
                is_placed=stands_in_place(case.places, seen.shape[1:3]) if case.places else None,
            )
            if real is not None:
                true_people = self._assess(real, people, num_frames=real.num_frames)
                generated, truth = (
                    [None if each.track is None else side.tracks[each.track].embeddings for each in assessed.people]
                    for side, assessed in ((view, record.people), (real, true_people))
                )
                changes = dataclasses.replace(
                    changes,
                    real_variety=mean_variety(real.tracks),
                    binding=measure_binding(generated, truth, scale=judge.scale, measure=judge.measure),
                    copied=measure_copying(generated, truth, people, judge=judge),
                )
            record = dataclasses.replace(record, changes=changes)
        if "turns" in needs:
            record = dataclasses.replace(
                record, turns=measure_turns(judge, view.tracks, references, frame_size=seen.shape[1:3])
            )
        if "motion" in needs:
            motion = measure_motion(frames, None if real is None else real.changes, temporal_ratio=case.temporal_ratio)
            motion = dataclasses.replace(
                motion,
                landmarks=follow_landmarks(view, record.people),
                real_landmarks=real_people.landmarks,
                vae_landmarks=ceiling.landmarks,
            )
            record = dataclasses.replace(record, motion=motion)
        if "sharpness" in needs:
            sharpness = SharpnessRecord(
                generated=face_details(seen, view.boxes),
                real=real_people.details,
                after_vae=ceiling.details,
                temporal_ratio=case.temporal_ratio,
            )
            record = dataclasses.replace(record, sharpness=sharpness)
        if "traits" in needs:
            traits = traits_record(
                case,
                self._see_traits(case, seen, view, record.people),
                real=real_people.traits,
                after_vae=ceiling.traits,
            )
            record = dataclasses.replace(record, traits=traits)
        return record

    def view_real(self, case: Case, *, with_faces: bool = False) -> RealView | None:
        """What counts of a case's real video; the file that several cases share is looked at once.

        Args:
            case: whose.
            with_faces: whether its faces are looked at where no metric needs them, too.

        Raises:
            UserInputError: if it cannot be read.
        """
        name, with_faces = case.real_video, with_faces or bool(self.needs & _OF_REAL_FACES)
        if not case.has_real_video or not (with_faces or self.needs & _OF_REAL_PIXELS):
            return None
        if name is not None and name in self._real_views:
            return self._real_views[name]
        frames = self._real_frames(case)
        if frames is None:
            return None
        seen, encoder, inception = self._spread(frames), self.judges.text_encoder, self.judges.inception
        looked = self.judges.judge.look(seen) if with_faces else None
        view = RealView(
            looked=looked,
            num_frames=len(seen),
            changes=tuple(frame_changes(frames)) if "motion" in self.needs else (),
            text=embed_clip(encoder, seen) if encoder is not None and "text" in self.needs else None,
            features=region_features(inception, seen, looked.faces)
            if inception is not None and looked is not None and "inception" in self.needs
            else None,
        )
        if name is not None:
            self._real_views[name] = view
        return view

    def _look_at_real_people(self, case: Case, real: RealView | None) -> tuple[RealPeople, RealPeople]:
        """The people of a case in its real video, and in this through the model's VAE; looked at once."""
        if case.index not in self._real_people:
            frames, ceiling = self._real_frames(case), self._through_vae(case)
            self._real_people[case.index] = (
                self._see_people(case, frames, None if real is None else real.looked),
                self._see_people(case, ceiling, None),
            )
        return self._real_people[case.index]

    def _see_people(self, case: Case, frames: UInt8Array | None, looked: ClipView | None) -> RealPeople:
        if frames is None:
            return _NOBODY
        seen = self._spread(frames)
        view = looked or self.judges.judge.look(seen)
        people = self._assess(view, self.known.of_case(case), num_frames=len(seen))
        wants_traits = "traits" in parts_of_case(case, self.needs)
        return RealPeople(
            traits=self._see_traits(case, seen, view, people) if wants_traits else (),
            landmarks=follow_landmarks(view, people),
            details=face_details(seen, view.boxes),
        )

    def _see_traits(self, case: Case, frames: UInt8Array, view: ClipView, people: ClipAssessment) -> Traits:
        acting, attributes = self.judges.acting, self.judges.attributes
        assert acting is not None  # `needs` were checked against the judges
        assert attributes is not None
        return see_traits(case, frames, view.tracks, people, acting=acting, attributes=attributes)

    def _assess(self, view: ClipView | RealView, people: Sequence[KnownPerson], *, num_frames: int) -> ClipAssessment:
        others = self.known.others(people)
        return self.judges.judge.assess_tracks(
            view.tracks,
            [person.reference for person in people],
            num_frames=num_frames,
            distractors=others.embeddings,
            needs_limit=others.are_few,
        )

    def _see_regions(
        self, frames: UInt8Array, view: ClipView, people: Sequence[KnownPerson], real: RealView | None
    ) -> InceptionRecord:
        assert self.judges.inception is not None
        photos: list[Float32Array] = [photo.features for person in people for photo in person.photos]
        return InceptionRecord(
            generated=region_features(self.judges.inception, frames, view.faces),
            photos=pack_features(np.concatenate(photos)),
            real=None if real is None else real.features,
        )

    def _spread(self, frames: UInt8Array) -> UInt8Array:
        if self.max_frames is None or len(frames) <= self.max_frames:
            return frames
        chosen = np.linspace(0, len(frames) - 1, num=self.max_frames).round().astype(int)
        return np.asarray(frames[chosen], dtype=np.uint8)


def follow_changes(
    judge: Judge,
    assessment: ClipAssessment,
    tracks: Sequence[TrackEmbeddings],
    people: Sequence[KnownPerson],
    *,
    num_frames: int,
    ordered: bool,
    is_placed: IsPlaced | None = None,
) -> ChangesRecord:
    """Who appears as whom, and how each person's face changes from what it is in the first of their photos.

    Args:
        judge: whose scale parts the same person from strangers.
        assessment: the assessment of these tracks, against these people.
        tracks: faces of the video.
        people: N of them.
        num_frames: frames of the video.
        ordered: whether the people were asked for in this order from left to right.
        is_placed: says who is where they were asked for, as `find_confusion` has it.
    """
    faces: list[FaceChanges | None] = []
    for assessed, person in zip(assessment.people, people, strict=True):
        track = None if assessed.track is None else tracks[assessed.track]
        if track is None or track.landmarks is None:
            faces.append(None)
        else:
            faces.append(
                measure_changes(
                    track.embeddings,
                    track.landmarks,
                    person.reference,
                    person.photos[0].landmarks,
                    measure=judge.measure,
                )
            )
    confusion = find_confusion(
        tracks,
        np.stack([person.reference for person in people]),
        scale=judge.scale,
        num_frames=num_frames,
        ordered=ordered,
        is_placed=is_placed,
        measure=judge.measure,
    )
    return ChangesRecord(confusion=confusion, faces=tuple(faces))


def stands_in_place(places: Sequence[PlacePath], size: tuple[int, ...]) -> IsPlaced:
    """Whether people stand at their places, in frames of a size (height, width)."""
    scale = np.array([size[1], size[0]], np.float32)

    def is_placed(person: int, track: TrackEmbeddings) -> bool:
        assert track.boxes is not None  # the judge that looks at frames gives them
        middles = np.asarray((track.boxes[:, :2] + track.boxes[:, 2:]) / 2 / scale, np.float32)
        return is_in_place(places[person], middles, track.frame_indices, num_people=len(places))

    return is_placed


def measure_copying(
    generated: Sequence[Float32Array | None],
    real: Sequence[Float32Array | None],
    people: Sequence[KnownPerson],
    *,
    judge: Judge,
) -> tuple[float, ...]:
    """`changes.copied_share` of each person by the embeddings (frames, D) of their tracks.

    A person without a face counts as a copy, so that nobody gains by leaving people out; one who is not followed in
    the real clip is compared with what the judge knows of them. None where distances are measured, which have no
    angles.
    """
    if judge.measure != "cosine":
        return ()
    return tuple(
        1.0
        if ours is None
        else round(
            copied_share(
                ours.mean(axis=0),
                person.reference if theirs is None else theirs.mean(axis=0),
                person.photos[0].embedding,
            ),
            5,
        )
        for ours, theirs, person in zip(generated, real, people, strict=True)
    )


def follow_landmarks(view: ClipView, people: ClipAssessment) -> tuple[LandmarkMotion | None, ...]:
    """How far the landmarks of each person's face go; None for a person without one."""
    return tuple(
        None if person.track is None else landmark_motion(view.tracks[person.track]) for person in people.people
    )


def measure_motion(
    frames: UInt8Array, real_changes: Sequence[float] | None, *, temporal_ratio: int | None
) -> MotionRecord:
    """What changes from frame to frame of a video (F, H, W, 3).

    Args:
        frames: the frames of the video.
        real_changes: `frame_changes` of a real video of the same people and prompt; None without one.
        temporal_ratio: frames in each latent frame of the video's VAE but the first; None if nobody knows.
    """
    changes = frame_changes(frames)
    return MotionRecord(
        generated=_mean(changes),
        real=None if real_changes is None else _mean(real_changes),
        by_transition=_rounded(changes),
        real_by_transition=_rounded(real_changes or ()),
        temporal_ratio=temporal_ratio,
    )


def _mean(changes: Sequence[float]) -> float:
    return float(np.mean(changes)) if changes else 0.0


def _rounded(numbers: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(number, 6) for number in numbers)


def mean_variety(tracks: Sequence[TrackEmbeddings]) -> float | None:
    """How far the faces of a real video move in themselves; None without a face."""
    varieties = [face_variety(track.landmarks) for track in tracks if track.landmarks is not None]
    return float(np.mean(varieties)) if varieties else None


def face_vectors(tracks: Sequence[TrackEmbeddings]) -> tuple[Vector, ...]:
    """The embeddings of all faces of the tracks, rounded."""
    return tuple(
        tuple(np.round(row.astype(np.float64), _DECIMALS).tolist()) for track in tracks for row in track.embeddings
    )


def region_features(
    inception: InceptionFeatures, pictures: Sequence[UInt8Array] | UInt8Array, faces: Sequence[Sequence[Face]]
) -> str:
    """Packed features of the face regions of pictures (H, W, 3), one row a face."""
    regions = [
        cut_face_region(picture, face) for picture, found in zip(pictures, faces, strict=True) for face in found
    ]
    return pack_features(inception.embed(regions))
