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

from ingredients.casebook.benchmark import Benchmark, BenchmarkCase, photo_path
from ingredients.casebook.cases import Case
from ingredients.core.config import config_to_dict
from ingredients.core.errors import UserInputError
from ingredients.core.files import atomic_path, make_folder
from ingredients.core.input_files import read_bytes
from ingredients.core.output_folders import fills_folder
from ingredients.core.protocols import ProgressCallback
from ingredients.core.warnings_told import Notice, PhotoWarning
from ingredients.data.shard_writer import clip_key
from ingredients.evaluation.evaluation_folder import check_description, fingerprint
from ingredients.evaluation.manifest import write_manifest
from ingredients.evaluation.pipeline_source import GenerationSettings, model_fingerprint
from ingredients.generation.request import StudioRequest
from ingredients.generation.studio import Studio
from ingredients.media.video import write_video
from ingredients.model_folders.sampling_settings import SamplingOverrides
from ingredients.pipelines.people import identity_photos
from ingredients.pipelines.video_shape import FPS


@fills_folder("videos of a benchmark", "output")
def make_benchmark_videos(
    studio: Studio,
    folder: Path,
    benchmark: Benchmark,
    output: Path,
    *,
    cases: Sequence[BenchmarkCase],
    sampling: SamplingOverrides,
    allow_photographs: bool = False,
    progress: ProgressCallback | None = None,
    notice: Notice | None = None,
) -> list[Case]:
    """Makes the videos that are not there yet, and the manifest of all.

    Args:
        studio: makes them; the first photo of each person is all that it gets.
        folder: the folder of the benchmark.
        benchmark: what was read there.
        output: folder of the videos.
        cases: whose videos, all of one number of people (`choose_cases`).
        sampling: how they are sampled, where other than the model's own.
        allow_photographs: whether a model that knows drawn people only takes photographs.
        progress: told of the videos done.
        notice: told at once of each thing worth knowing.

    Raises:
        UserInputError: if the folder was begun with another model, other settings or another number of people.
        PhotoError: if a photo cannot be read, shows no face, or is a photograph that the model cannot use; the videos
            made before are kept.
        OutputError: if something cannot be written.
    """
    asked = config_to_dict(benchmark)
    chosen = studio.pipeline.sampling_defaults.override(**sampling)
    check_description(
        output,
        {
            "benchmark": fingerprint([], [{name: asked[name] for name in ("identities", "prompts", "cases")}]),
            "number of people": len(cases[0].identities),
            "model": model_fingerprint(studio.pipeline),
            "settings": GenerationSettings(**config_to_dict(chosen)).as_described(),
        },
    )
    made = []
    for number, case in enumerate(benchmark.ask(cases), start=1):
        name = f"videos/{clip_key(case.label)}.mp4"
        _copy_photos(folder, output, case)
        if not (output / name).exists():
            people = identity_photos({person.name: output / person.photos[0] for person in case.people})
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", PhotoWarning)  # `ingredients benchmark check --faces` speaks of them
                identities = studio.pipeline.extract_identities(people, allow_photographs=allow_photographs)
            request = StudioRequest(people=identities, prompt=case.prompt, seed=case.seed, sampling=sampling)
            result = studio.make(request, notice=notice)
            make_folder((output / name).parent)
            write_video(output / name, result.frames, fps=FPS, metadata=result.provenance.to_tags())
        made.append(dataclasses.replace(case, file_name=name, ordered=chosen.layout_share > 0))
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
