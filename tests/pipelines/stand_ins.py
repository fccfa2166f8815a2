"""A pipeline of tiny real parts, every axis of another size.

A video of 24 x 40 pixels and 9 frames has latents of 3 frames, 3 channels, 6 rows and 10 columns, and 3 x 3 x 5
tokens.
"""

import dataclasses
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDPMScheduler
from transformers import T5Config, T5EncoderModel, T5Tokenizer

from ingredients.core.arrays import UInt8Array
from ingredients.core.protocols import Face
from ingredients.faces.alignment import FFHQ_TEMPLATE
from ingredients.faces.detector import FaceHeatmapNetwork, HeatmapFaceDetector
from ingredients.faces.drawn_face_stack import DrawnFaceStack, DrawnFaceStackConfig
from ingredients.faces.image_encoder import SPECIAL_WORDS, DualEncoder, WordTokenizer, build_clip
from ingredients.faces.network_settings import DetectorConfig, ImageEncoderConfig, RecogniserConfig
from ingredients.faces.recogniser import ArcFaceRecogniser, ResidualFaceNetwork
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from ingredients.pipelines.people import PeopleEmbeds
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline

HEIGHT, WIDTH, NUM_FRAMES = 24, 40, 9
TOKEN_GRID = (3, 3, 5)
LATENT_SHAPE = (3, 3, 6, 10)  # frames, channels, rows, columns
TEXT_TOKENS, TEXT_DIM = 7, 12
RECOGNITION_DIM, SEMANTIC_DIM, VIT_DIM, VIT_TOKENS, NUM_SCALES = 11, 10, 18, 5, 5
NUM_BLOCKS = 2
WORDS = ["two", "people", "wave", "on", "a", "beach", "and", "smile", "at", "night"]
PROMPT = "two people wave"


class CentreFaceDetector:
    """Sees one face, in the middle of every photo that is not black."""

    def detect(self, image: UInt8Array) -> list[Face]:
        height, width = image.shape[:2]
        if not image.any():
            return []
        side = min(height, width)
        corner = np.array([(width - side) / 2, (height - side) / 2])
        landmarks = np.array(FFHQ_TEMPLATE) * side + corner
        box = np.concatenate([corner, corner + side]).astype(np.float32)
        return [Face(box=box, score=1.0, landmarks=landmarks.astype(np.float32))]


def make_face_stack() -> DrawnFaceStack:
    torch.manual_seed(1)
    config = DrawnFaceStackConfig(
        detector=DetectorConfig(widths=(4, 4, 4, 8, 8), head_width=4),
        recogniser=RecogniserConfig(crop_size=32, embedding_dim=RECOGNITION_DIM, widths=(4, 4, 6, 6)),
        canvas_crop_size=20,
    )
    encoder = ImageEncoderConfig(
        crop_size=16,
        hidden_size=VIT_DIM,
        intermediate_size=14,
        num_layers=6,
        num_text_layers=1,
        num_attention_heads=3,
        projection_dim=SEMANTIC_DIM,
        max_text_length=8,
    )
    clip = build_clip(encoder, vocab_size=len(SPECIAL_WORDS) + len(WORDS))
    return DrawnFaceStack(
        config=config,
        detector=HeatmapFaceDetector(FaceHeatmapNetwork(config.detector), config.detector),
        recogniser=ArcFaceRecogniser(
            ResidualFaceNetwork(config.recogniser), crop_size=32, embedding_dim=RECOGNITION_DIM
        ),
        image_encoder=DualEncoder(clip, WordTokenizer(WORDS, max_length=8), encoder),
    )


def make_seeing_face_stack() -> DrawnFaceStack:
    return dataclasses.replace(make_face_stack(), detector=CentreFaceDetector())  # type: ignore[arg-type]


def make_transformer(**changes: Any) -> IngredientsTransformer3DModel:
    config = {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "in_channels": 6,
        "out_channels": 3,
        "time_embed_dim": 8,
        "text_embed_dim": TEXT_DIM,
        "num_layers": NUM_BLOCKS,
        "sample_width": 10,
        "sample_height": 6,
        "sample_frames": NUM_FRAMES,
        "max_text_seq_length": TEXT_TOKENS,
        "use_rotary_positional_embeddings": True,
        "id_recognition_dim": RECOGNITION_DIM,
        "id_semantic_dim": SEMANTIC_DIM,
        "id_vit_dim": VIT_DIM,
        "id_num_scales": NUM_SCALES,
        "id_mapping_dim": 9,
        "id_qformer_dim": 20,
        "id_qformer_depth": 5,
        "id_qformer_num_heads": 2,
        "id_qformer_head_dim": 10,
        "id_qformer_ff_mult": 2,
        "id_num_id_tokens": 2,
        "id_num_queries": 4,
        "id_token_dim": 22,
        "id_attn_num_heads": 2,
        "id_attn_head_dim": 13,
        "router_type": "mlp",
        "router_inner_dim": 15,
        "routing": "argmax",
    }
    transformer = IngredientsTransformer3DModel(**(config | changes))
    generator = torch.Generator().manual_seed(2)
    for name, parameter in transformer.named_parameters():  # nothing is zero, so that every part shows in the output
        torch.nn.init.normal_(parameter, std=0.6 if "id_" in name else 0.2, generator=generator)
    return transformer.eval()


def make_vae() -> AutoencoderKLCogVideoX:
    torch.manual_seed(3)
    return AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 3,
        up_block_types=("CogVideoXUpBlock3D",) * 3,
        block_out_channels=(4, 4, 8),
        latent_channels=3,
        layers_per_block=1,
        norm_num_groups=2,
        scaling_factor=0.7,
        sample_height=HEIGHT,
        sample_width=WIDTH,
    ).eval()


def make_tokenizer() -> T5Tokenizer:
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0)]
    return T5Tokenizer(vocab=special + [(f"▁{word}", -2.0) for word in WORDS], extra_ids=0)


def make_text_encoder() -> T5EncoderModel:
    torch.manual_seed(4)
    config = T5Config(
        vocab_size=3 + len(WORDS), d_model=TEXT_DIM, d_kv=6, d_ff=14, num_layers=1, num_heads=2, dropout_rate=0.0
    )
    return T5EncoderModel(config).eval()


def make_scheduler() -> CogVideoXDPMScheduler:
    return CogVideoXDPMScheduler(
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        snr_shift_scale=1.0,
    )


def make_pipeline(*, face_encoder: DrawnFaceStack | None = None, **transformer_changes: Any) -> IngredientsPipeline:
    pipeline = IngredientsPipeline(
        tokenizer=make_tokenizer(),
        text_encoder=make_text_encoder(),
        vae=make_vae(),
        transformer=make_transformer(**transformer_changes),
        scheduler=make_scheduler(),
        face_encoder=face_encoder,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def make_photo(seed: int, *, height: int = 50, width: int = 60) -> UInt8Array:
    return np.random.default_rng(seed).integers(1, 256, (height, width, 3), dtype=np.uint8)


def make_people(num_people: int, *, seed: int = 5) -> PeopleEmbeds:
    generator = torch.Generator().manual_seed(seed)
    return PeopleEmbeds(
        id_embeds=torch.randn(num_people, RECOGNITION_DIM + SEMANTIC_DIM, generator=generator),
        id_vit_hidden_states=[
            torch.randn(num_people, VIT_TOKENS, VIT_DIM, generator=generator) for _ in range(NUM_SCALES)
        ],
    )


def choose_people(people: PeopleEmbeds, chosen: Any) -> PeopleEmbeds:
    """Some of them, in another order."""
    return PeopleEmbeds(
        id_embeds=people.id_embeds[chosen],
        id_vit_hidden_states=[states[chosen] for states in people.id_vit_hidden_states],
    )


def for_each_prompt(*rows: PeopleEmbeds, id_mask: torch.Tensor | None = None) -> PeopleEmbeds:
    """Other people for each prompt."""
    return PeopleEmbeds(
        id_embeds=torch.stack([row.id_embeds for row in rows]),
        id_vit_hidden_states=[
            torch.stack(scale) for scale in zip(*(row.id_vit_hidden_states for row in rows), strict=True)
        ],
        id_mask=id_mask,
    )


def make_canvas() -> UInt8Array:
    return make_photo(6, height=HEIGHT, width=WIDTH)
