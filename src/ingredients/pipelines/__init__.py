"""From photos and a sentence to a video: the pipeline, and the door through which its model is loaded."""

from typing import TYPE_CHECKING

from ingredients.core.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from ingredients.model_folders.find_model import default_model_path
    from ingredients.pipelines.loading import load_pipeline
    from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
    from ingredients.pipelines.pipeline_output import IngredientsPipelineOutput

__all__ = ["IngredientsPipeline", "IngredientsPipelineOutput", "default_model_path", "load_pipeline"]

if not TYPE_CHECKING:
    __getattr__ = lazy_exports(
        __name__,
        {
            "IngredientsPipeline": "ingredients.pipelines.pipeline_ingredients",
            "IngredientsPipelineOutput": "ingredients.pipelines.pipeline_output",
            "default_model_path": "ingredients.model_folders.find_model",
            "load_pipeline": "ingredients.pipelines.loading",
        },
    )
