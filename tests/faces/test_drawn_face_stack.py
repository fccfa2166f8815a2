import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from safetensors.torch import load_file, save_file

from ingredients.core.errors import ModelFolderError, UserInputError
from ingredients.faces.detector import HeatmapFaceDetector
from ingredients.faces.dlib_faces import DlibFaceDetector
from ingredients.faces.drawn_face_stack import load_judge, save_judge
from ingredients.faces.face_stack import load_face_stack
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.faces.judge_recogniser import DepthwiseFaceNetwork
from ingredients.faces.network_settings import JudgeConfig

from .tiny_faces import noise_photo, tiny_stack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_stack().save(tmp_path / "face_encoder")
    return tmp_path / "face_encoder"


def test_a_stack_comes_back_as_it_was(folder: Path) -> None:
    stack, loaded = tiny_stack(), load_face_stack(folder)
    assert loaded.config == stack.config
    assert loaded.image_encoder.config == stack.image_encoder.config
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "detector.safetensors",
        "image_encoder",
        "recogniser.safetensors",
    ]
    crops = np.stack([noise_photo(seed, 32, 32) for seed in range(3)])
    torch.testing.assert_close(loaded.recogniser.embed(crops), stack.recogniser.embed(crops), rtol=0.02, atol=0.02)
    before, after = stack.image_encoder.encode(crops), loaded.image_encoder.encode(crops)
    torch.testing.assert_close(after.embeds, before.embeds, rtol=0.02, atol=0.02)
    sentence = ["Two people wave on a beach."]
    torch.testing.assert_close(
        loaded.image_encoder.encode_text(sentence), stack.image_encoder.encode_text(sentence), rtol=0.02, atol=0.02
    )
    assert loaded.facial_extractor().same_face_threshold == 0.7


def test_dlib_may_find_the_faces_of_photographs(folder: Path) -> None:
    """In photos alone: what the model draws is looked at by its own detector, and nothing of it is kept."""
    stack = load_face_stack(folder, name="dlib")
    astronaut = np.asarray(skimage.data.astronaut())
    identities = stack.facial_extractor().extract([IdentityPhotos(name="ana", images=[astronaut])])
    (face,) = DlibFaceDetector().detect(astronaut)
    np.testing.assert_array_equal(identities.photos[0][0].face.box, face.box)
    assert identities.warnings == ()
    assert isinstance(stack.detector, HeatmapFaceDetector)
    stack.save(folder)
    assert load_face_stack(folder, name="drawn").facial_extractor().detector is not stack.facial_extractor().detector
    with pytest.raises(
        UserInputError, match="trained with the face stack drawn, which antelopev2 cannot stand in for"
    ):
        load_face_stack(folder, name="antelopev2")


def test_weights_are_stored_in_half_precision(folder: Path) -> None:
    tensors = load_file(folder / "recogniser.safetensors")
    assert {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()} == {torch.float16}


@pytest.mark.parametrize(
    "name", ["config.json", "detector.safetensors", "recogniser.safetensors", "image_encoder/model.safetensors",
             "image_encoder/config.json", "image_encoder/vocabulary.json"]
)  # fmt: skip
def test_a_missing_or_damaged_part_is_named(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(b"\x00 no such thing")
    with pytest.raises(ModelFolderError, match=path.name):
        load_face_stack(folder)
    path.unlink()
    with pytest.raises(ModelFolderError, match=path.name):
        load_face_stack(folder)


def _change(path: Path, change: dict[str, torch.Tensor | None]) -> None:
    tensors = load_file(path) | change
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embedding.weight": torch.zeros(2, 3)}, r"embedding\.weight.*\(2, 3\).*\(11, 40\)"),
        ({"embedding.weight": None}, r"lack tensor embedding\.weight"),
        ({"embedding.strange": torch.zeros(1)}, r"unknown tensor embedding\.strange"),
    ],
)
def test_weights_are_loaded_strictly(folder: Path, change: dict[str, torch.Tensor | None], message: str) -> None:
    _change(folder / "recogniser.safetensors", change)
    with pytest.raises(ModelFolderError, match=message):
        load_face_stack(folder)


def test_an_unknown_setting_is_refused(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | {"colour": 3}))
    with pytest.raises(ModelFolderError, match="colour"):
        load_face_stack(folder)


def test_a_vocabulary_of_another_length_is_refused(folder: Path) -> None:
    (folder / "image_encoder" / "vocabulary.json").write_text('{"words": ["two"]}')
    with pytest.raises(ModelFolderError, match="1 words"):
        load_face_stack(folder)


def test_the_judge_has_a_folder_of_its_own(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = JudgeConfig(crop_size=32, embedding_dim=13, widths=(4, 6), depths=(1, 2))
    network = DepthwiseFaceNetwork(config).eval()
    save_judge(network, config, tmp_path / "judge")
    judge = load_judge(tmp_path / "judge")
    crops = np.stack([noise_photo(seed, 32, 32) for seed in range(2)])
    assert judge.embed(crops).shape == (2, 13)
    assert judge.crop_size == 32
    assert judge.embedding_dim == 13
