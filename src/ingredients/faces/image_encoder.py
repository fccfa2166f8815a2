"""The small model's CLIP-style dual encoder: transformers' CLIPModel at a small size.

Its image tower stands where the published model has EVA02-CLIP-L-14-336: an embedding and five hidden states of a face
crop. Its text tower makes it measure how well a frame fits a caption.

Legend: B batch, H/W pixels, S side of a crop, D embedding, P tokens (class token first), C channels.
"""

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import ModelFolderError
from ingredients.core.files import atomic_path
from ingredients.core.model_files import building_from, read_json, read_model_record
from ingredients.core.protocols import ImageFeatures
from ingredients.faces.network_settings import NUM_HIDDEN_STATES, ImageEncoderConfig
from ingredients.faces.weights import load_weights, save_weights

PAD, BEGIN, UNKNOWN, END = "<pad>", "<begin>", "<unknown>", "<end>"
SPECIAL_WORDS = (PAD, BEGIN, UNKNOWN, END)
PAD_ID, BEGIN_ID, UNKNOWN_ID, END_ID = range(4)

_WORD = re.compile(r"[a-z0-9']+")


class WordTokenizer:
    """One token a word, lower case, punctuation dropped."""

    def __init__(self, words: Sequence[str], *, max_length: int) -> None:
        """Numbers the words after the four special ones.

        Raises:
            ValueError: if a word appears twice.
        """
        if len(set(words)) != len(words):
            raise ValueError("the vocabulary names a word twice")
        self.words = tuple(words)
        self.max_length = max_length
        self._ids = {word: index for index, word in enumerate(SPECIAL_WORDS + self.words)}

    def __len__(self) -> int:
        return len(self._ids)

    def __call__(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Numbers the words of each sentence; what is too long loses its last words.

        Returns:
            Token ids (B, max_length) long, and the attention mask (B, max_length) long.
        """
        token_ids = torch.full((len(sentences), self.max_length), PAD_ID)
        attention_mask = torch.zeros_like(token_ids)
        for row, sentence in enumerate(sentences):
            words = split_words(sentence)[: self.max_length - 2]
            tokens = [BEGIN_ID, *(self._ids.get(word, UNKNOWN_ID) for word in words), END_ID]
            token_ids[row, : len(tokens)] = torch.tensor(tokens)
            attention_mask[row, : len(tokens)] = 1
        return token_ids, attention_mask


def split_words(sentence: str) -> list[str]:
    """The lower-case words of a sentence."""
    return _WORD.findall(sentence.lower())


CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def build_clip(config: ImageEncoderConfig, *, vocab_size: int) -> CLIPModel:
    """Makes an untrained dual encoder."""
    tower = {
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_attention_heads": config.num_attention_heads,
        "projection_dim": config.projection_dim,
    }
    text_config = tower | {
        "vocab_size": vocab_size,
        "num_hidden_layers": config.num_text_layers,
        "max_position_embeddings": config.max_text_length,
        "pad_token_id": PAD_ID,
        "bos_token_id": BEGIN_ID,
        "eos_token_id": END_ID,
    }
    vision_config = tower | {
        "num_hidden_layers": config.num_layers,
        "image_size": config.crop_size,
        "patch_size": config.patch_size,
    }
    return CLIPModel(
        CLIPConfig(text_config=text_config, vision_config=vision_config, projection_dim=config.projection_dim)
    )


def evenly_spaced_layers(num_layers: int) -> tuple[int, ...]:
    """Five layers (1-based) spread over the tower: 4, 8 .. 20 of 24, as published.

    The last layer is left out when there is room: its output is already in the embedding.
    """
    if num_layers == NUM_HIDDEN_STATES:
        return tuple(range(1, NUM_HIDDEN_STATES + 1))
    return tuple(round(index * num_layers / (NUM_HIDDEN_STATES + 1)) for index in range(1, NUM_HIDDEN_STATES + 1))


class DualEncoder:
    """An `ImageEncoder` of `ingredients.core.protocols` that also embeds sentences."""

    def __init__(self, clip: CLIPModel, tokenizer: WordTokenizer, config: ImageEncoderConfig) -> None:
        """Joins a dual encoder with its tokenizer.

        Raises:
            ValueError: if the vocabulary is not the text tower's.
        """
        vocab_size = clip.config.text_config.vocab_size
        if len(tokenizer) != vocab_size:
            raise ValueError(f"the tokenizer knows {len(tokenizer)} tokens, but the text tower {vocab_size}")
        self.clip = clip.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.config = config
        self.hidden_state_layers = evenly_spaced_layers(config.num_layers)

    @property
    def crop_size(self) -> int:
        """Side S of the crops in pixels."""
        return self.config.crop_size

    @property
    def embedding_dim(self) -> int:
        """Width D of the joint embedding."""
        return self.config.projection_dim

    @torch.no_grad()
    def encode(self, crops: UInt8Array) -> ImageFeatures:
        """Encodes RGB images (B, H, W, 3); what is not S x S is squeezed to it (a face crop is square anyway)."""
        pixel_values = preprocess(crops, crop_size=self.crop_size)
        output = self.clip.vision_model(pixel_values=pixel_values, output_hidden_states=True)
        return ImageFeatures(
            embeds=self.clip.visual_projection(output.pooler_output).float(),
            hidden_states=tuple(output.hidden_states[layer].float() for layer in self.hidden_state_layers),
        )

    @torch.no_grad()
    def encode_text(self, sentences: Sequence[str]) -> Tensor:
        """Embeds sentences in the space of the images, (B, D)."""
        token_ids, attention_mask = self.tokenizer(sentences)
        return text_embeds(self.clip, token_ids, attention_mask).float()

    def text_relevance(self, frames: UInt8Array, sentences: Sequence[str]) -> Tensor:
        """Cosine of every frame (F, H, W, 3) with every sentence: (F, sentences)."""
        image_embeds = F.normalize(self.encode(frames).embeds, dim=-1)
        return image_embeds @ F.normalize(self.encode_text(sentences), dim=-1).T


def preprocess(images: UInt8Array, *, crop_size: int) -> Tensor:
    """Turns RGB images (B, H, W, 3) into CLIP's input (B, 3, S, S): bicubic, antialiased, CLIP's statistics."""
    pixel_values = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 255.0
    if pixel_values.shape[-2:] != (crop_size, crop_size):
        pixel_values = F.interpolate(pixel_values, size=(crop_size, crop_size), mode="bicubic", antialias=True)
    mean, std = (torch.tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return (pixel_values - mean) / std


def image_embeds(clip: CLIPModel, pixel_values: Tensor) -> Tensor:
    """Joint embedding (B, D) of preprocessed images."""
    embeds: Tensor = clip.visual_projection(clip.vision_model(pixel_values=pixel_values).pooler_output)
    return embeds


def text_embeds(clip: CLIPModel, token_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Joint embedding (B, D) of sentences."""
    pooled = clip.text_model(input_ids=token_ids, attention_mask=attention_mask).pooler_output
    embeds: Tensor = clip.text_projection(pooled)
    return embeds


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Vocabulary:
    """What `vocabulary.json` holds."""

    words: tuple[str, ...]
    """All but the special ones, each once."""

    def __post_init__(self) -> None:
        if len(set(self.words)) != len(self.words):
            raise ValueError("it names a word twice")


def save_dual_encoder(encoder: DualEncoder, folder: Path) -> None:
    """Writes `config.json`, `vocabulary.json` and `model.safetensors` (half precision), as transformers names them."""
    folder.mkdir(parents=True, exist_ok=True)
    config = encoder.clip.config.to_dict() | {"architectures": ["CLIPModel"]}
    _write_json(config, folder / "config.json")
    _write_json({"words": list(encoder.tokenizer.words)}, folder / "vocabulary.json")
    save_weights(encoder.clip, folder / "model.safetensors")


def load_dual_encoder(folder: Path) -> DualEncoder:
    """Reads what `save_dual_encoder` wrote.

    Raises:
        ModelFolderError: if a file is missing or damaged, or a tensor does not fit.
    """
    config_path = folder / "config.json"
    values = read_json(config_path)
    with building_from(config_path, "an image encoder"):
        clip_config = CLIPConfig.from_dict(values)
        clip = CLIPModel(clip_config)
    vision, text = clip_config.vision_config, clip_config.text_config
    words = read_model_record(_Vocabulary, folder / "vocabulary.json", what="a vocabulary").words
    if len(words) + len(SPECIAL_WORDS) != text.vocab_size:
        raise ModelFolderError(
            f"{folder / 'vocabulary.json'} holds {len(words)} words, but {folder / 'config.json'} needs "
            f"{text.vocab_size - len(SPECIAL_WORDS)}; copy both files again."
        )
    config = ImageEncoderConfig(
        crop_size=vision.image_size,
        patch_size=vision.patch_size,
        hidden_size=vision.hidden_size,
        intermediate_size=vision.intermediate_size,
        num_layers=vision.num_hidden_layers,
        num_text_layers=text.num_hidden_layers,
        num_attention_heads=vision.num_attention_heads,
        projection_dim=clip_config.projection_dim,
        max_text_length=text.max_position_embeddings,
    )
    load_weights(clip, folder / "model.safetensors")
    return DualEncoder(clip, WordTokenizer(words, max_length=config.max_text_length), config)


def _write_json(values: object, path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
