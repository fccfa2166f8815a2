"""Names in a model folder, for who looks for its files without loading anything."""

MODEL_INDEX = "model_index.json"
PIPELINE_CLASS = "IngredientsPipeline"
"""The class that the index names, as diffusers writes it."""

FACE_ENCODER = "face_encoder"
JUDGE_FOLDER = "judge"
"""Networks that only measure: they have no part in any conditioning."""

TRANSFORMER = "transformer"
TRANSFORMER_EMA = "transformer_ema"
"""Averaged weights, which come first where a folder has both, as in the published code."""

TRANSFORMER_CONFIG = "transformer/config.json"

IDENTITY_FOLDER = "identity"
"""Identity weights beside a base."""
