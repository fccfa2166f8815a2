r"""Measures what the step cache mag goes by, and writes it into a model folder.

    python benchmarks/residual_magnitudes.py --model path/to/folder --photo ana=ana.png --photo ben=ben.png \
        --prompt "Two people wave on a beach" --seeds 4
    python benchmarks/residual_magnitudes.py --cases 8

The first form is for any model. The second takes cases of the drawn world, which no evaluation uses, and is how the
file of the small model was made. One measurement serves every number of steps. One thread.
"""

import argparse
import warnings
from pathlib import Path

import torch

from ingredients.apps.generate_command import parse_photos
from ingredients.casebook.cases import FIRST_CALIBRATION_SEED, make_case, style_for
from ingredients.model_folders.find_model import default_model_path
from ingredients.pipelines.execution.residual_magnitudes import recording_residuals, save_residual_magnitudes
from ingredients.pipelines.loading import load_pipeline
from ingredients.pipelines.people import identity_photos


def main() -> None:
    """Makes the videos and writes what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--photo", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--prompt", default="Two people talk.")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--cases", type=int, default=0)
    parser.add_argument("--steps", type=int, default=50)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    folder = arguments.model or default_model_path()
    pipeline = load_pipeline(folder)
    pipeline.set_progress_bar_config(disable=True)
    if arguments.cases:
        style = style_for(pipeline.transformer.config)
        cases = [make_case(index, first_seed=FIRST_CALIBRATION_SEED, style=style) for index in range(arguments.cases)]
        videos = [(case.named_photos(), case.prompt, case.seed) for case in cases]
    else:
        videos = [
            (identity_photos(parse_photos(arguments.photo)), arguments.prompt, seed) for seed in range(arguments.seeds)
        ]
    with recording_residuals(pipeline.transformer) as recorder:
        for people, prompt, seed in videos:
            pipeline(people, prompt, generator=seed, num_inference_steps=arguments.steps, output_type="latent")
    magnitudes = recorder.magnitudes()
    save_residual_magnitudes(magnitudes, folder)
    for timestep, ratio in zip(magnitudes.timesteps, magnitudes.ratios(magnitudes.timesteps), strict=True):
        print(f"t = {timestep:>3}: {ratio:.4f}")


if __name__ == "__main__":
    main()
