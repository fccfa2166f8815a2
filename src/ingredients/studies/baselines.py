"""Makes the videos of the tuned baselines: for each case, a pair is tuned for, and then its prompt is drawn."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from ingredients.core.arrays import UInt8Array
from ingredients.evaluation.pipeline_source import GenerationSettings, VideoRequest
from ingredients.model_folders.sampling_settings import SamplingSettings
from ingredients.pipelines import IngredientsPipeline
from ingredients.pipelines.pipeline_output import IngredientsPipelineOutput, to_pixels
from ingredients.studies.pair_tuning import PairTuningConfig, PairTuningStage, PlaceholderPrompts
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.loop.trainer import Trainer


class TunedBaseline:
    """Makes a case's video by a base that is tuned for the case's people.

    Args:
        pipeline: the pipeline of the text-to-video base, whose transformer is left as it was.
        config: what is learnt.
        trainer: the loop of the tuning.
        folder: where the runs of the tuning go; each is removed once its video is made.
    """

    def __init__(
        self, pipeline: IngredientsPipeline, config: PairTuningConfig, trainer: TrainerConfig, folder: Path
    ) -> None:
        self.pipeline = pipeline
        self.config = config
        self.trainer = trainer
        self.folder = folder
        self.name = f"{config.method}, {trainer.num_steps} steps at {trainer.learning_rate:g}"
        self._weights = {name: tensor.clone() for name, tensor in pipeline.transformer.state_dict().items()}

    def __call__(self, requests: Sequence[VideoRequest], settings: GenerationSettings) -> list[UInt8Array]:
        """The videos (F, H, W, 3), one after the other."""
        return [self._make(request, settings) for request in requests]

    def _make(self, request: VideoRequest, settings: GenerationSettings) -> UInt8Array:
        transformer = type(self.pipeline.transformer).from_config(self.pipeline.transformer.config)
        transformer.load_state_dict(self._weights)
        prompts = PlaceholderPrompts(
            self.pipeline.tokenizer,
            self.pipeline.text_encoder,
            max_length=transformer.config.max_text_seq_length,
        )
        stage = PairTuningStage(
            transformer,
            self.pipeline.vae,
            prompts,
            request.canvas_people.canvas_crops,
            self.config,
            schedule=transformer.backbone.noise_schedule(self.pipeline.scheduler),
            seed=self.trainer.seed,
        )
        run = self.folder / f"{self.config.method}-{request.seed}"
        Trainer(stage, run, self.trainer).fit(resume=True, show=False)
        shutil.rmtree(run)
        components = self.pipeline.components | {"transformer": transformer.eval()}
        tuned = IngredientsPipeline(**components)
        tuned.set_progress_bar_config(disable=True)
        with torch.no_grad():
            prompt_embeds = stage.prompt_embeds([request.prompt])
            negative_prompt_embeds, _ = tuned.encode_prompt("", do_classifier_free_guidance=False)
            output = tuned(
                prompt_embeds=prompt_embeds,
                negative_prompt_embeds=negative_prompt_embeds,
                sampling=SamplingSettings(
                    num_inference_steps=settings.num_inference_steps, guidance_scale=settings.guidance_scale
                ),
                generator=request.seed,
                output_type="np",
            )
        assert isinstance(output, IngredientsPipelineOutput)
        frames: UInt8Array = to_pixels(output.frames)[0]
        return frames


def tuning_trainer(num_steps: int, learning_rate: float) -> TrainerConfig:
    """The loop of a tuning: short, and without a moving average to speak of."""
    return TrainerConfig(
        num_steps=num_steps,
        learning_rate=learning_rate,
        schedule="constant",
        num_warmup_steps=0,
        ema_decay=0.0,
        checkpoint_every=num_steps,
        keep_checkpoints=1,
        precision="auto",
    )
