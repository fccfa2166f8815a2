"""Runs of both stages on tiny real models, and what their weights make of the same noise."""

import dataclasses
import functools
import inspect
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import CogVideoXTransformer3DModel

from ingredients.data.clip_encoder import describe
from ingredients.data.encode_data_set import encode_into
from ingredients.data.encoded_clips import claim_folder
from ingredients.data.encoding_settings import EncoderConfig, WorldExampleConfig
from ingredients.data.world_examples import draw_example
from ingredients.models import IngredientsTransformer3DModel
from ingredients.pipelines.encoding_model import load_encoding_model
from ingredients.pipelines.people import PeopleEmbeds
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.runs.configuration import AlignRunConfig, DataConfig, ModelConfig, RouteRunConfig
from ingredients.training.runs.kinds import RUN_KINDS
from ingredients.training.runs.run import train_run
from ingredients.training.stages.settings import AlignmentConfig, RouterConfig

HEIGHT, WIDTH, NUM_FRAMES = 32, 48, 9
IDENTITY_WIDTHS = {
    "id_mapping_dim": 16,
    "id_qformer_dim": 16,
    "id_qformer_depth": 5,
    "id_qformer_num_heads": 2,
    "id_qformer_head_dim": 8,
    "id_qformer_ff_mult": 1,
    "id_num_id_tokens": 4,
    "id_num_queries": 12,
    "id_token_dim": 24,
    "id_attn_num_heads": 2,
    "id_attn_head_dim": 8,
    "router_inner_dim": 8,
}
"""Sizes of the identity modules that are added to a tiny base."""

TRAINER = TrainerConfig(
    num_steps=3, learning_rate=3e-2, num_warmup_steps=0, schedule="constant", log_every=1, checkpoint_every=1,
    ema_decay=0.5, keep_checkpoints=3,
)  # fmt: skip
_WORLD = WorldExampleConfig(height=HEIGHT, width=WIDTH, num_frames=NUM_FRAMES, portrait_size=48)


def make_base(model: Path, folder: Path, **changes: Any) -> Path:
    """A CogVideoX of diffusers' with a model's other parts."""
    shutil.copytree(model, folder)
    config = dict(IngredientsTransformer3DModel.load_config(folder / "transformer"))
    fields = {name: config[name] for name in inspect.signature(CogVideoXTransformer3DModel).parameters}
    torch.manual_seed(6)
    base = CogVideoXTransformer3DModel(**fields | changes)
    shutil.rmtree(folder / "transformer")
    base.save_pretrained(folder / "transformer")
    return folder


def encode_clips(model: Path, folder: Path, *, recognition_maps: bool = False) -> Path:
    """Five clips of the drawn world, encoded by a model."""
    config = EncoderConfig(dtype="float32", scale_source="recognition_and_clip" if recognition_maps else "clip")
    loaded = load_encoding_model(model, config, device=torch.device("cpu"), dtype=torch.float32)
    folder.mkdir()
    description = describe(loaded.encoder, parts=loaded.digests, source={"seeds": 5}, reading={"stride": 1})
    claim_folder(folder, description, loaded.encoder.encode_captions([""])[0])
    items = ((str(seed), functools.partial(draw_example, seed, _WORLD)) for seed in range(5))
    encode_into(folder, items, loaded.encoder, shard_size=3)
    return folder


def train_align(folder: Path, model: Path, clips: Path, *, stage: AlignmentConfig, **model_fields: Any) -> Path:
    config = AlignRunConfig(
        model=ModelConfig(folder=str(model), **model_fields),
        data=DataConfig(train=(clips,), validation=(clips,)),
        stage=stage,
        trainer=dataclasses.replace(TRAINER, precision=model_fields.get("dtype", "float32")),
    )
    train_run(RUN_KINDS["align"], config, folder, show=False)
    return folder


def train_route(folder: Path, model: Path, clips: Path, *, stage: RouterConfig, **model_fields: Any) -> Path:
    config = RouteRunConfig(
        model=ModelConfig(folder=str(model), **model_fields),
        data=DataConfig(train=(clips,)),
        stage=stage,
        trainer=dataclasses.replace(TRAINER, precision=model_fields.get("dtype", "float32")),
    )
    train_run(RUN_KINDS["route"], config, folder, show=False)
    return folder


@dataclasses.dataclass(frozen=True, kw_only=True)
class TinyRuns:
    """An alignment from a base, and a router stage that goes on from it."""

    base: Path
    clips: Path
    align: Path
    route: Path


def train_both(folder: Path, base: Path, clips: Path, **model_fields: Any) -> TinyRuns:
    """Both stages, with LoRAs of different ranks, and the second one on some of the modules only."""
    align_stage = AlignmentConfig(batch_size=2, lora_rank=3, num_validation_batches=1)
    route_stage = RouterConfig(batch_size=2, lora_rank=2, lora_modules=("attn1.to_q", "ff.net.2"))
    fields = {"transformer": IDENTITY_WIDTHS | {"router_type": "linear"}} | model_fields
    align = train_align(folder / "align", base, clips, stage=align_stage, **fields)
    route = train_route(folder / "route", base, clips, stage=route_stage, start=align, **model_fields)
    return TinyRuns(base=base, clips=clips, align=align, route=route)


def denoise(pipeline: IngredientsPipeline) -> torch.Tensor:
    """Latents that a pipeline makes of two made-up people on a made-up canvas, always from the same noise."""
    pipeline.set_progress_bar_config(disable=True)
    config = pipeline.transformer.config
    generator = torch.Generator().manual_seed(5)
    people = PeopleEmbeds(
        id_embeds=torch.randn(2, config.id_recognition_dim + config.id_semantic_dim, generator=generator),
        id_vit_hidden_states=[torch.randn(2, 4, config.id_vit_dim, generator=generator) for _ in range(5)],
    )
    frames = pipeline(
        people,
        prompt="two people wave",
        height=HEIGHT,
        width=WIDTH,
        num_frames=NUM_FRAMES,
        num_inference_steps=2,
        guidance_scale=2.0,
        generator=7,
        canvas=np.random.default_rng(6).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        output_type="latent",
    ).frames
    assert isinstance(frames, torch.Tensor)
    return frames
