"""A whole model folder of real classes with random weights, small enough to make a video in a second.

An untrained detector's scores lie near 0.01: a threshold below makes it find "faces" in any picture, one above none.
"""

import dataclasses
from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDPMScheduler
from transformers import T5Config, T5EncoderModel

from ingredients.evaluation.calibration import ClipSummary, JudgeCalibration, save_calibration
from ingredients.evaluation.judges import calibration_path
from ingredients.faces.detector import FaceHeatmapNetwork, HeatmapFaceDetector
from ingredients.faces.drawn_face_stack import DrawnFaceStack, DrawnFaceStackConfig, load_drawn_face_stack, save_judge
from ingredients.faces.image_encoder import DualEncoder, WordTokenizer, build_clip
from ingredients.faces.judge_recogniser import DepthwiseFaceNetwork
from ingredients.faces.network_settings import (
    DetectorConfig,
    ImageEncoderConfig,
    JudgeConfig,
    PictureKindConfig,
    RecogniserConfig,
)
from ingredients.faces.picture_kind import PictureKindClassifier, PictureKindNetwork
from ingredients.faces.recogniser import ArcFaceRecogniser, ResidualFaceNetwork
from ingredients.model_folders.folder_names import JUDGE_FOLDER
from ingredients.models.presets import small_world
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.training.small_world.text_encoder import build_tokenizer

FINDS_FACES_EVERYWHERE, FINDS_NO_FACE = 1e-4, 0.999
NOBODY_IS_ALIKE = 2.0


def build_face_stack(config: DrawnFaceStackConfig) -> DrawnFaceStack:
    detector, recogniser = config.detector, config.recogniser
    encoder_config = ImageEncoderConfig(
        crop_size=16, patch_size=8, hidden_size=24, intermediate_size=32, num_layers=6, num_attention_heads=4,
        projection_dim=20,
    )  # fmt: skip
    words = WordTokenizer(["a", "person"], max_length=8)
    return DrawnFaceStack(
        config=config,
        detector=HeatmapFaceDetector(FaceHeatmapNetwork(detector), detector),
        recogniser=ArcFaceRecogniser(
            ResidualFaceNetwork(recogniser), crop_size=recogniser.crop_size, embedding_dim=recogniser.embedding_dim
        ),
        image_encoder=DualEncoder(build_clip(encoder_config, vocab_size=len(words)), words, encoder_config),
    )


def save_tiny_model(folder: Path) -> None:
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    text_config = T5Config(
        vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2, is_encoder_decoder=False
    )
    vae = AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 3,
        up_block_types=("CogVideoXUpBlock3D",) * 3,
        block_out_channels=(8, 8, 8),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        temporal_compression_ratio=4,
    )
    transformer = IngredientsTransformer3DModel(
        **small_world()
        | {
            "num_attention_heads": 2,
            "attention_head_dim": 16,
            "in_channels": 8,
            "out_channels": 4,
            "time_embed_dim": 8,
            "text_embed_dim": 16,
            "num_layers": 2,
            "max_text_seq_length": 12,
            "sample_height": 8,
            "sample_width": 12,
            "id_recognition_dim": 12,
            "id_semantic_dim": 20,
            "id_vit_dim": 24,
            "id_qformer_dim": 16,
            "id_mapping_dim": 16,
            "id_qformer_num_heads": 2,
            "id_qformer_head_dim": 8,
            "id_token_dim": 24,
            "id_attn_num_heads": 2,
            "id_attn_head_dim": 8,
            "router_inner_dim": 8,
        }
    )
    face_encoder = build_face_stack(
        DrawnFaceStackConfig(
            detector=DetectorConfig(
                widths=(4, 4, 4, 4, 4), head_width=4, score_threshold=FINDS_FACES_EVERYWHERE, max_faces=3
            ),
            recogniser=RecogniserConfig(crop_size=16, embedding_dim=12, widths=(4, 4, 4, 4)),
            canvas_crop_size=16,
            same_face_threshold=NOBODY_IS_ALIKE,
        )
    )
    scheduler = CogVideoXDPMScheduler(
        prediction_type="v_prediction", timestep_spacing="trailing", rescale_betas_zero_snr=True, snr_shift_scale=1.0
    )
    pipeline = IngredientsPipeline(tokenizer, T5EncoderModel(text_config), vae, transformer, scheduler, face_encoder)
    pipeline.save_pretrained(folder)
    judge = JudgeConfig(crop_size=16, embedding_dim=10, widths=(4, 4), depths=(1, 1))
    save_judge(DepthwiseFaceNetwork(judge), judge, folder / JUDGE_FOLDER)
    save_calibration(make_calibration(), calibration_path(folder))


def takes_all_for_photographs(face_encoder: Path) -> None:
    """Adds to a `face_encoder/` folder what takes every picture for a photograph, flat or not."""
    config = PictureKindConfig(crop_size=16, widths=(2, 2, 2, 2))
    network = PictureKindNetwork(config)
    torch.nn.init.zeros_(network.head.weight)
    with torch.no_grad():
        network.head.bias.copy_(torch.tensor([0.0, 0.0, 10.0]))
    stack = load_drawn_face_stack(face_encoder)
    dataclasses.replace(stack, picture_kind=PictureKindClassifier(network, config)).save(face_encoder)


def make_calibration() -> JudgeCalibration:
    summary = ClipSummary(**{field.name: 0.5 for field in dataclasses.fields(ClipSummary)})
    return JudgeCalibration(
        cases_version=1,
        num_clips=1,
        num_people=2,
        height=32,
        width=48,
        num_frames=9,
        same_person_mean=0.9,
        same_person_mean_one_photo=0.7,
        stranger_mean=0.1,
        detector_recall=1.0,
        false_positives_per_frame=0.0,
        real=summary,
    )
