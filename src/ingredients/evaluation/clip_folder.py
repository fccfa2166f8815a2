"""CLIP from a folder in transformers' layout, such as a copy of openai/clip-vit-base-patch32.

config.json, model.safetensors (or pytorch_model.bin, read as tensors only), preprocessor_config.json, and
tokenizer.json or vocab.json and merges.txt. Nothing is fetched, and torchvision is not needed.

Legend: F frames, H/W pixels, S sentences, D embedding.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import ModelFolderError
from ingredients.core.model_files import read_json
from ingredients.evaluation.records import TextEncoderName
from ingredients.faces.image_encoder import image_embeds, text_embeds
from ingredients.faces.weights import fill_network, read_tensors

_WEIGHTS_NAMES = ("model.safetensors", "pytorch_model.bin")
_OLD_BUFFERS = ("text_model.embeddings.position_ids", "vision_model.embeddings.position_ids")
"""Counting numbers that older versions of transformers kept with the weights."""

_BATCH = 32


class ClipFolder:
    """A `TextImageEncoder`: CLIP.

    Args:
        folder: the folder.

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
