"""A pool of encoded clips on disk: drawn and encoded once, read many times, growing while training reads it.

Legend: B clips of a shard, M people of a shard, R photos of one identity, S side of a crop, L video tokens,
F latent frames, C channels, h/w latent grid.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX
from safetensors import safe_open
from safetensors.torch import save_file

from ingredients.core.errors import UserInputError
from ingredients.core.files import atomic_path
from ingredients.core.protocols import ProgressCallback
from ingredients.data.encode import encode_clips, video_to_pixels
from ingredients.data.world_clips import WorldClip, WorldClipConfig, draw_world_clip
from ingredients.world import WORLD_VERSION, Split

FINGERPRINT_NAME = "pool.json"
_FORMAT = 2
"""Of the shards; raised when what a clip holds changes."""

_ENCODING_BATCH = 5  # a single clip takes a path of PyTorch's convolutions that is four times slower


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedClip:
    """One example as training reads it."""

    latents: torch.Tensor
    """(F, C, h, w) float16, times the VAE's scaling factor."""

    caption: str
    """What happens."""

    face_crops: torch.Tensor
    """(N, R, S, S, 3) uint8."""

    recogniser_crops: torch.Tensor
    """(N, R, S, S, 3) uint8."""

    face_landmarks: torch.Tensor
    """(N, 5, 2) float32 pixels of the first frame; NaN where the face cannot be seen."""

    routing_targets: torch.Tensor
    """(L,) int8."""

    box_targets: torch.Tensor
    """(L,) int8."""

    nearest_targets: torch.Tensor
    """(L,) int8."""


def pool_fingerprint(vae: AutoencoderKLCogVideoX, config: WorldClipConfig) -> str:
    """A digest of all that the pool's content depends on: the world, the clips' settings, the VAE's encoder.

    The decoder is left out: it can be trained further without encoding anything anew.
    """
    digest = hashlib.sha256(f"{WORLD_VERSION}, format {_FORMAT}".encode())
    digest.update(json.dumps(dataclasses.asdict(config), sort_keys=True).encode())
    digest.update(str(vae.config.scaling_factor).encode())
    for name, tensor in sorted(vae.encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def grow_pool(
    folder: Path,
    vae: AutoencoderKLCogVideoX,
    config: WorldClipConfig,
    *,
    num_clips: int,
    first_seed: int = 0,
    split: Split = "train",
    shard_size: int = 50,
    progress: ProgressCallback | None = None,
) -> None:
    """Draws and encodes clips until the pool holds `num_clips`; shards that are there are kept.

    Raises:
        UserInputError: if the pool was made from another world, VAE or config.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, pool_fingerprint(vae, config))
    for start in range(0, num_clips, shard_size):
        path = folder / f"shard-{first_seed + start:08d}.safetensors"
        if not path.exists():
            seeds = range(first_seed + start, first_seed + min(start + shard_size, num_clips))
            _write_shard(path, [draw_world_clip(seed, config, split=split) for seed in seeds], vae)
        if progress is not None:
            progress(min(start + shard_size, num_clips), num_clips)


def _claim(folder: Path, fingerprint: str) -> None:
    path = folder / FINGERPRINT_NAME
    if not path.exists():
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps({"fingerprint": fingerprint}) + "\n", encoding="utf-8")
    _check_fingerprint(folder, fingerprint)


def _check_fingerprint(folder: Path, fingerprint: str) -> None:
    found = json.loads((folder / FINGERPRINT_NAME).read_text(encoding="utf-8"))["fingerprint"]
    if found != fingerprint:
        raise UserInputError(
            f"The clips in {folder} were encoded by another VAE or drawn by another version of the world "
            f"({found}, not {fingerprint}); delete the folder to encode them anew."
        )


def _write_shard(path: Path, clips: Sequence[WorldClip], vae: AutoencoderKLCogVideoX) -> None:
    pixels = video_to_pixels(np.stack([clip.frames for clip in clips]))
    tensors = {
        "latents": torch.cat([encode_clips(vae, batch) for batch in torch.split(pixels, _ENCODING_BATCH)]).half(),
        "num_people": torch.tensor([len(clip.face_crops) for clip in clips]),
        "face_crops": torch.cat([torch.from_numpy(clip.face_crops) for clip in clips]),  # (M, R, S, S, 3)
        "recogniser_crops": torch.cat([torch.from_numpy(clip.recogniser_crops) for clip in clips]),
        "face_landmarks": torch.cat([torch.from_numpy(clip.face_landmarks) for clip in clips]),  # (M, 5, 2)
        "routing_targets": torch.stack([torch.from_numpy(clip.routing_targets) for clip in clips]).to(torch.int8),
        "box_targets": torch.stack([torch.from_numpy(clip.box_targets) for clip in clips]).to(torch.int8),
        "nearest_targets": torch.stack([torch.from_numpy(clip.nearest_targets) for clip in clips]).to(torch.int8),
    }
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"captions": json.dumps([clip.caption for clip in clips])})


class LatentPool:
    """The encoded clips of a folder, in memory.

    Args:
        folder: where `grow_pool` writes.
        fingerprint: what the pool must have been made from.

    Raises:
        UserInputError: if there is no pool, or it was made from something else.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        if not (folder / FINGERPRINT_NAME).exists():
            raise UserInputError(f"There are no encoded clips in {folder}; train the part `latents` first.")
        _check_fingerprint(folder, fingerprint)
        self.folder = folder
        self._clips: list[EncodedClip] = []
        self._read: set[str] = set()
        self.refresh()

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> EncodedClip:
        return self._clips[index]

    def refresh(self) -> None:
        """Reads the shards that were written since the last time."""
        for path in sorted(self.folder.glob("shard-*.safetensors")):
            if path.name not in self._read:
                self._read.add(path.name)
                self._clips.extend(_read_shard(path))


def _read_shard(path: Path) -> list[EncodedClip]:
    with safe_open(path, framework="pt") as file:
        captions: list[str] = json.loads(file.metadata()["captions"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - safe_open is no mapping
    num_people = tensors["num_people"].tolist()
    face_crops = tensors["face_crops"].split(num_people)
    recogniser_crops = tensors["recogniser_crops"].split(num_people)
    face_landmarks = tensors["face_landmarks"].split(num_people)
    return [
        EncodedClip(
            latents=tensors["latents"][index],
            caption=caption,
            face_crops=face_crops[index],
            recogniser_crops=recogniser_crops[index],
            face_landmarks=face_landmarks[index],
            routing_targets=tensors["routing_targets"][index],
            box_targets=tensors["box_targets"][index],
            nearest_targets=tensors["nearest_targets"][index],
        )
        for index, caption in enumerate(captions)
    ]
