"""A model folder: what is written is what is read, and whatever is wrong with it is named in one sentence."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file

from ingredients.core.errors import ModelFolderError, OutOfMemoryError
from ingredients.core.memory_mode import MemoryMode
from ingredients.model_folders import find_model as model_finding
from ingredients.model_folders.find_model import default_model_path
from ingredients.model_folders.transformer import load_transformer
from ingredients.models.state_dict_adapter import to_published
from ingredients.pipelines import loading
from ingredients.pipelines.execution.memory_plan import MemoryPlan
from ingredients.pipelines.loading import load_pipeline
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from tests.pipelines.stand_ins import (
    PROMPT,
    make_face_stack,
    make_people,
    make_pipeline,
    make_text_encoder,
    make_transformer,
    make_vae,
)

PARTS = ["transformer", "vae", "text_encoder", "tokenizer", "scheduler", "face_encoder"]
TRANSFORMER_WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
VAE_WEIGHTS = "vae/diffusion_pytorch_model.safetensors"
TEXT_WEIGHTS = "text_encoder/model.safetensors"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    make_pipeline(face_encoder=make_face_stack()).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Iterator[Path]:
    copy = tmp_path / "tiny"
    shutil.copytree(saved, copy)
    yield copy
    shutil.rmtree(copy)


def denoise(pipeline: IngredientsPipeline) -> torch.Tensor:
    pipeline.set_progress_bar_config(disable=True)
    frames = pipeline(
        prompt=PROMPT, num_inference_steps=1, generator=7, output_type="latent", people=make_people(2)
    ).frames
    assert isinstance(frames, torch.Tensor)
    return frames


def change_weights(path: Path, name: str, tensor: torch.Tensor | None) -> None:
    weights = load_file(path)
    if tensor is None:
        del weights[name]
    else:
        weights[name] = tensor
    save_file(weights, path)


def test_the_folder_has_the_published_layout(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == sorted([*PARTS, "model_index.json"])
    index = json.loads((saved / "model_index.json").read_text())
    assert index["transformer"] == ["ingredients.models.transformer_ingredients", "IngredientsTransformer3DModel"]
    assert "face_encoder" not in index  # as published: it lies beside


@pytest.mark.usefixtures("no_waiting")
def test_no_file_of_the_folder_may_be_a_pipe(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert len(files) > 12
    for path in files:
        kept = path.rename(folder / "kept")
        os.mkfifo(path)
        with pytest.raises(ModelFolderError, match=path.name.split(".")[0]):
            load_pipeline(folder, device="cpu")
        path.unlink()
        kept.rename(path)


def test_what_is_saved_is_loaded(saved: Path) -> None:
    original, loaded = make_pipeline(face_encoder=make_face_stack()), load_pipeline(saved, device="cpu")
    assert torch.equal(denoise(loaded), denoise(original))
    assert loaded.transformer.config.routing == "argmax"
    assert not loaded.transformer.training
    assert set(loaded.components) == set(PARTS)
    assert loaded.face_encoder is not None
    half = {name: tensor.half().float() for name, tensor in make_face_stack().recogniser.network.state_dict().items()}
    for name, tensor in loaded.face_encoder.recogniser.network.state_dict().items():
        assert torch.equal(tensor.float(), half[name].float())


def test_parts_can_be_given(saved: Path) -> None:
    vae = make_vae()
    loaded = IngredientsPipeline.from_pretrained(saved, vae=vae, face_encoder=None)
    assert loaded.vae is vae
    assert loaded.face_encoder is None
    with pytest.raises(TypeError, match="no part named unet"):
        IngredientsPipeline.from_pretrained(saved, unet=vae)


def test_the_data_type_is_chosen_when_loading(saved: Path) -> None:
    loaded = IngredientsPipeline.from_pretrained(saved, torch_dtype=torch.bfloat16)
    assert {loaded.transformer.dtype, loaded.vae.dtype, loaded.text_encoder.dtype} == {torch.bfloat16}
    assert load_pipeline(saved, device="cpu").transformer.dtype == torch.float32


def test_averaged_weights_stand_in_for_the_transformer(folder: Path) -> None:
    (folder / "transformer").rename(folder / "transformer_ema")
    assert denoise(load_pipeline(folder, device="cpu")).isfinite().all()


def test_shards_are_read_and_a_missing_one_is_named(folder: Path) -> None:
    expected = denoise(load_pipeline(folder, device="cpu"))
    shutil.rmtree(folder / "transformer")
    make_transformer().save_pretrained(folder / "transformer", max_shard_size="60KB")
    shards = sorted((folder / "transformer").glob("*.safetensors"))
    assert len(shards) > 1
    assert torch.equal(denoise(load_pipeline(folder, device="cpu")), expected)
    shards[1].unlink()
    with pytest.raises(ModelFolderError, match=shards[1].name):
        load_pipeline(folder, device="cpu")


def test_published_names_are_read(tmp_path: Path) -> None:
    transformer = make_transformer(router_type="linear", cross_attn_interval=1)
    transformer.save_config(tmp_path)
    weights = {name: tensor.contiguous() for name, tensor in to_published(transformer).items()}
    assert any(name.startswith("perceiver_cross_attention.") for name in weights)
    save_file(weights, tmp_path / "diffusion_pytorch_model.safetensors")
    loaded = load_transformer(tmp_path, dtype=torch.float32)
    for name, tensor in transformer.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    name = "router.1.id_merge.weight"
    change_weights(tmp_path / "diffusion_pytorch_model.safetensors", name, None)
    with pytest.raises(ModelFolderError, match=f"lack {name}"):
        load_transformer(tmp_path, dtype=torch.float32)


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_named(folder: Path, part: str) -> None:
    shutil.rmtree(folder / part)
    with pytest.raises(ModelFolderError, match=rf"tiny lacks {part}/; copy the folder again\.$"):
        load_pipeline(folder)


def test_several_missing_parts_are_named_together(folder: Path) -> None:
    for part in ("vae", "tokenizer"):
        shutil.rmtree(folder / part)
    with pytest.raises(ModelFolderError, match="lacks vae/, tokenizer/;"):
        load_pipeline(folder)


@pytest.mark.parametrize(
    "file",
    [
        "model_index.json",
        "transformer/config.json",
        TRANSFORMER_WEIGHTS,
        VAE_WEIGHTS,
        TEXT_WEIGHTS,
        "scheduler/scheduler_config.json",
        "face_encoder/config.json",
        "face_encoder/recogniser.safetensors",
    ],
)
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(ModelFolderError, match=Path(file).name):
        load_pipeline(folder)


@pytest.mark.parametrize("file", [TRANSFORMER_WEIGHTS, VAE_WEIGHTS, TEXT_WEIGHTS])
def test_a_cut_file_is_named(folder: Path, file: str) -> None:
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelFolderError, match=rf"{Path(file).name} are damaged"):
        load_pipeline(folder)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (TRANSFORMER_WEIGHTS, "transformer_blocks.1.id_router.aggregate.weight"),
        (VAE_WEIGHTS, "decoder.conv_out.conv.bias"),
        (TEXT_WEIGHTS, "encoder.final_layer_norm.weight"),
    ],
)
def test_each_wrong_tensor_is_named(folder: Path, file: str, name: str) -> None:
    path = folder / file
    tensor = load_file(path)[name]
    change_weights(path, name, torch.zeros(*tensor.shape, 2))
    shapes = rf"{name} of shape \({', '.join(map(str, (*tensor.shape, 2)))}\) instead of \({tensor.shape[0]}"
    with pytest.raises(ModelFolderError, match=shapes):
        load_pipeline(folder)
    change_weights(path, name, None)
    with pytest.raises(ModelFolderError, match=f"they lack {name};"):
        load_pipeline(folder)
    change_weights(path, name, tensor)
    change_weights(path, "stranger", tensor)
    with pytest.raises(ModelFolderError, match="they hold the unknown stranger;"):
        load_pipeline(folder)


def test_many_wrong_tensors_are_counted(folder: Path) -> None:
    config = json.loads((folder / "transformer/config.json").read_text())
    (folder / "transformer/config.json").write_text(json.dumps(config | {"num_layers": 3}))
    with pytest.raises(ModelFolderError, match=r"lack transformer_blocks\.2\.[^,]+, .* and \d+ more; copy"):
        load_pipeline(folder)


PICKLES = {
    TRANSFORMER_WEIGHTS: "diffusion_pytorch_model.bin",
    VAE_WEIGHTS: "diffusion_pytorch_model.bin",
    TEXT_WEIGHTS: "pytorch_model.bin",
}


def test_pickled_tensors_are_read_as_strictly(folder: Path) -> None:
    expected = denoise(load_pipeline(folder, device="cpu"))
    for name, pickle in PICKLES.items():
        torch.save(load_file(folder / name), (folder / name).with_name(pickle))
        (folder / name).unlink()
    assert torch.equal(denoise(load_pipeline(folder, device="cpu")), expected)
    weights = folder / "vae" / "diffusion_pytorch_model.bin"
    tensors = torch.load(weights, weights_only=True)
    torch.save(tensors | {"spare": torch.ones(1)}, weights)
    with pytest.raises(ModelFolderError, match="hold the unknown spare"):
        load_pipeline(folder)
    torch.save(tensors | {"code": Path("x")}, weights)
    with pytest.raises(
        ModelFolderError, match=r"diffusion_pytorch_model\.bin .* such a file can run programs"
    ) as raised:
        load_pipeline(folder)
    assert "weights_only" not in str(raised.value)
    assert "succeed" not in str(raised.value)


def test_shards_of_pickles_are_read(tmp_path: Path) -> None:
    transformer = make_transformer(router_type="linear", cross_attn_interval=1)
    transformer.save_config(tmp_path)
    weights, weight_map = to_published(transformer), {}
    for shard in range(2):
        name = f"diffusion_pytorch_model-{shard + 1:05}-of-00002.bin"
        names = sorted(weights)[shard::2]
        torch.save({each: weights[each].clone() for each in names}, tmp_path / name)
        weight_map |= dict.fromkeys(names, name)
    (tmp_path / "diffusion_pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    loaded = load_transformer(tmp_path, dtype=torch.float32)
    for name, tensor in transformer.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_nothing_is_written_as_a_pickle(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="safetensors only"):
        make_pipeline().save_pretrained(tmp_path, safe_serialization=False)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_config_is_named(folder: Path, content: str) -> None:
    (folder / "vae/config.json").write_text(content)
    with pytest.raises(ModelFolderError, match=r"vae/config\.json"):
        load_pipeline(folder)


def test_an_impossible_config_is_named(folder: Path) -> None:
    config = json.loads((folder / "vae/config.json").read_text())
    (folder / "vae/config.json").write_text(json.dumps(config | {"down_block_types": ["Stranger"]}))
    with pytest.raises(ModelFolderError, match=r"The part .*vae cannot be read"):
        load_pipeline(folder)


def test_a_damaged_tokenizer_is_named(folder: Path) -> None:
    for path in (folder / "tokenizer").iterdir():
        path.write_text("{")
    with pytest.raises(ModelFolderError, match=r"The part .*tokenizer cannot be read"):
        load_pipeline(folder)


def test_other_schedulers_are_refused(folder: Path) -> None:
    path = folder / "scheduler/scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"_class_name": "DDPMScheduler"}))
    with pytest.raises(ModelFolderError, match=r"DDPMScheduler in .* is not supported; use CogVideoXDPMScheduler or"):
        load_pipeline(folder)


def test_no_folder_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"There is no model folder .*nowhere"):
        load_pipeline(tmp_path / "nowhere")
    with pytest.raises(ModelFolderError, match=r"is no model folder: it lacks model_index\.json"):
        load_pipeline(tmp_path)


def test_a_package_without_weights_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_finding.resources, "files", lambda package: tmp_path)
    with pytest.raises(ModelFolderError, match="The small model is not at"):
        default_model_path()
    (tmp_path / "assets" / "small-world").mkdir(parents=True)
    assert default_model_path() == tmp_path / "assets" / "small-world"


def test_a_model_that_the_machine_cannot_hold_is_refused_before_it_is_read(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = (make_transformer(), make_vae(), make_text_encoder())
    num_weights = sum(tensor.numel() for part in parts for tensor in part.state_dict().values())
    tied = parts[2].get_input_embeddings().weight.numel()  # kept once in the file
    memory = psutil.virtual_memory()
    for spare, fits in ((0, True), (-1, False)):
        total = 4 * (num_weights - tied) + spare
        monkeypatch.setattr(loading.psutil, "virtual_memory", lambda total=total: memory._replace(total=total))
        if fits:
            monkeypatch.setattr(loading, "plan_memory", lambda *_, **__: MemoryPlan(mode=MemoryMode.FULL))
            assert load_pipeline(saved, device="cpu")
        else:
            with pytest.raises(OutOfMemoryError, match=r"take .* of the machine's memory.*one with a GPU"):
                load_pipeline(saved, device="cpu")
