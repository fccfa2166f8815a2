"""Photos and a sentence become a video file and a report: the one function behind every front end."""

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from ingredients.apps.generate_request import FPS, GenerateRequest, GenerateResult
from ingredients.apps.people_check import load_people_check
from ingredients.core.arrays import Int64Array, UInt8Array
from ingredients.core.errors import ModelFolderError, PhotoError
from ingredients.core.protocols import ProgressCallback
from ingredients.core.warnings_told import PhotoWarning, warnings_told
from ingredients.faces.facial_extractor import ExtractedIdentities
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.media.pictures import write_picture
from ingredients.media.provenance import Provenance
from ingredients.media.video import write_video
from ingredients.pipelines.loading import load_pipeline
from ingredients.pipelines.memory_estimate import VideoDemand
from ingredients.pipelines.model_places import find_model
from ingredients.pipelines.out_of_memory import explained_out_of_memory
from ingredients.pipelines.people import identity_photos
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.pipelines.pipeline_output import IngredientsPipelineOutput, to_pixels
from ingredients.pipelines.prompts import PromptWarning
from ingredients.pipelines.speed_options import COMPILE_NOTICE
from ingredients.visualisation.contact_sheet import contact_sheet, mark_reference
from ingredients.visualisation.layout import identity_colour
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
    request.check()
    photographed = identity_photos(request.photos)
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
        if pipeline.memory_plan.reason is not None:
            tell(pipeline.memory_plan.reason)
        if request.speed.compile:
            tell(COMPILE_NOTICE)
        with explained_out_of_memory(pipeline.memory_plan.mode, on_processor=pipeline.device.type == "cpu"):
            return _make_video(request, pipeline, folder, photographed, notices, progress=progress, started=started)


def _make_video(
    request: GenerateRequest,
    pipeline: IngredientsPipeline,
    folder: Path,
    photographed: Sequence[IdentityPhotos],
    notices: Sequence[str],
    *,
    progress: ProgressCallback | None,
    started: float,
) -> GenerateResult:
    check_takes_people(pipeline, folder)
    _warn_of_photographs(request, pipeline)
    assert pipeline.face_encoder is not None
    check_people = load_people_check(folder, pipeline.face_encoder)
    _check_shape(request, pipeline)
    identities = pipeline.extract_identities(photographed)
    _check_people_differ(identities, pipeline)
    frames, routing_maps = _denoise(request, pipeline, identities, progress)
    provenance = _provenance(request, folder)
    files = {name: [str(file) for file in given] for name, given in request.photos.items()}
    people = check_people(frames, identities, files)
    pictures: dict[Path, UInt8Array] = {}  # all is drawn before anything is written
    if request.contact_sheet is not None:
        captions = {person.name: person.verdict for person in people}
        prompt = request.prompt if request.prompt_metadata else None
        pictures[request.contact_sheet] = contact_sheet(
            frames, _reference_photos(identities), prompt=prompt, captions=captions
        )
    if request.routing_map is not None and routing_maps is not None:
        pictures[request.routing_map] = routing_map_sheet(routing_maps, frames, identities.names)
    write_video(request.output, frames, fps=FPS, metadata=provenance.to_tags())
    for path, picture in pictures.items():
        write_picture(path, picture, description=provenance.to_json())
    seconds = time.monotonic() - started
    return GenerateResult(
        request=request,
        model=str(folder),
        num_frames=frames.shape[0],
        height=frames.shape[1],
        width=frames.shape[2],
        memory=pipeline.memory_plan.mode,
        seconds=seconds,
        people=people,
        judge=check_people.judge_name,
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
    if request.face_stack == "dlib" and not pipeline.face_encoder.reads_photographs:
        warnings.warn(
            "This model knows drawn people only: where dlib finds the face of a photograph, it draws somebody all the "
            "same, and the similarity means little.",
            PhotoWarning,
            stacklevel=2,
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


def _reference_photos(identities: ExtractedIdentities) -> dict[str, list[UInt8Array]]:
    """The photos of each person, with the person marked where there are several."""
    return {
        name: [mark_reference(photo.image, photo.faces, photo.face, colour=identity_colour(index)) for photo in photos]
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
    """Takes the pipeline's warnings about photos and prompts, and what the block tells; other warnings go on."""

    def tell(message: str) -> None:
        notices.append(message)
        if notice is not None:
            notice(message)

    with warnings_told(tell, PromptWarning, PhotoWarning):
        yield tell
