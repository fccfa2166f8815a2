"""The paper's modules on diffusers' CogVideoX: projector, router, transformer, and the way to published weights."""

from ingredients.models.identity_features import IdentityFeatures
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel, IngredientsTransformerOutput

__all__ = ["IdentityFeatures", "IngredientsTransformer3DModel", "IngredientsTransformerOutput"]
