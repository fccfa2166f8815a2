"""`ingredients benchmark ...`: people, prompts and fixed cases to measure models on, drawn or from your photos."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ingredients.apps.options import AllowPhotographs, AsJson, FaceStack, Identity, Memory, Model, check_folders
from ingredients.apps.sampling_options import takes_sampling
from ingredients.apps.terminal import (
    IngredientsGroup,
    kept_when_interrupted,
    note,
    problem_lines,
    say,
    show,
    show_json,
    with_examples,
)
from ingredients.core.errors import MissingDependencyError, UserInputError
from ingredients.core.memory_mode import MemoryMode
from ingredients.core.paths import parse_path
from ingredients.model_folders.sampling_settings import SamplingOverrides

if TYPE_CHECKING:
    from ingredients.casebook.benchmark import Benchmark
    from ingredients.casebook.check import BenchmarkReport
    from ingredients.core.protocols import FaceDetector
    from ingredients.faces.picture_kind import PictureKindClassifier

BENCHMARK_ERRORS = 1
"""Exit code of a check that found something that must be mended."""

app = typer.Typer(
    cls=IngredientsGroup,
    no_args_is_help=True,
    help=with_examples(
        "A benchmark: people with photos, prompts, and fixed cases in which everybody is used equally often "
        "(docs/benchmark.md). `ingredients evaluate --benchmark` runs the drawn one at once.",
        "ingredients benchmark write drawn-benchmark",
        "ingredients benchmark make my-photos --people 2 --people 3",
        "ingredients benchmark check my-photos",
        "ingredients benchmark run my-photos --model published --output videos",
        "ingredients evaluate --videos videos --judge dlib",
    ),
)


@app.command(
    help=with_examples(
        "Writes the benchmark of the drawn world: 50 people, 60 prompts, 100 cases of two people, of three and of "
        "four, with its card and figure.",
        "ingredients benchmark write drawn-benchmark",
    )
)
def write(
    folder: Annotated[Path, typer.Argument(parser=parse_path, metavar="FOLDER", help="Folder to make.")],
) -> None:
    """Writes the benchmark of the drawn world."""
    from ingredients.casebook.making import write_drawn_benchmark
    from ingredients.core.progress import show_progress

    with show_progress("Drawing people") as progress:
        benchmark = write_drawn_benchmark(folder, progress=progress)
    _describe(folder, benchmark, command="ingredients benchmark write")


@app.command(
    help=with_examples(
        "Makes the cases of a benchmark of your own: the folder holds prompts.jsonl, and photos/ or identities.jsonl "
        "(docs/benchmark.md). Everybody is used equally often, and every set of people gets two prompts. The same "
        "photos and prompts always give the same cases.",
        "ingredients benchmark make my-photos --people 2",
        "ingredients benchmark make my-photos --people 2 --people 3",
    )
)
def make(
    folder: Annotated[
        Path, typer.Argument(parser=parse_path, metavar="FOLDER", help="Folder of the photos and prompts.")
    ],
    people: Annotated[
        list[int] | None, typer.Option(min=2, help="People in a case. Repeat it for more numbers. Default: 2.")
    ] = None,
) -> None:
    """Makes the cases of a benchmark of your own."""
    from ingredients.casebook.making import complete_benchmark

    benchmark = complete_benchmark(folder, people or [2])
    options = " ".join(f"--people {count}" for count in benchmark.info.num_people)
    _describe(folder, benchmark, command=f"ingredients benchmark make {options}")


@app.command(
    help=with_examples(
        "Checks a benchmark: every line is read, every photo opened, and everybody must be used equally often. Exit "
        "code 1 if something must be mended.",
        "ingredients benchmark check my-photos",
        "ingredients benchmark check my-photos --faces dlib",
        "ingredients benchmark check my-photos --json > report.json",
    )
)
def check(
    folder: Annotated[Path, typer.Argument(parser=parse_path, metavar="FOLDER", help="Folder of the benchmark.")],
    faces: Annotated[
        Literal["model", "dlib"] | None,
        typer.Option(
            help="Also look for a face in every photo: with the model's own networks, or with dlib's, which know "
            'photographs and work offline (pip install "ingredients\\[dlib]").'
        ),
    ] = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Checks a benchmark."""
    from ingredients.casebook.check import check_benchmark
    from ingredients.core.progress import show_progress

    if model is not None and faces != "model":
        raise UserInputError("Only --faces model needs a model; add it, or leave --model out.")
    detector, picture_kind = (None, None) if faces is None else _load_detector(faces, model)
    with show_progress("Checking photos") as progress:
        report = check_benchmark(folder, detector=detector, picture_kind=picture_kind, progress=progress)
    if as_json:
        show_json(dataclasses.asdict(report))
    else:
        show(_report_text(report))
    if not report.is_usable:
        raise typer.Exit(BENCHMARK_ERRORS)


@app.command(
    help=with_examples(
        "Makes the videos of a benchmark's cases with a model: a folder that `ingredients evaluate --videos` judges. "
        "A video that is there is not made again, so an interrupted run goes on where it stopped.",
        "ingredients benchmark run my-photos --model published --output videos",
        "ingredients benchmark run my-photos --model published --people 3 --cases 20 --output three",
        "ingredients evaluate --videos videos --judge dlib",
    )
)
@takes_sampling
def run(
    *,
    folder: Annotated[Path, typer.Argument(parser=parse_path, metavar="FOLDER", help="Folder of the benchmark.")],
    output: Annotated[Path, typer.Option(parser=parse_path, help="Folder of the videos and their manifest.")],
    people: Annotated[int, typer.Option(min=2, help="People in a case.")] = 2,
    cases: Annotated[int | None, typer.Option(min=1, help="How many cases, the first ones. Default: all.")] = None,
    model: Model = None,
    identity: Identity = None,
    face_stack: FaceStack = "model",
    allow_photographs: AllowPhotographs = False,
    sampling: SamplingOverrides,
    memory: Memory = MemoryMode.AUTO,
) -> None:
    """Makes the videos of a benchmark's cases."""
    from ingredients.casebook.check import read_benchmark
    from ingredients.casebook.sets import choose_cases
    from ingredients.core.output_folders import check_output_folder
    from ingredients.core.progress import show_progress
    from ingredients.model_folders.find_model import check_model_folder, find_model

    check_output_folder(output, "videos of a benchmark")
    check_folders([identity], "folder of identity weights")
    benchmark = read_benchmark(folder)
    chosen = choose_cases(benchmark, num_people=people, num_cases=cases)
    model_folder = find_model(model, notice=say)
    check_model_folder(model_folder)

    from ingredients.generation.benchmark_videos import make_benchmark_videos
    from ingredients.generation.people_report import PeopleCheck
    from ingredients.generation.studio import Studio, check_takes_people
    from ingredients.pipelines.execution.memory_estimate import VideoDemand
    from ingredients.pipelines.loading import load_pipeline

    pipeline = load_pipeline(
        model_folder,
        identity=identity,
        face_stack=face_stack,
        memory=memory,
        demand=VideoDemand(num_people=people, sampling=sampling),
    )
    check_takes_people(pipeline, model_folder)
    with kept_when_interrupted("the finished cases are", output), show_progress("Making videos") as progress:
        videos = make_benchmark_videos(
            Studio(pipeline, model_folder, PeopleCheck(judge=None)),  # which `evaluate --videos` does
            folder,
            benchmark,
            output,
            cases=chosen,
            sampling=sampling,
            allow_photographs=allow_photographs,
            progress=progress,
            notice=note,
        )
    say(f"{len(videos)} videos; judge them with: ingredients evaluate --videos {output}")
    show(output)


def _describe(folder: Path, benchmark: "Benchmark", *, command: str) -> None:
    """Writes card and figure; where matplotlib is missing, the card goes without."""
    from ingredients.casebook.benchmark import FIGURE_NAME
    from ingredients.casebook.making import prompt_contents, write_card
    from ingredients.media.pictures import write_picture
    from ingredients.visualisation.distribution import evaluation_set_figure

    figure = None
    try:
        figure = evaluation_set_figure(
            [person.attributes for person in benchmark.identities],
            [prompt_contents(prompt) for prompt in benchmark.prompts],
            held_out_pairs=benchmark.info.held_out_pairs,
            title=f"{benchmark.info.name}, version {benchmark.info.version}",
        )
    except MissingDependencyError as error:
        note(f"the card has no figure. {error}")
    write_card(folder, benchmark, command=command, has_figure=figure is not None)  # before the figure, which it claims
    if figure is not None:
        write_picture(folder / FIGURE_NAME, figure)
    cases = ", ".join(f"{len(benchmark.cases_of(count))} of {count} people" for count in benchmark.info.num_people)
    say(f"{len(benchmark.identities)} people, {len(benchmark.prompts)} prompts, cases: {cases}")
    show(folder)


def _load_detector(
    faces: Literal["model", "dlib"], model: str | None
) -> "tuple[FaceDetector, PictureKindClassifier | None]":
    """Who finds faces, and who tells photographs from drawings, if it matters."""
    from ingredients.model_folders.find_model import find_model

    if faces == "dlib":
        from ingredients.faces.dlib_faces import DlibFaceDetector

        return DlibFaceDetector(), None
    folder = find_model(model, notice=say)

    from ingredients.faces.face_stack import load_face_stack  # with PyTorch
    from ingredients.model_folders.components import face_encoder_folder, identity_beside

    stack = load_face_stack(face_encoder_folder(folder, identity_beside(folder)))
    return stack.detector, stack.picture_kind


def _report_text(report: "BenchmarkReport") -> str:
    cases = ", ".join(f"{number} of {count} people" for count, number in report.num_cases.items()) or "none"
    lines = [
        f"{report.num_identities} people with {report.num_photos} photos, {report.num_prompts} prompts, cases: "
        f"{cases}",
        "nothing must be mended" if report.is_usable else "this must be mended before the benchmark can be used:",
    ]
    lines += problem_lines([(each.where, each.is_fatal, each.problem) for each in report.problems])
    return "\n".join(lines)
