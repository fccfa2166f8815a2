"""Makes and measures the videos of cases, a record each; what is on disk already is not done again.

Legend: N identities, F frames, H/W pixels, D embedding, M distractors.
"""

import dataclasses
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import get_args

import numpy as np
import torch

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import PhotoError
from ingredients.core.protocols import ProgressCallback
from ingredients.evaluation.assessment import ClipAssessment, TrackEmbeddings
from ingredients.evaluation.cases import Case, make_case
from ingredients.evaluation.confusion import find_confusion
from ingredients.evaluation.distractors import NUM_DISTRACTORS, DistractorGallery
from ingredients.evaluation.face_changes import FaceChanges, face_variety, measure_changes
from ingredients.evaluation.folder import EvaluationFolder
from ingredients.evaluation.generation import GenerationSettings, VideoRequest, generate_videos, video_shape
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.metrics.motion_amount import mean_frame_change
from ingredients.evaluation.records import (
    CaseRecord,
    ChangesRecord,
    FacesRecord,
    MotionRecord,
    Need,
    TextRecord,
    Vector,
    nobody_found,
)
from ingredients.evaluation.references import embed_people
from ingredients.evaluation.router_probe import probe_router
from ingredients.evaluation.variants import Variant
from ingredients.faces.facial_extractor import ExtractedIdentities
from ingredients.faces.image_encoder import DualEncoder
from ingredients.media.video import write_video
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline, PhotoWarning
from ingredients.pipelines.prompts import PromptWarning
from ingredients.world.scenes import render_scene

_FPS = 8.0
_OTHER_PEOPLE = 500_000
"""Case i's other people are those of case i + this."""

_DECIMALS = 5
"""Of embeddings in records."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _People:
    """Those whom a case asks for, as the judge and as the model see them."""

    references: Float32Array
    """(N, D): the judge's embeddings of their photos."""

    distractors: list[Float32Array]
    """For each, (M, D)."""

    identities: ExtractedIdentities | None
    """None if the model's detector found no face in a photo."""

    error: str | None
    """Why there are no identities."""


class CaseRunner:
    """Runs cases through one model.

    Args:
        pipeline: the model.
        judge: says who is in its videos.
        folder: keeps the records.
        settings: how videos are made.
        needs: parts of the records to measure.
        seed: added to each case's own.
        num_distractors: other people that each person is ranked among.
        batch_size: videos made at once; more is faster where there are many cores, and changes no number.
        save_videos: whether the videos are kept beside the records.
    """

    def __init__(
        self,
        pipeline: IngredientsPipeline,
        judge: Judge,
        folder: EvaluationFolder,
        *,
        settings: GenerationSettings,
        needs: frozenset[Need],
        seed: int = 0,
        num_distractors: int = NUM_DISTRACTORS,
        batch_size: int = 1,
        save_videos: bool = False,
    ) -> None:
        self.pipeline = pipeline
        self.judge = judge
        self.folder = folder
        self.settings = settings
        self.needs = needs
        self.seed = seed
        self.batch_size = batch_size
        self.save_videos = save_videos
        self._gallery = DistractorGallery(judge, num_distractors=num_distractors)
        self._people: dict[int, _People] = {}

    def run(
        self, variant: Variant, cases: Sequence[Case], *, progress: ProgressCallback | None = None
    ) -> list[CaseRecord]:
        """The records of all cases, in their order; an interrupted run loses the batch that it was at.

        Raises:
            OutputError: if the disk is full.
        """
        records: dict[int, CaseRecord] = {}
        for case in cases:
            record = self.folder.load(variant.name, case.index)
            if record is not None and self._is_complete(record):
                records[case.index] = record
        pending = [case for case in cases if case.index not in records]
        for first in range(0, len(pending), self.batch_size):
            if progress is not None:
                progress(len(records), len(cases))
            for record in self._run_batch(variant, pending[first : first + self.batch_size]):
                self.folder.save(variant.name, record)
                records[record.index] = record
        if progress is not None:
            progress(len(records), len(cases))
        return [records[case.index] for case in cases]

    def _is_complete(self, record: CaseRecord) -> bool:
        parts = {need: getattr(record, need) for need in get_args(Need)}
        return record.error is not None or all(part is not None for need, part in parts.items() if need in self.needs)

    def _run_batch(self, variant: Variant, cases: Sequence[Case]) -> Iterator[CaseRecord]:
        requests: list[VideoRequest] = []
        made: list[Case] = []
        for case in cases:
            canvas, local = self._look_at(case), self._look_at(_local_case(case, variant))
            if canvas.identities is None or local.identities is None:
                error = canvas.error or local.error
                yield CaseRecord(
                    index=case.index,
                    prompt=case.prompt,
                    people=nobody_found(len(case.people)),
                    other_people=nobody_found(len(case.people)) if variant.other_people_locally else None,
                    error=error,
                )
                continue
            made.append(case)
            requests.append(
                VideoRequest(
                    prompt=case.prompt,
                    seed=case.seed + self.seed,
                    canvas_people=canvas.identities,
                    local_people=local.identities,
                )
            )
        if not requests:
            return
        started = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PromptWarning)
            videos = generate_videos(self.pipeline, requests, variant=variant, settings=self.settings)
        seconds = (time.monotonic() - started) / len(requests)
        for case, frames in zip(made, videos, strict=True):
            if self.save_videos:
                write_video(
                    self.folder.video_path(variant.name, case.index), frames, fps=_FPS, metadata={"title": case.prompt}
                )
            yield self._measure(variant, case, frames, seconds)

    def _measure(self, variant: Variant, case: Case, frames: UInt8Array, seconds: float) -> CaseRecord:
        people = self._look_at(case)
        tracks = self.judge.track(frames)
        record = CaseRecord(
            index=case.index,
            prompt=case.prompt,
            people=self._assess(tracks, people, num_frames=len(frames)),
            seconds=round(seconds, 3),
        )
        if variant.other_people_locally:
            others = self._look_at(_local_case(case, variant))
            record = dataclasses.replace(record, other_people=self._assess(tracks, others, num_frames=len(frames)))
        if "text" in self.needs:
            record = dataclasses.replace(record, text=self._compare_with_prompt(frames, case.prompt))
        if self.needs & {"routing", "faces", "motion", "changes"}:
            record = self._compare_with_real_clip(record, case, people, frames, tracks)
        return record

    def _assess(self, tracks: Sequence[TrackEmbeddings], people: _People, *, num_frames: int) -> ClipAssessment:
        return self.judge.assess_tracks(
            tracks, people.references, num_frames=num_frames, distractors=people.distractors
        )

    def _follow_changes(
        self,
        assessment: ClipAssessment,
        case: Case,
        people: _People,
        tracks: Sequence[TrackEmbeddings],
        real_tracks: Sequence[TrackEmbeddings],
        *,
        num_frames: int,
    ) -> ChangesRecord:
        confusion = find_confusion(
            tracks,
            people.references,
            scale=self.judge.scale,
            num_frames=num_frames,
            ordered=self.settings.layout_share > 0,
        )
        faces: list[FaceChanges | None] = []
        for person, reference, photo in zip(assessment.people, people.references, case.portraits(), strict=True):
            track = None if person.track is None else tracks[person.track]
            if track is None or track.landmarks is None:
                faces.append(None)
            else:
                faces.append(measure_changes(track.embeddings, track.landmarks, reference, photo.landmarks))
        real = [face_variety(track.landmarks) for track in real_tracks if track.landmarks is not None]
        return ChangesRecord(
            confusion=confusion, faces=tuple(faces), real_variety=float(np.mean(real)) if real else None
        )

    def _compare_with_prompt(self, frames: UInt8Array, prompt: str) -> TextRecord:
        encoder = text_image_encoder(self.pipeline)
        assert encoder is not None  # `needs` were checked against the model
        embeds = torch.nn.functional.normalize(encoder.encode(frames).embeds, dim=-1).mean(dim=0)  # (D,)
        prompt_embeds = torch.nn.functional.normalize(encoder.encode_text([prompt]), dim=-1)[0]
        return TextRecord(frames=_to_vector(embeds), prompt=_to_vector(prompt_embeds))

    def _compare_with_real_clip(
        self,
        record: CaseRecord,
        case: Case,
        people: _People,
        frames: UInt8Array,
        tracks: Sequence[TrackEmbeddings],
    ) -> CaseRecord:
        shape = video_shape(self.pipeline, self.settings)
        scene = render_scene(
            case.scene(), height=shape.height, width=shape.width, num_frames=shape.num_frames, fps=_FPS
        )
        if "routing" in self.needs:
            assert people.identities is not None
            routing = probe_router(self.pipeline, people.identities, scene, seed=case.seed + self.seed)
            record = dataclasses.replace(record, routing=routing)
        real_tracks = self.judge.track(scene.frames) if self.needs & {"faces", "changes"} else []
        if "faces" in self.needs:
            faces = FacesRecord(generated=_face_vectors(tracks), real=_face_vectors(real_tracks))
            record = dataclasses.replace(record, faces=faces)
        if "changes" in self.needs:
            changes = self._follow_changes(record.people, case, people, tracks, real_tracks, num_frames=len(frames))
            record = dataclasses.replace(record, changes=changes)
        if "motion" in self.needs:
            motion = MotionRecord(generated=mean_frame_change(frames), real=mean_frame_change(scene.frames))
            record = dataclasses.replace(record, motion=motion)
        return record

    def _look_at(self, case: Case) -> _People:
        if case.index not in self._people:
            portraits = case.portraits()
            identities, error = None, None
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", PhotoWarning)
                    identities = self.pipeline.extract_identities(
                        {f"person {index + 1}": photo.image for index, photo in enumerate(portraits)}
                    )
            except PhotoError as failure:
                error = str(failure)
            self._people[case.index] = _People(
                references=embed_people(self.judge, case.people, case.portrait_seeds),
                distractors=self._gallery.for_people(case.people, case.portrait_seeds),
                identities=identities,
                error=error,
            )
        return self._people[case.index]


def text_image_encoder(pipeline: IngredientsPipeline) -> DualEncoder | None:
    """The image encoder that has a text tower as well, if the model has one."""
    encoder = None if pipeline.face_encoder is None else pipeline.face_encoder.image_encoder
    return encoder if isinstance(encoder, DualEncoder) else None


def _local_case(case: Case, variant: Variant) -> Case:
    if not variant.other_people_locally:
        return case
    return make_case(case.index + _OTHER_PEOPLE, num_people=len(case.people))


def _face_vectors(tracks: Sequence[TrackEmbeddings]) -> tuple[Vector, ...]:
    return tuple(
        tuple(np.round(row.astype(np.float64), _DECIMALS).tolist()) for track in tracks for row in track.embeddings
    )


def _to_vector(embeds: torch.Tensor) -> Vector:
    return tuple(np.round(embeds.double().cpu().numpy(), _DECIMALS).tolist())
