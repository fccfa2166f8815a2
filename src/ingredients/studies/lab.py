"""The folder of the studies, and the steps that fill it: clips, bases, alignments, router stages, evaluations.

settings.json                          model and amounts: other ones need another folder
encoded/train, encoded/validation      clips of the drawn world, without the benchmark's held-out pairs
bases/t2v, bases/i2v                   the common bases
align/LABEL-sSEED                      an alignment
route/VARIANT-sSEED                    a variant, ready to use
evaluations/VARIANT-sSEED              what the judge says of its videos of the benchmark's cases
"""

import dataclasses
import functools
import itertools
import json
from pathlib import Path

import torch

from ingredients.core import output_folders
from ingredients.core.config import config_to_dict, load_config
from ingredients.core.errors import UserInputError
from ingredients.core.files import atomic_path
from ingredients.core.model_files import digest_files, read_json
from ingredients.core.progress import show_progress
from ingredients.data.clip_encoder import EncoderConfig, describe
from ingredients.data.encoded_clips import EncodedClips, claim_folder
from ingredients.data.encoding_run import encode_into
from ingredients.data.world_examples import WorldExampleConfig, draw_example
from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.presets import small_world, small_world_base
from ingredients.models.state_dict_adapter import load_base_weights
from ingredients.pipelines import IngredientsPipeline
from ingredients.pipelines.clip_encoding import load_encoding_model
from ingredients.pipelines.components import load_vae
from ingredients.pipelines.model_places import default_model_path
from ingredients.pipelines.sampling_defaults import SamplingDefaults
from ingredients.pipelines.transformer_folder import load_transformer
from ingredients.studies.recipes import (
    StudyConfig,
    align_recipe,
    base_stage,
    base_trainer,
    i2v_trainer,
    route_recipe,
)
from ingredients.studies.steps import Step
from ingredients.studies.variants import Alignment, Base, Variant
from ingredients.training.base_stage import BaseStage
from ingredients.training.diffusion_stage import FrozenParts
from ingredients.training.runs import RUN_KINDS, train_run
from ingredients.training.start import base_within
from ingredients.training.trainer import METRICS_NAME, Trainer
from ingredients.world.held_out_pairs import seeds_without_held_out_pairs

SETTINGS_NAME = "settings.json"
TRANSFORMER_CONFIG = "transformer/config.json"

_CLIPS = ("clips-train", "clips-validation")
_VALIDATION_SEED = 10**9
_ENCODING_BATCH = 5
_SHARD_SIZE = 50

# Seconds, measured on one core of an Intel Xeon with AVX-512 and bfloat16 whose other core was busy.
_SECONDS_A_CLIP = 0.2
_SECONDS_A_BASE_STEP = 2.5
_SECONDS_AN_ALIGN_STEP = 3.0
_SECONDS_A_ROUTE_STEP = 3.0


class Lab:
    """The studies' folder.

    Args:
        folder: where everything goes.
        config: how much of everything.
        show: show progress bars.
    """

    def __init__(self, folder: Path, config: StudyConfig, *, show: bool = True) -> None:
        self.folder = folder
        self.config = config
        self.show = show
        self.model_folder = default_model_path()

    def claim(self, *, writes: bool) -> None:
        """Refuses a folder whose models were made of another model or with other settings: the page would be wrong.

        More seeds are no other settings.

        Args:
            writes: whether the settings are written down, if none are yet.

        Raises:
            UserInputError: if they differ; it names the first.
            OutputError: if the folder holds something else.
        """
        output_folders.check_output_folder(self.folder, "studies")
        path = self.folder / SETTINGS_NAME
        now = {name: value for name, value in config_to_dict(self.config).items() if name != "num_seeds"}
        now["model"] = self.model_digest
        if path.exists():
            before = read_json(path)
            if before.get("model") != self.model_digest:
                raise UserInputError(
                    f"The studies in {self.folder} began with another model than the one that ships now; name "
                    "another --folder."
                )
            if differing := [name for name, value in now.items() if before.get(name) != value]:
                name = differing[0]
                raise UserInputError(
                    f"The studies in {self.folder} were made with {name}={before.get(name)}, not {now[name]}; set it "
                    "so, or name another --folder."
                )
        elif writes:
            output_folders.claim_folder(self.folder, "studies")
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")

    def data_steps(self) -> list[Step]:
        """Clips to learn from, and held-out ones."""
        return [
            self._clips_step("train", 0, self.config.num_clips),
            self._clips_step("validation", _VALIDATION_SEED, self.config.num_validation_clips),
        ]

    def base_step(self, base: Base) -> Step:
        """A common base."""
        steps = self.config.t2v_steps if base == "t2v" else self.config.i2v_steps
        is_taken = base == "t2v" and steps == 0
        return Step(
            name=f"base-{base}",
            minutes=steps * _SECONDS_A_BASE_STEP / 60,
            result=self.base_folder(base) / (TRANSFORMER_CONFIG if is_taken else METRICS_NAME),
            run=self._take_base if is_taken else functools.partial(self._train_base, base),
            needs=() if is_taken else _CLIPS + (("base-t2v",) if base == "i2v" else ()),
        )

    def align_step(self, alignment: Alignment, seed: int) -> Step:
        """An alignment."""
        return Step(
            name=f"align-{alignment.label}-s{seed}",
            minutes=0.0 if alignment.is_taken else self.config.align_steps * _SECONDS_AN_ALIGN_STEP / 60,
            result=self.align_folder(alignment, seed) / (TRANSFORMER_CONFIG if alignment.is_taken else METRICS_NAME),
            run=functools.partial(self._take_aligned if alignment.is_taken else self._align, alignment, seed),
            needs=() if alignment.is_taken else (*_CLIPS, f"base-{alignment.base}"),
        )

    def route_step(self, variant: Variant, seed: int) -> Step:
        """A variant's router stage."""
        return Step(
            name=f"route-{variant.name}-s{seed}",
            minutes=self.config.route_steps * _SECONDS_A_ROUTE_STEP / 60,
            result=self.route_folder(variant, seed) / METRICS_NAME,
            run=functools.partial(self._route, variant, seed),
            needs=(*_CLIPS, f"align-{variant.alignment.label}-s{seed}"),
        )

    def base_folder(self, base: Base) -> Path:
        """Of a base."""
        return self.folder / "bases" / base

    def align_folder(self, alignment: Alignment, seed: int) -> Path:
        """Of an alignment."""
        return self.folder / "align" / f"{alignment.label}-s{seed}"

    def route_folder(self, variant: Variant, seed: int) -> Path:
        """Of a variant."""
        return self.folder / "route" / f"{variant.name}-s{seed}"

    def pipeline(self, run: Path) -> IngredientsPipeline:
        """The model of a run: its transformer, and everything else of the model that ships.

        Videos are made as in the paper: no guidance by the people, no planned layout, no guidance by likeness.
        """
        transformer = load_transformer(run / "transformer", dtype=torch.float32)
        pipeline = IngredientsPipeline.from_pretrained(self.model_folder, transformer=transformer)
        pipeline.sampling_defaults = self.sampling()
        return pipeline

    @functools.cached_property
    def shipped(self) -> IngredientsPipeline:
        """The model that ships, for its face networks."""
        return IngredientsPipeline.from_pretrained(self.model_folder)

    @functools.cached_property
    def model_digest(self) -> str:
        """Which weights ship."""
        return digest_files(self.model_folder / "transformer")

    def sampling(self) -> SamplingDefaults:
        """How every video is made."""
        return SamplingDefaults(
            num_inference_steps=self.config.num_inference_steps,
            guidance_scale=self.config.guidance_scale,
            identity_guidance_scale=1.0,
            layout_share=0.0,
            likeness_guidance_scale=0.0,
        )

    def clips(self, name: str) -> Path:
        """Of `train` or `validation`."""
        return self.folder / "encoded" / name

    def _clips_step(self, name: str, first_seed: int, number: int) -> Step:
        last = (number - 1) // _SHARD_SIZE * _SHARD_SIZE
        return Step(
            name=f"clips-{name}",
            minutes=number * _SECONDS_A_CLIP / 60,
            result=self.clips(name) / f"shard-{last:08d}.safetensors",
            run=functools.partial(self._encode, name, first_seed, number),
        )

    @torch.inference_mode()
    def _encode(self, name: str, first_seed: int, number: int) -> None:
        loaded = load_encoding_model(
            self.model_folder, EncoderConfig(), device=torch.device("cpu"), dtype=torch.float32
        )
        world = WorldExampleConfig()
        folder = self.clips(name)
        source = dataclasses.asdict(world) | {"without_held_out_pairs": True}
        description = describe(loaded.encoder, parts=loaded.digests, source=source, reading={})
        claim_folder(folder, description, loaded.encoder.encode_captions([""])[0])
        seeds = itertools.islice(seeds_without_held_out_pairs(first_seed), number)
        with show_progress(f"clips-{name}", enabled=self.show) as progress:
            encode_into(
                folder,
                ((str(seed), functools.partial(draw_example, seed, world)) for seed in seeds),
                loaded.encoder,
                shard_size=_SHARD_SIZE,
                batch_size=_ENCODING_BATCH,
                num_items=number,
                progress=progress,
            )

    def _take_base(self) -> None:
        """The text-to-video base inside the model that ships: neither identity modules nor image channels."""
        shipped = load_transformer(self.model_folder / "transformer", dtype=torch.float32)
        base_within(shipped).save_pretrained(self.base_folder("t2v") / "transformer")

    def _train_base(self, base: Base) -> None:
        torch.manual_seed(0)
        if base == "t2v":
            transformer = IngredientsTransformer3DModel(**small_world_base())
            trainer = base_trainer(self.config.t2v_steps)
        else:
            transformer = IngredientsTransformer3DModel(**(small_world() | {"identity_modules": False}))
            start = load_transformer(self.base_folder("t2v") / "transformer", dtype=torch.float32)
            load_base_weights(transformer, start.state_dict())
            trainer = i2v_trainer(self.config.i2v_steps)
        stage_config = base_stage()
        stage_config.image_share = stage_config.image_share if base == "t2v" else 0.0
        parts = FrozenParts(
            vae=load_vae(self.model_folder / "vae", dtype=torch.float32),
            clips=EncodedClips([self.clips("train")]),
            validation_clips=EncodedClips([self.clips("validation")]),
        )
        stage = BaseStage(transformer, parts, stage_config, base)
        Trainer(stage, self.base_folder(base), trainer).fit(resume=True, show=self.show)

    def _take_aligned(self, alignment: Alignment, seed: int) -> None:
        """The model that ships, its routers drawn anew."""
        transformer = load_transformer(self.model_folder / "transformer", dtype=torch.float32)
        torch.manual_seed(seed)
        fresh = dict(IngredientsTransformer3DModel(**small_world()).router_parameters())
        with torch.no_grad():
            for name, parameter in transformer.router_parameters():
                parameter.copy_(fresh[name])
        transformer.save_pretrained(self.align_folder(alignment, seed) / "transformer")

    def _align(self, alignment: Alignment, seed: int) -> None:
        assert alignment.base is not None
        recipe = align_recipe(self.config.align_steps, seed=seed)
        overrides = (*self._data_overrides(self.base_folder(alignment.base)), *alignment.overrides)
        config = load_config(type(recipe), overrides=overrides, defaults=recipe)
        train_run(RUN_KINDS["align"], config, self.align_folder(alignment, seed), resume=True, show=self.show)

    def _route(self, variant: Variant, seed: int) -> None:
        recipe = route_recipe(self.config.route_steps, seed=seed)
        start = self.align_folder(variant.alignment, seed)
        overrides = (*self._data_overrides(start), *variant.route_overrides)
        config = load_config(type(recipe), overrides=overrides, defaults=recipe)
        train_run(RUN_KINDS["route"], config, self.route_folder(variant, seed), resume=True, show=self.show)

    def _data_overrides(self, start: Path) -> tuple[str, ...]:
        return (
            f'data.train=["{self.clips("train")}"]',
            f'data.validation=["{self.clips("validation")}"]',
            f'model.start="{start}"',
        )
