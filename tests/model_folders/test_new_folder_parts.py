"""A model folder around another transformer: which files go along, in which form."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ingredients.core.errors import ModelFolderError
from ingredients.faces.face_stack import load_face_stack
from ingredients.faces.face_stack_names import ANTELOPE_FOLDER
from ingredients.faces.network_settings import ScaleSource
from ingredients.model_folders.new_folder_parts import copy_face_encoder, copy_model_parts, forget_paths
from tests.pipelines.stand_ins import make_face_stack, make_pipeline

VAE = "vae/diffusion_pytorch_model"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    make_pipeline(face_encoder=make_face_stack()).save_pretrained(folder)
    return folder


def test_what_is_not_read_stays_behind(model: Path, tmp_path: Path) -> None:
    names = (
        "LICENSE.txt",
        "README.md",
        "residual_magnitudes.json",
        "speed_defaults.json",
        "vae/notes.md",
        "gallery/picture.png",
        "judge/a.json",
    )
    for name in names:
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_text("{}")
    copy_model_parts(model, tmp_path / "out")
    copied = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    assert {"LICENSE.txt", "speed_defaults.json", "judge/a.json", "model_index.json", f"{VAE}.safetensors"} <= copied
    assert not copied & {"README.md", "residual_magnitudes.json", "vae/notes.md", "gallery/picture.png"}
    assert not any(name.startswith(("transformer/", "face_encoder/")) for name in copied)


def test_the_index_of_a_base_names_our_transformer(model: Path, tmp_path: Path) -> None:
    path = model / "model_index.json"
    index = json.loads(path.read_text())
    scheduler = index["scheduler"]
    index |= {"_class_name": "CogVideoXPipeline", "_name_or_path": "/home/somebody/base", "safety": ["a", "B"]}
    path.write_text(json.dumps(index | {"transformer": ["diffusers", "CogVideoXTransformer3DModel"]}))
    copy_model_parts(model, tmp_path / "out")
    written = json.loads((tmp_path / "out/model_index.json").read_text())
    assert written["_class_name"] == "IngredientsPipeline"
    assert written["transformer"][1] == "IngredientsTransformer3DModel"
    assert written["scheduler"] == scheduler
    assert not {"_name_or_path", "safety"} & written.keys()


def test_pickles_become_safetensors(model: Path, tmp_path: Path) -> None:
    weights = load_file(model / f"{VAE}.safetensors")
    torch.save({name: tensor.half() for name, tensor in weights.items()}, model / f"{VAE}.bin")
    (model / f"{VAE}.safetensors").unlink()
    copy_model_parts(model, tmp_path / "out")
    written = load_file(tmp_path / "out" / f"{VAE}.safetensors")
    assert all(torch.equal(written[name], tensor.half()) for name, tensor in weights.items())
    assert not (tmp_path / "out" / f"{VAE}.bin").exists()


def test_a_damaged_part_is_named(model: Path, tmp_path: Path) -> None:
    path = model / "text_encoder/model.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ModelFolderError, match=r"text_encoder/model\.safetensors are damaged"):
        copy_model_parts(model, tmp_path / "out")


@pytest.mark.parametrize("scale_source", ["clip", "recognition_and_clip"])
def test_only_the_features_of_face_networks_may_change(model: Path, tmp_path: Path, scale_source: ScaleSource) -> None:
    copy_face_encoder(model / "face_encoder", tmp_path / "out", scale_source=scale_source)
    for path in (each for each in (model / "face_encoder").rglob("*") if each.is_file()):
        copied = tmp_path / "out/face_encoder" / path.relative_to(model / "face_encoder")
        is_kept = scale_source == "clip" or path.name != "config.json" or path.parent.name != "face_encoder"
        assert (copied.read_bytes() == path.read_bytes()) == is_kept
    stack = load_face_stack(tmp_path / "out/face_encoder")
    assert stack.facial_extractor().scale_source == scale_source


def test_of_published_face_networks_only_those_that_are_read(tmp_path: Path) -> None:
    networks = tmp_path / "faces" / ANTELOPE_FOLDER
    networks.mkdir(parents=True)
    for name in ("glintr100.onnx", "scrfd_10g_bnkps.onnx", "1k3d68.onnx"):
        (networks / name).write_bytes(b"network")
    for name in ("EVA02_CLIP_L_336_psz14_s6B.pt", "detection_Resnet50_Final.pth"):
        (tmp_path / "faces" / name).write_bytes(b"network")
    copy_face_encoder(tmp_path / "faces", tmp_path / "out", scale_source="clip")
    assert sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file()) == [
        "EVA02_CLIP_L_336_psz14_s6B.pt", "glintr100.onnx", "scrfd_10g_bnkps.onnx",
    ]  # fmt: skip


def test_paths_of_this_machine_are_forgotten(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    values = {"_name_or_path": "/home/somebody/model", "name_or_path": "google/t5", "width": 3}
    (tmp_path / "part/config.json").write_text(json.dumps(values))
    (tmp_path / "part/words.json").write_text('["/home"]')
    (tmp_path / "kept.json").write_text('{"width":3}')
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    forget_paths(tmp_path)
    assert json.loads((tmp_path / "part/config.json").read_text()) == values | {"_name_or_path": ""}
    assert (tmp_path / "part/words.json").read_text() == '["/home"]'
    assert (tmp_path / "kept.json").read_text() == '{"width":3}'
