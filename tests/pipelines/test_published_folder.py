"""The published checkpoint's files, at small width: once loaded, they compute what the published code computed."""

import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from safetensors.torch import save_file

from ingredients.core.errors import ModelFolderError
from ingredients.model_folders.components import load_tokenizer
from ingredients.model_folders.transformer import load_transformer
from ingredients.models.state_dict_adapter import config_from_published, published_key_map
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from ingredients.pipelines.prompts import encode_prompts
from tests.golden import fill
from tests.models.golden_models import Golden, golden_call, golden_identities, qformer_arguments
from tests.pipelines.stand_ins import make_text_encoder

MAX_TEXT_TOKENS = 226


def write_published(folder: Path, golden: Golden, *, as_pickles: bool) -> None:
    """The golden weights in shards under their published names, and a config as the published code writes it."""
    config = dict(golden.meta["config"])
    qformer = qformer_arguments(config.pop("small_ctor")["lfe"])
    with torch.device("meta"):
        model = IngredientsTransformer3DModel(**config_from_published(config) | qformer)
    names = published_key_map(model)
    shapes = {names[key]: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    weights = {name: torch.from_numpy(values) for name, values in fill.weights(shapes).items()}
    folder.mkdir()
    published_config = {"_class_name": "IngredientsTransformer3DModel", "is_train_face": True} | config | qformer
    (folder / "config.json").write_text(json.dumps(published_config))
    suffix = "bin" if as_pickles else "safetensors"
    weight_map = {}
    for shard in range(3):
        file = f"diffusion_pytorch_model-{shard + 1:05}-of-00003.{suffix}"
        part = {name: weights[name] for name in sorted(weights)[shard::3]}
        if as_pickles:
            torch.save(part, folder / file)
        else:
            save_file(part, folder / file)
        weight_map |= dict.fromkeys(part, file)
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / f"diffusion_pytorch_model.{suffix}.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("as_pickles", [True, False])
@torch.no_grad()
def test_what_is_loaded_computes_the_golden_tensors(tmp_path: Path, as_pickles: bool) -> None:
    golden = Golden("d_small")
    write_published(tmp_path / "transformer", golden, as_pickles=as_pickles)
    model = load_transformer(tmp_path / "transformer", dtype=torch.float32)
    for row in (0, 1):  # one batch element at a time, so that the published batch fault plays no part
        for form in ("plain", "folded"):
            features = model.prepare_identities(*golden_identities(), form=form)
            sample = model(**golden_call(golden, [row]), identity_features=features).sample
            golden.assert_close("b1.out" if row == 0 else "b1_elem1.out", sample)


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    golden = Golden("d_small")
    write_published(tmp_path / "transformer", golden, as_pickles=False)
    shard = tmp_path / "transformer/diffusion_pytorch_model-00002-of-00003.safetensors"
    save_file({"norm_final.weight": torch.ones(96).to(torch.float8_e4m3fn)}, shard)
    with pytest.raises(ModelFolderError, match=r"norm_final\.weight as F8_E4M3.*float32, float16 or bfloat16"):
        load_transformer(tmp_path / "transformer", dtype=torch.float32)


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """T5's tokenizer as CogVideoX ships it: a sentencepiece model, and what transformers needs beside it."""
    folder = tmp_path_factory.mktemp("published") / "tokenizer"
    folder.mkdir()
    sentences = ["Two people talk in a café, smiling.", "She waves; he nods and walks along the shore at night."]
    corpus = folder.parent / "corpus.txt"
    corpus.write_text("\n".join(sentences * 20), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(folder / "spiece"), vocab_size=90, hard_vocab_limit=False,
        model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1, byte_fallback=False, minloglevel=2,
    )  # fmt: skip
    (folder / "spiece.vocab").unlink()
    extra = [f"<extra_id_{index}>" for index in range(100)]
    special: dict[str, Any] = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    files = {
        "special_tokens_map.json": special | {"additional_special_tokens": extra},
        "added_tokens.json": {name: 189 - index for index, name in enumerate(extra)},
        "tokenizer_config.json": special
        | {
            "tokenizer_class": "T5Tokenizer",
            "extra_ids": 100,
            "legacy": True,
            "model_max_length": MAX_TEXT_TOKENS,
            "sp_model_kwargs": {},
            "clean_up_tokenization_spaces": True,
        },
    }
    for name, values in files.items():
        (folder / name).write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize(
    "prompt", ["Two people talk in a café.", "He walks, she waves;  and nods", "unseen: Ω wörds", "night"]
)
def test_the_published_tokenizer_is_read(tokenizer_folder: Path, prompt: str) -> None:
    tokenizer = load_tokenizer(tokenizer_folder)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer_folder / "spiece.model"))
    expected = [*pieces.encode(prompt), pieces.eos_id()]
    padded = tokenizer(prompt, padding="max_length", max_length=40, truncation=True, return_tensors="pt").input_ids
    assert padded.tolist() == [expected + [pieces.pad_id()] * (40 - len(expected))]


def test_a_prompt_passes_through_the_published_tokenizer(tokenizer_folder: Path) -> None:
    text_encoder = make_text_encoder()
    text_encoder.resize_token_embeddings(190)
    embeds = encode_prompts(
        load_tokenizer(tokenizer_folder), text_encoder, ["night"], max_sequence_length=9, device=torch.device("cpu")
    )
    assert embeds.shape == (1, 9, 12)
    assert embeds.isfinite().all()
