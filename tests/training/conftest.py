import dataclasses
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLCogVideoX
from transformers import T5Config, T5EncoderModel

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.protocols import ImageFeatures
from ingredients.data.identity_encoder import PhotoEncoder
from ingredients.data.latent_pool import LatentPool, grow_pool, pool_fingerprint
from ingredients.data.world_clips import WorldClipConfig
from ingredients.models import IngredientsTransformer3DModel
from ingredients.training.diffusion_stage import FrozenParts
from ingredients.training.text_encoder import build_tokenizer

CLIP_CONFIG = WorldClipConfig(crop_size=16, portrait_size=48)


class ColourRecogniser:
    """A face network of one layer: mean colours of a crop."""

    crop_size = 16
    embedding_dim = 6

    def align(self, image: UInt8Array, landmarks: Float32Array) -> UInt8Array:
        raise NotImplementedError

    def embed(self, crops: UInt8Array) -> torch.Tensor:
        halves = torch.from_numpy(crops).float().unflatten(1, (2, -1)).mean(dim=(2, 3)) / 255
        return halves.flatten(1)  # (B, 6)


class ColourImageEncoder:
    """An image encoder of one layer: colours of four patches, five times."""

    crop_size = 16
    embedding_dim = 3

    def encode(self, crops: UInt8Array) -> ImageFeatures:
        patches = torch.from_numpy(crops).float().unflatten(1, (4, -1)).mean(dim=(2, 3)) / 255  # (B, 4, 3)
        return ImageFeatures(
            embeds=patches.mean(dim=1) + 0.1, hidden_states=tuple(patches * scale for scale in range(1, 6))
        )


@dataclasses.dataclass
class TinyWorld:
    """Everything that a diffusion stage needs, in a second."""

    parts: FrozenParts

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


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    torch.manual_seed(0)
    vae = AutoencoderKLCogVideoX(
        block_out_channels=(4, 4, 4),
        down_block_types=("CogVideoXDownBlock3D",) * 3,
        up_block_types=("CogVideoXUpBlock3D",) * 3,
        latent_channels=3,
        layers_per_block=1,
        norm_num_groups=2,
        scaling_factor=2.0,
    ).eval()
    tokenizer = build_tokenizer()
    text_encoder = T5EncoderModel(
        T5Config(vocab_size=len(tokenizer), d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, dropout_rate=0.0)
    ).eval()
    folder: Path = tmp_path_factory.mktemp("latents")
    grow_pool(folder, vae, CLIP_CONFIG, num_clips=5)
    pool = LatentPool(folder, pool_fingerprint(vae, CLIP_CONFIG))
    encoder = PhotoEncoder(pool, ColourRecogniser(), ColourImageEncoder())
    return TinyWorld(
        parts=FrozenParts(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            pool=pool,
            validation_pool=pool,
            photo_encoder=encoder,
            validation_photo_encoder=encoder,
        )
    )
