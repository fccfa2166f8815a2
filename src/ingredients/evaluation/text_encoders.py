"""Who says how well frames fit a sentence: CLIP, or the dual encoder that ships with a model of the drawn world.

Legend: F frames, H/W pixels, S sentences, D embedding.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import ModelFolderError
from ingredients.core.model_files import read_json
from ingredients.evaluation.case_record import TextChoice, TextEncoderName, TextRecord, Vector
from ingredients.faces.image_encoder import DualEncoder, image_embeds, text_embeds
from ingredients.faces.weights import fill_network, read_tensors
from ingredients.world.captions import other_sentences

_WEIGHTS_NAMES = ("model.safetensors", "pytorch_model.bin")
_OLD_BUFFERS = ("text_model.embeddings.position_ids", "vision_model.embeddings.position_ids")
"""Counting numbers that older versions of transformers kept with the weights."""

_BATCH = 32
_DECIMALS = 5


class TextImageEncoder(Protocol):
    """Embeds pictures and sentences in one space."""

    @property
    def name(self) -> TextEncoderName:
        """The kind of encoder."""
        ...

    @property
    def network(self) -> torch.nn.Module:
        """What its answers depend on."""
        ...

    def embed_frames(self, frames: UInt8Array) -> torch.Tensor:
        """Embeds frames (F, H, W, 3) as (F, D)."""
        ...

    def embed_sentences(self, sentences: Sequence[str]) -> torch.Tensor:
        """Embeds sentences as (S, D)."""
        ...


class DualTextEncoder:
    """A `TextImageEncoder`: the model's own."""

    name: TextEncoderName = "dual_encoder"

    def __init__(self, encoder: DualEncoder) -> None:
        self._encoder = encoder

    @property
    def network(self) -> torch.nn.Module:
        """Both towers."""
        clip: torch.nn.Module = self._encoder.clip
        return clip

    def embed_frames(self, frames: UInt8Array) -> torch.Tensor:
        """Embeds frames (F, H, W, 3) as (F, D)."""
        return self._encoder.encode(frames).embeds

    def embed_sentences(self, sentences: Sequence[str]) -> torch.Tensor:
        """Embeds sentences as (S, D)."""
        return self._encoder.encode_text(sentences)


class ClipTextEncoder:
    """A `TextImageEncoder`: CLIP.

    Its folder, in transformers' layout (such as a copy of openai/clip-vit-base-patch32), holds config.json,
    model.safetensors (or pytorch_model.bin, read as tensors only), preprocessor_config.json, and tokenizer.json or
    vocab.json and merges.txt. Nothing is fetched, and torchvision is not needed.

    Raises:
        ModelFolderError: if a file is missing or damaged, or a tensor is missing, unknown or of another shape.
    """

    name: TextEncoderName = "clip"

    def __init__(self, folder: Path) -> None:
        config = read_json(folder / "config.json")
        if config.get("model_type") != "clip":
            raise ModelFolderError(
                f"The folder {folder} holds a model of type {config.get('model_type')!r}, not CLIP; name a copy of "
                "openai/clip-vit-base-patch32, for one."
            )
        path = next(
            (folder / name for name in _WEIGHTS_NAMES if (folder / name).is_file()), folder / _WEIGHTS_NAMES[0]
        )
        stored = {name: tensor for name, tensor in read_tensors(path).items() if name not in _OLD_BUFFERS}
        network = CLIPModel(CLIPConfig.from_dict(config))
        fill_network(network, stored, path)
        self.network: torch.nn.Module = network.eval().requires_grad_(False)
        self._clip = network
        read_json(folder / "preprocessor_config.json")  # or transformers would take settings of its own
        try:
            self._processor = CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)
            self._tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ModelFolderError(
                f"The folder {folder} lacks CLIP's tokenizer or preprocessor, or they are damaged "
                f"({' '.join(str(error).split())}); copy it again."
            ) from error

        vocab_size = network.config.text_config.vocab_size
        if len(self._tokenizer) != vocab_size:  # without its files, transformers makes a tokenizer that knows no word
            raise ModelFolderError(
                f"The tokenizer of the folder {folder} knows {len(self._tokenizer)} words, but the text tower "
                f"{vocab_size}; copy vocab.json and merges.txt, or tokenizer.json, again."
            )

    @torch.inference_mode()
    def embed_frames(self, frames: UInt8Array) -> torch.Tensor:
        """Embeds frames (F, H, W, 3) as (F, D): the shorter side brought to CLIP's size, the middle square cut out."""
        embeds = []
        for first in range(0, len(frames), _BATCH):
            pixels = self._processor(images=list(frames[first : first + _BATCH]), return_tensors="pt")
            embeds.append(image_embeds(self._clip, pixels["pixel_values"]))
        return torch.cat(embeds).float()

    @torch.inference_mode()
    def embed_sentences(self, sentences: Sequence[str]) -> torch.Tensor:
        """Embeds sentences as (S, D); words beyond CLIP's length are not read."""
        tokens = self._tokenizer(list(sentences), padding=True, truncation=True, return_tensors="pt")
        return text_embeds(self._clip, tokens["input_ids"], tokens["attention_mask"]).float()


def compare_with_prompt(
    encoder: TextImageEncoder, frames: UInt8Array, prompt: str, *, real_frames: Vector | None = None
) -> TextRecord:
    """Embeds the frames (F, H, W, 3) of a video, averaged, and its prompt, and asks for each attribute alone.

    Args:
        encoder: judges.
        frames: the frames of the video.
        prompt: what was asked for; a sentence of the drawn world is also asked attribute by attribute.
        real_frames: `embed_clip` of a real clip of the same people and prompt.
    """
    ours = embed_clip(encoder, frames)
    return TextRecord(
        frames=ours,
        prompt=_to_vector(_normalised(encoder.embed_sentences([prompt]))[0]),
        encoder=encoder.name,
        real_frames=real_frames,
        choices=_choose_attributes(encoder, ours, prompt, real_frames),
    )


def embed_clip(encoder: TextImageEncoder, frames: UInt8Array) -> Vector:
    """The mean over frames (F, H, W, 3) of their embeddings of length 1 (D,)."""
    return _to_vector(_normalised(encoder.embed_frames(frames)).mean(dim=0))


def _choose_attributes(
    encoder: TextImageEncoder, frames: Vector, prompt: str, real_frames: Vector | None
) -> tuple[TextChoice, ...]:
    """For each attribute that the prompt states, whether its value is nearer to the frames than the others.

    A value's nearness is the mean over its wordings, so that a value with many of them has no better chance.
    """
    by_attribute = other_sentences(prompt)
    sentences = sorted({each for values in by_attribute.values() for wordings in values.values() for each in wordings})
    if not sentences:
        return ()
    embeds = _normalised(encoder.embed_sentences(sentences)).double().cpu().numpy()  # (S, D)
    row_of = {sentence: row for row, sentence in enumerate(sentences)}
    choices = []
    for attribute, values in by_attribute.items():
        directions = [embeds[[row_of[wording] for wording in wordings]].mean(axis=0) for wordings in values.values()]
        choices.append(
            TextChoice(
                attribute=attribute,
                num_values=len(values),
                right=_first_is_nearest(directions, frames),
                real_right=None if real_frames is None else _first_is_nearest(directions, real_frames),
            )
        )
    return tuple(choices)


def _first_is_nearest(directions: Sequence[NDArray[np.float64]], frames: Vector) -> float:
    """1 if the frames are nearest to the first direction, else 0; shared with those that are as near."""
    nearness = np.array(directions) @ np.array(frames)
    nearest = nearness == nearness.max()
    return float(nearest[0] / nearest.sum())


def _normalised(embeds: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(embeds, dim=-1)


def _to_vector(embeds: torch.Tensor) -> Vector:
    values: Float32Array = embeds.double().cpu().numpy()
    return tuple(np.round(values, _DECIMALS).tolist())
