"""The config of a part: whatever stands in it, a sentence names the file and the key, or the part is built."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingredients.core.errors import ModelFolderError, UserInputError
from ingredients.pipelines.loading import load_pipeline
from tests.pipelines.stand_ins import make_face_stack, make_pipeline

TRANSFORMER, VAE, TEXT, SCHEDULER, TOKENIZER = (
    "transformer/config.json",
    "vae/config.json",
    "text_encoder/config.json",
    "scheduler/scheduler_config.json",
    "tokenizer/tokenizer_config.json",
)


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


def change(folder: Path, file: str, **values: Any) -> None:
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("file", "key", "value", "expected"),
    [
        (TRANSFORMER, "num_layers", "two", r"num_layers='two'; it must be a whole number"),
        (TRANSFORMER, "num_layers", None, r"num_layers=None; it must be a whole number"),
        (TRANSFORMER, "num_layers", 10**9, r"num_layers=1000000000 in config\.json is no size"),
        (TRANSFORMER, "num_layers", -1, r"num_layers=-1 in config\.json is no size"),
        (TRANSFORMER, "max_text_seq_length", 0, r"max_text_seq_length=0 in config\.json is no size"),
        (
            TRANSFORMER,
            "router_type",
            "other",
            r"router_type='other' in config\.json: router_type must be one of \('mlp', 'linear'\)",
        ),
        (TRANSFORMER, "routing", "other", r"routing='other' in config\.json: routing must be one of \('argmax', "),
        (TRANSFORMER, "canvas_placement", True, r"canvas_placement=True; it must be one of 'before', 'after'"),
        (TRANSFORMER, "activation_fn", "other", r"activation_fn='other' in config\.json: "),
        (TRANSFORMER, "norm_eps", float("inf"), r"config\.json .*(Infinity|finite|number)"),
        (TRANSFORMER, "patch_size", 0, r"patch_size=0 in config\.json is no size"),
        (TRANSFORMER, "identity_modules", 1, r"identity_modules=1; it must be true or false"),
        (TRANSFORMER, "stranger", 1, r"stranger"),
        (VAE, "down_block_types", ["Stranger"] * 3, r"down_block_types=\['Stranger', .* in config\.json: Invalid"),
        (VAE, "block_out_channels", "many", r"block_out_channels='many'; it must be a list of a whole number"),
        (VAE, "block_out_channels", [4, "x", 8], r"block_out_channels=\[4, 'x', 8\]; it must be a list of"),
        (VAE, "act_fn", "other", r"act_fn='other' in config\.json: "),
        (VAE, "scaling_factor", "0.7", r"scaling_factor='0\.7'; it must be a number"),
        (VAE, "norm_num_groups", 3, r"config\.json: num_channels \(4\) must be divisible by num_groups \(3\)"),
        (TEXT, "num_heads", "two", r"num_heads"),
        (TEXT, "d_model", [], r"d_model"),
        (TEXT, "feed_forward_proj", "a-b-c", r"feed_forward_proj"),
        (SCHEDULER, "num_train_timesteps", "many", r"num_train_timesteps='many'; it must be a whole number"),
        (SCHEDULER, "num_train_timesteps", 10**9, r"num_train_timesteps=1000000000 in scheduler_config\.json is no"),
        (SCHEDULER, "beta_schedule", "other", r"beta_schedule='other'; it must be one of linear, scaled_linear, "),
        (SCHEDULER, "prediction_type", "other", r"prediction_type='other'; it must be one of epsilon, sample, v_"),
        (SCHEDULER, "timestep_spacing", None, r"timestep_spacing=None; it must be one of linspace, leading, "),
        (SCHEDULER, "_class_name", None, r"The scheduler None in .* is not supported"),
        (SCHEDULER, "_class_name", ["a"], r"The scheduler \['a'\] in .* is not supported"),
    ],
)
def test_a_wrong_value_is_named(folder: Path, file: str, key: str, value: Any, expected: str) -> None:
    change(folder, file, **{key: value})
    with pytest.raises(ModelFolderError, match=expected) as caught:
        load_pipeline(folder, device="cpu")
    assert file.split("/")[0] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["model_index.json", TRANSFORMER, VAE, TEXT, SCHEDULER, TOKENIZER])
@pytest.mark.parametrize("content", ["<html>Log in</html>", "null", "[]", "", '{"a": '])
def test_what_is_no_json_object_is_named(folder: Path, file: str, content: str) -> None:
    (folder / file).write_text(content)
    try:
        load_pipeline(folder, device="cpu")
    except UserInputError as error:
        assert Path(file).name in str(error)  # noqa: PT017 - the index alone is only looked for
    else:
        assert file == "model_index.json"


def test_a_missing_tokenizer_config_is_named(folder: Path) -> None:
    (folder / TOKENIZER).unlink()
    with pytest.raises(ModelFolderError, match=r"lacks .*tokenizer_config\.json; copy the folder again"):
        load_pipeline(folder, device="cpu")


@pytest.mark.parametrize("weight_map", [None, [], {"a": 3}, {"a": "../../secret.safetensors"}])
def test_an_index_that_names_no_files_of_its_folder_is_refused(folder: Path, weight_map: Any) -> None:
    (folder / "vae/diffusion_pytorch_model.safetensors").unlink()
    index = folder / "vae/diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(ModelFolderError, match=r"diffusion_pytorch_model\.safetensors\.index\.json"):
        load_pipeline(folder, device="cpu")
