"""What the steps of the lab do: encode clips, take or train bases, align, route. `lab.py` says which there are."""

import dataclasses
import functools
import itertools

import torch

from ingredients.core.config import load_config
from ingredients.core.progress import show_progress
from ingredients.data.clip_encoder import EncoderConfig, describe
from ingredients.data.encoded_clips import EncodedClips, claim_folder
from ingredients.data.encoding_run import encode_into
from ingredients.data.world_examples import WorldExampleConfig, draw_example
from ingredients.model_folders.components import load_vae
from ingredients.model_folders.transformer import load_transformer
from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.presets import small_world, small_world_base
from ingredients.models.state_dict_adapter import load_base_weights
from ingredients.pipelines.clip_encoding import load_encoding_model
from ingredients.studies.lab import SHARD_SIZE, Lab
from ingredients.studies.recipes import (
    align_recipe,
    base_stage,
    base_trainer,
    i2v_trainer,
    route_recipe,
)
from ingredients.studies.variants import Alignment, Base, Variant
from ingredients.training.loop.trainer import Trainer
from ingredients.training.runs.run import RUN_KINDS, train_run
from ingredients.training.runs.start import base_within
from ingredients.training.stages.base import BaseStage
from ingredients.training.stages.diffusion import FrozenParts
from ingredients.world.held_out_pairs import seeds_without_held_out_pairs

_ENCODING_BATCH = 5


@torch.inference_mode()
def encode(lab: Lab, name: str, first_seed: int, number: int, *, recognition_maps: bool) -> None:
    """Draws and encodes clips of the drawn world, without the held-out pairs."""
    config = EncoderConfig(scale_source="recognition_and_clip" if recognition_maps else "clip")
    loaded = load_encoding_model(
        lab.model_folder, config, allow_photographs=True, device=torch.device("cpu"), dtype=torch.float32
    )  # nobody need ask what the world drew
    world = WorldExampleConfig()
    folder = lab.clips(name)
    source = dataclasses.asdict(world) | {"without_held_out_pairs": True}
    description = describe(loaded.encoder, parts=loaded.digests, source=source, reading={})
    claim_folder(folder, description, loaded.encoder.encode_captions([""])[0])
    seeds = itertools.islice(seeds_without_held_out_pairs(first_seed), number)
    with show_progress(f"clips-{name}", enabled=lab.show) as progress:
        encode_into(
            folder,
            ((str(seed), functools.partial(draw_example, seed, world)) for seed in seeds),
            loaded.encoder,
            shard_size=SHARD_SIZE,
            batch_size=_ENCODING_BATCH,
            num_items=number,
            progress=progress,
        )


def take_base(lab: Lab) -> None:
    """The text-to-video base inside the model that ships: neither identity modules nor image channels."""
    shipped = load_transformer(lab.model_folder / "transformer", dtype=torch.float32)
    base_within(shipped).save_pretrained(lab.base_folder("t2v") / "transformer")


def train_base(lab: Lab, base: Base) -> None:
    """Trains one of the common bases."""
    torch.manual_seed(0)
    if base == "t2v":
        transformer = IngredientsTransformer3DModel(**small_world_base())
        trainer = base_trainer(lab.config.t2v_steps)
    else:
        transformer = IngredientsTransformer3DModel(**(small_world() | {"identity_modules": False}))
        start = load_transformer(lab.base_folder("t2v") / "transformer", dtype=torch.float32)
        load_base_weights(transformer, start.state_dict())
        trainer = i2v_trainer(lab.config.i2v_steps)
    stage_config = base_stage()
    stage_config.image_share = stage_config.image_share if base == "t2v" else 0.0
    parts = FrozenParts(
        vae=load_vae(lab.model_folder / "vae", dtype=torch.float32),
        clips=EncodedClips([lab.clips("train")]),
        validation_clips=EncodedClips([lab.clips("validation")]),
    )
    stage = BaseStage(transformer, parts, stage_config, base)
    Trainer(stage, lab.base_folder(base), trainer).fit(resume=True, show=lab.show)


def take_aligned(lab: Lab, alignment: Alignment, seed: int) -> None:
    """The model that ships, its routers drawn anew."""
    transformer = load_transformer(lab.model_folder / "transformer", dtype=torch.float32)
    torch.manual_seed(seed)
    fresh = dict(IngredientsTransformer3DModel(**small_world()).router_parameters())
    with torch.no_grad():
        for name, parameter in transformer.router_parameters():
            parameter.copy_(fresh[name])
    transformer.save_pretrained(lab.align_folder(alignment, seed) / "transformer")


def align(lab: Lab, alignment: Alignment, seed: int) -> None:
    """Trains an alignment."""
    assert alignment.base is not None
    recipe = align_recipe(lab.config.align_steps, seed=seed)
    data = lab.data_overrides(lab.base_folder(alignment.base), recognition_maps=alignment.recognition_maps)
    overrides = (*data, *alignment.overrides)
    config = load_config(type(recipe), overrides=overrides, defaults=recipe)
    train_run(RUN_KINDS["align"], config, lab.align_folder(alignment, seed), resume=True, show=lab.show)


def route(lab: Lab, variant: Variant, seed: int) -> None:
    """Trains a variant's router stage."""
    recipe = route_recipe(lab.config.route_steps, seed=seed)
    start = lab.align_folder(variant.alignment, seed)
    data = lab.data_overrides(start, recognition_maps=variant.alignment.recognition_maps)
    overrides = (*data, *variant.route_overrides)
    config = load_config(type(recipe), overrides=overrides, defaults=recipe)
    train_run(RUN_KINDS["route"], config, lab.route_folder(variant, seed), resume=True, show=lab.show)
