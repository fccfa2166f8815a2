"""Makes and measures the videos of cases, a record each; what is on disk already is not done again.

Legend: N identities, F frames, H/W pixels, D embedding, M distractors.
"""

import dataclasses
import time
import warnings
from collections.abc import Iterator, Sequence

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import PhotoError
from ingredients.core.protocols import ProgressCallback
from ingredients.core.warnings_told import PhotoWarning
from ingredients.evaluation.assessment import ClipAssessment, TrackEmbeddings
from ingredients.evaluation.case_record import (
    RECORD_PARTS,
    CaseRecord,
    FacesRecord,
    InceptionRecord,
    Need,
    PaperRecord,
    failed_case,
    nobody_found,
)
from ingredients.evaluation.cases import Case, make_case
from ingredients.evaluation.evaluation_folder import EvaluationFolder
from ingredients.evaluation.generation import (
    GenerationSettings,
    VideoMaker,
    VideoRequest,
    generate_videos,
    video_shape,
)
from ingredients.evaluation.inception import InceptionFeatures
from ingredients.evaluation.judge import ClipView, Judge
from ingredients.evaluation.known_people import NUM_DISTRACTORS, DistractorGallery, embed_people
from ingredients.evaluation.measurements import (
    face_vectors,
    follow_changes,
    mean_variety,
    measure_motion,
    region_features,
)
from ingredients.evaluation.metrics.motion import frame_changes
from ingredients.evaluation.parts import Variant
from ingredients.evaluation.router_probe import probe_router
from ingredients.evaluation.similarity import paper_face_similarity
from ingredients.evaluation.text_encoders import (
    DualTextEncoder,
    TextImageEncoder,
    compare_with_prompt,
    embed_clip,
)
from ingredients.faces.facial_extractor import ExtractedIdentities
from ingredients.faces.image_encoder import DualEncoder
from ingredients.media.video import write_lossless_video, write_video
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.pipelines.prompts import PromptWarning
from ingredients.world.scenes import render_scene

FPS = 8.0
"""Frames a second of the videos."""

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
        text_encoder: says how well frames fit prompts; the model's own, without one.
        inception: InceptionV3's features, if they are needed.
        video_maker: makes the videos; the pipeline, without one.
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
        text_encoder: TextImageEncoder | None = None,
        inception: InceptionFeatures | None = None,
        video_maker: VideoMaker | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.judge = judge
        self.folder = folder
        self.settings = settings
        self.needs = needs
        self.seed = seed
        self.batch_size = batch_size
        self.save_videos = save_videos
        self.text_encoder = text_encoder or own_text_encoder(pipeline)
        self.inception = inception
        self.video_maker = video_maker
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
            if record is not None and self._is_complete(variant, record):
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

    def _is_complete(self, variant: Variant, record: CaseRecord) -> bool:
        if record.error is not None:
            return True
        paths = [path(variant.name, record.index) for path in (self.folder.video_path, self.folder.frames_path)]
        is_saved = not self.save_videos or all(path.is_file() for path in paths)
        return is_saved and self.needs & RECORD_PARTS <= record.parts

    def _run_batch(self, variant: Variant, cases: Sequence[Case]) -> Iterator[CaseRecord]:
        requests: list[VideoRequest] = []
        made: list[Case] = []
        for case in cases:
            canvas, local = self._look_at(case), self._look_at(_local_case(case, variant))
            if canvas.identities is None or local.identities is None:
                num_people, error = len(case.people), canvas.error or local.error
                assert error is not None
                failed = failed_case(case.index, case.prompt, num_people=num_people, error=error)
                if variant.other_people_locally:
                    failed = dataclasses.replace(failed, other_people=nobody_found(num_people))
                yield failed
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
            if self.video_maker is None:
                videos = generate_videos(self.pipeline, requests, variant=variant, settings=self.settings)
            else:
                videos = self.video_maker(requests, self.settings)
        seconds = (time.monotonic() - started) / len(requests)
        for case, frames in zip(made, videos, strict=True):
            if self.save_videos:
                video, exact = (
                    path(variant.name, case.index) for path in (self.folder.video_path, self.folder.frames_path)
                )
                video.parent.mkdir(parents=True, exist_ok=True)
                exact.parent.mkdir(parents=True, exist_ok=True)
                write_video(video, frames, fps=FPS, metadata={"title": case.prompt})
                write_lossless_video(exact, frames, fps=FPS)
            yield self._measure(variant, case, frames, seconds)

    def _measure(self, variant: Variant, case: Case, frames: UInt8Array, seconds: float) -> CaseRecord:
        people = self._look_at(case)
        view = self.judge.look(frames)
        record = CaseRecord(
            index=case.index,
            prompt=case.prompt,
            people=self._assess(view.tracks, people, num_frames=len(frames)),
            seconds=round(seconds, 3),
        )
        if variant.other_people_locally:
            others = self._look_at(_local_case(case, variant))
            record = dataclasses.replace(
                record, other_people=self._assess(view.tracks, others, num_frames=len(frames))
            )
        if "paper" in self.needs:
            similarity = paper_face_similarity(view.embeddings, people.references, measure=self.judge.measure)
            record = dataclasses.replace(record, paper=PaperRecord(face_similarity=round(similarity, _DECIMALS)))
        if self.needs & {"text", "routing", "faces", "motion", "changes", "inception"}:
            record = self._compare_with_real_clip(record, variant, case, people, frames, view)
        return record

    def _assess(self, tracks: Sequence[TrackEmbeddings], people: _People, *, num_frames: int) -> ClipAssessment:
        return self.judge.assess_tracks(
            tracks, people.references, num_frames=num_frames, distractors=people.distractors
        )

    def _compare_with_real_clip(
        self,
        record: CaseRecord,
        variant: Variant,
        case: Case,
        people: _People,
        frames: UInt8Array,
        view: ClipView,
    ) -> CaseRecord:
        shape = video_shape(self.pipeline, self.settings)
        scene = render_scene(
            case.scene(), height=shape.height, width=shape.width, num_frames=shape.num_frames, fps=FPS
        )
        if "text" in self.needs:
            assert self.text_encoder is not None  # `needs` were checked against the model
            real_frames = embed_clip(self.text_encoder, scene.frames)
            text = compare_with_prompt(self.text_encoder, frames, case.prompt, real_frames=real_frames)
            record = dataclasses.replace(record, text=text)
        if "routing" in self.needs:
            assert people.identities is not None
            routing = probe_router(self.pipeline, people.identities, scene, seed=case.seed + self.seed)
            record = dataclasses.replace(record, routing=routing)
        if self.needs & {"faces", "changes", "inception"}:
            real = self.judge.look(scene.frames)
        if "faces" in self.needs:
            faces = FacesRecord(generated=face_vectors(view.tracks), real=face_vectors(real.tracks))
            record = dataclasses.replace(record, faces=faces)
        if "inception" in self.needs:
            record = dataclasses.replace(record, inception=self._see_regions(case, frames, view, scene.frames, real))
        if "changes" in self.needs:
            changes = follow_changes(
                record.people,
                view.tracks,
                people.references,
                [photo.landmarks for photo in case.portraits()],
                scale=self.judge.scale,
                measure=self.judge.measure,
                num_frames=len(frames),
                ordered="layout" in variant.additions & self.settings.additions,
                real_variety=mean_variety(real.tracks),
            )
            record = dataclasses.replace(record, changes=changes)
        if "motion" in self.needs:
            motion = measure_motion(
                frames, frame_changes(scene.frames), temporal_ratio=self.pipeline.geometry.temporal_ratio
            )
            record = dataclasses.replace(record, motion=motion)
        return record

    def _see_regions(
        self, case: Case, frames: UInt8Array, view: ClipView, real_frames: UInt8Array, real: ClipView
    ) -> InceptionRecord:
        assert self.inception is not None
        photos = [photo.image for photo in case.portraits()]
        return InceptionRecord(
            generated=region_features(self.inception, frames, view.faces),
            photos=region_features(
                self.inception, photos, [self.judge.detector.detect(photo)[:1] for photo in photos]
            ),
            real=region_features(self.inception, real_frames, real.faces),
        )

    def _look_at(self, case: Case) -> _People:
        if case.index not in self._people:
            portraits = case.portraits()
            identities, error = None, None
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", PhotoWarning)
                    identities = self.pipeline.extract_identities(
                        {f"person {index + 1}": photo.image for index, photo in enumerate(portraits)},
                        allow_photographs=True,  # the cases' people are drawn, whatever one of them looks like
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


def own_text_encoder(pipeline: IngredientsPipeline) -> TextImageEncoder | None:
    """The model's own image encoder as a judge of text, if it has a text tower."""
    encoder = text_image_encoder(pipeline)
    return None if encoder is None else DualTextEncoder(encoder)


def _local_case(case: Case, variant: Variant) -> Case:
    if not variant.other_people_locally:
        return case
    return make_case(case.index + _OTHER_PEOPLE, num_people=len(case.people))
