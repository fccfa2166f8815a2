"""The published face stack, from a folder of the published layout."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from torch.nn import functional as F

from ingredients.core.errors import ModelFolderError, NoFaceError, UserInputError
from ingredients.faces.alignment import crop_ffhq
from ingredients.faces.antelope_face_stack import AntelopeFaceStack
from ingredients.faces.dlib_faces import DlibFaceDetector
from ingredients.faces.face_stack import load_face_stack
from ingredients.faces.identity_photos import IdentityPhotos
from tests.faces.antelope_folder import EVA_NAME, NETWORKS, RECOGNITION_DIM, draw_blue_face, write_antelope_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_antelope_folder(tmp_path / "face_encoder")


def test_people_are_read_as_the_published_pipeline_reads_them(folder: Path) -> None:
    stack = load_face_stack(folder)
    assert isinstance(stack, AntelopeFaceStack)
    photos = [draw_blue_face(0), draw_blue_face(1)]
    people = [IdentityPhotos(name=name, images=[photo]) for name, photo in zip(("ana", "ben"), photos, strict=True)]
    identities = stack.facial_extractor().extract(people)
    assert identities.canvas_crops.shape == (2, 40, 40, 3)
    assert [tuple(states.shape) for states in identities.id_vit_hidden_states] == [(2, 5, 24)] * 5
    for photo, embeds in zip(photos, identities.id_embeds, strict=True):
        (face,) = stack.detector.detect(photo)
        wide = crop_ffhq(photo, face.landmarks, size=512)
        torch.testing.assert_close(embeds[:RECOGNITION_DIM], stack.recogniser.embed(wide[None])[0])  # unnormalised
        tower_crop = crop_ffhq(photo, face.landmarks, size=stack.image_encoder.crop_size)
        semantic = F.normalize(stack.image_encoder.encode(tower_crop[None]).embeds[0], dim=0)
        torch.testing.assert_close(embeds[RECOGNITION_DIM:], semantic)
    with pytest.raises(
        NoFaceError, match=r"No face was found in photo 1 of cleo\. Give a photo that shows the face larger"
    ):
        stack.facial_extractor().extract([IdentityPhotos(name="cleo", images=[np.full((99, 80, 3), 90, np.uint8)])])


def test_what_was_read_can_be_saved(folder: Path, tmp_path: Path) -> None:
    stack, copy = load_face_stack(folder), tmp_path / "copy"
    stack.save(copy)
    files = sorted(str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file())
    assert files == [EVA_NAME, "config.json", *NETWORKS]
    crops = draw_blue_face(2)[None]
    copied = load_face_stack(copy).image_encoder.encode(crops).embeds
    assert torch.equal(copied, stack.image_encoder.encode(crops).embeds)
    stack.save(folder)  # over itself, which changes nothing
    assert load_face_stack(folder).canvas_crop_size == 40


def test_dlib_may_find_the_faces(folder: Path, tmp_path: Path) -> None:
    """By the folder's settings or by the caller's word; recogniser and image encoder stay the model's."""
    astronaut = np.asarray(skimage.data.astronaut())
    people = [IdentityPhotos(name="ana", images=[astronaut])]
    by_word = load_face_stack(folder, name="dlib")
    (folder / NETWORKS[1]).unlink()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"detector": "dlib"}))
    by_settings = load_face_stack(folder)
    by_settings.save(tmp_path / "copy")
    assert not (tmp_path / "copy" / NETWORKS[1]).exists()
    (face,) = DlibFaceDetector().detect(astronaut)
    wide = crop_ffhq(astronaut, face.landmarks, size=512)
    for stack in (by_word, by_settings, load_face_stack(tmp_path / "copy"), load_face_stack(folder, name="dlib")):
        identities = stack.facial_extractor().extract(people)
        torch.testing.assert_close(identities.recognition_embeds[0], stack.recogniser.embed(wide[None])[0])
        assert identities.warnings == ()
    by_word.save(tmp_path / "word")
    assert json.loads((tmp_path / "word" / "config.json").read_text())["detector"] == "dlib"
    with pytest.raises(NoFaceError, match="Give a photo that shows the face larger"):
        by_word.facial_extractor().extract([IdentityPhotos(name="ana", images=[draw_blue_face(0)])])


def test_another_stack_cannot_stand_in(folder: Path) -> None:
    assert isinstance(load_face_stack(folder, name="antelopev2"), AntelopeFaceStack)
    with pytest.raises(
        UserInputError, match="trained with the face stack antelopev2, which drawn cannot stand in for"
    ):
        load_face_stack(folder, name="drawn")


@pytest.mark.parametrize("name", [EVA_NAME, *NETWORKS])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelFolderError, match=rf"lacks .*{Path(name).name}"):
        load_face_stack(folder)


def test_a_pickle_runs_no_code(folder: Path) -> None:
    torch.save({"visual.cls_token": Path("x")}, folder / EVA_NAME)
    with pytest.raises(ModelFolderError, match=r"s6B\.pt"):
        load_face_stack(folder)


def test_files_of_old_versions_of_torch_are_read(folder: Path) -> None:
    weights = torch.load(folder / EVA_NAME, weights_only=True)
    torch.save(weights, folder / EVA_NAME, _use_new_zipfile_serialization=False)
    assert load_face_stack(folder).image_encoder.embedding_dim == 20
    (folder / EVA_NAME).write_bytes(b"")
    with pytest.raises(ModelFolderError, match=r"s6B\.pt are damaged"):
        load_face_stack(folder)


def test_settings_that_are_none_are_refused(folder: Path) -> None:
    (folder / "config.json").write_text('{"recognition_input": "sideways"}')
    with pytest.raises(ModelFolderError, match=r"config\.json does not describe an antelopev2 face stack.*sideways"):
        load_face_stack(folder)


def test_a_folder_of_neither_kind_says_so(folder: Path) -> None:
    shutil.rmtree(folder / "models")
    (folder / "config.json").unlink()
    with pytest.raises(ModelFolderError, match=r"no face stack: it has neither config\.json nor models/antelopev2"):
        load_face_stack(folder)
