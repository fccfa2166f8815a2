"""A tiny Qwen2-VL of the real class, with random weights: pictures go in, words come out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2VLConfig, Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from ingredients.core.errors import ModelFolderError
from ingredients.curation.qwen import load_qwen

SPECIAL = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
WORDS = ["user", "assistant", "what", "happens", "people", "wave", "."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("qwen")
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, "[unk]", *WORDS])}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token="[unk]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, unk_token="[unk]", additional_special_tokens=SPECIAL, eos_token="<|im_end|>"
    )
    tokenizer.save_pretrained(folder)
    ids = {word: vocabulary[word] for word in SPECIAL}
    torch.manual_seed(0)
    text = {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": len(vocabulary),
        "bos_token_id": 0,
        "eos_token_id": 1,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]},
    }
    config = Qwen2VLConfig(
        text_config=text,
        vision_config={
            "depth": 1,
            "embed_dim": 16,
            "hidden_size": 16,
            "num_heads": 2,
            "mlp_ratio": 1,
            "patch_size": 14,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    Qwen2VLForConditionalGeneration(config).save_pretrained(folder)
    Qwen2VLImageProcessorPil().save_pretrained(folder)
    return folder


def test_pictures_of_a_clip_become_words(folder: Path) -> None:
    captioner = load_qwen(folder, max_tokens=5)
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, (56, 84, 3), dtype=np.uint8) for _ in range(2)]
    said = captioner.caption(pictures, "what happens")
    assert set(said.split()) <= {*WORDS, "[unk]"}
    assert 0 < len(said.split()) <= 5
    assert captioner.caption(pictures, "what happens") == said


def test_a_folder_without_a_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"no config\.json"):
        load_qwen(tmp_path, max_tokens=5)
