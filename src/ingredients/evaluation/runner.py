"""Measures a model: `ingredients evaluate`."""

from collections.abc import Iterable
from pathlib import Path

from ingredients.core.config import config_to_dict
from ingredients.core.output_folders import fills_folder
from ingredients.core.protocols import ProgressCallback
from ingredients.evaluation.calibration import JudgeCalibration
from ingredients.evaluation.case_record import MEASURES_VERSION, CaseRecord, Need
from ingredients.evaluation.case_runner import FPS, CaseRunner, own_text_encoder
from ingredients.evaluation.casebook.drawn import BENCHMARK_VERSION, drawn_cases
from ingredients.evaluation.cases import CASES_VERSION, Case, make_cases
from ingredients.evaluation.evaluation_folder import EvaluationFolder, fingerprint, held_modules, judge_fingerprint
from ingredients.evaluation.generation import GenerationSettings, VideoMaker, video_shape
from ingredients.evaluation.html_report import DEFAULT_NUM_VIDEOS
from ingredients.evaluation.inception import InceptionFeatures
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.known_people import NUM_DISTRACTORS
from ingredients.evaluation.metrics.metric import Metric
from ingredients.evaluation.metrics.registry import choose_available, compute_metrics, needed_parts
from ingredients.evaluation.outputs import write_outputs
from ingredients.evaluation.parts import WHOLE, Variant
from ingredients.evaluation.reported import ReportedCase, ReportedPerson
from ingredients.evaluation.results import EvaluationResult
from ingredients.evaluation.saved_videos import save_manifest
from ingredients.evaluation.text_encoders import TextImageEncoder
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline


@fills_folder("an evaluation", "output")
def evaluate(
    pipeline: IngredientsPipeline,
    judge: Judge,
    output: str | Path,
    *,
    num_cases: int = 100,
    num_people: int = 2,
    benchmark: bool = False,
    variant: Variant = WHOLE,
    video_maker: VideoMaker | None = None,
    seed: int = 0,
    settings: GenerationSettings | None = None,
    metrics: Iterable[str] | None = None,
    calibration: JudgeCalibration | None = None,
    num_distractors: int = NUM_DISTRACTORS,
    batch_size: int = 1,
    save_videos: bool = False,
    text_encoder: TextImageEncoder | None = None,
    inception: InceptionFeatures | None = None,
    num_report_videos: int = DEFAULT_NUM_VIDEOS,
    progress: ProgressCallback | None = None,
) -> EvaluationResult:
    """Makes the videos of held-out cases, judges them, and writes the numbers, the tables and the report.

    Args:
        pipeline: the model.
        judge: with its scale.
        output: folder of the records; a run that was interrupted goes on where it stopped.
        num_cases: the first so many cases.
        num_people: people in each, 1 to 4.
        benchmark: whether the cases are the benchmark's, of 2 to 4 people.
        variant: which parts of the model work.
        video_maker: makes them instead of the model, whose other parts still say what the metrics ask: for methods
            that are no pipeline.
        seed: added to the cases' own; another one gives other videos of the same people and prompts.
        settings: how videos are made.
        metrics: names; all that the model allows, without them.
        calibration: the judge's, for the report.
        num_distractors: other people that each person is ranked among; 98 for numbers that can be compared.
        batch_size: videos made at once.
        save_videos: whether the videos are kept in the folder, with photos and a manifest, so that `evaluate_videos`
            can judge them as well.
        text_encoder: says how well frames fit prompts; the model's own, without one.
        inception: InceptionV3's features, for FID.
        num_report_videos: videos in `report.html`, if they are kept.
        progress: told of the cases done.

    Raises:
        UserInputError: for numbers out of range, an unknown metric, one that this model cannot have, or a folder
            that holds an evaluation of another model or other settings.
        OutputError: if the folder cannot be written.
    """
    settings = settings or GenerationSettings()
    chosen = choose_metrics(pipeline, metrics, judge=judge, text_encoder=text_encoder, inception=inception)
    cases = (drawn_cases if benchmark else make_cases)(num_cases, num_people=num_people)
    cases_version = f"benchmark {BENCHMARK_VERSION}" if benchmark else CASES_VERSION
    runner = open_runner(
        output,
        pipeline,
        judge,
        settings=settings,
        needs=needed_parts(chosen),
        num_people=num_people,
        num_distractors=num_distractors,
        seed=seed,
        cases_version=cases_version,
        batch_size=batch_size,
        save_videos=save_videos,
        text_encoder=text_encoder,
        inception=inception,
        video_maker=video_maker,
    )
    records = runner.run(variant, cases, progress=progress)
    if save_videos:
        save_manifest(
            runner.folder,
            cases,
            variant=variant.name,
            shape=video_shape(pipeline, settings),
            fps=FPS,
            ordered="layout" in variant.additions & settings.additions,
            temporal_ratio=pipeline.geometry.temporal_ratio,
        )
    result = EvaluationResult(
        metrics=compute_metrics(chosen, records),
        cases=[_report(runner, variant, case, record) for case, record in zip(cases, records, strict=True)],
        num_people=num_people,
        seed=seed,
        settings=settings,
        cases_version=cases_version,
        model_fingerprint=model_fingerprint(pipeline),
        calibration=calibration,
        is_normalised=judge.is_calibrated,
    )
    write_outputs(
        runner.folder.path,
        result.to_json(),
        result.to_markdown(),
        result.to_page(),
        num_report_videos=num_report_videos,
    )
    return result


def choose_metrics(
    pipeline: IngredientsPipeline,
    names: Iterable[str] | None,
    *,
    judge: Judge | None = None,
    text_encoder: TextImageEncoder | None = None,
    inception: InceptionFeatures | None = None,
) -> list[Metric]:
    """The metrics asked for, or all that this model can have.

    Args:
        pipeline: the model.
        names: those asked for.
        judge: whose scale counts; None: a calibrated one.
        text_encoder: the model's own, without one.
        inception: InceptionV3's features, if they are there.

    Raises:
        UserInputError: for an unknown one, or one that needs a part that the model lacks.
    """
    encoder = text_encoder or own_text_encoder(pipeline)
    lacking: dict[Need, str] = {}
    if pipeline.transformer.multi_scale_projector is None:
        lacking["routing"] = "identity modules"
    if encoder is None:
        lacking["text"] = "an image encoder with a text tower"
    if encoder is None or encoder.name != "clip":
        lacking["clip"] = "CLIP"
    if encoder is None or encoder.name != "dual_encoder":
        lacking["dual_encoder"] = "the model's own dual encoder as the judge of text"
    if inception is None:
        lacking["inception"] = "InceptionV3"
    if judge is not None and not judge.is_calibrated:
        lacking["scale"] = "a calibrated judge"
    return choose_available(names, lacking=lacking, of_whom="this model")


def open_runner(
    output: str | Path,
    pipeline: IngredientsPipeline,
    judge: Judge,
    *,
    settings: GenerationSettings,
    needs: frozenset[Need],
    num_people: int,
    num_distractors: int,
    seed: int,
    batch_size: int,
    save_videos: bool,
    cases_version: int | str = CASES_VERSION,
    text_encoder: TextImageEncoder | None = None,
    inception: InceptionFeatures | None = None,
    video_maker: VideoMaker | None = None,
) -> CaseRunner:
    """A runner in the folder of an evaluation of this model with these settings, which the model then runs with.

    How many cases there are, what they need and how many are made at once does not matter to the folder.

    Raises:
        UserInputError: if the folder holds another one.
        SpeedOptionError: if the model cannot run with the settings' speed options.
        OutputError: if it cannot be made.
    """
    pipeline.apply_speed_options(settings.speed)
    description = {
        "model": model_fingerprint(pipeline),
        "judge": judge_fingerprint(judge),
        "settings": config_to_dict(settings),
        "number of people": num_people,
        "number of distractors": num_distractors,
        "seed": seed,
        "version of the cases": cases_version,
        "version of the measures": MEASURES_VERSION,
    }
    if video_maker is not None:
        description["videos made by"] = video_maker.name
    if text_encoder is not None:
        description["judge of text"] = fingerprint([text_encoder.network])
    if inception is not None:
        description["InceptionV3"] = fingerprint([], files=[inception.network.path])
    return CaseRunner(
        pipeline,
        judge,
        EvaluationFolder(output, description=description),
        settings=settings,
        needs=needs,
        seed=seed,
        num_distractors=num_distractors,
        batch_size=batch_size,
        save_videos=save_videos,
        text_encoder=text_encoder,
        inception=inception,
        video_maker=video_maker,
    )


def model_fingerprint(pipeline: IngredientsPipeline) -> str:
    """A hash of all that makes a video."""
    extractor = pipeline.facial_extractor
    faces = () if extractor is None else (extractor.detector, extractor.recogniser, extractor.image_encoder)
    return fingerprint(
        [pipeline.transformer, pipeline.vae, pipeline.text_encoder, *held_modules(*faces)],
        [pipeline.transformer.config, pipeline.vae.config, pipeline.scheduler.config],
    )


def _report(runner: CaseRunner, variant: Variant, case: Case, record: CaseRecord) -> ReportedCase:
    video = runner.folder.video_path(variant.name, case.index)
    return ReportedCase(
        record=record,
        people=tuple(
            ReportedPerson(name=f"person {index + 1}", photos=(photo.image,))
            for index, photo in enumerate(case.portraits())
        ),
        video=video if video.is_file() else None,
        file_name=video.relative_to(runner.folder.path).as_posix() if video.is_file() else None,
    )
