"""From photos and a sentence to a video: the pipeline, and the door through which its model is loaded."""

from ingredients.pipelines.loading import default_model_path, load_pipeline
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.pipelines.pipeline_output import IngredientsPipelineOutput

__all__ = ["IngredientsPipeline", "IngredientsPipelineOutput", "default_model_path", "load_pipeline"]
