"""Makes the videos of a benchmark's cases, as a folder that `ingredients evaluate --videos` judges with any judge.

evaluation.json   model and settings: other ones are refused
manifest.jsonl    what each video was asked for with
videos/CASE.mp4   made once; what is there is not made again; of an odd id, something like it and its digest
photos/           copies of those that the cases need
"""

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path

from ingredients.core.config import config_to_dict
from ingredients.core.errors import UserInputError
from ingredients.core.files import atomic_path, make_folder
from ingredients.core.input_files import read_bytes
from ingredients.core.output_folders import fills_folder
from ingredients.core.protocols import ProgressCallback
from ingredients.core.warnings_told import PhotoWarning
from ingredients.data.shard_writer import clip_key
from ingredients.evaluation.casebook.benchmark import Benchmark, BenchmarkCase, photo_path
from ingredients.evaluation.cases import FPS, Case
from ingredients.evaluation.evaluation_folder import check_description, fingerprint
from ingredients.evaluation.manifest import write_manifest
from ingredients.evaluation.parts import WHOLE
from ingredients.evaluation.pipeline_source import (
    GenerationSettings,
    VideoRequest,
    generate_videos,
    model_fingerprint,
)
from ingredients.media.provenance import Provenance
from ingredients.media.video import write_video
from ingredients.pipelines.people import identity_photos
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline


@fills_folder("videos of a benchmark", "output")
def make_benchmark_videos(
    pipeline: IngredientsPipeline,
    folder: Path,
    benchmark: Benchmark,
    output: Path,
    *,
    cases: Sequence[BenchmarkCase],
    settings: GenerationSettings,
    model_name: str,
    allow_photographs: bool = False,
    progress: ProgressCallback | None = None,
) -> list[Case]:
    """Makes the videos that are not there yet, and the manifest of all.

    Args:
        pipeline: makes them; the first photo of each person is all that it gets.
        folder: of the benchmark.
        benchmark: what was read there.
        output: folder of the videos.
        cases: whose videos, all of one number of people (`choose_cases`).
        settings: how they are made.
        model_name: what each video says about itself.
        allow_photographs: whether a model that knows drawn people only takes photographs.
        progress: told of the videos done.

    Raises:
        UserInputError: if the folder was begun with another model, other settings or another number of people.
        PhotoError: if a photo cannot be read, shows no face, or is a photograph that the model cannot use; the videos
            made before are kept.
        OutputError: if something cannot be written.
    """
    asked = config_to_dict(benchmark)
    check_description(
        output,
        {
            "benchmark": fingerprint([], [{name: asked[name] for name in ("identities", "prompts", "cases")}]),
            "number of people": len(cases[0].identities),
            "model": model_fingerprint(pipeline),
            "settings": config_to_dict(settings),
        },
    )
    made = []
    for number, case in enumerate(benchmark.ask(cases), start=1):
        name = f"videos/{clip_key(case.label)}.mp4"
        _copy_photos(folder, output, case)
        if not (output / name).exists():
            _make_video(
                pipeline,
                output,
                name,
                case,
                settings=settings,
                model_name=model_name,
                allow_photographs=allow_photographs,
            )
        made.append(dataclasses.replace(case, file_name=name, ordered=settings.layout_share > 0))
        if progress is not None:
            progress(number, len(cases))
    write_manifest(output, made)
    return made


def _copy_photos(folder: Path, output: Path, case: Case) -> None:
    for person in case.people:
        for photo in person.photos:
            source, target = photo_path(folder, photo), output / photo
            if target.exists():
                continue
            try:
                content = read_bytes(source)
            except OSError as error:
                raise UserInputError(
                    f"The photo {source} of {person.name} cannot be read ({error.strerror}); see everything with: "
                    f"ingredients benchmark check {folder}"
                ) from error
            make_folder(target.parent)
            with atomic_path(target) as temporary:
                temporary.write_bytes(content)


def _make_video(
    pipeline: IngredientsPipeline,
    output: Path,
    name: str,
    case: Case,
    *,
    settings: GenerationSettings,
    model_name: str,
    allow_photographs: bool,
) -> None:
    people = identity_photos({person.name: output / person.photos[0] for person in case.people})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PhotoWarning)  # `ingredients benchmark check --faces` speaks of them, once
        identities = pipeline.extract_identities(people, allow_photographs=allow_photographs)
    request = VideoRequest(prompt=case.prompt, seed=case.seed, canvas_people=identities, local_people=identities)
    (frames,) = generate_videos(pipeline, [request], parts=WHOLE, settings=settings)
    made_of = Provenance(
        model=model_name, seed=case.seed, people=tuple(person.name for person in case.people), prompt=case.prompt
    )
    path = output / name
    make_folder(path.parent)
    write_video(path, frames, fps=FPS, metadata=made_of.to_tags())
