import dataclasses
from pathlib import Path

import pytest
import torch

from ingredients.data.encoded_clips import EncodedClips
from ingredients.models import IngredientsTransformer3DModel
from ingredients.training.loop.stage import StepOutput, StepPosition
from ingredients.training.stages.diffusion import DiffusionStage, FrozenParts
from tests.data.encoding import encode_world
from tests.models.tiny import tiny_cogvideox_vae


@dataclasses.dataclass
class TinyWorld:
    """Everything that a diffusion stage needs, in a second."""

    parts: FrozenParts
    folder: Path

    def transformer(self, **overrides: object) -> IngredientsTransformer3DModel:
        torch.manual_seed(0)
        config: dict[str, object] = {
            "num_attention_heads": 2,
            "attention_head_dim": 16,
            "in_channels": 6,
            "out_channels": 3,
            "time_embed_dim": 12,
            "text_embed_dim": 8,
            "num_layers": 2,
            "sample_height": 16,
            "sample_width": 24,
            "sample_frames": 9,
            "max_text_seq_length": 20,
            "use_rotary_positional_embeddings": True,
            "id_recognition_dim": 6,
            "id_semantic_dim": 3,
            "id_vit_dim": 3,
            "id_mapping_dim": 10,
            "id_qformer_dim": 14,
            "id_qformer_depth": 5,
            "id_qformer_num_heads": 1,
            "id_qformer_head_dim": 7,
            "id_qformer_ff_mult": 1,
            "id_num_id_tokens": 2,
            "id_num_queries": 4,
            "id_token_dim": 9,
            "id_attn_num_heads": 1,
            "id_attn_head_dim": 11,
            "router_type": "mlp",
            "router_inner_dim": 13,
            "routing": "argmax",
        }
        return IngredientsTransformer3DModel(**(config | overrides))


def open_world(folder: Path) -> TinyWorld:
    """The world whose clips were encoded into a folder, in any process."""
    clips = EncodedClips([folder])
    return TinyWorld(parts=FrozenParts(vae=tiny_cogvideox_vae(), clips=clips, validation_clips=clips), folder=folder)


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    folder: Path = tmp_path_factory.mktemp("encoded")
    encode_world(folder, tiny_cogvideox_vae(), number=5)
    return open_world(folder)


def compute_step(stage: DiffusionStage, *, step: int = 0, progress: float = 0.0) -> StepOutput:
    """The loss of a step in one backward pass."""
    (batch,) = batches = stage.data.draw(StepPosition(step=step, progress=progress, seed=0))
    return stage.loss(batch, stage.counts(batches))


def measured(output: StepOutput, name: str) -> float:
    """A metric's average."""
    value = output.metrics[name]
    return float(value[0]) / float(value[1]) if isinstance(value, tuple) else float(value)
