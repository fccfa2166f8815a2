"""The nodes in a real ComfyUI: their workflows run, tell how far they are, can be cancelled, and leave the device."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingredients.media.pictures import write_picture
from ingredients.media.provenance import read_provenance
from ingredients.media.video import read_video, read_video_metadata
from ingredients.world import render_portrait, sample_identity
from tests.apps.tiny_model import save_tiny_model
from tests.comfyui.running import NODES, ComfyUI, as_prompt, running_comfyui

_FOLDER = os.environ.get("COMFYUI_FOLDER")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(_FOLDER is None, reason="COMFYUI_FOLDER does not name a checkout of ComfyUI"),
]

GENERATE, SAVE, LOAD = "IngredientsGenerate", "IngredientsSave", "IngredientsLoadModel"


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyUI]:
    base = tmp_path_factory.mktemp("comfyui")
    save_tiny_model(base / "tiny")
    assert _FOLDER is not None
    with running_comfyui(Path(_FOLDER), base / "base") as started:
        for index, name in enumerate(("ana", "ben")):
            portrait = render_portrait(sample_identity(index, "eval"), index, size=64).image
            write_picture(started.base / "input" / f"{name}.png", portrait)
        yield started


@pytest.fixture
def prompt(comfyui: ComfyUI) -> dict[str, Any]:
    """The workflow of two people, with a tiny model."""
    workflow = json.loads((NODES / "example_workflows" / "two_people.json").read_text())
    made = as_prompt(workflow, comfyui.known)
    inputs_of(made, LOAD)["model"] = str(comfyui.base.parent / "tiny")
    inputs_of(made, GENERATE)["num_inference_steps"] = 3
    return made


def inputs_of(prompt: dict[str, Any], kind: str) -> dict[str, Any]:
    inputs: dict[str, Any]
    (inputs,) = [node["inputs"] for node in prompt.values() if node["class_type"] == kind]
    return inputs


def outputs_of(record: dict[str, Any], prompt: dict[str, Any], kind: str) -> dict[str, Any]:
    (number,) = [number for number, node in prompt.items() if node["class_type"] == kind]
    return dict(record["outputs"][number])


def test_all_nodes_are_there(comfyui: ComfyUI) -> None:
    ours = {name for name in comfyui.known if name.startswith("Ingredients")}
    assert ours == {f"Ingredients{name}" for name in ("LoadModel", "Person", "Place", "Generate", "Judge", "Save")}
    assert all(comfyui.known[name]["category"] == "ingredients" for name in ours)


def test_a_workflow_makes_a_video_that_says_what_it_is_and_tells_each_step(
    comfyui: ComfyUI, prompt: dict[str, Any]
) -> None:
    inputs_of(prompt, SAVE)["scale"] = 2
    with comfyui.messages() as messages:
        asked = comfyui.ask(prompt)
        progress, previews = set(), 0
        while True:
            message = messages.next()
            if isinstance(message, bytes):
                previews += 1
            elif message["type"] == "progress":
                progress.add((message["data"]["value"], message["data"]["max"]))
            elif message["type"] in ("execution_success", "execution_error"):
                break
    record = comfyui.wait(asked)
    assert record["status"]["status_str"] == "success", comfyui.log[-3000:]
    assert progress >= {(1, 3), (2, 3), (3, 3)}
    assert previews >= 3
    (report,) = outputs_of(record, prompt, GENERATE)["text"]
    assert "ana: " in report
    assert "ben: " in report
    (saved,) = outputs_of(record, prompt, SAVE)["images"]
    file = comfyui.base / "output" / saved["subfolder"] / saved["filename"]
    frames = read_video(file).frames
    assert frames.shape == (9, 64, 96, 3)
    told = read_provenance(file)
    assert (told.seed, told.people, told.prompt) == (3, ("ana", "ben"), "@ana and @ben wave on a beach, smiling.")
    assert json.loads(read_video_metadata(file)["prompt"])[_number_of(prompt, SAVE)]["class_type"] == SAVE


def test_an_interrupted_video_ends_at_its_next_step_and_the_next_one_is_made(
    comfyui: ComfyUI, prompt: dict[str, Any]
) -> None:
    inputs_of(prompt, GENERATE).update(num_inference_steps=1000, seed=11)
    with comfyui.messages() as messages:
        asked = comfyui.ask(prompt)
        while True:
            message = messages.next()
            assert not isinstance(message, dict) or message["type"] != "execution_error", message
            if isinstance(message, dict) and message["type"] == "progress" and message["data"]["max"] == 1000:
                break
        assert comfyui.client.post("/interrupt").status_code == 200
    record = comfyui.wait(asked)
    kinds = [kind for kind, _ in record["status"]["messages"]]
    assert "execution_interrupted" in kinds
    inputs_of(prompt, GENERATE).update(num_inference_steps=2)
    assert comfyui.wait(comfyui.ask(prompt))["status"]["status_str"] == "success"


def test_comfyui_can_take_the_model_away_and_brings_it_back(comfyui: ComfyUI, prompt: dict[str, Any]) -> None:
    wanted = "Requested to load ModelParts"
    inputs_of(prompt, GENERATE).update(seed=21)
    assert comfyui.wait(comfyui.ask(prompt))["status"]["status_str"] == "success"
    before = comfyui.log.count(wanted)
    assert before
    inputs_of(prompt, GENERATE).update(seed=22)
    assert comfyui.wait(comfyui.ask(prompt))["status"]["status_str"] == "success"
    assert comfyui.log.count(wanted) == before  # it stayed
    assert comfyui.client.post("/free", json={"unload_models": True}).status_code == 200
    inputs_of(prompt, GENERATE).update(seed=23)
    assert comfyui.wait(comfyui.ask(prompt))["status"]["status_str"] == "success"
    assert comfyui.log.count(wanted) == before + 1


def test_a_mistake_is_told_in_a_sentence(comfyui: ComfyUI, prompt: dict[str, Any]) -> None:
    for node in prompt.values():
        if node["class_type"] == "IngredientsPerson":
            node["inputs"]["name"] = "ana"
    record = comfyui.wait(comfyui.ask(prompt))
    errors = [data["exception_message"] for kind, data in record["status"]["messages"] if kind == "execution_error"]
    assert [error.strip() for error in errors] == [
        "Two people are called ana; give one of them another name, or join the photos in one Person node."
    ]


def test_the_other_workflow_judges_a_video(comfyui: ComfyUI, prompt: dict[str, Any]) -> None:
    inputs_of(prompt, SAVE)["filename_prefix"] = "judged"
    record = comfyui.wait(comfyui.ask(prompt))
    (saved,) = outputs_of(record, prompt, SAVE)["images"]
    (comfyui.base / "output" / saved["filename"]).rename(comfyui.base / "input" / "video.mp4")
    workflow = json.loads((NODES / "example_workflows" / "judge_any_video.json").read_text())
    judged = as_prompt(workflow, comfyui.known)
    record = comfyui.wait(comfyui.ask(judged))
    assert record["status"]["status_str"] == "success", comfyui.log[-3000:]
    (report,) = outputs_of(record, judged, "IngredientsJudge")["text"]
    assert "judged by model" in report
    assert outputs_of(record, judged, "PreviewImage")["images"]


def _number_of(prompt: dict[str, Any], kind: str) -> str:
    (number,) = [number for number, node in prompt.items() if node["class_type"] == kind]
    return number
