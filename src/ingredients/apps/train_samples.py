"""What a model makes while it is trained: videos and routing maps of the same held-out people, again and again."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import MissingDependencyError
from ingredients.core.files import atomic_path
from ingredients.core.warnings_told import TrainingWarning
from ingredients.data.batches import draw_reference, read_people
from ingredients.data.encoded_clips import EncodedClips
from ingredients.data.sampling import fixed_draws
from ingredients.data.shard_writer import clip_key
from ingredients.faces.canvas import compose_canvas
from ingredients.media.pictures import write_picture
from ingredients.media.video import write_video
from ingredients.models import IngredientsTransformer3DModel
from ingredients.pipelines import IngredientsPipeline
from ingredients.pipelines.execution.memory_modes import SMALL_TILE, decoding_in_tiles
from ingredients.pipelines.people import PeopleEmbeds
from ingredients.pipelines.pipeline_output import IngredientsPipelineOutput, to_pixels
from ingredients.pipelines.video_shape import FPS, ShapeWarning
from ingredients.training.runs.configuration import RunConfig, SamplesConfig
from ingredients.training.stages.diffusion import FrozenParts
from ingredients.visualisation.contact_sheet import contact_sheet
from ingredients.visualisation.routing_maps import routing_map_sheet

SAMPLES_FOLDER = "samples"
_SEED = 0


class TrainingSampler:
    """Draws videos of held-out clips' people by the model that is trained; a `ValidationCallback`.

    Everything it shows the model was encoded beforehand, so that neither text encoder nor face networks are needed.
    """

    def __init__(self, parts: FrozenParts, folder: Path, config: SamplesConfig) -> None:
        assert parts.validation_clips is not None
        self._parts = parts
        self._clips: EncodedClips = parts.validation_clips
        self._folder = folder / SAMPLES_FOLDER
        self._config = config

    @torch.no_grad()
    def __call__(self, *, step: int, model: torch.nn.Module) -> Mapping[str, float]:
        """Writes `samples/step-N/CLIP.mp4`, `CLIP.png` and `CLIP-routing.png`."""
        transformer = cast(IngredientsTransformer3DModel, model)
        pipeline = IngredientsPipeline(
            tokenizer=None,  # captions are encoded already
            text_encoder=None,
            vae=self._parts.vae,
            transformer=transformer,
            scheduler=type(self._parts.scheduler).from_config(self._parts.scheduler.config),
        )
        pipeline.set_progress_bar_config(disable=True)
        folder = self._folder / f"step-{step:08d}"
        folder.mkdir(parents=True, exist_ok=True)
        was_training = transformer.training
        transformer.eval()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ShapeWarning)  # the shape is one that is trained on
                for index in range(min(self._config.num_clips, len(self._clips))):
                    self._draw(pipeline, index, folder)
        finally:
            transformer.train(was_training)
        return {}

    def _draw(self, pipeline: IngredientsPipeline, index: int, folder: Path) -> None:
        entry = self._clips.entries[index]
        (draw,) = fixed_draws([index], [each.clip_id for each in self._clips.entries], seed=_SEED)
        keys = [draw_reference(self._clips, draw, person, source="other") for person in range(len(entry.kinds))]
        crops = np.stack([self._clips.reference(*key, "canvas_crop").numpy() for key in keys])
        people = read_people(self._clips, [keys], vit_dim=pipeline.transformer.config.id_vit_dim)
        ratio = pipeline.geometry.spatial_ratio
        num_latent_frames, _, latent_height, latent_width = entry.latent_shape
        height, width = latent_height * ratio, latent_width * ratio
        device, dtype = pipeline.transformer.device, pipeline.transformer.dtype
        output = pipeline(
            PeopleEmbeds(id_embeds=people.id_embeds, id_vit_hidden_states=people.id_vit_hidden_states),
            prompt_embeds=self._clips.tensor(index, "prompt_embeds")[None].to(device, dtype),
            negative_prompt_embeds=self._clips.empty_prompt_embeds[None].to(device, dtype),
            height=height,
            width=width,
            num_frames=1 + (num_latent_frames - 1) * pipeline.geometry.temporal_ratio,
            num_inference_steps=self._config.num_inference_steps,
            guidance_scale=self._config.guidance_scale,
            generator=_SEED,
            canvas=compose_canvas(crops, height, width),
            output_routing_maps=True,
            output_type="latent",
        )
        assert isinstance(output, IngredientsPipelineOutput)
        assert output.routing_maps is not None
        assert isinstance(output.frames, torch.Tensor)
        with decoding_in_tiles(pipeline.vae, SMALL_TILE):  # the canvas was encoded whole, as in training
            decoded = pipeline.decode_latents(output.frames)
        frames: UInt8Array = to_pixels(pipeline.video_processor.postprocess_video(decoded, output_type="np"))[0]
        names, key = [f"person {number + 1}" for number in range(len(keys))], clip_key(entry.clip_id)
        caption = self._clips.caption(index)
        try:
            with atomic_path(folder / f"{key}.mp4") as path:
                write_video(path, frames, fps=FPS, metadata={"title": caption})
        except MissingDependencyError as error:  # no reason to end a run: the pictures show most of it
            warnings.warn(f"Samples are pictures without videos. {error}", TrainingWarning, stacklevel=2)
        photos = {name: [crop] for name, crop in zip(names, crops, strict=True)}
        write_picture(folder / f"{key}.png", contact_sheet(frames, photos, prompt=caption))
        routing = routing_map_sheet(
            output.routing_maps[0].numpy(),
            frames,
            names,
            token_frames=pipeline.geometry.token_frames(len(frames)),
        )
        write_picture(folder / f"{key}-routing.png", routing)


def training_sampler(config: RunConfig, parts: FrozenParts, folder: Path) -> TrainingSampler:
    """The sampler that `train_run` asks for."""
    return TrainingSampler(parts, folder, config.samples)
