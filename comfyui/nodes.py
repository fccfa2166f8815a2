"""The nodes: load a model, say who is to appear and where, make a video, judge any, save with what made it.

They hold no state and no model code: `ingredients.generation` does the work, ComfyUI keeps what nodes return.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comfy.model_management
import comfy.utils
import folder_paths
import torch
from comfy_api.latest import ComfyExtension, io, ui
from PIL import Image

from ingredients.core.config import field_docstrings
from ingredients.core.ranges import declared_range
from ingredients.generation.previews import emerging_strip, routing_strip
from ingredients.generation.progress import CancelledError, StepDone
from ingredients.media.provenance import Provenance
from ingredients.media.video import write_video
from ingredients.model_folders.find_model import find_model
from ingredients.model_folders.sampling_settings import SamplingSettings
from ingredients.pipelines.execution.speed_options import STEP_CACHES
from ingredients.pipelines.places import PLACE_STRENGTH
from ingredients.pipelines.video_shape import FPS
from ingredients.visualisation.layout import enlarge

from .report import describe_takes, describe_video
from .values import (
    MEMORY_CHOICES,
    NO_CACHE,
    PLACES,
    Person,
    check_names,
    connected,
    own_setting,
    read_person,
    request_of,
    to_images,
    to_pixels,
)

if TYPE_CHECKING:
    from .memory import LoadedModel

CATEGORY = "ingredients"
MOST_PEOPLE = 8
MOST_PHOTOS = 16

ModelWire = io.Custom("INGREDIENTS_MODEL")
PersonWire = io.Custom("INGREDIENTS_PERSON")
RoutingWire = io.Custom("INGREDIENTS_ROUTING")
ProvenanceWire = io.Custom("INGREDIENTS_PROVENANCE")


def _growing(name: str, each: Any, *, most: int) -> Any:
    """Inputs of one kind, at least one: another one is there as soon as the last is connected."""
    return io.Autogrow.Input(
        name, template=io.Autogrow.TemplatePrefix(input=each, prefix=f"{each.id}_", min=1, max=most)
    )


_FIRST_SETTINGS = 2
"""Fields of `SamplingSettings` that the node always had. What came later is optional and stands behind the other
widgets: prompts that were saved before do without it, and workflows know their widgets by number."""


def _sampling_widgets() -> list[Any]:
    """A widget for each field of `SamplingSettings`, in its range, with a number that stands for the model's own."""
    docs: dict[str, str] = field_docstrings(SamplingSettings)
    widgets: list[Any] = []
    for name, field in SamplingSettings.__dataclass_fields__.items():
        own = own_setting(name)
        kind, step = (io.Int, 1) if isinstance(field.default, int) else (io.Float, 0.05)
        tooltip = f"{docs[name]} {own}: the model's own."
        most = declared_range(SamplingSettings, name).at_most
        optional = len(widgets) >= _FIRST_SETTINGS
        widgets.append(kind.Input(name, default=own, min=own, max=most, step=step, tooltip=tooltip, optional=optional))
    return widgets


class LoadIngredientsModel(io.ComfyNode):
    """Loads a model once; ComfyUI keeps it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What ComfyUI shows."""
        return io.Schema(
            node_id="IngredientsLoadModel",
            display_name="Ingredients: Load Model",
            category=CATEGORY,
            description="Loads a model that makes videos of people from their photos.",
            inputs=[
                io.String.Input(
                    "model",
                    default="",
                    tooltip="Folder of a model, or its name on the hub; empty: the small model of drawn people that "
                    "comes with the package.",
                ),
                io.String.Input(
                    "identity", default="", tooltip="Folder of identity weights, where the model is a plain base."
                ),
                io.Combo.Input(
                    "photos_read_by",
                    options=["model", "dlib"],
                    default="model",
                    tooltip="Who finds the faces in the photos: the model's own detector, or dlib.",
                ),
                io.Combo.Input(
                    "memory",
                    options=list(MEMORY_CHOICES),
                    default=MEMORY_CHOICES[0],
                    tooltip="comfyui: ComfyUI loads and unloads the whole model, as any other. The others need less: "
                    "balanced has text encoder and transformer in turn on the device, low block by block, minimal "
                    "layer by layer in 8 bit.",
                ),
                io.Boolean.Input(
                    "drop_learned_positions",
                    default=False,
                    tooltip="Leave out a base's learned positions, which fix the size of the video.",
                ),
            ],
            outputs=[ModelWire.Output(display_name="model")],
        )

    @classmethod
    def execute(
        cls, model: str, identity: str, photos_read_by: str, memory: str, drop_learned_positions: bool
    ) -> io.NodeOutput:
        """Loads it."""
        from .memory import load_model  # with all that a model needs, which takes seconds

        return io.NodeOutput(
            load_model(
                model.strip(),
                identity=identity.strip(),
                face_stack="dlib" if photos_read_by == "dlib" else "model",
                memory=memory,
                drop_learned_positions=drop_learned_positions,
            )
        )


class IngredientsPerson(io.ComfyNode):
    """Somebody, from one photo or several."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What ComfyUI shows."""
        return io.Schema(
            node_id="IngredientsPerson",
            display_name="Ingredients: Person",
            category=CATEGORY,
            description="Somebody who is to appear, or to be looked for; all photos show the same person.",
            inputs=[
                io.String.Input(
                    "name", default="ana", tooltip="By which the prompt (@ana) and the report call the person."
                ),
                io.String.Input(
                    "face",
                    default="",
                    tooltip="Which face of the photos: largest, left, right, or a number from the left; empty: the "
                    "largest.",
                ),
                _growing("photos", io.Image.Input("photo"), most=MOST_PHOTOS),
            ],
            outputs=[PersonWire.Output(display_name="person")],
        )

    @classmethod
    def execute(cls, name: str, face: str, photos: Mapping[str, torch.Tensor]) -> io.NodeOutput:
        """Takes the photos."""
        return io.NodeOutput(read_person(name, connected(photos), face))


class IngredientsPlace(io.ComfyNode):
    """Where somebody is to stand; several in a row are key frames."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What ComfyUI shows."""
        edge = {"min": 0.0, "max": 1.0, "step": 0.01}
        return io.Schema(
            node_id="IngredientsPlace",
            display_name="Ingredients: Place",
            category=CATEGORY,
            description="Where a person is to stand. With several in a row the person moves from one frame's place to "
            "the next one's.",
            inputs=[
                PersonWire.Input("person"),
                io.Combo.Input("place", options=list(PLACES), default="left", tooltip="box has the edges below."),
                io.Int.Input("frame", default=0, min=0, max=10_000, tooltip="Frame at which the person is there."),
                io.Float.Input("left", default=0.0, tooltip="Edges of the box, in parts of the picture.", **edge),
                io.Float.Input("top", default=0.0, **edge),
                io.Float.Input("right", default=0.5, **edge),
                io.Float.Input("bottom", default=1.0, **edge),
                io.Float.Input(
                    "strength",
                    default=PLACE_STRENGTH,
                    min=0.0,
                    max=100.0,
                    step=0.5,
                    tooltip="How much the router is told of it after the first steps.",
                ),
            ],
            outputs=[PersonWire.Output(display_name="person")],
        )

    @classmethod
    def execute(
        cls,
        person: Person,
        place: str,
        frame: int,
        left: float,
        top: float,
        right: float,
        bottom: float,
        strength: float,
    ) -> io.NodeOutput:
        """Adds the place."""
        return io.NodeOutput(person.placed(place, box=(left, top, right, bottom), frame=frame, strength=strength))


class GenerateIngredientsVideo(io.ComfyNode):
    """Makes a video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What ComfyUI shows."""
        sampling = _sampling_widgets()
        return io.Schema(
            node_id="IngredientsGenerate",
            display_name="Ingredients: Generate",
            category=CATEGORY,
            description="Makes a video of the people, and says how well each was kept. A size or length of 0 is the "
            "model's own.",
            inputs=[
                ModelWire.Input("model"),
                _growing("people", PersonWire.Input("person"), most=MOST_PEOPLE),
                io.String.Input(
                    "prompt",
                    multiline=True,
                    default="Two people wave on a beach, smiling.",
                    tooltip="What happens; @ana is the person of that name.",
                ),
                io.String.Input("negative_prompt", default="", tooltip="What the video is led away from."),
                io.Int.Input(
                    "seed", default=0, min=0, max=2**63 - 1, control_after_generate=True, tooltip="Of the noise."
                ),
                io.Int.Input("num_frames", default=0, min=0, max=10_000),
                io.Int.Input("width", default=0, min=0, max=16_384),
                io.Int.Input("height", default=0, min=0, max=16_384),
                *sampling[:_FIRST_SETTINGS],
                io.Float.Input(
                    "face_scale", default=1.0, min=0.0, max=4.0, step=0.05, tooltip="Strength of the faces' features."
                ),
                io.Int.Input(
                    "takes", default=1, min=1, max=16, tooltip="So many are made, with this seed and those after it."
                ),
                *sampling[_FIRST_SETTINGS:],
                io.Combo.Input(
                    "step_cache",
                    options=[NO_CACHE, *STEP_CACHES],
                    default=NO_CACHE,
                    optional=True,
                    tooltip="What steps take over from those before: less time, and a slightly other video.",
                ),
                io.Boolean.Input(
                    "split_guidance",
                    default=False,
                    optional=True,
                    tooltip="Run the guidance passes of a step one after the other: less memory, more time.",
                ),
                io.Boolean.Input(
                    "decode_in_tiles",
                    default=False,
                    optional=True,
                    tooltip="Decode large pictures in tiles: less memory.",
                ),
                RoutingWire.Input(
                    "routing", optional=True, tooltip="Who is where, from another video: it is kept in this one."
                ),
            ],
            outputs=[
                io.Image.Output(display_name="frames"),
                io.Image.Output(display_name="routing_map", tooltip="Frames under the colours of the people."),
                io.String.Output(display_name="report"),
                RoutingWire.Output(display_name="routing"),
                ProvenanceWire.Output(display_name="provenance"),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: "LoadedModel",
        people: Mapping[str, Person],
        prompt: str,
        negative_prompt: str,
        seed: int,
        num_frames: int,
        width: int,
        height: int,
        face_scale: float,
        takes: int,
        routing: Any = None,
        **how: Any,
    ) -> io.NodeOutput:
        """Makes it, step by step; `how` has the widgets of sampling, time and memory."""
        request = request_of(
            connected(people),
            prompt,
            negative_prompt=negative_prompt,
            seed=seed,
            num_frames=num_frames,
            width=width,
            height=height,
            face_scale=face_scale,
            takes=takes,
            routing=routing,
            **how,
        )
        comfy.model_management.throw_exception_if_processing_interrupted()
        model.bring_to_device(request, num_people=len(people))
        bar = comfy.utils.ProgressBar(1)

        def step_done(done: StepDone) -> None:
            bar.update_absolute(done.step, done.total, _preview(done))

        told: dict[str, Any] = {
            "on_step": step_done,
            "is_cancelled": comfy.model_management.processing_interrupted,
            "with_previews": True,
        }
        try:
            with torch.inference_mode(False):
                if takes == 1:
                    result = model.studio.make(request, **told)
                    report = describe_video(result)
                else:
                    made = model.studio.make_takes(request, **told)
                    result, report = made.result, describe_takes(made)
        except CancelledError:
            comfy.model_management.throw_exception_if_processing_interrupted()
            raise
        sheet = result.routing_sheet()
        assert sheet is not None  # the request asks for maps
        return io.NodeOutput(
            to_images(result.frames),
            to_images(sheet),
            report,
            result.routing,
            result.provenance,
            ui=ui.PreviewText(report),
        )


class JudgeIngredientsVideo(io.ComfyNode):
    """Says who is who in any video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What ComfyUI shows."""
        return io.Schema(
            node_id="IngredientsJudge",
            display_name="Ingredients: Judge",
            category=CATEGORY,
            description="Says who of some people is who in a video that any system made: when, how alike, swapped, "
            "blended, doubled, exchanged or missing.",
            inputs=[
                io.Image.Input("frames"),
                _growing("people", PersonWire.Input("person"), most=MOST_PEOPLE),
                io.Combo.Input(
                    "judge",
                    options=["automatic", "model", "dlib"],
                    default="automatic",
                    tooltip="model knows drawn people, dlib photographed ones; automatic looks at the photos.",
                ),
                io.Float.Input("fps", default=float(FPS), min=0.1, max=1000.0, step=0.5),
                io.Boolean.Input(
                    "left_to_right", default=False, tooltip="Whether they should stand in this order, from the left."
                ),
                io.Boolean.Input(
                    "has_cuts", default=True, tooltip="Whether the video may have several shots; each is judged anew."
                ),
            ],
            outputs=[
                io.String.Output(display_name="report"),
                io.Image.Output(display_name="marked_frames"),
                io.String.Output(display_name="json"),
            ],
        )

    @classmethod
    def execute(
        cls,
        frames: torch.Tensor,
        people: Mapping[str, Person],
        judge: str,
        fps: float,
        left_to_right: bool,
        has_cuts: bool,
    ) -> io.NodeOutput:
        """Looks at all frames."""
        from ingredients.generation.judging import judge_frames, load_video_judge  # likewise

        asked_for = check_names(connected(people))
        notices: list[str] = []
        with torch.inference_mode(False):
            judges, asked = load_video_judge(
                find_model(None),
                [person.photos for person in asked_for],
                judge=None if judge == "automatic" else judge,
                notice=notices.append,
            )
            pixels = to_pixels(frames)
            judgement = judge_frames(pixels, judges.judge, asked, fps=fps, ordered=left_to_right, finds_cuts=has_cuts)
        report = "\n".join([judgement.describe(judges.judge_name), *notices])
        picked = {index: pixels[judgement.frame_numbers[index]] for index in judgement.picked_frames()}
        sheet = judgement.sheet(picked, title=f"Judged by {judges.judge_name}")
        return io.NodeOutput(
            report, to_images(sheet), json.dumps(judgement.to_json(), allow_nan=False), ui=ui.PreviewText(report)
        )


class SaveIngredientsVideo(io.ComfyNode):
    """Writes a video that says how it was made."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What ComfyUI shows."""
        return io.Schema(
            node_id="IngredientsSave",
            display_name="Ingredients: Save With Provenance",
            category=CATEGORY,
            description="Saves a video whose file says that a model made it, which, and of whom; an MP4 also brings "
            "this workflow back when it is dropped on ComfyUI.",
            inputs=[
                io.Image.Input("frames"),
                ProvenanceWire.Input("provenance"),
                io.String.Input("filename_prefix", default="video/ingredients"),
                io.Combo.Input("file_type", options=["mp4", "webm", "gif"], default="mp4"),
                io.Float.Input("fps", default=float(FPS), min=0.1, max=240.0, step=0.5),
                io.Int.Input("scale", default=1, min=1, max=16, tooltip="Whole pixels that each becomes, each way."),
            ],
            outputs=[],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, frames: torch.Tensor, provenance: Provenance, filename_prefix: str, file_type: str, fps: float, scale: int
    ) -> io.NodeOutput:
        """Writes it into ComfyUI's output folder."""
        pixels = enlarge(to_pixels(frames), scale)
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory(), pixels.shape[2], pixels.shape[1]
        )
        file = f"{name}_{counter:05}_.{file_type}"
        tags = provenance.to_tags()
        if file_type == "mp4":
            tags |= {key: json.dumps(value) for key, value in (cls.hidden.extra_pnginfo or {}).items()}
            if cls.hidden.prompt is not None:
                tags["prompt"] = json.dumps(cls.hidden.prompt)
        write_video(Path(folder) / file, pixels, fps=fps, metadata=tags)
        return io.NodeOutput(ui=ui.PreviewVideo([ui.SavedResult(file, subfolder, io.FolderType.output)]))


def _preview(done: StepDone) -> tuple[str, Image.Image, int | None] | None:
    """What is seen of the video by now, above the map of who is where."""
    if done.preview is None:
        return None
    strips = [emerging_strip(done.preview)]
    if done.preview.routing_map is not None:
        strips.append(routing_strip(done.preview))
    width, height = strips[0].shape[1], sum(len(strip) for strip in strips)
    picture = Image.new("RGB", (width, height))
    top = 0
    for strip in strips:
        picture.paste(Image.fromarray(strip), (0, top))
        top += len(strip)
    return "JPEG", picture, None


class IngredientsExtension(ComfyExtension):
    """All of the nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """As ComfyUI asks for them."""
        return [
            LoadIngredientsModel,
            IngredientsPerson,
            IngredientsPlace,
            GenerateIngredientsVideo,
            JudgeIngredientsVideo,
            SaveIngredientsVideo,
        ]
