"""Clips that show nearly the same though no thumbnail says so: in another shape, cropped, or taken again.

Frames of a clip are embedded; two clips are alike as their frames are on average, each with the likeliest of the other
clip. Where people are looked for, near duplicates have the same people: the same place with others is something else.

Legend: F frames, M clips, D embedding.
"""

import base64
import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import ModelFolderError
from ingredients.curation.config import DuplicatesConfig
from ingredients.curation.cut import spread
from ingredients.curation.duplicates import STEP
from ingredients.curation.step import Clip, ClipStep, Measured, Rejection

DRAWN = "drawn"
_NUM_FRAMES = 6
_SAME_PEOPLE, _ANYBODY = 0.8, 0.95
_SLACK = 0.1
"""How much less alike two clips may be by their means than by their frames, to be looked at more closely."""

EmbedFrames: TypeAlias = Callable[[UInt8Array], Float32Array]
"""Frames (F, H, W, 3) to embeddings (F, D)."""


class Embedding(ClipStep):
    """Embeds a few frames, by which near duplicates are found later."""

    name, cost, title = "embedding", "network", "Embedding"
    needs = ("cut",)
    measured_by = ("duplicates.embedding",)

    def measure(self, clip: Clip) -> Measured:
        """`frames`, the embeddings of some frames in half precision as text; empty where nobody asks for them."""
        if self.config.duplicates.embedding is None:
            return {"frames": ""}
        chosen = clip.frames[spread(range(len(clip.frames)), _NUM_FRAMES)]
        return {"frames": to_text(open_embedder(self.config.duplicates.embedding)(chosen))}

    def decide(self, measured: Measured) -> Rejection | None:
        """Embeddings decide nothing by themselves."""
        return None


@functools.lru_cache(maxsize=1)
def open_embedder(embedding: str) -> EmbedFrames:
    """Reads what embeds frames.

    Args:
        embedding: `drawn`, or the folder of a CLIP in transformers' layout.

    Raises:
        ModelFolderError: if it is not there, or damaged.
    """
    if embedding == DRAWN:
        from ingredients.faces.face_stack import load_face_stack
        from ingredients.model_folders.find_model import default_model_path
        from ingredients.model_folders.folder_names import FACE_ENCODER

        encoder = load_face_stack(default_model_path() / FACE_ENCODER, name="drawn").image_encoder
        return lambda frames: _normalised(encoder.encode(frames).embeds.numpy())
    import torch
    from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

    folder = Path(embedding)
    if not (folder / "config.json").is_file():
        raise ModelFolderError(
            f"The folder {folder} of duplicates.embedding holds no CLIP in transformers' layout: it has no "
            "config.json; download one anew, such as openai/clip-vit-base-patch32, or take duplicates.embedding=drawn."
        )
    try:
        network = CLIPVisionModelWithProjection.from_pretrained(folder, local_files_only=True).eval()
        processor = CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelFolderError(f"The model of {folder} cannot be read ({reason}); copy it again.") from error

    @torch.inference_mode()
    def embed(frames: UInt8Array) -> Float32Array:
        pixels = processor(images=list(frames), return_tensors="pt")["pixel_values"]
        return _normalised(network(pixel_values=pixels).image_embeds.float().numpy())

    return embed


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbeddedClip:
    """A clip among those that are compared."""

    clip_id: str
    """Its name."""

    shot: str
    """Names its shot: parts of one shot are no duplicates of each other."""

    num_pixels: int
    """Pixels of a frame: of two that show nearly the same, the larger one stays."""

    people: frozenset[str]
    """Who is in it; empty where nobody is looked for."""

    frames: Float32Array
    """(F, D), of length 1 each."""


def find_near_duplicates(clips: Sequence[EmbeddedClip], config: DuplicatesConfig) -> dict[str, Rejection]:
    """Clips that show nearly what another one does, by name.

    Args:
        clips: in the order of the data set; of the same the largest stays, and of the same size the first.
        config: how alike they are.
    """
    if not clips:
        return {}
    order = sorted(range(len(clips)), key=lambda index: (-clips[index].num_pixels, index))
    means = _normalised(np.stack([clip.frames.mean(axis=0) for clip in clips]))
    kept_means = np.empty_like(means)
    kept: list[int] = []
    rejections: dict[str, Rejection] = {}
    for index in order:
        clip = clips[index]
        least = least_likeness(clip, config)
        near = np.flatnonzero(kept_means[: len(kept)] @ means[index] >= least - _SLACK)
        others = [clips[kept[place]] for place in near.tolist()]
        alike = [
            (likeness(clip.frames, other.frames), other.clip_id)
            for other in others
            if other.shot != clip.shot and other.people == clip.people
        ]
        best, name = max(alike, default=(-1.0, ""))
        if best >= least:
            rejections[clip.clip_id] = Rejection(
                step=STEP,
                reason="shows nearly the same as another clip",
                value=f"{name}, cosine {best:.3f}",
                threshold=least,
            )
        else:
            kept_means[len(kept)] = means[index]
            kept.append(index)
    return rejections


def least_likeness(clip: EmbeddedClip, config: DuplicatesConfig) -> float:
    """From where on a clip is a near duplicate of another one."""
    if config.near_likeness is not None:
        return config.near_likeness
    return _SAME_PEOPLE if clip.people else _ANYBODY


def likeness(mine: Float32Array, theirs: Float32Array) -> float:
    """How alike two clips (F, D) and (F', D) are: the mean over frames of the cosine with the likeliest other one."""
    cosines = mine @ theirs.T
    return float((cosines.max(axis=0).mean() + cosines.max(axis=1).mean()) / 2)


def to_text(embeds: Float32Array) -> str:
    """Embeddings (F, D) as text that JSON holds: their width, and half-precision numbers."""
    return f"{embeds.shape[1]}:" + base64.b64encode(embeds.astype("<f2").tobytes()).decode()


def from_text(text: str) -> Float32Array:
    """What `to_text` wrote."""
    width, _, numbers = text.partition(":")
    halves = np.frombuffer(base64.b64decode(numbers), "<f2").astype(np.float32)
    return _normalised(halves.reshape(-1, int(width)))


def _normalised(embeds: Float32Array) -> Float32Array:
    lengths = np.linalg.norm(embeds, axis=-1, keepdims=True)
    return np.asarray(embeds / np.maximum(lengths, 1e-8), np.float32)
