"""Is likeness guidance seen by networks that it did not follow? Videos with rising scales, judged by three of them.

    python benchmarks/likeness_guidance.py --cases 40 --scales 0 0.3 1 2

`recogniser` is what the guidance climbs. `judge` is the evaluation's. `image encoder` was trained with captions, by
another loss: its cosine between face and photo, and how often a person's own photo is the nearest of all people of all
cases. `real` are real clips of the same people. A gain that only the first network sees would be noise that fools it.
One thread.
"""

import argparse
import itertools
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch.nn import functional as F

from ingredients.casebook.cases import make_cases, style_for
from ingredients.core.arrays import UInt8Array
from ingredients.evaluation.judges import load_model_judge
from ingredients.evaluation.known_people import DistractorGallery, embed_people
from ingredients.faces.alignment import crop_ffhq
from ingredients.faces.face_stack import FaceStack
from ingredients.faces.facial_extractor import ExtractedIdentities
from ingredients.generation.people_report import PeopleCheck
from ingredients.generation.request import StudioRequest
from ingredients.generation.studio import Studio
from ingredients.model_folders.find_model import default_model_path
from ingredients.pipelines.loading import load_pipeline
from ingredients.world.scenes import render_scene


def main() -> None:
    """Measures and prints, a line each scale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--scales", type=float, nargs="+", default=[0.0, 0.3, 1.0, 2.0])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    folder = arguments.model or default_model_path()
    pipeline, judge = load_pipeline(folder), load_model_judge(folder)
    pipeline.set_progress_bar_config(disable=True)
    studio = Studio(pipeline, Path(folder), PeopleCheck(judge=None))  # three judges stand below
    stack = pipeline.face_encoder
    assert stack is not None
    gallery = DistractorGallery(judge)
    cases = make_cases(arguments.cases, style=style_for(pipeline.transformer.config))
    references = [embed_people(judge, case.identities, case.identity_seeds) for case in cases]
    distractors = [gallery.for_people(case.identities, case.identity_seeds) for case in cases]
    photos = [pipeline.extract_identities(case.named_photos()) for case in cases]
    config, ratio = pipeline.transformer.config, pipeline.geometry.spatial_ratio
    real = [
        render_scene(
            case.scene(),
            height=config.sample_height * ratio,
            width=config.sample_width * ratio,
            num_frames=config.sample_frames,
        ).frames
        for case in cases
    ]

    def report(name: str, videos: list[UInt8Array], seconds: float) -> None:
        people = [
            person
            for video, known, others in zip(videos, references, distractors, strict=True)
            for person in judge.assess(video, known, distractors=others).people
        ]
        similarity = np.mean([person.similarity for person in people])
        right = np.mean([person.right_person for person in people])
        recogniser, encoder, nearest = compare_with_photos(stack, videos, photos)
        print(
            f"{name:>8}: judge {similarity:.2f}, right person {right:.0%}; recogniser {recogniser:.2f}; "
            f"image encoder {encoder:.2f}, nearest {nearest:.0%}; {seconds:.1f} s a video",
            flush=True,
        )

    report("real", real, 0.0)
    for scale in arguments.scales:
        started = time.monotonic()
        videos = [
            studio.make(
                StudioRequest(
                    people=people, prompt=case.prompt, seed=case.seed, sampling={"likeness_guidance_scale": scale}
                )
            ).frames
            for case, people in zip(cases, photos, strict=True)
        ]
        report(f"{scale:g}", videos, (time.monotonic() - started) / len(cases))


def compare_with_photos(
    stack: FaceStack, videos: Sequence[UInt8Array], photos: Sequence[ExtractedIdentities]
) -> tuple[float, float, float]:
    """First frames against photos: mean cosine of recogniser and image encoder, share whose own photo is nearest."""
    width = stack.recogniser.embedding_dim
    gallery = torch.cat([each.id_embeds[:, width:] for each in photos])  # (people of all cases, D), of norm 1
    recognition, semantic, nearest = [], [], []
    for first, video, people in zip(itertools.count(step=len(photos[0])), videos, photos, strict=False):
        frame = video[0]
        faces = stack.detector.detect(frame)
        crops = np.stack([stack.recogniser.align(frame, face.landmarks) for face in faces])
        wide = np.stack([crop_ffhq(frame, face.landmarks, size=stack.image_encoder.crop_size) for face in faces])
        cosines = F.normalize(stack.recogniser.embed(crops), dim=-1) @ F.normalize(people.recognition_embeds, dim=-1).T
        seen = F.normalize(stack.image_encoder.encode(wide).embeds, dim=-1)
        for face, person in zip(*linear_sum_assignment(-cosines.numpy()), strict=True):
            recognition.append(float(cosines[face, person]))
            semantic.append(float(seen[face] @ people.id_embeds[person, width:]))
            nearest.append(int((gallery @ seen[face]).argmax()) == first + person)
    return float(np.mean(recognition)), float(np.mean(semantic)), float(np.mean(nearest))


if __name__ == "__main__":
    main()
