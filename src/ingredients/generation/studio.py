"""One warm model that makes videos, one after another, for every front end: command line, page, server, benchmark.

Legend: F frames, H/W pixels, S steps, J routed blocks, f/h/w latent grid.
"""

import contextlib
import dataclasses
import functools
import math
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch

from ingredients.core.arrays import Float32Array, Int64Array, UInt8Array
from ingredients.core.errors import (
    MissingDependencyError,
    ModelFolderError,
    PhotoError,
    PromptError,
    ShapeError,
    SpeedOptionError,
)
from ingredients.core.memory_mode import MemoryMode
from ingredients.core.protocols import Face
from ingredients.core.warnings_told import Notice, PhotoWarning, warnings_told
from ingredients.data.latents import decode_pictures
from ingredients.evaluation.judges import load_trait_judges
from ingredients.faces.alignment import crop_ffhq
from ingredients.faces.dlib_faces import DlibFaceDetector
from ingredients.faces.face_choice import from_left, without_flat
from ingredients.faces.face_stack_names import FaceStackName
from ingredients.faces.facial_extractor import ExtractedIdentities
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.faces.photo_quality import find_doubts, measure_photo
from ingredients.faces.picture_kind import PictureKind, doubts_about, explain_photograph
from ingredients.faces.trait_judges import ActingJudge
from ingredients.generation.asked_actions import asked_actions
from ingredients.generation.jobs import PersonAction
from ingredients.generation.judgement import Judgement
from ingredients.generation.judging import judge_video, load_video_judge, read_frames
from ingredients.generation.model_facts import ModelFacts
from ingredients.generation.page_help import FaceNotes, JudgedFile, PhotoNotes
from ingredients.generation.people_report import (
    JudgeName,
    PeopleCheck,
    PeopleFindings,
    PersonReport,
    load_people_check,
)
from ingredients.generation.progress import CancelledError, OnStep, StepDone, StepPreview
from ingredients.generation.request import StudioRequest
from ingredients.generation.takes import (
    ActionClarity,
    StopUndecided,
    Take,
    Takes,
    UndecidedError,
    acting_clarity,
    choose_take,
    decidedness,
    own_likeness,
)
from ingredients.media.provenance import Provenance
from ingredients.model_folders.find_model import find_model
from ingredients.model_folders.folder_names import JUDGE_FOLDER
from ingredients.model_folders.sampling_settings import SamplingOverrides
from ingredients.pipelines.execution.memory_estimate import VideoDemand, estimate_needs
from ingredients.pipelines.execution.model_weights import ModelWeights, folder_weights
from ingredients.pipelines.execution.speed_options import COMPILE_NOTICE, STEP_CACHES, SpeedOptions, VideoOptions
from ingredients.pipelines.inputs import Branches
from ingredients.pipelines.latent_colours import LatentColours
from ingredients.pipelines.loading import load_pipeline
from ingredients.pipelines.people import PeopleInput, identity_photos
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.pipelines.pipeline_output import IngredientsPipelineOutput, to_pixels
from ingredients.pipelines.prompts import PromptWarning, only_words
from ingredients.pipelines.video_shape import FPS, ShapeWarning, VideoShape
from ingredients.visualisation.contact_sheet import contact_sheet, mark_reference, sheet_frame_height
from ingredients.visualisation.layout import identity_colour
from ingredients.visualisation.routing_maps import majority, routing_map_sheet
from ingredients.world.captions import NAMES

_CROP_SIDE = 160
"""Pixels of a face that a page shows."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudioResult:
    """A video, and how well each person was kept in it; nothing is written yet."""

    frames: UInt8Array
    """(F, H, W, 3) RGB."""

    routing_maps: Int64Array | None
    """(S, J, f, h, w): which person the router chose, -1 for none; None if they were not asked for."""

    token_frames: tuple[range, ...]
    """The frames of the video that each of f stands for."""

    people: tuple[PersonReport, ...]
    """How each person was kept, in the order of the request."""

    judgement: Judgement | None
    """All that the judge saw; None if nobody looked."""

    judge: JudgeName | None
    """Who looked for them in the video; None if nobody could."""

    identities: ExtractedIdentities
    """The people, and what was seen in their photos."""

    provenance: Provenance
    """What the files are to say of themselves."""

    memory: MemoryMode
    """Memory mode that was used."""

    seconds: float
    """Time that it took, loading left out."""

    notices: tuple[str, ...]
    """Doubts about photos, words that the model does not know, sizes that it was not made for."""

    latents: Float32Array | None = None
    """(f, C, h, w) that the frames were decoded from, for a video in which some people are made anew."""

    decidedness: float | None = None
    """How sure the router was of who is who, if it was asked (`generation/takes.py`)."""

    @property
    def routing(self) -> Int64Array | None:
        """(f, h, w): whom most of the last half of the routed blocks chose in the last step, for `save_routing`."""
        if self.routing_maps is None:
            return None
        return majority(
            self.routing_maps[-1, self.routing_maps.shape[1] // 2 :], num_identities=len(self.identities.names)
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """Who is exchanged, doubled, blended or a stranger, a sentence each."""
        return () if self.judgement is None else tuple(self.judgement.remarks)

    def best_faces(self) -> dict[str, UInt8Array]:
        """The face of each person's best frame, by name; who is not in the video is not in it either."""
        if self.judgement is None:
            return {}
        crops = self.judgement.best_crops(self.frames)
        return {
            person.name: crop for person, crop in zip(self.judgement.people, crops, strict=True) if crop is not None
        }

    def contact_sheet(self, *, with_prompt: bool = True) -> UInt8Array:
        """The photos and the frames side by side, with what was said of each person."""
        height = sheet_frame_height(self.frames)
        references = {
            name: [
                mark_reference(photo.image, photo.faces, photo.face, colour=identity_colour(index), height=height)
                for photo in photos
            ]
            for index, (name, photos) in enumerate(zip(self.identities.names, self.identities.photos, strict=True))
        }
        captions = {person.name: person.verdict for person in self.people}
        prompt = self.provenance.prompt if with_prompt else None
        return contact_sheet(self.frames, references, prompt=prompt, captions=captions)

    def routing_sheet(self) -> UInt8Array | None:
        """The frames under the colours of the people that the router chose; None without routing maps."""
        if self.routing_maps is None:
            return None
        return routing_map_sheet(self.routing_maps, self.frames, self.identities.names, token_frames=self.token_frames)


class Studio:
    """A model that is loaded once and makes many videos; several threads may ask, and are served one by one."""

    def __init__(
        self, pipeline: IngredientsPipeline, folder: Path, people_check: PeopleCheck, *, notices: tuple[str, ...] = ()
    ) -> None:
        self.pipeline = pipeline
        self.folder = folder
        self.people_check = people_check
        self.notices = notices  # what was told while it was loaded
        self._busy = threading.Lock()
        self._latent_colours: LatentColours | None = None  # fitted when a preview is first asked for
        self._acting: ActingJudge | None = None
        self._knows_acting = False
        self._weights: ModelWeights | None = None  # counted when somebody asks what a video needs

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        *,
        identity: str | Path | None = None,
        drop_learned_positions: bool = False,
        face_stack: FaceStackName = "model",
        memory: MemoryMode | str = MemoryMode.AUTO,
        speed: SpeedOptions | None = None,
        demand: VideoDemand | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        notice: Notice | None = None,
    ) -> Self:
        """Loads a model, the shipped one by default, and whoever judges its videos.

        Args:
            model: as `load_pipeline` takes it, like the arguments after it.
            identity: folder of identity weights for a base.
            drop_learned_positions: whether to leave out a base's learned positions.
            face_stack: who reads the photos.
            memory: how much of the model is on the device at a time.
            speed: how it runs; by default exactly.
            demand: the video that must fit.
            device: where it runs; a GPU if there is one.
            dtype: the type of the weights; by default the device's own.
            notice: told at once of each thing worth knowing; all are in `notices`, too.

        Raises:
            UserInputError: if there is no such model, or it cannot be loaded or takes no people.
        """
        folder = find_model(model, notice=notice)
        notices: list[str] = []
        with _collected(notices, notice) as tell:
            pipeline = load_pipeline(
                folder,
                identity=identity,
                drop_learned_positions=drop_learned_positions,
                face_stack=face_stack,
                speed=speed,
                memory=memory,
                demand=demand,
                device=device,
                dtype=dtype,
            )
            pipeline.set_progress_bar_config(disable=True)
            if pipeline.execution.memory.reason is not None:
                tell(pipeline.execution.memory.reason)
            if speed is not None and speed.compile:
                tell(COMPILE_NOTICE)
            check_takes_people(pipeline, folder)
            assert pipeline.face_encoder is not None
            _warn_of_photographs(pipeline, face_stack)
            people_check = load_people_check(folder, pipeline.face_encoder)
        return cls(pipeline, folder, people_check, notices=tuple(notices))

    @property
    def facts(self) -> ModelFacts:
        """What front ends have to know of the model."""
        assert self.pipeline.face_encoder is not None
        return ModelFacts(
            name=self.folder.resolve().name,
            geometry=self.pipeline.geometry,
            sampling=self.pipeline.sampling_defaults,
            reads_photographs=self.pipeline.face_encoder.reads_photographs,
            has_judge=self.people_check.judge is not None,
            words=self._words,
            step_caches=tuple(name for name in STEP_CACHES if self._can_run_with(VideoOptions(step_cache=name))),
            speed=self.pipeline.execution.speed,
        )

    @functools.cached_property
    def _words(self) -> tuple[str, ...]:
        return only_words(self.pipeline.tokenizer, NAMES)

    def _can_run_with(self, options: VideoOptions) -> bool:
        """Whether the loaded model can make videos with these options, whatever their guidance."""
        pipeline = self.pipeline
        try:
            pipeline.execution.for_video(options, pipeline.transformer, magnitudes=pipeline.residual_magnitudes)
        except SpeedOptionError:
            return False
        return True

    def look_at_photo(self, photo: UInt8Array, *, label: str) -> PhotoNotes:
        """Finds the faces of a photo (H, W, 3), and says what makes them doubtful.

        Args:
            photo: RGB.
            label: what sentences call it.
        """
        stack = self.pipeline.face_encoder
        assert stack is not None
        with torch.inference_mode():
            faces = from_left(without_flat(photo, stack.detector.detect(photo)))
            looks = [
                None if stack.picture_kind is None else stack.picture_kind.look(photo, face.landmarks)
                for face in faces
            ]
        is_photograph = any(look is not None and look.kind is PictureKind.PHOTOGRAPH for look in looks)
        drawable: list[Face] = []
        if stack.picture_kind is not None and (is_photograph or not faces):
            with contextlib.suppress(MissingDependencyError):
                drawable = from_left(DlibFaceDetector().detect(photo))
        if drawable:  # dlib counts the faces that can be drawn
            faces, looks, is_photograph = drawable, [None] * len(drawable), True
        refusal = None
        if is_photograph:
            refusal = explain_photograph(label)
        elif not faces:
            refusal = f"No face was found in {label}. {stack.facial_extractor().no_face_remedy}"
        height, width = photo.shape[:2]
        sharpness_size = stack.photo_limits.sharpness_size
        return PhotoNotes(
            faces=tuple(
                FaceNotes(
                    number=number,
                    box=(
                        float(face.box[0] / width),
                        float(face.box[1] / height),
                        float(face.box[2] / width),
                        float(face.box[3] / height),
                    ),
                    crop=crop_ffhq(photo, face.landmarks, size=_CROP_SIDE),
                    notes=tuple(
                        doubt.reason
                        for doubt in (
                            *(() if look is None else doubts_about(look)),
                            *find_doubts(
                                measure_photo(photo, face, sharpness_size=sharpness_size), stack.photo_limits
                            ),
                        )
                    )
                    if not is_photograph
                    else (),
                )
                for number, (face, look) in enumerate(zip(faces, looks, strict=True), start=1)
            ),
            is_photograph=is_photograph,
            refusal=refusal,
            can_be_drawn=bool(drawable),
        )

    def notes_on_prompt(
        self,
        prompt: str,
        names: Sequence[str],
        *,
        sampling: SamplingOverrides | None = None,
        order: Sequence[int] | None = None,
    ) -> list[str]:
        """What of a sentence the model will not follow, and whether it speaks of another number of people.

        Args:
            prompt: the sentence.
            names: the names of the people.
            sampling: as `StudioRequest` has it; None: as the model is sampled by default.
            order: the people, by index, from left to right; None where they stand in the order of their names.
        """
        layout_share = (sampling or {}).get("layout_share")
        is_planned = (
            layout_share is None or layout_share > 0
        )  # as the pipeline plans where people are called by places
        try:
            return self.pipeline.read_prompt(prompt, names, order=order, is_planned=is_planned)[1]
        except PromptError as problem:
            return [str(problem)]

    def judge_file(
        self,
        video: Path,
        people: Sequence[IdentityPhotos],
        *,
        title: str,
        on_step: OnStep | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> JudgedFile:
        """Says who of some people is who in a video that any system made, by the judge that knows their photos.

        Args:
            video: the file.
            people: photos, and whose.
            title: what the picture is called.
            on_step: told of each frame that was looked at, by its number of all of the video's; not of the first, by
                which no pace can be told.
            is_cancelled: asked after each of them.

        Raises:
            UserInputError: if the video or a photo cannot be used.
            CancelledError: if it was cancelled.
        """
        first: tuple[int, float] | None = None

        def note(completed: int, total: int) -> None:
            nonlocal first
            if is_cancelled is not None and is_cancelled():
                raise CancelledError(f"Judging was cancelled at frame {completed} of {total}.")
            if first is None:
                first = completed, time.monotonic()
            elif on_step is not None:
                pace = (time.monotonic() - first[1]) / max(1, completed - first[0])
                on_step(StepDone(step=completed, total=total, seconds_left=pace * (total - completed)))

        notices: list[str] = []
        folder = self.folder if (self.folder / JUDGE_FOLDER).is_dir() else find_model(None)
        judges, asked = load_video_judge(folder, people, notice=notices.append)
        judgement = judge_video(video, judges.judge, asked, progress=note)
        frames = read_frames(video, judgement, judgement.picked_frames())
        return JudgedFile(
            values={"judge": judges.judge_name, **judgement.to_json()},
            sheet=judgement.sheet(frames, title=f"{title}, judged by {judges.judge_name}"),
            notices=tuple(notices),
        )

    def needed_bytes(self, request: StudioRequest, *, num_people: int) -> int:
        """Memory that a video needs at its busiest, weights and all, as far as can be told.

        Args:
            request: what is to be made; its people do not matter.
            num_people: how many there are.

        Raises:
            SpeedOptionError: if its options cannot go together with those of the loaded model.
        """
        demand = VideoDemand(
            height=request.height,
            width=request.width,
            num_frames=request.num_frames,
            num_people=max(1, num_people),
            sampling=request.sampling,
            speed=request.options.applied_to(self.pipeline.execution.speed),
            decode_in_tiles=bool(request.options.decode_in_tiles),
        )
        if self._weights is None:
            self._weights = folder_weights(self.folder, self.pipeline.transformer.dtype)
        return estimate_needs(self._weights, demand)[self.pipeline.execution.memory.mode]

    def check_shape(self, request: StudioRequest, *, notice: Notice | None = None) -> VideoShape:
        """The shape of the video that a request is for.

        Raises:
            ShapeError: if the model cannot make it.
        """
        with _collected([], notice):
            return self._check_shape(request)

    def token_grid(self, request: StudioRequest) -> tuple[int, int, int]:
        """Frames, rows and columns of the tokens of the video that a request is for: the shape of its routing map."""
        return self.pipeline.geometry.token_grid(self._check_shape(request))

    def read_people(
        self, people: PeopleInput, *, allow_photographs: bool = False, notice: Notice | None = None
    ) -> ExtractedIdentities:
        """Reads the photos of some people, once for all videos of them.

        Args:
            people: photos by name, one or several each.
            allow_photographs: as in `StudioRequest`.
            notice: told at once of each doubt about a photo; all are in `warnings` of the result, too.

        Raises:
            PhotoError: if a photo cannot be read or shows no face, or two people have the same face.
        """
        photographed = identity_photos(people)
        with self._busy, _collected([], notice), self.pipeline.explained_out_of_memory():
            return self._read(photographed, allow_photographs=allow_photographs)

    def make(
        self,
        request: StudioRequest,
        *,
        on_step: OnStep | None = None,
        notice: Notice | None = None,
        is_cancelled: Callable[[], bool] | None = None,
        with_previews: bool = False,
        stop: StopUndecided | None = None,
    ) -> StudioResult:
        """Makes a video and has the judge look for each person in it.

        Args:
            request: what to make.
            on_step: told of each denoising step.
            notice: told at once of each thing worth knowing; all are in the result, too.
            is_cancelled: asked after each step, such as `threading.Event().is_set`.
            with_previews: whether `on_step` is shown what can be seen by then.
            stop: when it is not worth being finished; by default never.

        Raises:
            UndecidedError: if it was not.
            CancelledError: if it was cancelled; the studio is ready for the next request.
            UserInputError: for anything about the request that cannot be; one sentence with the remedy.
        """
        request.check()
        with self._busy:
            started = time.monotonic()
            identities = request.people
            notices = list(identities.warnings) if isinstance(identities, ExtractedIdentities) else []
            with _collected(notices, notice), self.pipeline.explained_out_of_memory():
                self._check_shape(request)
                if not isinstance(identities, ExtractedIdentities):
                    identities = self._read(identities, allow_photographs=request.allow_photographs)
                with self.pipeline.running_with(request.options):
                    frames, latents, routing_maps, decided = self._denoise(
                        request, identities, on_step, is_cancelled, with_previews=with_previews, stop=stop
                    )
                findings = self.people_check(frames, identities)
                people = self._with_actions(frames, findings, request.prompt)
        return StudioResult(
            frames=frames,
            routing_maps=routing_maps,
            token_frames=tuple(self.pipeline.geometry.token_frames(len(frames))),
            people=people,
            latents=latents,
            judgement=findings.judgement,
            judge=self.people_check.judge_name,
            identities=identities,
            provenance=Provenance(
                model=self.folder.resolve().name,
                seed=request.seed,
                people=tuple(identities.names),
                prompt=request.prompt,
            ),
            memory=self.pipeline.execution.memory.mode,
            seconds=time.monotonic() - started,
            notices=tuple(notices),
            decidedness=decided,
        )

    def make_takes(
        self,
        request: StudioRequest,
        *,
        on_take: Callable[[Take[StudioResult]], None] | None = None,
        on_step: OnStep | None = None,
        notice: Notice | None = None,
        is_cancelled: Callable[[], bool] | None = None,
        with_previews: bool = False,
        stop: StopUndecided | None = None,
        clarity: ActionClarity | None = None,
    ) -> Takes[StudioResult]:
        """Makes `request.takes` videos, with the request's seed and those after it, and keeps the best.

        Args:
            request: what to make.
            on_take: told of each take when it is made, or stopped.
            on_step: told of each denoising step; steps are counted over all takes.
            notice: as in `make`, like the next two.
            is_cancelled: asked after each step.
            with_previews: whether `on_step` is shown what can be seen by then.
            stop: when a take is stopped whose router is undecided; None finishes all. The last is always finished if
                no other was.
            clarity: says how clear it is what people do; by default the model's own judge of actions, if it has one.

        Raises:
            CancelledError: as `make`.
            UserInputError: as `make`.
        """
        request.check()
        people = request.people
        if not isinstance(people, ExtractedIdentities):
            people = self.read_people(people, allow_photographs=request.allow_photographs, notice=notice)
        takes: list[Take[StudioResult]] = []
        if clarity is None and (judge := self._acting_judge()) is not None:
            clarity = acting_clarity(judge)

        def step_done(done: StepDone) -> None:
            if on_step is not None:
                step, total = done.step + len(takes) * done.total, done.total * request.takes
                seconds_a_step = (time.monotonic() - started) / step
                on_step(
                    dataclasses.replace(done, step=step, total=total, seconds_left=seconds_a_step * (total - step))
                )

        started = time.monotonic()
        for number in range(1, request.takes + 1):
            this = dataclasses.replace(request, people=people, seed=request.seed + number - 1)
            is_last_hope = number == request.takes and all(take.result is None for take in takes)
            takes.append(
                self._take(
                    this,
                    number,
                    on_step=step_done,
                    notice=notice,
                    is_cancelled=is_cancelled,
                    with_previews=with_previews,
                    stop=None if is_last_hope else stop,
                    clarity=clarity,
                )
            )
            if on_take is not None:
                on_take(takes[-1])
        return choose_take(takes, people.names)

    def _take(
        self,
        request: StudioRequest,
        number: int,
        *,
        stop: StopUndecided | None,
        clarity: ActionClarity | None,
        **told: Any,
    ) -> Take[StudioResult]:
        """One of several videos, and what tells it from the others."""
        try:
            result = self.make(request, stop=stop, **told)
        except UndecidedError as undecided:
            return Take(
                number=number,
                seed=request.seed,
                result=None,
                stopped_after=undecided.step,
                decidedness=undecided.decidedness,
            )
        assert self.pipeline.face_encoder is not None
        with self._busy:
            likeness = own_likeness(self.pipeline.face_encoder, result.frames, result.identities)
        boxes = [box for box in likeness.boxes if box is not None]
        shares = (
            [] if clarity is None else [*clarity(result.frames, boxes), *[0.0] * (len(likeness.boxes) - len(boxes))]
        )
        return Take(
            number=number,
            seed=request.seed,
            result=result,
            likeness=likeness.cosines,
            decidedness=result.decidedness,
            clarity=sum(shares) / len(likeness.boxes) if clarity is not None else None,  # 0 for whoever is missing
        )

    def _check_shape(self, request: StudioRequest) -> VideoShape:
        geometry = self.pipeline.geometry
        shape = geometry.shape(height=request.height, width=request.width, num_frames=request.num_frames)
        geometry.check(shape)
        return shape

    def _read(self, people: PeopleInput, *, allow_photographs: bool) -> ExtractedIdentities:
        identities = self.pipeline.extract_identities(people, allow_photographs=allow_photographs)
        assert self.pipeline.facial_extractor is not None
        for first, second, cosine in self.pipeline.facial_extractor.same_faces(identities):
            raise PhotoError(
                f"The photos of {first} and {second} show the same face (similarity {cosine:.2f}); "
                "give one of them another photo, or give both photos under one name."
            )
        return identities

    @torch.inference_mode()
    def _denoise(
        self,
        request: StudioRequest,
        identities: ExtractedIdentities,
        on_step: OnStep | None,
        is_cancelled: Callable[[], bool] | None,
        *,
        with_previews: bool,
        stop: StopUndecided | None,
    ) -> tuple[UInt8Array, Float32Array, Int64Array | None, float | None]:
        """Frames (F, H, W, 3), latents (f, C, h, w), routing maps (S, J, f, h, w), if asked for, and decidedness."""
        started = time.monotonic()
        decided: float | None = None
        made: torch.Tensor | None = None
        keep = None if not request.redrawn else self._keeper(request, identities)

        def step_done(_: Any, index: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            nonlocal decided, made
            if keep is not None:
                tensors["latents"] = keep(index, tensors["latents"])
            made = tensors["latents"]
            step, total = index + 1, self.pipeline.num_timesteps
            if on_step is not None:
                seconds_left = (time.monotonic() - started) / step * (total - step)
                preview = self._preview(tensors, len(identities)) if with_previews else None
                on_step(StepDone(step=step, total=total, seconds_left=seconds_left, preview=preview))
            if is_cancelled is not None and is_cancelled():
                raise CancelledError(f"The video was cancelled after step {step} of {total}.")
            if stop is not None and step == min(math.ceil(stop.after * total), total - 1):
                decided = self._decidedness(tensors, len(identities))
                if decided is not None and decided < stop.below:
                    raise UndecidedError(
                        f"After step {step} of {total} the router gave faces to several people at once.",
                        step=step,
                        decidedness=decided,
                    )
            return tensors

        output = cast(
            IngredientsPipelineOutput,
            self.pipeline(
                people=identities,
                prompt=request.prompt,
                negative_prompt=request.negative_prompt,
                height=request.height,
                width=request.width,
                num_frames=request.num_frames,
                generator=request.seed,
                places=request.places or None,
                branches=Branches(
                    face_scale=request.face_scale,
                    routing_indices=None if request.routing is None else torch.from_numpy(request.routing),
                ),
                output_routing_maps=request.with_routing_maps or stop is not None,
                output_type="np",
                callback_on_step_end=step_done,
                callback_on_step_end_tensor_inputs=(
                    "latents",
                    *(("clean_latents", "routing_maps") if with_previews or stop else ()),
                ),
                **request.sampling,
            ),
        )
        frames = to_pixels(output.frames)[0]
        assert made is not None  # there is at least one step
        padding = self.pipeline.geometry.front_padding(self._check_shape(request))
        latents = made[0, padding:].float().cpu().numpy()
        return frames, latents, None if output.routing_maps is None else output.routing_maps[0].numpy(), decided

    def _keeper(
        self, request: StudioRequest, identities: ExtractedIdentities
    ) -> Callable[[int, torch.Tensor], torch.Tensor]:
        """Puts back after each step what stays, as noisy as the step's latents are, and after the last as it was.

        Only where the routing map gives a token to somebody of `redrawn` do the latents go their own way: blended
        latent diffusion (Avrahami et al., arXiv 2206.02779), with the router's regions as its mask.
        """
        assert request.kept_latents is not None  # it was checked, as the next
        assert request.routing is not None
        shape, geometry = self._check_shape(request), self.pipeline.geometry
        own_shape = geometry.latent_shape(shape)
        kept = torch.from_numpy(request.kept_latents)
        if (kept.shape[0], *kept.shape[2:]) != own_shape or request.routing.shape != geometry.token_grid(shape):
            raise ShapeError("The finished video has another size or length than this one; keep both as they were.")
        padding, patch, patch_t = geometry.front_padding(shape), geometry.patch_size, geometry.patch_size_t or 1
        kept = torch.cat([*[kept[:1]] * padding, kept])[None].to(self.pipeline._execution_device)  # (1, f, C, h, w)
        redrawn = [identities.names.index(name) for name in request.redrawn]
        is_new = torch.from_numpy(np.isin(request.routing, redrawn))
        for axis, times in enumerate((patch_t, patch, patch)):
            is_new = is_new.repeat_interleave(times, dim=axis)
        is_new = is_new[None, :, None].to(kept.device)  # (1, f, 1, h, w)
        transformer = self.pipeline.transformer
        generator = torch.Generator().manual_seed(request.seed % 2**63)
        noise = transformer.draw_noise(kept.shape, generator=generator).to(kept)
        schedule = transformer.backbone.noise_schedule

        def keep(index: int, latents: torch.Tensor) -> torch.Tensor:
            scheduler = self.pipeline.scheduler
            if index + 1 == len(scheduler.timesteps):
                return torch.where(is_new, latents, kept.to(latents))
            timestep = scheduler.timesteps[index + 1].reshape(1).long().to(kept.device)
            return torch.where(is_new, latents, schedule(scheduler).add_noise(kept, noise, timestep).to(latents))

        return keep

    def _with_actions(self, frames: UInt8Array, findings: PeopleFindings, prompt: str) -> tuple[PersonReport, ...]:
        """The reports, with what each person does, where the model comes with somebody who can tell."""
        judge, judgement = self._acting_judge(), findings.judgement
        if judge is None or judgement is None:
            return findings.people
        asked = asked_actions(prompt, [person.name for person in findings.people])
        boxes = {person.name: judgement.face_boxes(person, len(frames)) for person in judgement.people}
        people = []
        for person, actions in zip(findings.people, asked, strict=True):
            box = boxes.get(person.name)
            if box is not None:
                shares = judge.judge_video(frames, [box], fps=FPS)[0].actions
                seen = max(shares, key=lambda action: shares[action])
                action = PersonAction(seen=seen, share=round(shares[seen], 4), asked=actions)
                person = dataclasses.replace(person, action=action)
            people.append(person)
        return tuple(people)

    def _acting_judge(self) -> ActingJudge | None:
        """The model's judge of what people do, loaded once."""
        if not self._knows_acting:
            self._acting, self._knows_acting = load_trait_judges(self.folder)[0], True
        return self._acting

    def _decidedness(self, tensors: Mapping[str, Any], num_people: int) -> float | None:
        """How sure the router is, by the faces in the pictures that a step predicts; None if there are none."""
        assert self.pipeline.face_encoder is not None
        maps: torch.Tensor | None = tensors["routing_maps"]  # (1, J, f, h, w)
        if maps is None:
            return None
        latents = tensors["clean_latents"].to(self.pipeline.vae.dtype)
        pictures = to_pixels(decode_pictures(self.pipeline.vae, latents)[0].movedim(1, -1).float().cpu() / 2 + 0.5)
        patch = self.pipeline.geometry.patch_size_t or 1
        padding = maps.shape[2] * patch - len(pictures)
        shown = pictures[[max(index * patch + patch // 2 - padding, 0) for index in range(maps.shape[2])]]
        faces = [self.pipeline.face_encoder.detector.detect(picture) for picture in shown]
        return decidedness(maps[0].numpy(), faces, frame_size=shown.shape[1:3], num_people=num_people)

    def _preview(self, tensors: Mapping[str, Any], num_people: int) -> StepPreview:
        """What the tensors of a step let one see."""
        if self._latent_colours is None:
            device = self.pipeline._execution_device
            self._latent_colours = LatentColours.fit(self.pipeline.vae, device=device)
        maps: torch.Tensor | None = tensors["routing_maps"]  # (1, J, f, h, w)
        routing_map = None
        if maps is not None:
            last_half = maps[0, maps.shape[1] // 2 :].numpy()
            routing_map = majority(last_half, num_identities=num_people)
        return StepPreview(frames=self._latent_colours(tensors["clean_latents"][0]), routing_map=routing_map)


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


def _warn_of_photographs(pipeline: IngredientsPipeline, face_stack: FaceStackName) -> None:
    assert pipeline.face_encoder is not None
    can_tell = pipeline.face_encoder.picture_kind is not None  # it is told of each photograph, then
    if face_stack == "dlib" and not pipeline.face_encoder.reads_photographs and not can_tell:
        warnings.warn(
            "This model knows drawn people only: where dlib finds the face of a photograph, it draws somebody all the "
            "same, and the similarity means little.",
            PhotoWarning,
            stacklevel=2,
        )


@contextlib.contextmanager
def _collected(notices: list[str], notice: Notice | None) -> Iterator[Notice]:
    """Takes the pipeline's warnings of photos, prompts and shapes, and what the block tells; other warnings go on."""

    def tell(message: str) -> None:
        if message in notices:  # the same check is made before and while the video is made
            return
        notices.append(message)
        if notice is not None:
            notice(message)

    with warnings_told(tell, PromptWarning, PhotoWarning, ShapeWarning):
        yield tell
