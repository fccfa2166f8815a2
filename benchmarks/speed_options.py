"""What each speed option saves and what it costs: time, likeness to the exact video, and who is recognised.

    python benchmarks/speed_options.py --cases 20
    python benchmarks/speed_options.py --cases 20 --steps 50 --options first-block pab faster mag taylor

`transformer` is the time of all steps of the transformer relative to the same steps without options, the best of some
alternating rounds; `video` that of whole videos, likeness guidance and decoding included. `PSNR` compares the frames
with those made without options. `similarity` and `right person` are the judge's, and behind them the change against
the same cases without options, with its 95 % interval. One thread; times are the processor's, which other
programs beside this one hardly change. `--cases 0` measures the transformer's time alone.
"""

import argparse
import dataclasses
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ingredients.apps.quiet_libraries import silence_libraries
from ingredients.casebook.cases import Case, make_cases, style_for
from ingredients.core.arrays import UInt8Array
from ingredients.evaluation.judges import load_model_judge
from ingredients.evaluation.known_people import DistractorGallery, embed_people
from ingredients.evaluation.statistics import bootstrap_mean
from ingredients.faces.facial_extractor import ExtractedIdentities
from ingredients.generation.people_report import PeopleCheck
from ingredients.generation.request import StudioRequest
from ingredients.generation.studio import Studio
from ingredients.model_folders.find_model import default_model_path
from ingredients.pipelines.execution.speed_options import STEP_CACHES, SpeedOptions
from ingredients.pipelines.loading import load_pipeline
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline

EXACT = SpeedOptions(precision="float32")
"""Without options, and not in a precision of the model's own either."""

OPTIONS: dict[str, SpeedOptions] = {
    "exact": EXACT,
    "fuse-qkv": dataclasses.replace(EXACT, fuse_qkv=True),
    "split-guidance": dataclasses.replace(EXACT, split_guidance=True),
    "compile": dataclasses.replace(EXACT, compile=True),
    "precision": SpeedOptions(precision="bfloat16"),
    **{name: dataclasses.replace(EXACT, step_cache=name) for name in STEP_CACHES},
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A case, as the model and the judge see it."""

    case: Case
    """Who and what."""

    people: ExtractedIdentities
    """What the model is given."""

    judge: Callable[[UInt8Array], tuple[float, float]]
    """Of a video: mean similarity of its people, and the share that is the right person."""


def make_questions(folder: str, pipeline: IngredientsPipeline, num_cases: int) -> list[Question]:
    """Held-out cases, the same as those of `ingredients evaluate`."""
    judge = load_model_judge(folder)
    gallery = DistractorGallery(judge)

    def make_question(case: Case) -> Question:
        references = embed_people(judge, case.identities, case.identity_seeds)
        distractors = gallery.for_people(case.identities, case.identity_seeds)

        def assess(video: UInt8Array) -> tuple[float, float]:
            people = judge.assess(video, references, distractors=distractors).people
            return (
                float(np.mean([person.similarity for person in people])),
                float(np.mean([person.right_person for person in people])),
            )

        return Question(case=case, people=pipeline.extract_identities(case.named_photos()), judge=assess)

    return [make_question(case) for case in make_cases(num_cases, style=style_for(pipeline.transformer.config))]


def make_video(studio: Studio, question: Question, *, steps: int, likeness: float) -> UInt8Array:
    """The video of a case."""
    sampling = {"num_inference_steps": steps, "likeness_guidance_scale": likeness}
    case = question.case
    request = StudioRequest(people=question.people, prompt=case.prompt, seed=case.seed, sampling=sampling)
    return studio.make(request).frames


class TransformerClock:
    """Adds up the time that a transformer takes."""

    def __init__(self, pipeline: IngredientsPipeline) -> None:
        self.seconds = 0.0
        self._started = 0.0
        pipeline.transformer.register_forward_pre_hook(self._start)
        pipeline.transformer.register_forward_hook(self._stop)

    def _start(self, *_: object) -> None:
        self._started = time.process_time()

    def _stop(self, *_: object) -> None:
        self.seconds += time.process_time() - self._started


def time_transformer(
    studio: Studio, question: Question, names: Sequence[str], steps: int, rounds: int
) -> dict[str, float]:
    """Least seconds that the transformer takes for a video with each option, and says what compiling takes."""
    clock = TransformerClock(studio.pipeline)
    best = dict.fromkeys(names, float("inf"))
    for round_index in range(rounds):
        for name in names:
            studio.pipeline.apply_speed_options(OPTIONS[name])
            if round_index == 0 and OPTIONS[name].compile:
                started = time.perf_counter()
                make_video(studio, question, steps=steps, likeness=0.0)
                print(f"First video with {name}: {time.perf_counter() - started:.0f} s", flush=True)
            clock.seconds = 0.0
            make_video(studio, question, steps=steps, likeness=0.0)
            best[name] = min(best[name], clock.seconds)
    return best


def peak_signal_to_noise_ratio(video: UInt8Array, exact: UInt8Array) -> float:
    """Of frames in 0..255, in decibels; infinite for the same frames."""
    error = np.mean((video.astype(np.float64) - exact.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def change(values: NDArray[np.float64], exact: NDArray[np.float64]) -> str:
    """Mean change with its interval, in percent points of the measure's scale."""
    low, mean, high = paired_change(values, exact)
    return f"{100 * mean:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def paired_change(values: NDArray[np.float64], exact: NDArray[np.float64]) -> tuple[float, float, float]:
    """Low, mean and high of the change over cases."""
    estimate = bootstrap_mean(values - exact)
    return estimate.low, estimate.value, estimate.high


def main() -> None:
    """Measures and prints, a table for each number of steps, with likeness guidance and without."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--steps", type=int, nargs="+", default=None, help="default: the model's own number")
    parser.add_argument("--likeness", type=float, nargs="+", default=[1.0, 0.0], help="likeness guidance scales")
    parser.add_argument("--options", choices=[name for name in OPTIONS if name != "exact"], nargs="+", default=None)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    silence_libraries()
    torch.set_num_threads(1)
    folder = arguments.model or str(default_model_path())
    pipeline = load_pipeline(folder)
    pipeline.set_progress_bar_config(disable=True)
    studio = Studio(pipeline, Path(folder), PeopleCheck(judge=None))  # the judge looks outside of the clock
    names = ["exact", *(arguments.options or [name for name in OPTIONS if name != "exact"])]
    questions = make_questions(folder, pipeline, arguments.cases) if arguments.cases else []
    for steps in arguments.steps or [pipeline.sampling_defaults.num_inference_steps]:
        seconds = time_transformer(studio, make_questions(folder, pipeline, 1)[0], names, steps, arguments.rounds)
        print(f"\n{steps} steps: " + ", ".join(f"{name} {seconds[name] / seconds['exact']:.2f}" for name in names))
        if not questions:
            continue
        for likeness in arguments.likeness:
            print(f"\n{steps} steps, likeness guidance {likeness:g}, {len(questions)} cases\n")
            print("| option | transformer | video | PSNR | similarity | right person |\n|---|---|---|---|---|---|")
            exact_videos: list[UInt8Array] = []
            for name in names:
                studio.pipeline.apply_speed_options(OPTIONS[name])
                started = time.process_time()
                videos = [make_video(studio, each, steps=steps, likeness=likeness) for each in questions]
                a_video = (time.process_time() - started) / len(questions)
                judged = np.array([each.judge(video) for each, video in zip(questions, videos, strict=True)])
                if name == "exact":
                    exact_videos, exact_judged, exact_video = videos, judged, a_video
                ratios = [
                    peak_signal_to_noise_ratio(video, exact) for video, exact in zip(videos, exact_videos, strict=True)
                ]
                similarity, right = judged.T
                cells = [
                    name,
                    f"{seconds[name] / seconds['exact']:.2f}",
                    f"{a_video / exact_video:.2f}",
                    "-" if name == "exact" else f"{np.mean(ratios):.1f} dB",
                    f"{similarity.mean():.3f}",
                    f"{right.mean():.0%}",
                ]
                if name != "exact":
                    cells[4] += f", {change(similarity, exact_judged[:, 0])}"
                    cells[5] += f", {change(right, exact_judged[:, 1])}"
                print("| " + " | ".join(cells) + " |", flush=True)
            print(
                f"\nexact: {exact_video:.1f} s a video, of which the transformer {seconds['exact']:.1f} s", flush=True
            )


if __name__ == "__main__":
    main()
