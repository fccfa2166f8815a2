"""Photos and a sentence become a video file and a report: the one function behind every front end."""

import contextlib
import dataclasses
import filecmp
import itertools
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from ingredients.core.arrays import Int64Array, UInt8Array
from ingredients.core.errors import ModelFolderError, OutputError, PhotoError
from ingredients.core.protocols import ProgressCallback
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.loading import JUDGE_FOLDER, load_model_judge
from ingredients.evaluation.people_report import report_people
from ingredients.faces.facial_extractor import ExtractedIdentities
from ingredients.media.pictures import check_picture_path, write_picture
from ingredients.media.provenance import Provenance
from ingredients.media.video import check_video_path, write_video
from ingredients.pipelines.loading import default_model_path, load_pipeline
from ingredients.pipelines.people import PhotoFile, identity_photos
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline, PhotoWarning
from ingredients.pipelines.pipeline_output import IngredientsPipelineOutput, to_pixels
from ingredients.pipelines.prompts import PromptWarning, check_prompts
from ingredients.pipelines.speed import COMPILE_NOTICE, SpeedOptions, apply_speed_options
from ingredients.visualisation.contact_sheet import contact_sheet
from ingredients.visualisation.routing_maps import routing_map_sheet

FPS = 8.0
"""Frames a second of every model's videos (4.1)."""

Notice = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRequest:
    """What is asked for."""

    photos: Mapping[str, Sequence[PhotoFile]]
    """Photos by the person's name, one or several each."""

    prompt: str
    """What happens."""

    output: Path
    """Video to write."""

    model: str | None = None
    """Model folder; None takes the one that ships."""

    seed: int = 0
    """Any integer; the same request makes the same video."""

    num_inference_steps: int | None = None
    """Denoising steps; None, here and in the next four, takes the model's own default."""

    guidance_scale: float | None = None
    """Weight of the prompt; 1 or less does without guidance."""

    identity_guidance_scale: float | None = None
    """Weight of the people against nobody in particular; 1 does without."""

    layout_share: float | None = None
    """Share of the steps, at the start, in which people are placed from left to right in the order given."""

    likeness_guidance_scale: float | None = None
    """How far each step is led to where the recogniser sees the people; 0 does without."""

    negative_prompt: str | None = None
    """What the video is led away from."""

    face_scale: float = 1.0
    """Strength of the faces' local features (alpha_m of Eq. 4)."""

    num_frames: int | None = None
    """Length in frames; None, here and below, takes what the model was trained on."""

    height: int | None = None
    """Pixels."""

    width: int | None = None
    """Pixels."""

    speed: SpeedOptions = dataclasses.field(default_factory=SpeedOptions)
    """How the model runs; the defaults make the exact video."""

    routing_map: Path | None = None
    """Picture to write: which person the router chose for each place."""

    contact_sheet: Path | None = None
    """Picture to write: the frames side by side."""

    prompt_metadata: bool = True
    """Whether the files say what was asked for; that a model made them they always say."""

    def check(self) -> None:
        """Checks what can be checked before anything is loaded.

        Raises:
            PhotoError: if a photo is missing, or one file is given for two people.
            PromptError: if the prompt is empty.
            OutputError: if a result cannot be written where it should go.
        """
        check_prompts([self.prompt])
        check_video_path(self.output)
        for picture in (self.routing_map, self.contact_sheet):
            if picture is not None:
                check_picture_path(picture)
        _check_files_differ(self.photos, [self.output, self.routing_map, self.contact_sheet])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PersonResult:
    """How well one person was kept."""

    name: str
    """As in the request."""

    photos: tuple[str, ...]
    """The files that showed the person, with the face that was meant where one was named."""

    found: bool | None
    """Whether the judge found the person's face in the video; None, here and below, if the model has no judge."""

    similarity: float | None
    """Normalised similarity: 0 is a stranger (or no face at all), 1 the person in a real clip."""

    @property
    def verdict(self) -> str:
        """The same in words."""
        if self.found is None or self.similarity is None:
            return "not measured"
        return f"found, similarity {self.similarity:.2f}" if self.found else "no face found in the video"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GenerateResult:
    """What was made."""

    request: GenerateRequest
    """What was asked for."""

    model: str
    """Folder of the model."""

    num_frames: int
    """Length in frames."""

    height: int
    """Pixels."""

    width: int
    """Pixels."""

    seconds: float
    """Time from the request to the written video, loading included."""

    people: tuple[PersonResult, ...]
    """In the order of the request."""

    notices: tuple[str, ...]
    """Doubts about the photos, and words that the model does not know."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON object."""
        request = self.request
        return {
            "video": str(request.output),
            "frames": self.num_frames,
            "height": self.height,
            "width": self.width,
            "fps": FPS,
            "seconds": round(self.seconds, 2),
            "model": self.model,
            "seed": request.seed,
            "prompt": request.prompt,
            "people": [
                {
                    "name": person.name,
                    "photo": person.photos[0],
                    "photos": list(person.photos),
                    "found": person.found,
                    "similarity": person.similarity if person.similarity is None else round(person.similarity, 4),
                }
                for person in self.people
            ],
            "routing_map": request.routing_map and str(request.routing_map),
            "contact_sheet": request.contact_sheet and str(request.contact_sheet),
            "notices": list(self.notices),
        }


def generate_video(
    request: GenerateRequest, *, progress: ProgressCallback | None = None, notice: Notice | None = None
) -> GenerateResult:
    """Makes the video and the pictures that are asked for, and has the judge look for each person in it.

    Args:
        request: what to make.
        progress: told of the denoising steps.
        notice: told at once of each thing worth knowing; all are in the result, too.

    Raises:
        UserInputError: for anything about the request that cannot be; one sentence with the remedy.
    """
    started = time.monotonic()
    request.check()
    photographed = identity_photos(request.photos)
    folder = Path(request.model) if request.model is not None else default_model_path()
    notices: list[str] = []
    with _collect_notices(notices, notice):
        pipeline = load_pipeline(folder)
        apply_speed_options(pipeline, request.speed)
        _check_takes_people(pipeline, folder)
        judge = _load_judge(folder, pipeline)
        _check_shape(request, pipeline)
        identities = pipeline.extract_identities(photographed)
        _check_people_differ(identities, pipeline)
        if request.speed.compile:
            notices.append(COMPILE_NOTICE)
            if notice is not None:
                notice(COMPILE_NOTICE)
        frames, routing_maps = _denoise(request, pipeline, identities, progress)
    provenance = _provenance(request, folder)
    write_video(request.output, frames, fps=FPS, metadata=provenance.to_tags())
    seconds = time.monotonic() - started
    people = _judge_people(judge, request, identities, frames)
    if request.contact_sheet is not None:
        captions = {person.name: person.verdict for person in people}
        photos = {person.name: person.images for person in photographed}
        sheet = contact_sheet(frames, photos, prompt=request.prompt, captions=captions)
        write_picture(request.contact_sheet, sheet, description=provenance.to_json())
    if request.routing_map is not None and routing_maps is not None:
        sheet = routing_map_sheet(routing_maps, frames, identities.names)
        write_picture(request.routing_map, sheet, description=provenance.to_json())
    return GenerateResult(
        request=request,
        model=str(folder),
        num_frames=frames.shape[0],
        height=frames.shape[1],
        width=frames.shape[2],
        seconds=seconds,
        people=people,
        notices=tuple(notices),
    )


def _check_files_differ(photos: Mapping[str, Sequence[PhotoFile]], outputs: Sequence[Path | None]) -> None:
    files = [(name, file) for name, given in photos.items() for file in given]
    for name, file in files:
        if not file.path.exists():
            raise PhotoError(f"The photo {file.path} of {name} does not exist; check the name and the folder.")
    for (first_name, first), (second_name, second) in itertools.combinations(files, 2):
        names_another_face = first.face != second.face and None not in (first.face, second.face)
        if first_name == second_name or names_another_face:
            continue
        if filecmp.cmp(first.path, second.path, shallow=False):
            raise PhotoError(
                f"{first_name} and {second_name} have the same photo, {first.path}; give each person one of their "
                f"own, or name a face of each, such as {first.path.name}#1 and {second.path.name}#2."
            )
    taken = {file.path.resolve(): f"the photo of {name}" for name, file in files}
    for output in outputs:
        if output is None:
            continue
        if output.resolve() in taken:
            raise OutputError(f"The output {output} is {taken[output.resolve()]} as well; choose another name for it.")
        taken[output.resolve()] = "another output"


def _check_takes_people(pipeline: IngredientsPipeline, folder: Path) -> None:
    if not pipeline.transformer.config.identity_modules:
        raise ModelFolderError(
            f"The model {folder} is a base without identity modules, so it cannot show the people of photos; "
            "choose another model folder, or leave --model out."
        )


def _check_shape(request: GenerateRequest, pipeline: IngredientsPipeline) -> None:
    """Checks the shape before the faces are looked at; the pipeline knows its own defaults."""
    config, geometry = pipeline.transformer.config, pipeline.geometry
    geometry.check(
        height=request.height or config.sample_height * geometry.spatial_ratio,
        width=request.width or config.sample_width * geometry.spatial_ratio,
        num_frames=request.num_frames or config.sample_frames,
    )


def _check_people_differ(identities: ExtractedIdentities, pipeline: IngredientsPipeline) -> None:
    assert pipeline.facial_extractor is not None
    for first, second, cosine in pipeline.facial_extractor.same_faces(identities):
        raise PhotoError(
            f"The photos of {first} and {second} show the same face (similarity {cosine:.2f}); "
            "give one of them another photo, or give both photos under one name."
        )


@torch.inference_mode()
def _denoise(
    request: GenerateRequest,
    pipeline: IngredientsPipeline,
    identities: ExtractedIdentities,
    progress: ProgressCallback | None,
) -> tuple[UInt8Array, Int64Array | None]:
    """Frames (F, H, W, 3) and routing maps (S, J, f, h, w), if they are asked for."""

    def report_step(_: Any, step: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if progress is not None:
            progress(step + 1, pipeline.num_timesteps)
        return tensors

    pipeline.set_progress_bar_config(disable=True)
    output = cast(
        IngredientsPipelineOutput,
        pipeline(
            people=identities,
            prompt=request.prompt,
            negative_prompt=request.negative_prompt,
            height=request.height,
            width=request.width,
            num_frames=request.num_frames,
            num_inference_steps=request.num_inference_steps,
            guidance_scale=request.guidance_scale,
            identity_guidance_scale=request.identity_guidance_scale,
            layout_share=request.layout_share,
            likeness_guidance_scale=request.likeness_guidance_scale,
            generator=request.seed,
            face_scale=request.face_scale,
            output_routing_maps=request.routing_map is not None,
            output_type="np",
            callback_on_step_end=report_step,
        ),
    )
    frames = to_pixels(output.frames)[0]
    return frames, None if output.routing_maps is None else output.routing_maps[0].numpy()


def _load_judge(folder: Path, pipeline: IngredientsPipeline) -> Judge | None:
    """The judge beside the model; None for a model, such as the published one, that comes without."""
    if not (folder / JUDGE_FOLDER).is_dir():
        return None
    assert pipeline.face_encoder is not None
    return load_model_judge(folder, detector=pipeline.face_encoder.detector)


def _judge_people(
    judge: Judge | None, request: GenerateRequest, identities: ExtractedIdentities, frames: UInt8Array
) -> tuple[PersonResult, ...]:
    files = {name: tuple(str(file) for file in given) for name, given in request.photos.items()}
    if judge is None:
        return tuple(
            PersonResult(name=name, photos=given, found=None, similarity=None) for name, given in files.items()
        )
    seen = dict(zip(identities.names, identities.photos, strict=True))
    reports = report_people(
        judge,
        frames,
        {name: [photo.image for photo in photos] for name, photos in seen.items()},
        {name: [photo.face for photo in photos] for name, photos in seen.items()},
    )
    return tuple(
        PersonResult(name=report.name, photos=files[report.name], found=report.found, similarity=report.similarity)
        for report in reports
    )


def _provenance(request: GenerateRequest, folder: Path) -> Provenance:
    return Provenance(
        model=folder.resolve().name,
        seed=request.seed,
        people=tuple(request.photos),
        prompt=request.prompt if request.prompt_metadata else None,
    )


@contextlib.contextmanager
def _collect_notices(notices: list[str], notice: Notice | None) -> Iterator[None]:
    """Takes the pipeline's warnings about photos and prompts; other warnings go where they always go."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", PromptWarning)
        warnings.simplefilter("always", PhotoWarning)
        show_elsewhere = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
            if not issubclass(category, PromptWarning | PhotoWarning):
                show_elsewhere(message, category, *rest, **named)
                return
            notices.append(str(message))
            if notice is not None:
                notice(str(message))

        warnings.showwarning = show
        yield
