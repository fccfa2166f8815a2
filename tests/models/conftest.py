import pytest
from diffusers import AutoencoderKLCogVideoX

from tests.models.tiny import tiny_cogvideox_vae


@pytest.fixture(scope="session")
def tiny_vae() -> AutoencoderKLCogVideoX:
    return tiny_cogvideox_vae()
