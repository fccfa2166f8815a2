"""Where on the way from noise to video likeness is lost: real clips are noised to some level, and denoised again.

    python benchmarks/likeness_by_noise.py --cases 12 --starts 200 400 600 800 1000

A start of 1000 is the ordinary generation, with the model's own layout; at lower ones the noisy clip itself says who
stands where. Prints normalised similarity and the share of right people, by the evaluation's judge. One thread.
"""

import argparse
import warnings

import numpy as np
import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler

from ingredients.casebook.cases import Case, make_cases, style_for
from ingredients.core.arrays import UInt8Array
from ingredients.data.latents import encode_clips, video_to_pixels
from ingredients.evaluation.judges import load_model_judge
from ingredients.evaluation.known_people import DistractorGallery, embed_people
from ingredients.model_folders.find_model import default_model_path
from ingredients.pipelines.loading import load_pipeline
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.pipelines.pipeline_output import to_pixels
from ingredients.world.scenes import render_scene

_ALL_NOISE = 1000


class LateSteps:
    """Leaves out a scheduler's steps above `start`."""

    start = _ALL_NOISE

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
        """As usual, without the noisiest ones."""
        super().set_timesteps(num_inference_steps, device=device)  # type: ignore[misc]
        self.timesteps = self.timesteps[self.timesteps <= self.start]


class LateDpmScheduler(LateSteps, CogVideoXDPMScheduler):
    """Of models that are sampled by DPM++."""


class LateDdimScheduler(LateSteps, CogVideoXDDIMScheduler):
    """Of models that are sampled by DDIM."""


def main() -> None:
    """Measures and prints, a line each start."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None)
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--starts", type=int, nargs="+", default=[200, 400, 600, 800, _ALL_NOISE])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    folder = arguments.model or default_model_path()
    pipeline = load_pipeline(folder)
    is_ddim = isinstance(pipeline.scheduler, CogVideoXDDIMScheduler)
    pipeline.scheduler = (LateDdimScheduler if is_ddim else LateDpmScheduler).from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    judge = load_model_judge(folder)
    gallery = DistractorGallery(judge)
    cases = make_cases(arguments.cases, style=style_for(pipeline.transformer.config))
    references = [embed_people(judge, case.identities, case.identity_seeds) for case in cases]
    distractors = [gallery.for_people(case.identities, case.identity_seeds) for case in cases]
    for start in arguments.starts:
        pipeline.scheduler.start = start
        people = []
        for case, known, others in zip(cases, references, distractors, strict=True):
            people += judge.assess(denoise(pipeline, case, start), known, distractors=others).people
        similarity = np.mean([person.similarity for person in people])
        right = np.mean([person.right_person for person in people])
        print(f"from t = {start:4}: similarity {similarity:.2f}, right person {right:.0%}", flush=True)


def denoise(pipeline: IngredientsPipeline, case: Case, start: int) -> UInt8Array:
    """Frames (F, H, W, 3) that the model makes of the case's real clip under noise."""
    geometry, shape = pipeline.geometry, pipeline.geometry.own_shape
    clip = render_scene(case.scene(), height=shape.height, width=shape.width, num_frames=shape.num_frames)
    latents = encode_clips(pipeline.vae, video_to_pixels(clip.frames[None])).float()
    latents = torch.cat([latents[:, :1]] * geometry.front_padding(shape) + [latents], dim=1)
    generator = torch.Generator().manual_seed(case.seed)
    noise = pipeline.transformer.draw_noise(latents.shape, generator=generator)
    pipeline.scheduler.set_timesteps(pipeline.sampling_defaults.num_inference_steps)
    noisy = pipeline.scheduler.add_noise(latents, noise, pipeline.scheduler.timesteps[:1])
    output = pipeline(
        people=pipeline.extract_identities(case.named_photos()),
        prompt=case.prompt,
        latents=noisy,
        generator=case.seed,
        layout_share=None if start >= _ALL_NOISE else 0.0,
        likeness_guidance_scale=0.0,  # the model by itself
        output_type="np",
    )
    frames: UInt8Array = to_pixels(output.frames)[0]
    return frames


if __name__ == "__main__":
    main()
