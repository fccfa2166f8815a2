"""What the nodes declare fits what they do, and the workflow files fit what they declare; without ComfyUI."""

import asyncio
import inspect
import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from comfyui.values import request_of

import comfyui
from ingredients.core.version import VERSION
from ingredients.media.provenance import Provenance, read_provenance
from ingredients.media.video import read_video, read_video_metadata
from ingredients.model_folders.sampling_settings import SamplingSettings
from ingredients.pipelines.execution.speed_options import VideoOptions
from tests.comfyui.stand_in_api import Slot, stand_in_api
from tests.generation.hand_maker import HandMaker

FOLDER = Path(comfyui.__file__).parent
HOW = (
    *SamplingSettings.__dataclass_fields__,
    *VideoOptions.__dataclass_fields__,
)
"""Widgets that a node has by declaration, and passes on."""
WORKFLOWS = sorted((FOLDER / "example_workflows").glob("*.json"))


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """The module of the nodes, imported over stand-ins for ComfyUI."""
    with stand_in_api():
        extension = asyncio.run(comfyui.comfy_entrypoint())
        yield sys.modules[type(extension).__module__]
    for name in ("comfyui.nodes", "comfyui.memory"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def schemas(nodes: Any) -> dict[str, Any]:
    listed = asyncio.run(nodes.IngredientsExtension().get_node_list())
    return {(schema := node.define_schema()).node_id: (schema, node) for node in listed}


def test_each_node_is_declared_as_it_is_called(schemas: dict[str, Any]) -> None:
    assert len(schemas) == 6
    for schema, node in schemas.values():
        ids = [each.id for each in schema.inputs]
        called = inspect.signature(node.execute).parameters
        if any(each.kind is each.VAR_KEYWORD for each in called.values()):
            ids = [name for name in ids if name not in HOW]
            assert set(HOW) == {each.id for each in schema.inputs} - set(ids)
            called = {name: each for name, each in called.items() if each.kind is not each.VAR_KEYWORD}
        assert ids == list(called)
        assert schema.description
        assert [
            name for name in vars(node) if not name.startswith("_") and name not in ("define_schema", "execute")
        ] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_fit_the_nodes(path: Path, schemas: dict[str, Any]) -> None:
    workflow = json.loads(path.read_text())
    nodes = {node["id"]: node for node in workflow["nodes"]}
    ours = [node for node in nodes.values() if node["type"] in schemas]
    assert ours
    for node in ours:
        schema, _ = schemas[node["type"]]
        growing = {each.id: each.settings["template"] for each in schema.inputs if each.kind == "COMFY_AUTOGROW_V3"}
        named = {each["name"] for each in node["inputs"]}
        for name in named:
            parent, _, child = name.partition(".")
            assert not child or child.startswith(growing[parent]["prefix"])
        optional = {each.id for each in schema.inputs if each.settings.get("optional")}
        assert {name.partition(".")[0] for name in named} | optional == {each.id for each in schema.inputs}
        assert [each["name"] for each in node["outputs"]] == [
            each.settings.get("display_name") for each in schema.outputs
        ]
        widgets = [each for each in schema.inputs if _is_widget(each)]
        values = iter(node["widgets_values"])
        for widget in widgets:
            _check(widget, next(values))
            if widget.settings.get("control_after_generate"):
                assert next(values) in ("fixed", "randomize")
        assert list(values) == []
    for number, source, slot, target, at, kind in workflow["links"]:
        assert nodes[target]["inputs"][at]["link"] == number
        assert number in nodes[source]["outputs"][slot]["links"]
        assert {nodes[source]["outputs"][slot]["type"], kind} <= {kind, "*"} or kind == "*"


def _is_widget(slot: Slot) -> bool:
    return slot.kind in ("STRING", "INT", "FLOAT", "BOOLEAN", "COMBO")


def _check(widget: Slot, value: object) -> None:
    kinds: dict[str, Any] = {"STRING": str, "INT": int, "FLOAT": (int, float), "BOOLEAN": bool, "COMBO": str}
    assert isinstance(value, kinds[widget.kind]), widget.id
    if widget.kind == "COMBO":
        assert value in widget.settings["options"]
    if widget.kind in ("INT", "FLOAT"):
        assert isinstance(value, int | float)
        assert widget.settings["min"] <= value <= widget.settings["max"]


class _Bar:
    def __init__(self, total: int) -> None:
        bars.append(self)
        self.told: list[tuple[int, int, bool]] = []

    def update_absolute(self, value: int, total: int, preview: Any) -> None:
        self.told.append((value, total, preview is not None))


bars: list[_Bar] = []


class _InterruptedError(BaseException):
    """As ComfyUI's own, which is no Exception."""


def _people(nodes: Any) -> dict[str, Any]:
    photos = torch.rand(1, 20, 24, 3)
    return {
        f"person_{index}": nodes.IngredientsPerson.execute(name, "", {"photo_0": photos}).values[0]
        for index, name in enumerate(("ana", "ben"))
    }


def _generate(
    nodes: Any, maker: HandMaker, monkeypatch: pytest.MonkeyPatch, *, interrupted: bool, **given: Any
) -> Any:
    def throw() -> None:
        if interrupted and bars:  # before the first step nobody has
            raise _InterruptedError

    bars.clear()
    management: Any = nodes.comfy.model_management
    monkeypatch.setattr(management, "processing_interrupted", lambda: interrupted, raising=False)
    monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", throw, raising=False)
    monkeypatch.setattr(nodes.comfy.utils, "ProgressBar", _Bar, raising=False)
    model = SimpleNamespace(studio=maker, bring_to_device=lambda request, *, num_people: None)
    widgets: dict[str, Any] = {
        "prompt": "@ana and @ben wave.", "negative_prompt": "", "seed": 7, "num_frames": 0, "width": 0, "height": 0,
        "face_scale": 1.0, "takes": 1, "num_inference_steps": 4,
    }  # fmt: skip
    schema = nodes.GenerateIngredientsVideo.define_schema()
    widgets = {each.id: each.settings["default"] for each in schema.inputs if each.id in HOW} | widgets
    return nodes.GenerateIngredientsVideo.execute(model, _people(nodes), **widgets | given)


class _RoutedMaker(HandMaker):
    """Its videos say who is where, too."""

    def make(self, request: Any, **told: Any) -> Any:
        made = super().make(request, **told)
        object.__setattr__(made, "routing", np.zeros((3, 4, 6), np.int64))
        return made


def test_generate_gives_frames_map_and_report_and_tells_each_step(nodes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = _RoutedMaker()
    made = _generate(nodes, maker, monkeypatch, interrupted=False)
    frames, routing_map, report, routing, provenance = made.values
    assert frames.shape == (9, 32, 48, 3)
    assert float(frames.max()) <= 1
    assert routing_map.shape == (1, 32, 48, 3)
    assert routing.shape == (3, 4, 6)
    assert (provenance.seed, provenance.people) == (7, ("ana", "ben"))
    assert "ana: found, similarity 0.91\nben: found, similarity 0.91" in report
    assert made.ui == {"text": [report]}
    assert bars[0].told == [(step, 4, True) for step in (1, 2, 3, 4)]
    (request,) = maker.made
    given = {name: value for name, value in request.sampling.items() if value is not None}
    assert given == {"num_inference_steps": 4}  # all else is the model's own
    assert request.options == VideoOptions()


def test_whatever_a_video_is_sampled_by_is_a_widget_in_its_range(
    nodes: Any, schemas: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    widgets = {each.id: each for each in schemas["IngredientsGenerate"][0].inputs}
    assert (widgets["num_inference_steps"].kind, widgets["num_inference_steps"].settings["max"]) == ("INT", 1000)
    assert (widgets["layout_share"].kind, widgets["layout_share"].settings["max"]) == ("FLOAT", 1)
    assert widgets["likeness_guidance_scale"].settings["tooltip"].startswith("How far each step is led")
    optional = {name for name in HOW if widgets[name].settings.get("optional")}
    assert set(HOW) - optional == {"num_inference_steps", "guidance_scale"}  # as in prompts of before
    maker = _RoutedMaker()
    asked = {"guidance_scale": 2.0, "likeness_guidance_scale": 0.0, "perturbed_attention_scale": 1.5}
    options: dict[str, Any] = {"step_cache": "pab", "split_guidance": True, "decode_in_tiles": True}
    _generate(nodes, maker, monkeypatch, interrupted=False, **asked, **options)
    (request,) = maker.made
    given = {name: value for name, value in request.sampling.items() if value is not None}
    assert given == {"num_inference_steps": 4, **asked}  # 0 is asked for where it does without
    assert request.options == VideoOptions(**options)
    schema = schemas["IngredientsGenerate"][0]
    before = request_of(
        [nodes.IngredientsPerson.execute("ana", "", {"photo_0": torch.rand(1, 20, 24, 3)}).values[0]],
        "@ana waves.",
        **{each.id: each.settings["default"] for each in schema.inputs
           if each.id not in optional | {"model", "people", "prompt", "routing"}},
    )  # fmt: skip
    assert set(before.sampling.values()) == {None}
    assert before.options == VideoOptions()


def test_takes_count_their_steps_together_and_say_which_was_kept(nodes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _generate(nodes, _RoutedMaker(), monkeypatch, interrupted=False, takes=2)
    assert made.values[2].startswith("Take 2 is kept: ")
    assert bars[0].told[-1] == (8, 8, True)


def test_an_interrupted_video_ends_as_comfyui_wants_it(nodes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = _RoutedMaker()
    with pytest.raises(_InterruptedError):
        _generate(nodes, maker, monkeypatch, interrupted=True)
    assert [step for step, _, _ in bars[0].told] == [1]
    assert maker.made == []


@pytest.mark.parametrize(("file_type", "brings_workflow"), [("mp4", True), ("webm", False)])
def test_a_saved_video_says_what_it_is(
    nodes: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file_type: str, brings_workflow: bool
) -> None:
    monkeypatch.setattr(nodes.folder_paths, "get_output_directory", lambda: str(tmp_path), raising=False)
    monkeypatch.setattr(
        nodes.folder_paths, "get_save_image_path", lambda *_: (str(tmp_path), "clip", 4, "", "clip"), raising=False
    )
    node = nodes.SaveIngredientsVideo
    hidden = SimpleNamespace(
        prompt={"1": {"class_type": "IngredientsSave"}}, extra_pnginfo={"workflow": {"nodes": []}}
    )
    monkeypatch.setattr(node, "hidden", hidden)
    provenance = Provenance(model="by-hand", seed=5, people=("ana",), prompt="Ana waves.")
    node.execute(torch.rand(3, 8, 12, 3), provenance, "clip", file_type, 8.0, 2)
    file = tmp_path / f"clip_00004_.{file_type}"
    assert read_provenance(file) == provenance
    assert read_video(file).frames.shape == (3, 16, 24, 3)
    assert ("workflow" in read_video_metadata(file)) == brings_workflow


def test_the_registry_hears_of_the_same_version() -> None:
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION
    assert project["project"]["dependencies"] == []
