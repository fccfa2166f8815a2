"""Captions by Qwen2-VL, as in the paper (4.1), or Qwen3-VL, in process through transformers.

Pictures are made ready by the processor that needs no torchvision, so that transformers and Pillow are enough.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import ModelFolderError

_PAD, _START, _END = "<|image_pad|>", "<|vision_start|>", "<|vision_end|>"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QwenCaptioner:
    """A `Captioner` of `ingredients.curation.captions`."""

    model: PreTrainedModel
    """In evaluation mode."""

    tokenizer: PreTrainedTokenizerBase
    """The tokenizer of the model."""

    image_processor: Qwen2VLImageProcessorPil
    """The image processor of the model."""

    max_tokens: int
    """Longest caption."""

    @torch.no_grad()
    def caption(self, pictures: Sequence[UInt8Array], prompt: str) -> str:
        """What the model says of pictures (H, W, 3)."""
        seen = self.image_processor(images=[Image.fromarray(picture) for picture in pictures], return_tensors="pt")
        merged = self.image_processor.merge_size**2
        counts = (seen["image_grid_thw"].prod(-1) // merged).tolist()
        shown = "".join(f"{_START}{_PAD * count}{_END}" for count in counts)
        text = f"<|im_start|>user\n{shown}{prompt}<|im_end|>\n<|im_start|>assistant\n"
        tokens = self.tokenizer(text, return_tensors="pt")
        is_picture = tokens["input_ids"] == self.tokenizer.convert_tokens_to_ids(_PAD)
        inputs: dict[str, Any] = {
            "input_ids": tokens["input_ids"],
            "attention_mask": torch.ones_like(tokens["input_ids"]),
            "mm_token_type_ids": is_picture.int(),
            "pixel_values": seen["pixel_values"].to(self.model.dtype),
            "image_grid_thw": seen["image_grid_thw"],
        }
        placed = {name: value.to(self.model.device) for name, value in inputs.items()}
        written = self.model.generate(**placed, max_new_tokens=self.max_tokens, do_sample=False)
        new = written[0, tokens["input_ids"].shape[1] :]
        return str(self.tokenizer.decode(new, skip_special_tokens=True)).strip()


def load_qwen(folder: Path, *, max_tokens: int) -> QwenCaptioner:
    """Reads a model's folder, onto a GPU where there is one.

    Raises:
        ModelFolderError: if it is not there, or is of another kind.
    """
    if not (folder / "config.json").is_file():
        raise ModelFolderError(
            f"The folder {folder} of captions.model holds no model: it has no config.json; download one, such as "
            "Qwen/Qwen2-VL-2B-Instruct."
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            folder, local_files_only=True, dtype=torch.bfloat16 if device == "cuda" else torch.float32
        )
        return QwenCaptioner(
            model=model.eval().to(device),
            tokenizer=AutoTokenizer.from_pretrained(folder, local_files_only=True),
            image_processor=Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True),
            max_tokens=max_tokens,
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelFolderError(f"The model of {folder} cannot be read ({reason}); copy it again.") from error
