"""The paper's figures, from what the studies made.

| figure | what |
|---|---|
| 1 | gallery of the full method |
| 3 | methods side by side |
| 4 | worst cases, and router error against similarity |
| 5 | routing with and without the routing loss, by block and by noise level |
| 6 | losses of the router stage |
| 8 | the evaluation set |
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ingredients.core.arrays import UInt8Array
from ingredients.evaluation.benchmark.card import prompt_contents
from ingredients.evaluation.benchmark.drawn import drawn_benchmark, drawn_cases
from ingredients.evaluation.cases import Case
from ingredients.evaluation.records import CaseRecord
from ingredients.evaluation.router_probe import probe_router
from ingredients.faces.canvas import compose_canvas
from ingredients.media.pictures import write_picture
from ingredients.media.video import read_video
from ingredients.pipelines import IngredientsPipeline
from ingredients.pipelines.pipeline_output import IngredientsPipelineOutput, to_pixels
from ingredients.studies.lab import Lab
from ingredients.studies.measuring import evaluation_folder, read_record, video_file
from ingredients.studies.variants import FULL, MSE, NO_LOSS
from ingredients.training.trainer import LOG_NAME
from ingredients.visualisation.curves import ROUTER_STAGE_LOSSES, read_log, training_curves
from ingredients.visualisation.distribution import evaluation_set_figure
from ingredients.visualisation.failures import Failure, correlation_plot, failures_sheet
from ingredients.visualisation.gallery import GalleryExample, gallery
from ingredients.visualisation.methods_sheet import MethodsCase, methods_sheet
from ingredients.visualisation.routing_grid import RoutedVideo, routing_accuracy_plot, routing_grid
from ingredients.world.scenes import render_scene

RecallTable = NDArray[np.float64]

_GALLERY_CASES = 4
_METHOD_CASES = 2
_PROBED_CASES = 12
_PROBED_TIMESTEPS = (50, 150, 300, 500, 700, 850, 950)
_EARLY = 700
"""The timestep above which a denoising step is an early one."""

_NOTICEABLE = 0.05
_METHODS = {"text_only": "text alone", "textual_inversion": "textual inversion", "lora": "LoRA", "full": "Ingredients"}


def draw_gallery(lab: Lab, output: Path) -> None:
    """Figure 1: the cases in which the people are most alike, so that one sees what the method can do."""
    result = _read(lab, "full-s0")
    best = sorted(result["cases"], key=_similarity, reverse=True)[:_GALLERY_CASES]
    examples = []
    for index in sorted(case["index"] for case in best):
        case = drawn_cases(index + 1)[index]
        examples.append(
            GalleryExample(prompt=case.prompt, photos=_photos(case), frames=_frames(lab, "full-s0", index))
        )
    write_picture(output, gallery(examples, num_frames=4, frame_height=96))


def draw_methods(lab: Lab, output: Path) -> None:
    """Figure 3: the same cases by every method."""
    names = {"full": "full-s0"}
    cases = []
    for index in range(_METHOD_CASES):
        case = drawn_cases(index + 1)[index]
        videos, notes = {}, {}
        for model, label in _METHODS.items():
            name = names.get(model, model)
            videos[label] = _frames(lab, name, index)
            similarity = _similarity(_read(lab, name)["cases"][index])
            notes[label] = f"similarity {similarity:.2f}"
        cases.append(MethodsCase(prompt=case.prompt, photos=_photos(case), videos=videos, notes=notes))
    write_picture(output, methods_sheet(cases, num_frames=3, frame_height=88))


def draw_worst(lab: Lab, sheet: Path, plot: Path) -> dict[str, Any]:
    """Figure 4: the worst cases by three measures, and router error against similarity; returns the correlation."""
    result = _read(lab, "full-s0")
    similarities = [_similarity(case) for case in result["cases"]]
    records = [read_record(lab, "full-s0", index) for index in range(len(similarities))]
    copied = [_copy_paste(record) for record in records]
    errors = [_router_error(record) for record in records]
    canvas = [_canvas_share(lab, index) for index in range(len(similarities))]
    failures = []
    for label, measure, values in (
        ("copied from the photo", "copy-paste", copied),
        ("canvas taken for a first frame", "likeness of frame 1 to the canvas", canvas),
        ("router error", "router error", errors),
    ):
        known = [(value, index) for index, value in enumerate(values) if value is not None]
        value, index = max(known)
        case = drawn_cases(index + 1)[index]
        failures.append(
            Failure(
                label=label,
                prompt=case.prompt,
                photos=_photos(case),
                frames=_frames(lab, "full-s0", index),
                numbers={measure: value, "similarity": similarities[index]},
                evidence={"canvas": _canvas(lab, case)},
            )
        )
    write_picture(sheet, failures_sheet(failures, frame_height=96))
    pairs = [(error, similarity) for error, similarity in zip(errors, similarities, strict=True) if error is not None]
    write_picture(plot, correlation_plot([error for error, _ in pairs], [similarity for _, similarity in pairs]))
    return {"cases": len(pairs), "router_error_mean": float(np.mean([error for error, _ in pairs]))}


@torch.no_grad()
def draw_routing(lab: Lab, sheet: Path, plot: Path) -> dict[str, Any]:
    """Figure 5 and section 4.4: who is routed where, with the routing loss and without; returns the accuracies."""
    runs = {"with routing loss": lab.route_folder(FULL, 0), "without": lab.route_folder(NO_LOSS, 0)}
    case = drawn_cases(1)[0]
    videos, by_block, by_step, numbers = {}, {}, {}, {}
    tables = []
    for name, run in runs.items():
        pipeline = lab.pipeline(run)
        videos[name] = _routed_video(pipeline, case)
        table = _probe(pipeline)  # (blocks, timesteps)
        by_block[name] = [(block, float(value)) for block, value in enumerate(table.mean(axis=1))]
        by_step[name] = list(zip(_PROBED_TIMESTEPS, table.mean(axis=0).tolist(), strict=True))
        numbers[name] = {"timesteps": list(_PROBED_TIMESTEPS), "recall_by_block": table.round(4).tolist()}
        tables.append(table)
    grid = routing_grid(videos, _photos(case), prompt=case.prompt, frame_stride=1, block_stride=1)
    write_picture(sheet, grid)
    write_picture(plot, routing_accuracy_plot(by_block, by_step, chance=0.5, step_name="timestep (noise)"))
    return numbers | {"claims": claims_of_section_4_4(*tables)}


def claims_of_section_4_4(with_loss: RecallTable, without: RecallTable) -> list[str]:
    """What the two observations of 4.4 come to here, in sentences.

    Args:
        with_loss: recall (blocks, timesteps) of the router trained with the routing loss.
        without: of the router trained without.
    """
    noisy = [index for index, timestep in enumerate(_PROBED_TIMESTEPS) if timestep >= _EARLY]
    early, early_without = float(with_loss[:, noisy].mean()), float(without[:, noisy].mean())
    first, last = float(with_loss[0].mean()), float(with_loss[-1].mean())
    return [
        f"(i) With the routing loss people are told apart at earlier steps: recall at timesteps from {_EARLY} on is "
        f"{early:.2f} with it and {early_without:.2f} without; {'so here' if early > early_without else 'not here'}.",
        f"(ii) Shallow blocks route at random, deep ones by person: recall is {first:.2f} in the first block and "
        f"{last:.2f} in the last; {'so here' if last > first + _NOTICEABLE else 'not here: all blocks route alike'}.",
    ]


def draw_losses(lab: Lab, output: Path) -> None:
    """Figure 6: diffusion and routing loss over the router stage."""
    logs = {
        label: read_log(lab.route_folder(variant, 0) / LOG_NAME)
        for label, variant in (("cross-entropy", FULL), ("MSE", MSE), ("none", NO_LOSS))
        if (lab.route_folder(variant, 0) / LOG_NAME).exists()
    }
    write_picture(output, training_curves(logs, metrics=ROUTER_STAGE_LOSSES, smoothing=0.6))


def draw_evaluation_set(output: Path) -> None:
    """Figure 8: whom and what the benchmark asks for."""
    benchmark = drawn_benchmark()
    write_picture(
        output,
        evaluation_set_figure(
            [identity.attributes for identity in benchmark.identities],
            [prompt_contents(prompt) for prompt in benchmark.prompts],
            held_out_pairs=benchmark.info.held_out_pairs,
        ),
    )


def _routed_video(pipeline: IngredientsPipeline, case: Case) -> RoutedVideo:
    pipeline.set_progress_bar_config(disable=True)
    output = pipeline(
        _photos(case), prompt=case.prompt, generator=case.seed, output_routing_maps=True, output_type="np"
    )
    assert isinstance(output, IngredientsPipelineOutput)
    assert output.routing_maps is not None
    return RoutedVideo(frames=to_pixels(output.frames)[0], routing_maps=output.routing_maps[0].numpy())


def _probe(pipeline: IngredientsPipeline) -> RecallTable:
    tables = []
    for case in drawn_cases(_PROBED_CASES):
        identities = pipeline.extract_identities(_photos(case))
        scene = render_scene(case.scene())
        record = probe_router(pipeline, identities, scene, seed=case.seed, timesteps=_PROBED_TIMESTEPS)
        tables.append(record.balanced_recall)
    return np.asarray(np.mean(tables, axis=0))


def _canvas(lab: Lab, case: Case) -> UInt8Array:
    identities = lab.shipped.extract_identities(_photos(case))
    height, width = _frames(lab, "full-s0", case.index).shape[1:3]
    return compose_canvas(identities.canvas_crops, height, width)


def _canvas_share(lab: Lab, index: int) -> float:
    """How like the canvas the first frame is: the correlation of their pixels."""
    canvas = _canvas(lab, drawn_cases(index + 1)[index]).astype(np.float64).ravel()
    frame = _frames(lab, "full-s0", index)[0].astype(np.float64).ravel()
    return float(np.corrcoef(canvas, frame)[0, 1])


def _copy_paste(record: CaseRecord) -> float | None:
    faces = [] if record.changes is None else [face for face in record.changes.faces if face is not None]
    known = [face.copy_paste for face in faces if face.copy_paste is not None]
    return max(known, default=None)


def _router_error(record: CaseRecord) -> float | None:
    """One minus the recall of the last half of the routed blocks."""
    if record.routing is None:
        return None
    table = np.asarray(record.routing.balanced_recall)  # (blocks, timesteps)
    return float(1 - table[len(table) // 2 :].mean())


def _photos(case: Case) -> dict[str, UInt8Array]:
    return {f"{number + 1}": portrait.image for number, portrait in enumerate(case.portraits())}


def _frames(lab: Lab, name: str, index: int) -> UInt8Array:
    return read_video(video_file(lab, name, index)).frames


def _read(lab: Lab, name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((evaluation_folder(lab, name) / "result.json").read_text(encoding="utf-8"))
    return values


def _similarity(case: dict[str, Any]) -> float:
    people: Sequence[dict[str, Any]] = case["people"]
    return float(np.mean([person["similarity"] for person in people]))
