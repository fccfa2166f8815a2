"""The drawn world: people, portraits and clips made from a seed, with their exact truth."""

from ingredients.world.captions import (
    Role,
    SceneAttributes,
    describe_portrait,
    describe_scene,
    phrase_of,
    role_vocabulary,
    vocabulary,
)
from ingredients.world.identity import Identity, Split, sample_identity
from ingredients.world.portraits import Portrait, render_portrait
from ingredients.world.scenes import MAX_PEOPLE, Scene, SceneSpec, render_scene, sample_scene
from ingredients.world.styles import EACH_OWN, STYLES, TOGETHER, SceneStyle

WORLD_VERSION = "1"
"""Changes whenever the same seed would draw another picture; caches made from another version are refused."""

__all__ = [
    "EACH_OWN",
    "MAX_PEOPLE",
    "STYLES",
    "TOGETHER",
    "WORLD_VERSION",
    "Identity",
    "Portrait",
    "Role",
    "Scene",
    "SceneAttributes",
    "SceneSpec",
    "SceneStyle",
    "Split",
    "describe_portrait",
    "describe_scene",
    "phrase_of",
    "render_portrait",
    "render_scene",
    "role_vocabulary",
    "sample_identity",
    "sample_scene",
    "vocabulary",
]
