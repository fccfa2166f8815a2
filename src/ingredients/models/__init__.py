"""The paper's modules on diffusers' CogVideoX: projector, router, transformer, and the way to published weights."""

from typing import TYPE_CHECKING

from ingredients.core.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from ingredients.models.identity_features import IdentityFeatures
    from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel, IngredientsTransformerOutput

__all__ = ["IdentityFeatures", "IngredientsTransformer3DModel", "IngredientsTransformerOutput"]

if not TYPE_CHECKING:
    __getattr__ = lazy_exports(
        __name__,
        {
            "IdentityFeatures": "ingredients.models.identity_features",
            "IngredientsTransformer3DModel": "ingredients.models.transformer_ingredients",
            "IngredientsTransformerOutput": "ingredients.models.transformer_ingredients",
        },
    )
