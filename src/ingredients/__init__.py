"""Videos of several people from their photos and a sentence.

Importing this package costs next to nothing: PyTorch and the models are imported with the first name that needs them.
"""

from typing import TYPE_CHECKING

from ingredients.core.lazy_exports import lazy_exports
from ingredients.core.quiet_imports import import_torchao_quietly
from ingredients.core.version import VERSION

if TYPE_CHECKING:
    from ingredients.media.video import write_video
    from ingredients.pipelines.loading import load_pipeline
    from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
    from ingredients.pipelines.pipeline_output import to_pixels

__version__ = VERSION

__all__ = ["IngredientsPipeline", "__version__", "load_pipeline", "to_pixels", "write_video"]

import_torchao_quietly()

if not TYPE_CHECKING:
    __getattr__ = lazy_exports(
        __name__,
        {
            "IngredientsPipeline": "ingredients.pipelines.pipeline_ingredients",
            "load_pipeline": "ingredients.pipelines.loading",
            "to_pixels": "ingredients.pipelines.pipeline_output",
            "write_video": "ingredients.media.video",
        },
    )
