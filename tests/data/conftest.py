import shutil
from pathlib import Path

import pytest
from diffusers import AutoencoderKLCogVideoX

from ingredients.data.encoded_clips import EncodedClips
from ingredients.data.world_folder import write_world_folder
from tests.data import drawn_clips
from tests.data.encoding import encode_world
from tests.models.tiny import tiny_cogvideox_vae


@pytest.fixture(scope="session")
def tiny_vae() -> AutoencoderKLCogVideoX:
    return tiny_cogvideox_vae()


@pytest.fixture(scope="session")
def encoded_folder(tmp_path_factory: pytest.TempPathFactory, tiny_vae: AutoencoderKLCogVideoX) -> Path:
    folder = tmp_path_factory.mktemp("encoded")
    encode_world(folder, tiny_vae, number=6)
    return folder


@pytest.fixture(scope="session")
def clips(encoded_folder: Path) -> EncodedClips:
    return EncodedClips([encoded_folder])


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of three drawn clips, to be left as it is."""
    folder = tmp_path_factory.mktemp("data") / "clips"
    write_world_folder(folder, drawn_clips.SEEDS, num_references=1, **drawn_clips.SIZE)
    return folder


@pytest.fixture
def folder(drawn: Path, tmp_path: Path) -> Path:
    """The same, free to be damaged."""
    copy = tmp_path / "clips"
    shutil.copytree(drawn, copy)
    return copy
