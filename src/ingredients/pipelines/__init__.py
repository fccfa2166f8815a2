"""From photos and a sentence to a video: the pipeline, and the door through which its model is loaded."""

from typing import TYPE_CHECKING

from ingredients.core.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from ingredients.model_folders.find_model import default_model_path
    from ingredients.pipelines.inputs import Branches
    from ingredients.pipelines.loading import load_pipeline
    from ingredients.pipelines.people import PeopleEmbeds
    from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
    from ingredients.pipelines.pipeline_output import IngredientsPipelineOutput

__all__ = [
    "Branches",
    "IngredientsPipeline",
    "IngredientsPipelineOutput",
    "PeopleEmbeds",
    "default_model_path",
    "load_pipeline",
]

if not TYPE_CHECKING:
    __getattr__ = lazy_exports(
        __name__,
        {
            "Branches": "ingredients.pipelines.inputs",
            "IngredientsPipeline": "ingredients.pipelines.pipeline_ingredients",
            "IngredientsPipelineOutput": "ingredients.pipelines.pipeline_output",
            "PeopleEmbeds": "ingredients.pipelines.people",
            "default_model_path": "ingredients.model_folders.find_model",
            "load_pipeline": "ingredients.pipelines.loading",
        },
    )
