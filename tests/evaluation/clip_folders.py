"""A whole CLIP folder in transformers' layout, with random weights and a few words."""

import json
from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

SIZE = 16
_LETTERS = "abdefnorw"
_MERGES = [("d", "o"), ("do", "g</w>"), ("r", "e"), ("re", "d</w>")]


def write_clip_folder(folder: Path) -> CLIPModel:
    """Pictures of 16 pixels; an embedding 6 wide."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = [*_LETTERS, *(f"{letter}</w>" for letter in _LETTERS), "g</w>"]
    words = [*letters, *("".join(pair) for pair in _MERGES), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: index for index, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    merges = ["#version: 0.2", *(" ".join(pair) for pair in _MERGES)]
    (folder / "merges.txt").write_text("\n".join(merges) + "\n")
    tokenizer = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 7}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    tower = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2}
    end = vocabulary["<|endoftext|>"]
    config = CLIPConfig(
        text_config=tower
        | {
            "vocab_size": len(words),
            "max_position_embeddings": 7,
            "bos_token_id": end - 1,
            "eos_token_id": end,
            "pad_token_id": end,
        },
        vision_config=tower | {"image_size": SIZE, "patch_size": 8},
        projection_dim=6,
    )
    torch.manual_seed(0)
    model = CLIPModel(config).eval()
    model.save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}).save_pretrained(
        folder
    )
    return model
