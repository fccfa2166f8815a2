"""How the judge knows people: those whom a video is asked for with, and others whom they are told from.

A person is known by the mean of several photos, so that no odd light or pose decides. The generator gets one photo of
each person of the drawn world. The judge gets others of them beside it, and as many of every distractor, or it would
often take a lookalike for the person: measured on real clips, one photo put the right person first for 22 of 24
people, two photos for all of them.

Legend: H/W pixels, P people, R photos of one person, M other people, D embedding.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ingredients.core.arrays import Float32Array
from ingredients.core.errors import UserInputError
from ingredients.core.input_files import open_file
from ingredients.evaluation.case_record import INCEPTION_DIM
from ingredients.evaluation.cases import FIRST_DISTRACTOR_SEED, PHOTOS_PER_PERSON, person_photos
from ingredients.evaluation.inception import InceptionFeatures, cut_face_region
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.manifest import ManifestPerson, ManifestVideo
from ingredients.evaluation.similarity import average_faces
from ingredients.media.photos import load_photo
from ingredients.world.identity import Identity, sample_identity

NUM_DISTRACTORS = 98
"""Other people of the drawn world whom a face is ranked among: half drawn at random, half sharing skin, hair colour
and hat with the person."""

_SEED_STRIDE = 128

_PHOTO_SIZE = 96


def embed_people(
    judge: Judge, people: Sequence[Identity], portrait_seeds: Sequence[int], *, size: int = _PHOTO_SIZE
) -> Float32Array:
    """Embeds people as vectors of length 1 (P, D), each by the mean of `PHOTOS_PER_PERSON` photos.

    Args:
        judge: embeds.
        people: whom.
        portrait_seeds: which photo of each is the first; the others follow from it.
        size: side of the photos in pixels.
    """
    portraits = [
        photo
        for person, seed in zip(people, portrait_seeds, strict=True)
        for photo in person_photos(person, seed, size=size)
    ]
    embeddings = judge.embed_landmarks(
        [portrait.image for portrait in portraits], [portrait.landmarks for portrait in portraits]
    )
    means = embeddings.reshape(len(people), PHOTOS_PER_PERSON, -1).mean(axis=1)
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)


class DistractorGallery:
    """Embeds distractors as a judge sees them.

    Args:
        judge: gives the embeddings.
        num_distractors: M, even.
    """

    def __init__(self, judge: Judge, *, num_distractors: int = NUM_DISTRACTORS) -> None:
        if num_distractors % 2 or not 0 <= num_distractors <= _SEED_STRIDE:
            raise ValueError(f"num_distractors must be even and at most {_SEED_STRIDE}, not {num_distractors}")
        self._judge = judge
        self._half = num_distractors // 2
        self._random: Float32Array | None = None

    def for_people(self, people: Sequence[Identity], seeds: Sequence[int]) -> list[Float32Array]:
        """The distractors (M, D) of each of some people."""
        return [self.for_person(person, seed=seed) for person, seed in zip(people, seeds, strict=True)]

    def for_person(self, person: Identity, *, seed: int) -> Float32Array:
        """The distractors of one person (M, D); `seed` draws those who look alike, the others are always the same."""
        if self._random is None:
            seeds = range(FIRST_DISTRACTOR_SEED, FIRST_DISTRACTOR_SEED + self._half)
            self._random = embed_people(self._judge, [sample_identity(each, "eval") for each in seeds], seeds)
        first = FIRST_DISTRACTOR_SEED + _SEED_STRIDE * (seed + 1)
        seeds = range(first, first + self._half)
        alike = [sample_identity(each, "eval", like=person) for each in seeds]
        return np.concatenate([self._random, embed_people(self._judge, alike, seeds)])


_MISSING_FILE = "missing"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownPhoto:
    """A photo's face."""

    digest: str
    """Hash of the file."""

    embedding: Float32Array
    """(D,)."""

    landmarks: Float32Array
    """(5, 2) pixels."""

    features: Float32Array
    """InceptionV3's of the face region, (1, 2048); (0, 2048) without the network."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownPerson:
    """A person as the judge knows them."""

    entry: ManifestPerson
    """Who it is."""

    photos: tuple[KnownPhoto, ...]
    """R of them."""

    reference: Float32Array
    """(D,): the mean of the photos' embeddings, as a rule."""

    def is_same(self, other: "KnownPerson") -> bool:
        """Whether the two may be one person: they share a name or a photo."""
        digests = {photo.digest for photo in self.photos}
        return self.entry.name == other.entry.name or not digests.isdisjoint(photo.digest for photo in other.photos)


class PeopleOfFolder:
    """Knows the people of all videos of a folder; each photo is looked at once.

    Args:
        folder: where the photos are.
        judge: looks at them.
        inception: InceptionV3's features, for FID.
        use_drawn_world: whether people who carry an `identity_seed` are known, and told from others, as those of the
            drawn world's own cases are: by the same photos with their true landmarks.
    """

    def __init__(
        self,
        folder: Path,
        judge: Judge,
        *,
        inception: InceptionFeatures | None = None,
        use_drawn_world: bool = False,
    ) -> None:
        self._folder = folder
        self._judge = judge
        self._inception = inception
        self._gallery = DistractorGallery(judge) if use_drawn_world else None
        self._photos: dict[str, KnownPhoto | UserInputError] = {}
        self._everybody: list[KnownPerson] = []
        self._drawn_others: dict[int, Float32Array] = {}

    def meet(self, videos: Iterable[ManifestVideo]) -> None:
        """Looks at the photos of all videos, so that each person can be told from everybody else.

        A video with a photo that cannot be used adds nobody; `of_video` says why.
        """
        seen: set[tuple[str, ...]] = set()
        for video in videos:
            try:
                people = self.of_video(video)
            except UserInputError:
                continue
            for person in people:
                digests = tuple(photo.digest for photo in person.photos)
                if digests not in seen:
                    seen.add(digests)
                    self._everybody.append(person)

    @property
    def everybody(self) -> Sequence[KnownPerson]:
        """The people of all videos that were met, each set of photos once."""
        return self._everybody

    def of_video(self, video: ManifestVideo) -> list[KnownPerson]:
        """The people that a video was asked for, in their order.

        Raises:
            UserInputError: if a photo is missing, damaged, shows no face or is two people's.
        """
        people = [self._know(person) for person in video.people]
        for first, second in itertools.combinations(people, 2):
            if first.is_same(second):
                raise UserInputError(
                    f"{first.entry.name} and {second.entry.name} have the same photo; give each person their own."
                )
        return people

    def others(self, person: KnownPerson) -> Float32Array:
        """Embeddings (M, D) of people beyond the video's own whom a person must be told from."""
        if self._gallery is not None and person.entry.identity_seed is not None:
            seed = person.entry.identity_seed
            if seed not in self._drawn_others:
                self._drawn_others[seed] = self._gallery.for_person(sample_identity(seed, "eval"), seed=seed)
            return self._drawn_others[seed]
        others = [other.reference for other in self._everybody if not other.is_same(person)]
        return np.array(others, dtype=np.float32).reshape(len(others), len(person.reference))

    def _know(self, person: ManifestPerson) -> KnownPerson:
        photos = tuple(self._look_at(name, person.name) for name in person.photos)
        if self._gallery is not None and person.identity_seed is not None:
            seed = person.identity_seed
            (reference,) = embed_people(self._judge, [sample_identity(seed, "eval")], [seed])
        else:
            reference = average_faces(np.stack([photo.embedding for photo in photos]), measure=self._judge.measure)
        return KnownPerson(entry=person, photos=photos, reference=reference)

    def _look_at(self, name: str, whose: str) -> KnownPhoto:
        if name not in self._photos:
            try:
                self._photos[name] = self._read(name, whose)
            except UserInputError as error:
                self._photos[name] = error
        photo = self._photos[name]
        if isinstance(photo, UserInputError):
            raise photo
        return photo

    def _read(self, name: str, whose: str) -> KnownPhoto:
        path = self._folder / name
        picture = load_photo(path)
        face = self._judge.find_person(picture, label=f"the photo {path} of {whose}")
        features = np.zeros((0, INCEPTION_DIM), dtype=np.float32)
        if self._inception is not None:
            features = self._inception.embed([cut_face_region(picture, face)])
        return KnownPhoto(
            digest=file_digest(path),
            embedding=self._judge.embed_faces([picture], [face])[0],
            landmarks=face.landmarks,
            features=features,
        )


def file_digest(path: Path) -> str:
    """Hash of a file; a word of its own for one that is not there."""
    try:
        with open_file(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return _MISSING_FILE


def digest_of(values: Mapping[str, object] | Sequence[object]) -> str:
    """Short hash of plain values."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]
