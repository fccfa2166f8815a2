"""Photos and a sentence become a video file and a report: the one function behind every front end."""

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from ingredients.apps.generate_request import FPS, GenerateRequest, GenerateResult
from ingredients.apps.people_check import PeopleCheck, load_people_check
from ingredients.core.arrays import Int64Array, UInt8Array
from ingredients.core.errors import ModelFolderError, PhotoError, ShapeError
from ingredients.core.protocols import ProgressCallback
from ingredients.core.warnings_told import PhotoWarning, warnings_told
from ingredients.faces.facial_extractor import ExtractedIdentities
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.media.pictures import write_picture
from ingredients.media.provenance import Provenance
from ingredients.media.video import MAX_FRAME_PIXELS, write_video
from ingredients.model_folders.places import find_model
from ingredients.pipelines.execution.memory_estimate import VideoDemand
from ingredients.pipelines.execution.speed_options import COMPILE_NOTICE
from ingredients.pipelines.loading import load_pipeline
from ingredients.pipelines.people import identity_photos
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.pipelines.pipeline_output import IngredientsPipelineOutput, to_pixels
from ingredients.pipelines.prompts import PromptWarning
from ingredients.pipelines.video_shape import ShapeWarning
from ingredients.visualisation.contact_sheet import contact_sheet, mark_reference, sheet_frame_height
from ingredients.visualisation.layout import enlarge, identity_colour
from ingredients.visualisation.routing_maps import routing_map_sheet

Notice = Callable[[str], None]


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
    return get_ready(request, notice=notice).make(request, started=started, progress=progress, notice=notice)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadyModel:
    """A model that is loaded and has read the photos of some people: it makes one video of them after another."""

    pipeline: IngredientsPipeline
    """What makes them."""

    folder: Path
    """Of the model."""

    identities: ExtractedIdentities
    """The people."""

    check_people: PeopleCheck
    """Who looks for them."""

    notices: tuple[str, ...]
    """What was told on the way."""

    def make(
        self,
        request: GenerateRequest,
        *,
        started: float | None = None,
        progress: ProgressCallback | None = None,
        notice: Notice | None = None,
    ) -> GenerateResult:
        """Makes a video of these people.

        Args:
            request: what to make; model, photos and shape are those that this was made ready for.
            started: when the work for it began, by `time.monotonic`; now, without it.
            progress: as `generate_video`.
            notice: as `generate_video`.

        Raises:
            UserInputError: as `generate_video`.
        """
        started = time.monotonic() if started is None else started
        notices = list(self.notices)
        with _collect_notices(notices, notice), self.pipeline.explained_out_of_memory():
            frames, routing_maps = _denoise(request, self.pipeline, self.identities, progress)
            provenance = _provenance(request, self.folder)
            files = {name: [str(file) for file in given] for name, given in request.photos.items()}
            people = self.check_people(frames, self.identities, files)
            pictures: dict[Path, UInt8Array] = {}  # all is drawn before anything is written
            if request.contact_sheet is not None:
                captions = {person.name: person.verdict for person in people}
                prompt = request.prompt if request.prompt_metadata else None
                references = _reference_photos(self.identities, height=sheet_frame_height(frames))
                pictures[request.contact_sheet] = contact_sheet(frames, references, prompt=prompt, captions=captions)
            if request.routing_map is not None and routing_maps is not None:
                pictures[request.routing_map] = routing_map_sheet(routing_maps, frames, self.identities.names)
            shown = enlarge(frames, request.scale)
            write_video(request.output, shown, fps=FPS, metadata=provenance.to_tags())
            for path, picture in pictures.items():
                write_picture(path, picture, description=provenance.to_json())
        return GenerateResult(
            request=request,
            model=str(self.folder),
            num_frames=shown.shape[0],
            height=shown.shape[1],
            width=shown.shape[2],
            memory=self.pipeline.execution.memory.mode,
            seconds=time.monotonic() - started,
            people=people,
            judge=self.check_people.judge_name,
            notices=tuple(notices),
        )


def get_ready(
    request: GenerateRequest,
    *,
    photographed: Sequence[IdentityPhotos] | None = None,
    notice: Notice | None = None,
) -> ReadyModel:
    """Loads the model that a request asks for, and reads its people's photos.

    Args:
        request: what will be made.
        photographed: the photos, where they are opened already.
        notice: as `generate_video`.

    Raises:
        UserInputError: as `generate_video`.
    """
    request.check()
    photographed = photographed or identity_photos(request.photos)
    folder = find_model(request.model, notice=notice)
    notices: list[str] = []
    with _collect_notices(notices, notice) as tell:
        pipeline = load_pipeline(
            folder,
            identity=request.identity,
            drop_learned_positions=request.drop_learned_positions,
            face_stack=request.face_stack,
            speed=request.speed,
            memory=request.memory,
            demand=_video_demand(request),
        )
        if pipeline.execution.memory.reason is not None:
            tell(pipeline.execution.memory.reason)
        if request.speed.compile:
            tell(COMPILE_NOTICE)
        with pipeline.explained_out_of_memory():
            check_takes_people(pipeline, folder)
            _warn_of_photographs(request, pipeline)
            assert pipeline.face_encoder is not None
            check_people = load_people_check(folder, pipeline.face_encoder)
            _check_shape(request, pipeline)
            identities = pipeline.extract_identities(photographed, allow_photographs=request.allow_photographs)
            _check_people_differ(identities, pipeline)
    return ReadyModel(
        pipeline=pipeline,
        folder=folder,
        identities=identities,
        check_people=check_people,
        notices=tuple(notices),
    )


def _video_demand(request: GenerateRequest) -> VideoDemand:
    return VideoDemand(
        height=request.height,
        width=request.width,
        num_frames=request.num_frames,
        num_people=len(request.photos),
        guidance_scale=request.guidance_scale,
        identity_guidance_scale=request.identity_guidance_scale,
    )


def check_takes_people(pipeline: IngredientsPipeline, folder: Path) -> None:
    """Refuses a model that can only make videos of nobody in particular.

    Raises:
        ModelFolderError: if it has no identity modules.
    """
    if not pipeline.transformer.config.identity_modules:
        raise ModelFolderError(
            f"The model {folder} is a base without identity modules, so it cannot show the people of photos; "
            "give identity weights with --identity, choose another model folder, or leave --model out."
        )


def _warn_of_photographs(request: GenerateRequest, pipeline: IngredientsPipeline) -> None:
    assert pipeline.face_encoder is not None
    can_tell = pipeline.face_encoder.picture_kind is not None  # it is told of each photograph, then
    if request.face_stack == "dlib" and not pipeline.face_encoder.reads_photographs and not can_tell:
        warnings.warn(
            "This model knows drawn people only: where dlib finds the face of a photograph, it draws somebody all the "
            "same, and the similarity means little.",
            PhotoWarning,
            stacklevel=2,
        )


def _check_shape(request: GenerateRequest, pipeline: IngredientsPipeline) -> None:
    """Checks the shape before the faces are looked at."""
    shape = pipeline.geometry.shape(height=request.height, width=request.width, num_frames=request.num_frames)
    pipeline.geometry.check(shape)
    if request.scale**2 * shape.height * shape.width > MAX_FRAME_PIXELS:
        raise ShapeError(
            f"A video of {shape.width}x{shape.height} enlarged {request.scale} times has larger frames than are "
            "written; make --scale smaller."
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


def _reference_photos(identities: ExtractedIdentities, *, height: int) -> dict[str, list[UInt8Array]]:
    """The photos of each person, with the person marked where there are several."""
    return {
        name: [
            mark_reference(photo.image, photo.faces, photo.face, colour=identity_colour(index), height=height)
            for photo in photos
        ]
        for index, (name, photos) in enumerate(zip(identities.names, identities.photos, strict=True))
    }


def _provenance(request: GenerateRequest, folder: Path) -> Provenance:
    return Provenance(
        model=folder.resolve().name,
        seed=request.seed,
        people=tuple(request.photos),
        prompt=request.prompt if request.prompt_metadata else None,
    )


@contextlib.contextmanager
def _collect_notices(notices: list[str], notice: Notice | None) -> Iterator[Notice]:
    """Takes the pipeline's warnings of photos, prompts and shapes, and what the block tells; other warnings go on."""

    def tell(message: str) -> None:
        notices.append(message)
        if notice is not None:
            notice(message)

    with warnings_told(tell, PromptWarning, PhotoWarning, ShapeWarning):
        yield tell
