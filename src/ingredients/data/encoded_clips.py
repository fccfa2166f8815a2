"""Encoded clips on disk: all that training reads, computed once, in shards that are read where they lie.

encoded.json                what made them; a cache of another model or other settings is refused
empty-prompt.safetensors    embedding of the empty caption, which guidance needs
shard-00000000.safetensors  clips, each under its number, with a list of them in the file's metadata

The metadata of a shard also hold a checksum of each tensor, its name, type and shape included, and one of the metadata
themselves: safetensors notices a short file, but no byte that has changed. A tensor is compared whenever it is read.
Shards that were written before there were checksums are read with a warning.

Legend: F latent frames, C channels, h/w latent grid, L video tokens, N people, R references of one person, T text
tokens, D text width, E embedding width, P image-encoder tokens, S side of a crop.
"""

import dataclasses
import functools
import hashlib
import warnings
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ingredients.core import output_folders
from ingredients.core.config import record_from
from ingredients.core.errors import UserInputError
from ingredients.core.files import atomic_path
from ingredients.core.input_files import check_regular
from ingredients.core.json_yaml import (
    parse_json,
    read_json,
    shorten,
    to_json,
    write_json,
)
from ingredients.core.model_files import name_some
from ingredients.core.warnings_told import TrainingWarning
from ingredients.data.clip_example import ReferenceKind
from ingredients.data.encoding_settings import DESCRIPTION_NAME, check_encoded_folder
from ingredients.data.schema import NUM_LANDMARKS

EMPTY_PROMPT_NAME = "empty-prompt.safetensors"
FORMAT = 1
"""Raised when what a shard holds changes."""

_OPEN_SHARDS = 256
_OLD_METADATA = {"format", "clips", "skipped"}
_METADATA = {*_OLD_METADATA, "checksums", "checksum"}
_EMPTY_PROMPT = "prompt_embeds"
_REFERENCE_TENSORS = ("embeds", "hidden_states", "canvas_crop")
_CLIP_TENSORS = ("latents", "prompt_embeds", "face_landmarks", "routing_targets", "box_targets", "nearest_targets")
_OPTIONAL_TENSORS = ("frame_landmarks", "phrase_tokens")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedPerson:
    """The references of one person, encoded."""

    person_id: str | None
    """Who it is, where the same person is known in other clips."""

    kinds: tuple[ReferenceKind, ...]
    """R: where each reference is from."""

    embeds: torch.Tensor
    """(R, E): recognition embedding (raw) | image embedding (norm 1)."""

    hidden_states: torch.Tensor
    """(R, 5, P, C) of the image encoder, shallow to deep; with the recogniser's maps behind them, if asked for."""

    canvas_crops: torch.Tensor
    """(R, S, S, 3) uint8."""

    frames: tuple[int | None, ...] = ()
    """R: of which frame of the clip each reference is, None for a photo; empty where nobody knows."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedClip:
    """One clip, encoded."""

    clip_id: str
    """Its name."""

    caption: str
    """What happens."""

    latents: torch.Tensor
    """(F, C, h, w), times the VAE's scaling factor."""

    prompt_embeds: torch.Tensor
    """(T, D) of the caption."""

    face_landmarks: torch.Tensor
    """(N, 5, 2) float32 pixels of the first frame; NaN where the face is not in view."""

    routing_targets: torch.Tensor
    """(L,) int8, from masks of the visible faces."""

    box_targets: torch.Tensor
    """(L,) int8, from the faces' boxes."""

    nearest_targets: torch.Tensor
    """(L,) int8, where background tokens take the nearest person."""

    people: tuple[EncodedPerson, ...]
    """N."""

    frame_landmarks: torch.Tensor | None = None
    """(F, N, 5, 2) as `face_landmarks`, of each frame; kept where each latent frame is a picture by itself."""

    phrase_tokens: torch.Tensor | None = None
    """(N, T) bool, the text tokens that stand for each person; None where nobody knows."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClipEntry:
    """What is known of an encoded clip without reading it."""

    clip_id: str
    """Its name."""

    latent_shape: tuple[int, int, int, int]
    """(F, C, h, w): clips of one shape can be in one batch."""

    person_ids: tuple[str | None, ...]
    """Who is in it."""

    kinds: tuple[tuple[ReferenceKind, ...], ...]
    """For each person, where the references are from."""

    also: tuple[str, ...]
    """Which of the tensors that a clip may lack it has."""

    frames: tuple[tuple[int | None, ...], ...]
    """For each person, of which frame of the clip each reference is; None for photos, and where nobody knows."""

    shard: Path
    """The file."""

    position: int
    """Its number in the file."""


class MissingChecksumWarning(TrainingWarning):
    """Encoded clips in which damage cannot be noticed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Description:
    """What `encoded.json` holds."""

    format: int
    """Version of the shards."""

    parts: dict[str, str]
    """Digests of the parts of the model that encoded the clips, by name."""

    widths: dict[str, int]
    """What a transformer must agree with, by its own names."""

    source: dict[str, Any] = dataclasses.field(default_factory=dict)
    """What the clips were."""

    reading: dict[str, Any] = dataclasses.field(default_factory=dict)
    """How they were read."""

    encoder: dict[str, Any] = dataclasses.field(default_factory=dict)
    """How they were encoded."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _PersonEntry:
    """A person of a clip, in a shard's list."""

    person_id: str | None
    """Who it is, where that is known."""

    kinds: tuple[ReferenceKind, ...]
    """Where each reference is from."""

    frames: tuple[int | None, ...] | None = None
    """The frame of the clip that each one is; None in a shard of an earlier version."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _ClipEntry:
    """A clip, in a shard's list."""

    clip_id: str
    """Its name."""

    caption: str
    """What happens."""

    latent_shape: tuple[int, int, int, int]
    """(F, C, h, w)."""

    people: tuple[_PersonEntry, ...]
    """Who is in it."""

    also: tuple[str, ...] = ()
    """Tensors that a clip may lack, and this one has."""

    def tensor_names(self, position: int) -> set[str]:
        """All that a shard holds of the clip at a position."""
        return {f"{position}/{name}" for name in (*_CLIP_TENSORS, *self.also)} | {
            f"{position}/{index}/{number}/{name}"
            for index, person in enumerate(self.people)
            for number in range(len(person.kinds))
            for name in _REFERENCE_TENSORS
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _ShardIndex:
    """What the metadata of a shard hold."""

    clips: tuple[_ClipEntry, ...]
    """Its clips, in their order."""

    skipped: dict[str, str]
    """Clips that belong there and could not be used, with the reason."""

    checksums: dict[str, str] | None = None
    """Checksum of each tensor, by name; None in a shard that was written before there were any."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _OpenShard:
    """A shard that tensors are read from."""

    path: Path
    """The file."""

    file: Any
    """safetensors' own object."""

    index: _ShardIndex
    """What it holds."""

    def read(self, name: str) -> torch.Tensor:
        """A tensor, as it was written.

        Raises:
            UserInputError: if it is another one.
        """
        try:
            tensor: torch.Tensor = self.file.get_tensor(name)
        except Exception as error:  # safetensors' own error type derives from Exception alone
            raise _damaged(self.path, error) from error
        checksums = self.index.checksums
        if checksums is not None and checksums.get(name) != _checksum(name, tensor):
            raise _damaged(self.path, f"the checksum of {name} does not match")
        return tensor


def write_shard(path: Path, clips: Sequence[EncodedClip], *, skipped: Mapping[str, str]) -> None:
    """Writes clips to a file, whole or not at all.

    Args:
        path: the path of the file.
        clips: the clips, or none.
        skipped: clips that belong here and could not be used, with the reason.
    """
    tensors: dict[str, torch.Tensor] = {}
    entries = []
    for position, clip in enumerate(clips):
        also = [name for name in _OPTIONAL_TENSORS if getattr(clip, name) is not None]
        tensors |= {f"{position}/{name}": _own(getattr(clip, name)) for name in (*_CLIP_TENSORS, *also)}
        for index, person in enumerate(clip.people):
            for number in range(len(person.kinds)):
                prefix = f"{position}/{index}/{number}/"
                tensors[prefix + "embeds"] = _own(person.embeds[number])
                tensors[prefix + "hidden_states"] = _own(person.hidden_states[number])
                tensors[prefix + "canvas_crop"] = _own(person.canvas_crops[number])
        entries.append(
            {
                "clip_id": clip.clip_id,
                "caption": clip.caption,
                "latent_shape": list(clip.latents.shape),
                "people": [
                    {"person_id": person.person_id, "kinds": person.kinds, "frames": person.frames or None}
                    for person in clip.people
                ],
                **({"also": also} if also else {}),
            }
        )
    metadata = {
        "format": str(FORMAT),
        "clips": to_json(entries),
        "skipped": to_json(dict(skipped)),
        "checksums": to_json({name: _checksum(name, tensor) for name, tensor in tensors.items()}),
    }
    metadata["checksum"] = _checksum_of_metadata(metadata)
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def _own(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor in memory of its own, as the format asks: two clips of one caption share its embedding."""
    return tensor.clone(memory_format=torch.contiguous_format)


def read_shard_size(path: Path) -> tuple[int, dict[str, str]]:
    """How many clips a shard holds, and those that it lacks, with the reason.

    Raises:
        UserInputError: if the shard is damaged.
    """
    index = _open_shard(path).index
    return len(index.clips), index.skipped


def _open_shard(path: Path) -> _OpenShard:
    """Opens a shard, and compares its list of clips with what it holds.

    Raises:
        UserInputError: if it is damaged.
    """
    try:
        check_regular(path)
        file = safe_open(path, framework="pt")
        metadata: dict[str, str] = cast(Any, file).metadata() or {}
        if metadata.get("format", str(FORMAT)) != str(FORMAT):
            raise UserInputError(
                f"The encoded clips {path} are of another version; delete the folder to encode them anew."
            )
        has_checksums = metadata.keys() != _OLD_METADATA
        if has_checksums and metadata.keys() != _METADATA:
            raise ValueError(f"its metadata should be {', '.join(sorted(_METADATA))}, not {name_some(list(metadata))}")
        if has_checksums and metadata["checksum"] != _checksum_of_metadata(metadata):
            raise ValueError("the checksum of its metadata does not match")
        names = sorted(metadata.keys() & {"clips", "skipped", "checksums"})
        index = record_from(
            _ShardIndex, {name: parse_json(metadata[name]) for name in names}, path, remedy="delete it"
        )
        _check_index(index, file)
    except UserInputError:
        raise
    except Exception as error:  # safetensors' own error type derives from Exception alone
        raise _damaged(path, error) from error
    return _OpenShard(path=path, file=file, index=index)


def _check_index(index: _ShardIndex, file: Any) -> None:
    """Compares the list of clips with the tensors; raises ValueError."""
    expected = set().union(*(clip.tensor_names(position) for position, clip in enumerate(index.clips)))
    if differing := sorted(expected.symmetric_difference(file.keys())):
        raise ValueError(f"its list of clips and its tensors differ in {name_some(differing)}")
    if index.checksums is not None and index.checksums.keys() != expected:
        raise ValueError("it lacks checksums of some tensors, or has some of others")
    for position, clip in enumerate(index.clips):
        if any(person.frames is not None and len(person.frames) != len(person.kinds) for person in clip.people):
            raise ValueError(f"the references of {clip.clip_id} are of another number of frames")
        if unknown := set(clip.also) - set(_OPTIONAL_TENSORS):
            raise ValueError(f"{clip.clip_id} has the unknown tensors {name_some(sorted(unknown))}")
        landmarks = [len(clip.people), NUM_LANDMARKS, 2]
        shapes = [("latents", list(clip.latent_shape)), ("face_landmarks", landmarks)]
        if "frame_landmarks" in clip.also:
            shapes.append(("frame_landmarks", [clip.latent_shape[0], *landmarks]))
        if "phrase_tokens" in clip.also:
            num_tokens = file.get_slice(f"{position}/prompt_embeds").get_shape()[0]
            shapes.append(("phrase_tokens", [len(clip.people), num_tokens]))
        for name, shape in shapes:
            if (found := file.get_slice(f"{position}/{name}").get_shape()) != shape:
                raise ValueError(f"the {name} of {clip.clip_id} have the shape {found}, not {shape}")


def _damaged(path: Path, reason: object) -> UserInputError:
    return UserInputError(
        f"The encoded clips {path} are damaged ({shorten(str(reason))}); delete the file and encode again, "
        "which makes that file alone."
    )


def _checksum(name: str, tensor: torch.Tensor) -> str:
    head = f"{name} {tensor.dtype} {list(tensor.shape)}".encode()
    return f"{zlib.crc32(tensor.flatten().view(torch.uint8).numpy().data, zlib.crc32(head)):08x}"


def _checksum_of_metadata(metadata: Mapping[str, str]) -> str:
    text = "".join(f"{name} {metadata[name]}\n" for name in sorted(metadata.keys() - {"checksum"}))
    return f"{zlib.crc32(text.encode()):08x}"


def shard_paths(folder: Path) -> list[Path]:
    """The shards of a folder, in their order."""
    return sorted(folder.glob("shard-*.safetensors"))


class EncodedClips:
    """The encoded clips of one folder or several, read from disk when they are asked for.

    Args:
        folders: as `data encode` or the part `latents` writes them.

    Raises:
        UserInputError: if a folder holds no encoded clips, a shard is damaged, the folders were made by different
            models, or two clips have one name.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)
        self.descriptions = [read_description(folder) for folder in folders]
        for folder, description in zip(folders, self.descriptions, strict=True):
            if description["parts"] != self.descriptions[0]["parts"]:
                raise UserInputError(
                    f"The clips in {folders[0]} and {folder} were encoded by different models; encode both by one."
                )
        self.entries: list[ClipEntry] = []
        self._open_shards: OrderedDict[Path, _OpenShard] = OrderedDict()
        self._captions: list[str] = []
        for folder in folders:
            shards = shard_paths(folder)
            have_checksums = [self._index(path) for path in shards]
            if not all(have_checksums):
                warnings.warn(
                    f"{have_checksums.count(False)} of {len(shards)} shards in {folder} were written before they had "
                    "checksums: damage that they took since would not be noticed; encode them anew to "
                    "have them checked.",
                    MissingChecksumWarning,
                    stacklevel=2,
                )
        if not self.entries:
            raise UserInputError(f"There is no encoded clip in {', '.join(map(str, folders))}; encode some first.")
        self._check_names()
        self.empty_prompt_embeds = _read_empty_prompt(folders[0] / EMPTY_PROMPT_NAME)
        self.by_person: dict[str, list[tuple[int, int]]] = {}
        for index, entry in enumerate(self.entries):
            for person, person_id in enumerate(entry.person_ids):
                if person_id is not None:
                    self.by_person.setdefault(person_id, []).append((index, person))

    def __len__(self) -> int:
        return len(self.entries)

    @functools.cached_property
    def digest(self) -> str:
        """A digest of the clips' names and shapes, in their order."""
        names = repr([(entry.clip_id, entry.latent_shape) for entry in self.entries])
        return hashlib.sha256(names.encode()).hexdigest()[:16]

    def caption(self, index: int) -> str:
        """What happens in a clip."""
        return self._captions[index]

    def tensor(self, index: int, name: str) -> torch.Tensor:
        """One tensor of a clip, as `EncodedClip` names it.

        Raises:
            UserInputError: if it is damaged.
        """
        entry = self.entries[index]
        return self._open(entry.shard).read(f"{entry.position}/{name}")

    def optional_tensor(self, index: int, name: str) -> torch.Tensor | None:
        """One of the tensors that a clip may lack; None if it does."""
        return self.tensor(index, name) if name in self.entries[index].also else None

    def reference(self, index: int, person: int, number: int, name: str) -> torch.Tensor:
        """`embeds`, `hidden_states` or `canvas_crop` of one reference."""
        return self.tensor(index, f"{person}/{number}/{name}")

    def buckets(self) -> dict[tuple[int, int, int, int], list[int]]:
        """Clips by the shape of their latents."""
        found: dict[tuple[int, int, int, int], list[int]] = {}
        for index, entry in enumerate(self.entries):
            found.setdefault(entry.latent_shape, []).append(index)
        return dict(sorted(found.items()))

    def check_parts(self, parts: Mapping[str, str]) -> None:
        """Refuses clips that other parts of a model encoded.

        Args:
            parts: digests by name, of those that matter.

        Raises:
            UserInputError: if one differs; it names the part.
        """
        made_by = self.descriptions[0]["parts"]
        for name, digest in parts.items():
            if made_by.get(name) != digest:
                raise UserInputError(
                    f"The clips in {self.folders[0]} were encoded by another {name} ({made_by.get(name)}, not "
                    f"{digest}); delete the folder to encode them anew."
                )

    def _check_names(self) -> None:
        """Refuses two clips of one name: what is random about a clip follows from it, so they would learn alike."""
        found: dict[str, list[Path]] = {}
        for entry in self.entries:
            found.setdefault(entry.clip_id, []).append(entry.shard.parent)
        if repeated := [clip_id for clip_id, folders in found.items() if len(folders) > 1]:
            folders = dict.fromkeys(str(folder) for clip_id in repeated for folder in found[clip_id])
            raise UserInputError(
                f"The encoded clips {name_some(repeated)} are there more than once, in {' and '.join(folders)}; name "
                "each folder once, and give different clips different ids before encoding them."
            )

    def _index(self, path: Path) -> bool:
        """Notes the clips of a shard, and says whether it has checksums."""
        index = self._open(path).index
        for position, clip in enumerate(index.clips):
            self._captions.append(clip.caption)
            self.entries.append(
                ClipEntry(
                    clip_id=clip.clip_id,
                    latent_shape=clip.latent_shape,
                    person_ids=tuple(person.person_id for person in clip.people),
                    kinds=tuple(person.kinds for person in clip.people),
                    also=clip.also,
                    frames=tuple(person.frames or (None,) * len(person.kinds) for person in clip.people),
                    shard=path,
                    position=position,
                )
            )
        return index.checksums is not None

    def _open(self, path: Path) -> _OpenShard:
        if path not in self._open_shards:
            if len(self._open_shards) >= _OPEN_SHARDS:
                self._open_shards.popitem(last=False)
            self._open_shards[path] = _open_shard(path)
        self._open_shards.move_to_end(path)
        return self._open_shards[path]


def read_description(folder: Path) -> dict[str, Any]:
    """What the encoded clips of a folder were made from.

    Raises:
        UserInputError: if the folder holds none, or of another version.
    """
    path = folder / DESCRIPTION_NAME
    remedy = "encode the clips anew"
    check_encoded_folder(folder)
    description: dict[str, Any] = read_json(path, remedy=remedy)
    found = record_from(_Description, description, path, remedy=remedy, ignore_unknown=True)
    if found.format != FORMAT:
        raise UserInputError(f"The encoded clips in {folder} are of another version; encode them anew.")
    return description


def claim_folder(folder: Path, description: Mapping[str, Any], empty_prompt_embeds: torch.Tensor) -> None:
    """Says in a folder what its clips will be made from; one that holds others is refused.

    Raises:
        UserInputError: if it holds clips of another model, other settings or another data set; it names which.
        OutputError: if it cannot be written, or holds something else.
    """
    output_folders.claim_folder(folder, "encoded clips")
    path = folder / DESCRIPTION_NAME
    description = parse_json(to_json({"format": FORMAT} | dict(description)))
    if path.exists():
        found = read_description(folder)
        before, now = _flatten(found), _flatten(description)
        differing = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
        if differing:
            raise UserInputError(
                f"The folder {folder} holds clips that were encoded otherwise (they differ in "
                f"{', '.join(differing)}); choose another folder, or delete this one to encode them anew."
            )
        return
    with atomic_path(folder / EMPTY_PROMPT_NAME) as temporary:
        embeds = empty_prompt_embeds.contiguous()
        save_file({_EMPTY_PROMPT: embeds}, temporary, metadata={"checksum": _checksum(_EMPTY_PROMPT, embeds)})
    write_json(path, description)


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _read_empty_prompt(path: Path) -> torch.Tensor:
    try:
        check_regular(path)
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            embeds: torch.Tensor = file.get_tensor(_EMPTY_PROMPT)
            metadata: dict[str, str] | None = cast(Any, file).metadata()
    except Exception as error:  # safetensors' own error type derives from Exception alone
        raise UserInputError(f"The file {path} cannot be read ({error}); encode the clips anew.") from error
    if metadata not in (None, {"checksum": _checksum(_EMPTY_PROMPT, embeds)}):  # once there were none
        raise UserInputError(f"The file {path} is damaged (its checksum does not match); encode the clips anew.")
    return embeds
