"""What 8-bit weights cost: the same videos in full and in minimal mode, looked at by the judge.

    python benchmarks/memory_modes.py --cases 40

The other modes compute the same numbers as full, but for the tiles of frames larger than the small model's. Likeness
guidance is off, for it mends what the weights lose. One thread, on the processor.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import torch

from ingredients.casebook.cases import make_cases, style_for
from ingredients.core.memory_mode import MemoryMode
from ingredients.evaluation.judges import load_model_judge
from ingredients.evaluation.known_people import DistractorGallery, embed_people
from ingredients.generation.people_report import PeopleCheck
from ingredients.generation.request import StudioRequest
from ingredients.generation.studio import Studio
from ingredients.model_folders.find_model import default_model_path
from ingredients.pipelines.loading import load_pipeline


def main() -> None:
    """Measures and prints, a line each mode."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--likeness-guidance-scale", type=float, default=0.0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    folder = arguments.model or default_model_path()
    judge = load_model_judge(folder)
    gallery = DistractorGallery(judge)
    first: list[np.ndarray] = []
    for mode in (MemoryMode.FULL, MemoryMode.MINIMAL):
        pipeline = load_pipeline(folder, device="cpu", memory=mode)
        pipeline.set_progress_bar_config(disable=True)
        studio = Studio(pipeline, Path(folder), PeopleCheck(judge=None))  # who judges here stands above
        cases = make_cases(arguments.cases, style=style_for(pipeline.transformer.config))
        weights = sum(each.numel() * each.element_size() for each in pipeline.transformer.parameters())
        similarities, right, differences, seconds = [], [], [], 0.0
        for index, case in enumerate(cases):
            people = pipeline.extract_identities(case.named_photos())
            started = time.monotonic()
            sampling = {"likeness_guidance_scale": arguments.likeness_guidance_scale}
            request = StudioRequest(people=people, prompt=case.prompt, seed=case.seed, sampling=sampling)
            frames = studio.make(request).frames
            seconds += time.monotonic() - started
            if mode is MemoryMode.FULL:
                first.append(frames)
            differences.append(np.abs(frames.astype(float) - first[index]).mean())
            known = embed_people(judge, case.identities, case.identity_seeds)
            distractors = gallery.for_people(case.identities, case.identity_seeds)
            for person in judge.assess(frames, known, distractors=distractors).people:
                similarities.append(person.similarity)
                right.append(person.right_person)
        print(
            f"{mode:>8}: similarity {np.mean(similarities):.2f}, right person {np.mean(right):.0%}; "
            f"pixels off by {np.mean(differences):.1f} of 255; transformer {weights / 1e6:.1f} MB; "
            f"{seconds / len(cases):.1f} s a video",
            flush=True,
        )


if __name__ == "__main__":
    main()
