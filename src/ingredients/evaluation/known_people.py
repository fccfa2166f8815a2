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
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ingredients.casebook.cases import FIRST_DISTRACTOR_SEED, PHOTOS_PER_PERSON, Case, Person, person_photos
from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import UserInputError
from ingredients.core.input_files import open_file
from ingredients.core.protocols import Face
from ingredients.evaluation.assessment import average_faces
from ingredients.evaluation.case_record import INCEPTION_DIM
from ingredients.evaluation.inception import InceptionFeatures, cut_face_region
from ingredients.evaluation.judge import Judge
from ingredients.media.photos import load_photo
from ingredients.world.identity import Identity, sample_identity

NUM_DISTRACTORS = 98
"""Other people of the drawn world whom a face is ranked among: half drawn at random, half sharing skin, hair colour
and hat with the person."""

_SEED_STRIDE = 128

_PHOTO_SIZE = 96
_MISSING_FILE = "missing"
_NO_FEATURES = np.zeros((0, INCEPTION_DIM), dtype=np.float32)


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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownPhoto:
    """A photo's face."""

    digest: str
    """Hash of the file, or what is drawn."""

    embedding: Float32Array
    """(D,)."""

    landmarks: Float32Array
    """(5, 2) pixels."""

    features: Float32Array
    """InceptionV3's of the face region, (1, 2048); (0, 2048) without the network."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownPerson:
    """A person as the judge knows them."""

    entry: Person
    """Who it is."""

    photos: tuple[KnownPhoto, ...]
    """R of them; of a person whose photos are drawn, the one that the generator gets."""

    reference: Float32Array
    """(D,): the mean of the photos' embeddings, as a rule."""

    def is_same(self, other: "KnownPerson") -> bool:
        """Whether the two may be one person: they share a name or a photo."""
        digests = {photo.digest for photo in self.photos}
        return self.entry.name == other.entry.name or not digests.isdisjoint(photo.digest for photo in other.photos)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OtherPeople:
    """Whom the people of a case must be told from, beside each other."""

    embeddings: list[Float32Array]
    """Embeddings (M, D) for each of them."""

    are_few: bool
    """Whether some are too few: somebody is always ranked first among few, so that it must be by more than a rank."""


class KnownPeople:
    """Knows the people of all cases; each photo is looked at once.

    Args:
        judge: looks at the photos.
        folder: where they are; None for cases of the drawn world, whose photos are drawn.
        inception: InceptionV3's features, for FID.
        use_drawn_world: whether people who carry an `identity_seed` are known, and told from others, as those of the
            drawn world's own cases are: by the same photos with their true landmarks.
        num_distractors: other people that each of them is ranked among.
    """

    def __init__(
        self,
        judge: Judge,
        *,
        folder: Path | None = None,
        inception: InceptionFeatures | None = None,
        use_drawn_world: bool = True,
        num_distractors: int = NUM_DISTRACTORS,
    ) -> None:
        self._folder = folder
        self._judge = judge
        self._inception = inception
        self._use_drawn_world = use_drawn_world
        self._gallery = DistractorGallery(judge, num_distractors=num_distractors)
        self._people: dict[tuple[Person, ...], list[KnownPerson]] = {}
        self._photos: dict[str, KnownPhoto | UserInputError] = {}
        self._everybody: list[KnownPerson] = []
        self._drawn_others: dict[int, Float32Array] = {}

    def meet(self, cases: Iterable[Case]) -> None:
        """Looks at the photos of all cases, so that each person can be told from everybody else.

        A case with a photo that cannot be used adds nobody; `of_case` says why.
        """
        seen: set[tuple[str, ...]] = set()
        for case in cases:
            try:
                people = self.of_case(case)
            except UserInputError:
                continue
            for person in people:
                digests = tuple(photo.digest for photo in person.photos)
                if digests not in seen:
                    seen.add(digests)
                    self._everybody.append(person)

    @property
    def everybody(self) -> Sequence[KnownPerson]:
        """The people of all cases that were met, each set of photos once."""
        return self._everybody

    def of_case(self, case: Case) -> list[KnownPerson]:
        """The people whom a case asks for, in their order.

        Raises:
            UserInputError: if a photo is missing, damaged, shows no face or is two people's.
        """
        return self.know(case.people)

    def know(self, people: tuple[Person, ...]) -> list[KnownPerson]:
        """People, in their order; raises as `of_case`."""
        if people not in self._people:
            known = [
                KnownPerson(entry=person, photos=photos, reference=reference)
                for person, photos, reference in zip(people, *self._look_at(people), strict=True)
            ]
            for first, second in itertools.combinations(known, 2):
                if first.is_same(second):
                    raise UserInputError(
                        f"{first.entry.name} and {second.entry.name} have the same photo; give each person their own."
                    )
            self._people[people] = known
        return self._people[people]

    def others(self, people: Sequence[KnownPerson]) -> OtherPeople:
        """Those beyond a case's own people whom each of these must be told from."""
        embeddings = [self._others(person) for person in people]
        return OtherPeople(
            embeddings=embeddings,
            are_few=any(
                len(others) < NUM_DISTRACTORS and not self._is_drawn(person.entry)
                for person, others in zip(people, embeddings, strict=True)
            ),
        )

    def _is_drawn(self, person: Person) -> bool:
        return self._use_drawn_world and person.identity_seed is not None

    def _others(self, person: KnownPerson) -> Float32Array:
        entry, seed = person.entry, person.entry.identity_seed
        if seed is not None and self._is_drawn(entry):
            if seed not in self._drawn_others:
                self._drawn_others[seed] = self._gallery.for_person(entry.identity, seed=seed)
            return self._drawn_others[seed]
        others = [other.reference for other in self._everybody if not other.is_same(person)]
        return np.array(others, dtype=np.float32).reshape(len(others), len(person.reference))

    def _look_at(self, people: tuple[Person, ...]) -> tuple[list[tuple[KnownPhoto, ...]], list[Float32Array]]:
        """The photos of people, and what the judge knows them by."""
        photos = [self._photos_of(person) for person in people]
        references = [
            average_faces(np.stack([photo.embedding for photo in of_person]), measure=self._judge.measure)
            for of_person in photos
        ]
        drawn = {index: person for index, person in enumerate(people) if self._is_drawn(person)}
        if drawn:
            identities = [person.identity for person in drawn.values()]
            seeds = [person.identity_seed for person in drawn.values() if person.identity_seed is not None]
            for index, reference in zip(drawn, embed_people(self._judge, identities, seeds), strict=True):
                references[index] = reference
        return photos, references

    def _photos_of(self, person: Person) -> tuple[KnownPhoto, ...]:
        if person.photos:
            return tuple(self._read(name, person) for name in person.photos)
        portrait = person.portrait()
        return (
            KnownPhoto(
                digest=f"drawn {person.identity_seed}",
                embedding=self._judge.embed_landmarks([portrait.image], [portrait.landmarks])[0],
                landmarks=portrait.landmarks,
                features=self._features(portrait.image),
            ),
        )

    def _read(self, name: str, whose: Person) -> KnownPhoto:
        if name not in self._photos:
            try:
                self._photos[name] = self._read_anew(name, whose)
            except UserInputError as error:
                self._photos[name] = error
        photo = self._photos[name]
        if isinstance(photo, UserInputError):
            raise photo
        return photo

    def _read_anew(self, name: str, whose: Person) -> KnownPhoto:
        assert self._folder is not None  # cases with files come from a folder
        path = self._folder / name
        picture = load_photo(path)
        label = f"the photo {path} of {whose.name}"
        face = self._judge.find_person(picture, label=label, allow_photographs=whose.identity_seed is not None)
        return KnownPhoto(
            digest=file_digest(path),
            embedding=self._judge.embed_faces([picture], [face])[0],
            landmarks=face.landmarks,
            features=self._features(picture, face),
        )

    def _features(self, picture: UInt8Array, face: Face | None = None) -> Float32Array:
        if self._inception is None:
            return _NO_FEATURES
        faces = self._judge.detector.detect(picture)[:1] if face is None else [face]
        return self._inception.embed([cut_face_region(picture, each) for each in faces])


def file_digest(path: Path) -> str:
    """Hash of a file; a word of its own for one that is not there."""
    try:
        with open_file(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return _MISSING_FILE
