"""Models that are known by a short name: where they are, under which terms, and how large they are.

Sizes are computed from the number of parameters at two bytes each, as most weights are kept; `ingredients download`
asks the hub for the bytes of the files themselves.
"""

import dataclasses
from collections.abc import Mapping

from ingredients.core.memory_mode import MemoryMode
from ingredients.model_folders.hub_model import HubModel

SMALL_WORLD = "small-world"

_BASE = 5.57e9 + 4.76e9 + 0.22e9
"""Transformer, text encoder and VAE of CogVideoX-5B."""

_PEOPLE = 1.47e9 + 0.43e9 + 0.07e9
"""Identity modules, image encoder (its file holds a text tower, too), detector and recogniser."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """One of them."""

    name: str
    """What it is called on the command line."""

    source: HubModel | None
    """Its repository, at a commit where one is known; None for the model that ships."""

    takes_people: bool
    """Whether it has identity modules; a base needs some beside it."""

    num_parameters: float
    """The parameters of all networks that are read."""

    memory: Mapping[MemoryMode, int]
    """Bytes of GPU memory by mode, as `memory_estimate` counts them for a video of two people of its own shape."""

    licence: str
    """Its terms, in short; `docs/published_weights.md` has them file by file."""

    description: str
    """What it is for."""

    @property
    def num_bytes(self) -> float:
        """Its size, computed."""
        return 2 * self.num_parameters


def _memory(**needs: int) -> Mapping[MemoryMode, int]:
    return {MemoryMode(mode): need for mode, need in needs.items()}


_BASE_MEMORY = _memory(full=39_613_996_486, balanced=16_353_848_774, low=5_212_889_414, minimal=2_160_550_214)

KNOWN_MODELS = (
    KnownModel(
        name=SMALL_WORLD,
        source=None,
        takes_people=True,
        num_parameters=12.8e6,
        memory=_memory(full=60_417_614, balanced=59_394_382, low=45_274_182, minimal=45_274_182),
        licence="Apache-2.0",
        description="ships with the package: drawn people in small videos, for any computer",
    ),
    KnownModel(
        name="published",
        source=HubModel(repo_id="feizhengcong/Ingredients"),
        takes_people=True,
        num_parameters=_BASE + _PEOPLE,
        memory=_memory(full=43_089_410_118, balanced=19_829_262_406, low=5_741_371_718, minimal=2_689_032_518),
        licence="CogVideoX licence; face networks for non-commercial use only",
        description="the authors' weights: photographs of people, 49 frames of 480x720, for a GPU",
    ),
    KnownModel(
        name="cogvideox-5b-i2v",
        source=HubModel(repo_id="zai-org/CogVideoX-5b-I2V", revision="a6f0f4858a8395e7429d82493864ce92bf73af11"),
        takes_people=False,
        num_parameters=_BASE,
        memory=_BASE_MEMORY,
        licence="CogVideoX licence",
        description="image-to-video base, for identity weights of your own",
    ),
    KnownModel(
        name="cogvideox-5b",
        source=HubModel(repo_id="zai-org/CogVideoX-5b", revision="8d6ea3f817438460b25595a120f109b88d5fdfad"),
        takes_people=False,
        num_parameters=_BASE,
        memory=_BASE_MEMORY,
        licence="CogVideoX licence",
        description="text-to-video base, for identity weights of your own",
    ),
)


def find_known_model(name: str) -> KnownModel | None:
    """The model of that name."""
    return next((model for model in KNOWN_MODELS if model.name == name), None)
