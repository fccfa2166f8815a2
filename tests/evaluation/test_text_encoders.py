"""CLIP from a folder, against transformers' own forward pass and a plain preprocessing."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ingredients.core.errors import ModelFolderError
from ingredients.evaluation.text_encoders import ClipTextEncoder, compare_with_prompt
from ingredients.faces.image_encoder import CLIP_MEAN, CLIP_STD
from tests.evaluation.clip_folders import SIZE, write_clip_folder

FRAMES = np.random.default_rng(0).integers(0, 255, size=(3, 20, 30, 3), dtype=np.uint8)


def preprocess(frame: np.ndarray) -> torch.Tensor:
    """The shorter side at SIZE, bicubic; the middle square; CLIP's statistics."""
    resized = Image.fromarray(frame).resize((30 * SIZE // 20, SIZE), Image.Resampling.BICUBIC)
    left = (resized.width - SIZE) // 2
    pixels = np.asarray(resized)[:, left : left + SIZE] / 255
    return torch.from_numpy((pixels - CLIP_MEAN) / CLIP_STD).permute(2, 0, 1).float()


def test_frames_and_sentences_are_embedded_as_transformers_does(tmp_path):
    model = write_clip_folder(tmp_path / "clip")
    encoder = ClipTextEncoder(tmp_path / "clip")
    token_ids = torch.tensor([[23, 20, 22, 24]])  # start, "dog", "red", end
    with torch.no_grad():
        output = model(input_ids=token_ids, pixel_values=torch.stack([preprocess(frame) for frame in FRAMES]))
    normalise = torch.nn.functional.normalize
    torch.testing.assert_close(normalise(encoder.embed_frames(FRAMES), dim=-1), output.image_embeds, atol=2e-3, rtol=0)
    torch.testing.assert_close(normalise(encoder.embed_sentences(["dog red"]), dim=-1), output.text_embeds)
    record = compare_with_prompt(encoder, FRAMES, "dog red")
    assert record.encoder == "clip"
    expected = (output.image_embeds @ output.text_embeds.T).mean()
    assert record.cosine == pytest.approx(float(expected), abs=2e-3)


def test_sentences_of_different_lengths_do_not_touch_each_other(tmp_path):
    write_clip_folder(tmp_path)
    encoder = ClipTextEncoder(tmp_path)
    together = encoder.embed_sentences(["dog", "red dog or no dog and a red dog"])  # the second is cut at 7 tokens
    torch.testing.assert_close(together[:1], encoder.embed_sentences(["dog"]))


def test_weights_in_a_pickle_are_read_as_tensors(tmp_path):
    write_clip_folder(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    buffers = {"text_model.embeddings.position_ids": torch.arange(7)[None]}  # older versions kept them
    torch.save(weights | buffers, tmp_path / "pytorch_model.bin")
    before = ClipTextEncoder(tmp_path).embed_frames(FRAMES)
    (tmp_path / "model.safetensors").unlink()
    torch.testing.assert_close(ClipTextEncoder(tmp_path).embed_frames(FRAMES), before)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    write_clip_folder(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file(
        {name: tensor for name, tensor in weights.items() if name != "logit_scale"}, tmp_path / "model.safetensors"
    )
    with pytest.raises(ModelFolderError, match="lack tensor logit_scale"):
        ClipTextEncoder(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelFolderError, match=r"lacks .*model\.safetensors"):
        ClipTextEncoder(tmp_path)


@pytest.mark.parametrize("name", ["preprocessor_config.json", "config.json"])
def test_a_missing_file_is_named(tmp_path, name):
    write_clip_folder(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ModelFolderError, match=name):
        ClipTextEncoder(tmp_path)


def test_a_folder_without_its_words_is_refused(tmp_path):
    write_clip_folder(tmp_path)
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        (tmp_path / name).unlink()
    with pytest.raises(ModelFolderError, match="tokenizer"):
        ClipTextEncoder(tmp_path)


def test_another_model_is_no_clip(tmp_path):
    write_clip_folder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelFolderError, match="model of type 'bert', not CLIP"):
        ClipTextEncoder(tmp_path)
