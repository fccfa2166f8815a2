"""`ingredients evaluate`: measures a model on held-out people and prompts, or videos that any system made."""

import contextlib
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ingredients.apps.judge_options import (
    CalibrationOption,
    ClipOption,
    DetectorOption,
    InceptionOption,
    JudgeOption,
    MaxFramesOption,
    OnErrorOption,
    ReportVideosOption,
    VideosOption,
    check_backends,
    check_options,
)
from ingredients.apps.options import AsJson, Model, check_files
from ingredients.apps.sampling_options import finite, takes_sampling, takes_speed
from ingredients.apps.terminal import kept_when_interrupted, note, say, show, show_json, with_examples
from ingredients.core.output_folders import check_output_folder
from ingredients.core.paths import parse_path
from ingredients.model_folders.sampling_settings import SamplingOverrides

HELP = with_examples(
    "Makes videos of held-out people from held-out prompts and says, with 95 % intervals, how well they were kept. "
    "The judge is a recogniser that the model never saw. An interrupted evaluation goes on where it stopped. A "
    "summary is printed; the output folder holds the whole: report.html (photos and videos in one file), report.md, "
    "result.json, cases.csv and people.csv. `ingredients compare` lays two evaluations side by side.\n\n"
    "With --videos, judges a folder of videos that any system made.",
    "ingredients evaluate --cases 100 --json",
    "ingredients evaluate --cases 30 --modules",
    "ingredients evaluate --cases 20 --style each-own --extras 1",
    "ingredients evaluate --cases 8 --places boxes",
    "ingredients evaluate --benchmark --people 3 --output outputs/benchmark-of-three",
    "ingredients evaluate --model runs/small-world/packed --output runs/it",
    "ingredients evaluate --cases 10 --save-videos --output mine",
    "ingredients evaluate --videos mine",
    "ingredients evaluate --videos theirs --judge dlib",
    "ingredients evaluate --videos theirs --judge facenet:facenet.onnx \\",
    "  --clip clip-vit-base-patch32 --inception inception.onnx",
)

_OUTPUT = Path("outputs/evaluation")


@takes_sampling
@takes_speed
def evaluate(
    *,
    context: typer.Context,
    cases: Annotated[int, typer.Option(min=1, help="How many videos.")] = 100,
    people: Annotated[int, typer.Option(min=1, max=4, help="How many people in each.")] = 2,
    style: Annotated[
        Literal["together", "each-own"] | None,
        typer.Option(
            help="What prompts ask: all people the same (together), or an action and an expression of each person's "
            "own, by name and by place in turn (each-own). Default: what the model was made for.",
            show_default=False,
        ),
    ] = None,
    extras: Annotated[
        int,
        typer.Option(
            min=0,
            max=3,
            help="Strangers whom prompts ask for beside the people, with --style each-own; extra_taken_rate says how "
            "many of them look like one of these.",
        ),
    ] = 0,
    benchmark: Annotated[
        bool, typer.Option("--benchmark", help="Measure on the benchmark's cases of 2, 3 or 4 people.")
    ] = False,
    modules: Annotated[
        bool, typer.Option("--modules", help="Measure the model with its parts switched off, swapped and forced.")
    ] = False,
    places: Annotated[
        Literal["columns", "boxes", "moving"] | None,
        typer.Option(
            help="Give everybody a place, as `generate --place` does: columns from left to right (also by --places "
            "alone), boxes dealt by lot, or columns that move on during the video; placed_rate says who stands there."
        ),
    ] = None,
    model: Model = None,
    output: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path,
            help="Folder of the records, the numbers and the report. Default: outputs/evaluation, or with --videos "
            "outputs/evaluation-of-FOLDER.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another one makes other videos of the same cases.")] = 0,
    sampling: SamplingOverrides,
    face_scale: Annotated[float, typer.Option(callback=finite, help="Strength of the faces' local features.")] = 1.0,
    speed: dict[str, Any],
    batch_size: Annotated[int, typer.Option(min=1, help="Videos made at once.")] = 1,
    save_videos: Annotated[
        bool,
        typer.Option(
            "--save-videos",
            help="Keep the videos in the folder, with photos and a manifest that --videos reads; with --modules, the "
            "videos alone.",
        ),
    ] = False,
    judge: JudgeOption = "model",
    detector: DetectorOption = None,
    clip: ClipOption = None,
    inception: InceptionOption = None,
    videos: VideosOption = None,
    calibration: CalibrationOption = None,
    max_frames: MaxFramesOption = None,
    on_error: OnErrorOption = "skip",
    report_videos: ReportVideosOption = 24,
    as_json: AsJson = False,
) -> None:
    """Measures a model on held-out people and prompts, or videos that any system made."""
    check_options(context, videos=videos is not None, modules=modules)
    default = _OUTPUT if videos is None else _OUTPUT.with_name(f"{_OUTPUT.name}-of-{videos.resolve().name}")
    output = output or default
    check_output_folder(output, "an evaluation")

    from ingredients.core.config import config_to_dict
    from ingredients.core.errors import UserInputError
    from ingredients.core.progress import show_progress
    from ingredients.evaluation.manifest import read_manifest
    from ingredients.evaluation.names import HTML_NAME, MODEL
    from ingredients.model_folders.find_model import check_model_folder, find_model
    from ingredients.pipelines.execution.speed_options import COMPILE_NOTICE, SpeedOptions

    if modules and people != 2:
        raise UserInputError(f"--modules measures cases of 2 people, not {people}; leave --people out.")
    if modules and benchmark:
        raise UserInputError("--modules has cases of its own, not the benchmark's; leave one of the two out.")
    if style == "each-own" and (modules or benchmark):
        other = "--modules" if modules else "--benchmark"
        raise UserInputError(f"{other} has cases of its own, in which all do the same; leave --style out.")
    if extras and style == "together":
        raise UserInputError("Prompts speak of strangers with --style each-own alone; add it, or leave --extras out.")
    if people + extras > 4:
        raise UserInputError(
            f"A prompt speaks of at most 4 people, not {people} and {extras} strangers; ask for fewer."
        )
    speed_options = SpeedOptions(**speed)
    check_backends(judge=judge, detector=detector, clip=clip, inception=inception)
    check_files([calibration], "calibration")
    if videos is not None:
        read_manifest(videos)
        model = model if MODEL in (judge, detector) else None
    folder = find_model(model, notice=say)
    if videos is None:
        check_model_folder(folder)

    from ingredients.casebook.cases import CASES_VERSION, make_cases, style_for
    from ingredients.casebook.drawn import DRAWN_CASES_VERSION, drawn_cases  # with PyTorch
    from ingredients.evaluation.evaluate import evaluate as run_evaluation
    from ingredients.evaluation.folder_source import FolderSource
    from ingredients.evaluation.judges import load_judges
    from ingredients.evaluation.modules import MODULES_REPORT_NAME, ModulesResult, evaluate_modules
    from ingredients.evaluation.pipeline_source import GenerationSettings, PipelineSource
    from ingredients.evaluation.result import Result
    from ingredients.evaluation.sources import VideoSource
    from ingredients.pipelines.loading import load_pipeline

    judges = load_judges(
        folder, judge=judge, detector=detector, clip=clip, inception=inception, own_videos=videos is None
    )
    result: Result | ModulesResult
    with contextlib.ExitStack() as stack:
        stack.enter_context(kept_when_interrupted("the finished cases are", output))
        source: VideoSource
        if videos is not None:
            source = FolderSource(videos, calibration=calibration, max_frames=max_frames)
        else:
            pipeline = load_pipeline(folder, speed=speed_options)
            chosen = config_to_dict(pipeline.sampling_defaults.override(**sampling))
            settings = GenerationSettings(**chosen, face_scale=face_scale, placing=places, speed=speed_options)
            if speed_options.compile:
                note(COMPILE_NOTICE)
            stack.enter_context(pipeline.explained_out_of_memory())
            if not modules:
                source = PipelineSource(
                    pipeline,
                    drawn_cases(cases, num_people=people)
                    if benchmark
                    else make_cases(
                        cases,
                        num_people=people,
                        num_extras=extras,
                        style=style or style_for(pipeline.transformer.config),
                    ),
                    settings=settings,
                    seed=seed,
                    cases_version=DRAWN_CASES_VERSION if benchmark else CASES_VERSION,
                    batch_size=batch_size,
                )
        progress = stack.enter_context(show_progress("Evaluating" if videos is None else "Judging"))
        if modules:
            result = evaluate_modules(
                pipeline,
                judges,
                output,
                num_cases=cases,
                seed=seed,
                settings=settings,
                batch_size=batch_size,
                save_videos=save_videos,
                progress=progress,
            )
        else:
            result = run_evaluation(
                source,
                judges,
                output,
                save_videos=save_videos,
                on_error=on_error,
                num_report_videos=report_videos,
                progress=progress,
            )
            if videos is not None and result.num_errors:
                note(f"{result.num_errors} of {len(result.cases)} videos could not be judged; the report says why.")
    if as_json:
        show_json(result.to_json())
    else:
        report = MODULES_REPORT_NAME if modules else HTML_NAME
        show(f"{result.to_summary()}\nreport: {output / report}")
