"""The folder of the studies, and the steps that fill it: clips, bases, alignments, router stages, evaluations.

settings.json                          model and amounts: other ones need another folder
encoded/train, encoded/validation      clips of the drawn world, without the benchmark's held-out pairs
encoded/train-maps, ...                the same with the recogniser's feature maps
bases/t2v, bases/i2v                   the common bases
align/LABEL-sSEED                      an alignment
route/VARIANT-sSEED                    a variant, ready to use
evaluations/VARIANT-sSEED              what the judge says of its videos of the benchmark's cases
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from ingredients.core import output_folders
from ingredients.core.config import config_to_dict
from ingredients.core.errors import UserInputError
from ingredients.core.files import atomic_path
from ingredients.core.json_yaml import to_json
from ingredients.core.model_files import digest_files, read_json
from ingredients.core.training_log import METRICS_NAME
from ingredients.model_folders.find_model import default_model_path
from ingredients.model_folders.folder_names import TRANSFORMER_CONFIG
from ingredients.model_folders.sampling_settings import SamplingSettings
from ingredients.studies.settings import StudyConfig
from ingredients.studies.steps import Step
from ingredients.studies.variants import Alignment, Base, Variant
from ingredients.training.small_world.settings import PART_SETTINGS, LatentsConfig
from ingredients.world import WORLD_VERSION

if TYPE_CHECKING:
    from ingredients.models import IngredientsTransformer3DModel
    from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
    from ingredients.training.runs.configuration import RunConfig
    from ingredients.training.runs.kinds import RunKind

SETTINGS_NAME = "settings.json"

_MAPS = "-maps"
_VALIDATION_SEED = 10**9
SHARD_SIZE = 50
"""Clips of a shard of encoded clips."""

# Seconds, measured on one core of an Intel Xeon with AVX-512 and bfloat16 whose other core was busy.
_SECONDS_A_CLIP = 0.2
_SECONDS_A_BASE_STEP = 2.5
_SECONDS_AN_ALIGN_STEP = 3.0
_SECONDS_A_ROUTE_STEP = 3.0


class Lab:
    """The studies' folder."""

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
                temporary.write_text(to_json(now, indent=1) + "\n", encoding="utf-8")

    def data_steps(self, *, recognition_maps: bool = False) -> list[Step]:
        """Clips to learn from, and held-out ones."""
        return [
            self._clips_step("train", 0, self.config.num_clips, recognition_maps),
            self._clips_step("validation", _VALIDATION_SEED, self.config.num_validation_clips, recognition_maps),
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
            needs=() if is_taken else _clips(False) + (("base-t2v",) if base == "i2v" else ()),
        )

    def align_step(self, alignment: Alignment, seed: int) -> Step:
        """An alignment."""
        return Step(
            name=f"align-{alignment.label}-s{seed}",
            minutes=0.0 if alignment.is_taken else self.config.align_steps * _SECONDS_AN_ALIGN_STEP / 60,
            result=self.align_folder(alignment, seed) / (TRANSFORMER_CONFIG if alignment.is_taken else METRICS_NAME),
            run=functools.partial(self._take_aligned if alignment.is_taken else self._align, alignment, seed),
            needs=() if alignment.is_taken else (*_clips(alignment.recognition_maps), f"base-{alignment.base}"),
        )

    def route_step(self, variant: Variant, seed: int) -> Step:
        """A variant's router stage."""
        return Step(
            name=f"route-{variant.name}-s{seed}",
            minutes=self.config.route_steps * _SECONDS_A_ROUTE_STEP / 60,
            result=self.route_folder(variant, seed) / METRICS_NAME,
            run=functools.partial(self._route, variant, seed),
            needs=(*_clips(variant.alignment.recognition_maps), f"align-{variant.alignment.label}-s{seed}"),
        )

    def base_folder(self, base: Base) -> Path:
        """Folder of a base."""
        return self.folder / "bases" / base

    def align_folder(self, alignment: Alignment, seed: int) -> Path:
        """Folder of an alignment."""
        return self.folder / "align" / f"{alignment.label}-s{seed}"

    def route_folder(self, variant: Variant, seed: int) -> Path:
        """Folder of a variant."""
        return self.folder / "route" / f"{variant.name}-s{seed}"

    def pipeline(self, run: Path) -> IngredientsPipeline:
        """The model of a run: its transformer, and everything else of the model that ships.

        Videos are made as in the paper: no guidance by the people, no planned layout, no guidance by likeness.
        """
        import torch

        from ingredients.faces.drawn_face_stack import load_drawn_face_stack
        from ingredients.model_folders.folder_names import FACE_ENCODER
        from ingredients.model_folders.transformer import load_transformer
        from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline

        transformer = load_transformer(run / "transformer", dtype=torch.float32)
        faces = load_drawn_face_stack(self.model_folder / FACE_ENCODER)
        has_people, width = transformer.config.identity_modules, transformer.config.id_vit_dim
        if has_people and width != faces.image_encoder.config.hidden_size:  # it learned from feature maps, too
            config = dataclasses.replace(faces.config, scale_source="recognition_and_clip")
            faces = dataclasses.replace(faces, config=config)
        pipeline = IngredientsPipeline.from_pretrained(self.model_folder, transformer=transformer, face_encoder=faces)
        pipeline.sampling_defaults = self.sampling()
        return pipeline

    @functools.cached_property
    def shipped(self) -> IngredientsPipeline:
        """The model that ships, for its face networks."""
        from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline

        return IngredientsPipeline.from_pretrained(self.model_folder)

    @functools.cached_property
    def model_digest(self) -> str:
        """Which weights ship."""
        return digest_files(self.model_folder / "transformer")

    @functools.cached_property
    def drawn(self) -> LatentsConfig:
        """The clips on which the model that ships was trained: what they show, and for which model."""
        drawn: LatentsConfig = PART_SETTINGS["latents"].load(self.model_folder / "training" / "latents.yaml")
        return drawn

    def sampling(self) -> SamplingSettings:
        """How every video is made: with nothing but what the paper has."""
        return SamplingSettings(
            num_inference_steps=self.config.num_inference_steps,
            guidance_scale=self.config.guidance_scale,
        )

    def clips(self, name: str) -> Path:
        """Folder of the clips `train` or `validation`; with `-maps` behind it, those with feature maps."""
        return self.folder / "encoded" / name

    def _clips_step(self, name: str, first_seed: int, number: int, recognition_maps: bool) -> Step:
        last = (number - 1) // SHARD_SIZE * SHARD_SIZE
        name += _MAPS if recognition_maps else ""
        return Step(
            name=f"clips-{name}",
            minutes=number * _SECONDS_A_CLIP / 60,
            result=self.clips(name) / f"shard-{last:08d}.safetensors",
            run=functools.partial(self._encode, name, first_seed, number, recognition_maps),
        )

    # What the steps do needs PyTorch, which is imported where it is needed: a plan needs none.

    def _encode(self, name: str, first_seed: int, number: int, recognition_maps: bool) -> None:
        """Draws and encodes clips of the drawn world, without the held-out pairs."""
        import torch

        from ingredients.core.progress import show_progress
        from ingredients.data.encoding_settings import EncoderConfig
        from ingredients.data.world_examples import encode_drawn_clips
        from ingredients.pipelines.encoding_model import load_encoding_model

        kept = EncoderConfig(scale_source="recognition_and_clip" if recognition_maps else "clip")
        with torch.inference_mode(), show_progress(f"clips-{name}", enabled=self.show) as progress:
            model = load_encoding_model(
                self.model_folder, kept, allow_photographs=True, device=torch.device("cpu"), dtype=torch.float32
            )  # nobody need ask what the world drew
            encode_drawn_clips(
                self.clips(name),
                dataclasses.replace(self.drawn.world, world_version=WORLD_VERSION),
                model.encoder,
                parts=model.digests,
                first_seed=first_seed,
                number=number,
                shard_size=SHARD_SIZE,
                progress=progress,
            )

    def _take_base(self) -> None:
        """Takes the text-to-video base out of the model that ships: neither identity modules nor image channels."""
        from ingredients.training.runs.start import base_within

        base_within(self._shipped_transformer()).save_pretrained(self.base_folder("t2v") / "transformer")

    def _take_aligned(self, alignment: Alignment, seed: int) -> None:
        """Takes the model that ships, its routers drawn anew."""
        from ingredients.training.runs.start import draw_routers_anew

        transformer = self._shipped_transformer()
        draw_routers_anew(transformer, seed)
        transformer.save_pretrained(self.align_folder(alignment, seed) / "transformer")

    def _shipped_transformer(self) -> IngredientsTransformer3DModel:
        import torch

        from ingredients.model_folders.transformer import load_transformer

        return load_transformer(self.model_folder / "transformer", dtype=torch.float32)

    def _train_base(self, base: Base) -> None:
        from ingredients.studies.recipes import base_recipe
        from ingredients.training.runs.kinds import BASE_KINDS

        num_steps = self.config.t2v_steps if base == "t2v" else self.config.i2v_steps
        recipe = base_recipe(base, num_steps, model=self.drawn.model)
        start = None if base == "t2v" else self.base_folder("t2v")
        self._train(BASE_KINDS[base], recipe, self.base_folder(base), start=start)

    def _align(self, alignment: Alignment, seed: int) -> None:
        from ingredients.studies.recipes import align_recipe
        from ingredients.training.runs.kinds import RUN_KINDS

        assert alignment.base is not None
        self._train(
            RUN_KINDS["align"],
            align_recipe(self.config.align_steps, seed=seed),
            self.align_folder(alignment, seed),
            start=self.base_folder(alignment.base),
            recognition_maps=alignment.recognition_maps,
            overrides=alignment.overrides,
        )

    def _route(self, variant: Variant, seed: int) -> None:
        from ingredients.studies.recipes import route_recipe
        from ingredients.training.runs.kinds import RUN_KINDS

        self._train(
            RUN_KINDS["route"],
            route_recipe(self.config.route_steps, seed=seed),
            self.route_folder(variant, seed),
            start=self.align_folder(variant.alignment, seed),
            recognition_maps=variant.alignment.recognition_maps,
            overrides=variant.route_overrides,
        )

    def _train(
        self,
        kind: RunKind,
        recipe: RunConfig,
        folder: Path,
        *,
        start: Path | None,
        recognition_maps: bool = False,
        overrides: tuple[str, ...] = (),
    ) -> None:
        """Trains, or goes on with, a run on the lab's clips that begins with another, or with nothing."""
        from ingredients.core.config import load_config
        from ingredients.training.runs.configuration import DataConfig
        from ingredients.training.runs.run import train_run

        which = _MAPS if recognition_maps else ""
        recipe.model.start = start
        recipe.data = DataConfig(train=(self.clips(f"train{which}"),), validation=(self.clips(f"validation{which}"),))
        config = load_config(type(recipe), overrides=overrides, defaults=recipe)
        train_run(kind, config, folder, resume=True, show=self.show)


def _clips(recognition_maps: bool) -> tuple[str, ...]:
    """Names of the steps that make a run's clips."""
    which = _MAPS if recognition_maps else ""
    return f"clips-train{which}", f"clips-validation{which}"
