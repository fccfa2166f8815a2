"""A model as the source of an evaluation's videos; the one place of the evaluation that asks the pipeline for them.

Legend: B videos, N identities, F frames, H/W pixels, f/h/w grid of video tokens, S side of a crop.
"""

import copy
import dataclasses
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from ingredients.casebook.cases import CASES_VERSION, Case, Person, make_case
from ingredients.core.arrays import Int64Array, UInt8Array
from ingredients.core.config import config_to_dict
from ingredients.core.errors import PhotoError, UserInputError
from ingredients.core.token_time import front_padding
from ingredients.core.warnings_told import PhotoWarning
from ingredients.data.latents import encode_clips, video_to_pixels
from ingredients.data.routing_targets import BACKGROUND, decide_routing_targets, token_coverage
from ingredients.evaluation.calibrate import reconstruct_clip
from ingredients.evaluation.case_record import CaseRecord, Need, RoutingRecord
from ingredients.evaluation.evaluation_folder import EvaluationFolder, fingerprint, held_modules
from ingredients.evaluation.judges import Judges
from ingredients.evaluation.known_people import NUM_DISTRACTORS, KnownPeople
from ingredients.evaluation.parts import WHOLE, Addition, Parts, TokenAssignment
from ingredients.evaluation.placings import Placing, deal_places
from ingredients.evaluation.result import Account, JudgedBy
from ingredients.evaluation.sources import DrawnClips, SourceVideo, VideoSource, lacking_of_cases
from ingredients.evaluation.tables import ReportedCase
from ingredients.evaluation.text_encoders import DualTextEncoder, TextImageEncoder
from ingredients.faces.canvas import compose_canvas
from ingredients.faces.facial_extractor import ExtractedIdentities
from ingredients.faces.image_encoder import DualEncoder
from ingredients.model_folders.sampling_settings import SamplingSettings
from ingredients.pipelines.execution.speed_options import SpeedOptions
from ingredients.pipelines.inputs import canvas_to_tensor
from ingredients.pipelines.people import PeopleEmbeds
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.pipelines.pipeline_output import IngredientsPipelineOutput, to_pixels
from ingredients.pipelines.places import PlacePath
from ingredients.pipelines.planned_layout import column_layout
from ingredients.pipelines.prompts import PromptWarning
from ingredients.pipelines.video_shape import VideoShape
from ingredients.world.scenes import Scene

TIMESTEPS = (100, 300, 500)
"""Noise levels, of a thousand."""


@torch.no_grad()
def probe_router(
    pipeline: IngredientsPipeline,
    identities: ExtractedIdentities,
    scene: Scene,
    *,
    seed: int,
    timesteps: Sequence[int] = TIMESTEPS,
) -> RoutingRecord:
    """Routes the tokens of a real clip of the same people: the latents are the clip's, not the model's own.

    The people are put in an order drawn from `seed`, so that a router that goes by their order has no merit.

    Args:
        pipeline: its transformer routes.
        identities: the N people, in the order of the scene.
        scene: the clip, in a size that the model can make.
        seed: the seed of the noise and of the order.
        timesteps: noise levels.

    Returns:
        Balanced recall by block and timestep, none if no face is large enough for a token.
    """
    device, transformer = pipeline.device, pipeline.transformer
    num_frames, height, width = scene.frames.shape[:3]
    grid = pipeline.geometry.token_grid(VideoShape(height=height, width=width, num_frames=num_frames))
    order = np.random.default_rng(seed).permutation(len(identities))
    coverage = token_coverage(
        scene.face_masks[:, order],
        grid=grid[1:],
        temporal_compression=pipeline.geometry.temporal_ratio,
        patch_size_t=pipeline.geometry.patch_size_t,
    )
    targets = decide_routing_targets(coverage)  # (L,)
    if (targets == BACKGROUND).all():
        return RoutingRecord(timesteps=tuple(timesteps), balanced_recall=())

    pixels = video_to_pixels(scene.frames[None]).to(device, pipeline.vae.dtype)
    latents = encode_clips(pipeline.vae, pixels).float()
    padding = front_padding(latents.shape[1], pipeline.geometry.patch_size_t)
    latents = torch.cat([latents[:, :1]] * padding + [latents], dim=1)  # (1, f, C, h, w)
    latents = latents.expand(len(timesteps), *latents.shape[1:])
    generator = torch.Generator().manual_seed(seed)
    noise = transformer.draw_noise(latents.shape, generator=generator).to(device)
    levels = torch.tensor(list(timesteps), device=device)
    model_input = pipeline.scheduler.add_noise(latents, noise, levels).to(transformer.dtype)
    if pipeline.takes_canvas:
        canvas = compose_canvas(identities.canvas_crops[order], height, width)
        image_latents = pipeline.prepare_image_latents(
            canvas_to_tensor(canvas, height=height, width=width), latents.shape[:1] + model_input.shape[1:],
            generator=[torch.Generator().manual_seed(seed) for _ in timesteps], device=device,
            num_people=[len(identities)], num_padding_frames=padding,
        )  # fmt: skip
        model_input = torch.cat([model_input, image_latents], dim=2)  # (t, f, 2 C, h, w)

    selection = torch.from_numpy(order)
    features = transformer.prepare_identities(
        identities.id_embeds[selection][None].to(device),
        [states[selection][None].to(device) for states in identities.id_vit_hidden_states],
    ).repeat_interleave(len(timesteps))
    prompt_embeds, _ = pipeline.encode_prompt(scene.caption, do_classifier_free_guidance=False)
    output = transformer(
        hidden_states=model_input,
        encoder_hidden_states=prompt_embeds.expand(len(timesteps), -1, -1),
        timestep=levels,
        image_rotary_emb=transformer.backbone.positions(
            transformer.config,
            num_frames=model_input.shape[1],
            height=model_input.shape[3],
            width=model_input.shape[4],
            device=device,
        ),
        identity_features=features,
    )
    chosen = torch.stack(output.routing_logits).argmax(dim=-1).cpu().numpy()  # (J, t, L)
    return RoutingRecord(
        timesteps=tuple(timesteps),
        balanced_recall=tuple(
            tuple(balanced_recall(tokens, targets, num_identities=len(identities)) for tokens in block)
            for block in chosen
        ),
    )


def balanced_recall(chosen: Int64Array, targets: Int64Array, *, num_identities: int) -> float:
    """Share of each identity's tokens that were given to it, averaged over the identities that have tokens.

    Args:
        chosen: (L,), the identity that each token was given.
        targets: (L,), the identity that it shows, `BACKGROUND` where it shows none, which does not count; somebody
            must be shown.
        num_identities: N.
    """
    shown = [identity for identity in range(num_identities) if (targets == identity).any()]
    assert shown, "no token shows a face"
    return float(np.mean([(chosen[targets == identity] == identity).mean() for identity in shown]))


_AS_PUBLISHED = SamplingSettings()
_SETTING: dict[Addition, str] = {
    "layout": "layout_share",
    "identity_guidance": "identity_guidance_scale",
    "likeness_guidance": "likeness_guidance_scale",
    "perturbed_attention": "perturbed_attention_scale",
}
"""The setting by which each addition is asked for."""

_CAME_LATER = {"perturbed_attention_scale": (0.0,), "speed.precision": (None, "float32")}
"""Settings, by dotted names, that folders of results do not name that earlier versions began; and with which values
they change nothing."""

_OTHER_PEOPLE = 500_000
"""Case i's other people are those of case i + this."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSettings(SamplingSettings):
    """How the videos are made; everything here changes the numbers."""

    face_scale: float = 1.0
    """Strength of the local branch (alpha_m of Eq. 4)."""

    placing: Placing | None = None
    """Where everybody is told to stand, as `generate --place` tells it; None tells nobody."""

    num_frames: int | None = None
    """Frames of a video; None, here and below, takes the model's own."""

    height: int | None = None
    """Pixels."""

    width: int | None = None
    """Pixels."""

    speed: SpeedOptions = dataclasses.field(default_factory=SpeedOptions)
    """How the model runs."""

    def as_described(self) -> dict[str, Any]:
        """The settings as a folder of results notes them; one that came later is left out where it changes nothing.

        So a folder that was begun without it can be gone on with.
        """
        described = config_to_dict(self)
        for name, changing_nothing in _CAME_LATER.items():
            group, _, field = name.rpartition(".")
            given = described[group] if group else described
            if given[field] in changing_nothing:
                del given[field]
        return described

    @property
    def additions(self) -> frozenset[Addition]:
        """What they ask for that the paper does not have."""
        return frozenset(
            addition for addition, name in _SETTING.items() if getattr(self, name) != getattr(_AS_PUBLISHED, name)
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VideoRequest:
    """One video of a batch."""

    prompt: str
    """What happens."""

    seed: int
    """Seed of the noise."""

    canvas_people: ExtractedIdentities
    """The people whose crops are on the canvas."""

    local_people: ExtractedIdentities
    """Whose features the local branch gets; as many people."""

    calls_names: bool = False
    """Whether the prompt calls people by their names, which the model is then told."""

    places: tuple[PlacePath, ...] = ()
    """Where each person is told to stand; none where nobody is."""


class VideoMaker(Protocol):
    """Makes the videos of cases instead of a pipeline."""

    @property
    def name(self) -> str:
        """Says how, in the record of the evaluation: other settings have another name."""
        ...

    def __call__(self, requests: Sequence[VideoRequest], settings: "GenerationSettings") -> list[UInt8Array]:
        """The videos (F, H, W, 3)."""
        ...


class PipelineSource(VideoSource):
    """A `VideoSource`: a model makes the videos of cases of the drawn world.

    Args:
        pipeline: the model, which then runs with the settings' speed options.
        cases: what it is asked for, all of one number of people.
        settings: how videos are made.
        parts: which of its parts work.
        seed: added to the cases' own; another one gives other videos of the same people and prompts.
        cases_version: only numbers of the same version can be compared.
        num_distractors: other people that each person is ranked among; 98 for numbers that can be compared.
        batch_size: videos made at once; more is faster where there are many cores, and changes no number.
        video_maker: makes them instead of the model, whose other parts still say what the metrics ask: for methods
            that are no pipeline.

    Raises:
        ShapeError: if the model cannot make videos of the settings' size.
        SpeedOptionError: if it cannot run with the settings' speed options.
    """

    whose = "this model"

    def __init__(
        self,
        pipeline: IngredientsPipeline,
        cases: Sequence[Case],
        *,
        settings: GenerationSettings | None = None,
        parts: Parts = WHOLE,
        seed: int = 0,
        cases_version: int | str = CASES_VERSION,
        num_distractors: int = NUM_DISTRACTORS,
        batch_size: int = 1,
        video_maker: VideoMaker | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.settings = settings or GenerationSettings()
        self.seed = seed
        self.cases_version = cases_version
        self.num_distractors = num_distractors
        self.batch_size = batch_size
        self.video_maker = video_maker
        self._identities: dict[tuple[Person, ...], ExtractedIdentities | PhotoError] = {}
        self._take(parts, cases)
        pipeline.apply_speed_options(self.settings.speed)  # which knows what is left to the model
        precision = pipeline.execution.speed.precision or "float32"
        speed = dataclasses.replace(self.settings.speed, precision=precision)
        self.settings = dataclasses.replace(self.settings, speed=speed)

    def with_parts(self, parts: Parts) -> "PipelineSource":
        """The same with other parts of the model at work; people are looked at once for both."""
        source = copy.copy(self)
        source._take(parts, self.cases)
        return source

    def _take(self, parts: Parts, cases: Sequence[Case]) -> None:
        self.parts, self.name = parts, parts.name
        self._shape = video_shape(self.pipeline, self.settings)
        self.cases = [self._ask(case) for case in cases]
        shape = self._shape
        self._clips = DrawnClips(
            self.cases,
            height=shape.height,
            width=shape.width,
            num_frames=shape.num_frames,
            num_distractors=self.num_distractors,
            name=parts.name,
        )

    def _ask(self, case: Case) -> Case:
        """The case as it is put to this model."""
        others: tuple[Person, ...] = ()
        if self.parts.other_people_locally:
            others = make_case(case.index + _OTHER_PEOPLE, num_people=len(case.people)).people
        placing = self.settings.placing
        in_order = case.manner == "place" or placing in ("columns", "moving")
        places: tuple[PlacePath, ...] = ()
        if placing is not None:
            num_frames, num_people = self._shape.num_frames, len(case.people)
            places = deal_places(placing, num_people, seed=case.seed, num_frames=num_frames, in_order=in_order)
        is_planned = placing is None and "layout" in self.parts.additions & self.settings.additions
        return dataclasses.replace(
            case,
            other_people=others,
            ordered=in_order or is_planned,
            places=places,
            temporal_ratio=self.pipeline.geometry.frames_made_together(self._shape.num_frames),
        )

    def own_text_encoder(self) -> TextImageEncoder | None:
        """The model's own image encoder, if it has a text tower."""
        encoder = None if self.pipeline.face_encoder is None else self.pipeline.face_encoder.image_encoder
        return DualTextEncoder(encoder) if isinstance(encoder, DualEncoder) else None

    def describe(self) -> Mapping[str, object]:
        """The model, the settings and the kind of cases; not how many there are, nor how many are made at once."""
        description: dict[str, object] = {
            "model": model_fingerprint(self.pipeline),
            "settings": self.settings.as_described(),
            "number of people": len(self.cases[0].people),
            "number of distractors": self.num_distractors,
            "seed": self.seed,
            "version of the cases": self.cases_version,
            "style": self.cases[0].style,
            "number of extras": len(self.cases[0].extra_seeds),
        }
        if self.video_maker is not None:
            description["videos made by"] = self.video_maker.name
        return description

    def lacking(self) -> Mapping[Need, str]:
        """A base has no router."""
        lacking = lacking_of_cases(self.cases)
        if self.pipeline.transformer.multi_scale_projector is None:
            lacking["routing"] = "identity modules"
        return lacking

    def know_people(self, judges: Judges) -> KnownPeople:
        """The people, among distractors of the drawn world."""
        return self._clips.know_people(judges)

    def videos(self, cases: Sequence[Case], known: KnownPeople) -> Iterator[tuple[Case, SourceVideo | UserInputError]]:
        """Makes the videos, batch by batch; of people in whose photos the model finds no face there is none."""
        for first in range(0, len(cases), self.batch_size):
            yield from self._make_batch(cases[first : first + self.batch_size])

    def _make_batch(self, cases: Sequence[Case]) -> Iterator[tuple[Case, SourceVideo | UserInputError]]:
        requests: dict[Case, VideoRequest] = {}
        for case in cases:
            canvas = self.identities(case.people)
            local = self.identities(case.other_people or case.people)
            if isinstance(canvas, PhotoError) or isinstance(local, PhotoError):
                yield case, next(error for error in (canvas, local) if isinstance(error, PhotoError))
                continue
            requests[case] = VideoRequest(
                prompt=case.prompt,
                seed=case.seed + self.seed,
                canvas_people=canvas,
                local_people=local,
                calls_names=case.manner == "name",
                places=case.places,
            )
        if not requests:
            return
        started = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PromptWarning)
            asked = list(requests.values())
            if self.video_maker is None:
                videos = generate_videos(self.pipeline, asked, parts=self.parts, settings=self.settings)
            else:
                videos = self.video_maker(asked, self.settings)
        seconds = (time.monotonic() - started) / len(requests)
        for case, frames in zip(requests, videos, strict=True):
            yield case, SourceVideo(frames=frames, seconds=seconds)

    def identities(self, people: tuple[Person, ...]) -> ExtractedIdentities | PhotoError:
        """People as the model sees them in their photos, or why it does not."""
        if people not in self._identities:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", PhotoWarning)
                    self._identities[people] = self.pipeline.extract_identities(
                        {person.name: person.portrait().image for person in people},
                        allow_photographs=True,  # the world drew them, whatever one of them looks like
                    )
            except PhotoError as error:
                self._identities[people] = error
        return self._identities[people]

    def real_frames(self, case: Case) -> UInt8Array | None:
        """The clip that the drawn world's camera filmed, of the video's size."""
        return self._clips.real_frames(case)

    def through_vae(self, case: Case) -> UInt8Array:
        """The same clip through the model's VAE and back."""
        return reconstruct_clip(self.pipeline.vae, self._clips.scene(case).frames)

    def probe_router(self, case: Case) -> RoutingRecord:
        """What the router does with the people, on noised latents of the real clip."""
        identities = self.identities(case.people)
        assert isinstance(identities, ExtractedIdentities)  # or there would be no video
        return probe_router(self.pipeline, identities, self._clips.scene(case), seed=case.seed + self.seed)

    def report(self, case: Case, record: CaseRecord, folder: EvaluationFolder) -> ReportedCase:
        """The photos, and the video if it was kept."""
        return self._clips.report(case, record, folder)

    def account(self, records: Sequence[CaseRecord], judged_by: JudgedBy) -> Account:
        """How the videos were made."""
        settings, num_people = self.settings, len(self.cases[0].people)
        made = [record.seconds for record in records if record.error is None]
        seconds = sum(made) / len(made) if made else 0.0
        num_errors = len(records) - len(made)
        model = model_fingerprint(self.pipeline)
        return Account(
            title=f"Evaluation: {len(records)} cases of {num_people} people",
            facts=(
                f"Cases version {self.cases_version}, seed {self.seed}, {settings.describe()}, "
                f"{''.join(f'{name}, ' for name in settings.speed.names())}model {model}; "
                f"{seconds:.1f} s a video, {num_errors} cases without a video.",
            ),
            opening=f"{len(records)} cases of {num_people} people, seed {self.seed}",
            closing=f"time: {seconds:.1f} s a video",
            values={
                "seconds_per_video": round(seconds, 3),
                "seed": self.seed,
                "cases_version": self.cases_version,
                "model_fingerprint": model,
                "settings": config_to_dict(settings),
                "judge": judged_by.calibration_values(),
            },
        )


def model_fingerprint(pipeline: IngredientsPipeline) -> str:
    """A hash of all that makes a video."""
    extractor = pipeline.facial_extractor
    faces = () if extractor is None else (extractor.detector, extractor.recogniser, extractor.image_encoder)
    return fingerprint(
        [pipeline.transformer, pipeline.vae, pipeline.text_encoder, *held_modules(*faces)],
        [pipeline.transformer.config, pipeline.vae.config, pipeline.scheduler.config],
    )


def video_shape(pipeline: IngredientsPipeline, settings: GenerationSettings) -> VideoShape:
    """The size that the settings give with this model.

    Raises:
        ShapeError: if the model cannot make it.
    """
    shape = pipeline.geometry.shape(height=settings.height, width=settings.width, num_frames=settings.num_frames)
    pipeline.geometry.check(shape)
    return shape


def generate_videos(
    pipeline: IngredientsPipeline,
    requests: Sequence[VideoRequest],
    *,
    parts: Parts,
    settings: GenerationSettings,
) -> list[UInt8Array]:
    """Makes the videos (F, H, W, 3) of one batch.

    Args:
        pipeline: makes them.
        requests: all with the same number of people.
        parts: which of the model's parts work.
        settings: steps, guidance, size.
    """
    needs_names = any(request.calls_names or request.places for request in requests)
    if needs_names and len(requests) > 1:  # the pipeline knows the names of the people of one video
        return [
            video
            for request in requests
            for video in generate_videos(pipeline, [request], parts=parts, settings=settings)
        ]
    shape = video_shape(pipeline, settings)
    canvas = None
    if parts.branches.use_canvas and pipeline.takes_canvas:
        canvases = [
            compose_canvas(request.canvas_people.canvas_crops, shape.height, shape.width) for request in requests
        ]
        canvas = np.stack(canvases)  # (B, H, W, 3)
    people: PeopleEmbeds | ExtractedIdentities | None = requests[0].local_people if needs_names else None
    needs_people = parts.branches.use_identities or canvas is not None  # a canvas may need to know how many they are
    if needs_people and not needs_names:
        each_ones = [request.local_people for request in requests]
        people = PeopleEmbeds(
            id_embeds=torch.stack([each.id_embeds for each in each_ones]),  # (B, N, R + S)
            id_vit_hidden_states=[
                torch.stack(scale) for scale in zip(*(each.id_vit_hidden_states for each in each_ones), strict=True)
            ],
            names=[each.names for each in each_ones],
        )
    routing_indices = None
    if parts.assignment is not None:
        grid = pipeline.geometry.token_grid(shape)
        routing_indices = torch.stack(
            [
                assign_tokens(parts.assignment, grid, num_people=len(request.local_people), seed=request.seed)
                for request in requests
            ]
        )
    sampling = {field.name: getattr(settings, field.name) for field in dataclasses.fields(SamplingSettings)}
    left_out = [name for addition, name in _SETTING.items() if addition not in parts.additions]
    sampling |= {name: getattr(_AS_PUBLISHED, name) for name in left_out}
    pipeline.set_progress_bar_config(disable=True)
    output = pipeline(
        people,
        prompt=[request.prompt for request in requests],
        height=shape.height,
        width=shape.width,
        num_frames=shape.num_frames,
        **sampling,
        generator=[request.seed for request in requests],
        canvas=canvas,
        branches=dataclasses.replace(
            parts.branches,
            use_canvas=canvas is not None,
            face_scale=settings.face_scale,
            routing_indices=routing_indices,
        ),
        places=dict(zip(requests[0].local_people.names, requests[0].places, strict=True))
        if requests[0].places
        else None,
        output_type="np",
    )
    assert isinstance(output, IngredientsPipelineOutput)  # a tuple only comes when asked for
    return list(to_pixels(output.frames))


def assign_tokens(
    assignment: TokenAssignment, token_grid: tuple[int, int, int], *, num_people: int, seed: int
) -> torch.Tensor:
    """An identity for each token (f, h, w): people in columns from left to right, mirrored, or by lot."""
    if assignment == "random":
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(num_people, token_grid, generator=generator)
    columns = column_layout(token_grid, num_people)
    return columns if assignment == "left_right" else num_people - 1 - columns
