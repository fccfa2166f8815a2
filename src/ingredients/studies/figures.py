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

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ingredients.casebook.cases import Case
from ingredients.casebook.drawn import drawn_benchmark, drawn_cases
from ingredients.casebook.making import prompt_contents
from ingredients.core.arrays import UInt8Array
from ingredients.core.training_log import LOG_NAME
from ingredients.evaluation.case_record import CaseRecord
from ingredients.evaluation.metrics.router import last_half_recall
from ingredients.faces.canvas import compose_canvas
from ingredients.media.pictures import write_picture
from ingredients.media.video import read_video
from ingredients.pipelines import IngredientsPipeline
from ingredients.pipelines.pipeline_output import IngredientsPipelineOutput, to_pixels
from ingredients.studies.comparison import read_result
from ingredients.studies.lab import Lab
from ingredients.studies.measuring import evaluation_folder, read_record, video_file
from ingredients.studies.routing_claims import TIMESTEPS, claims_of_section_4_4, probe_cases
from ingredients.studies.variants import FULL, MSE, NO_LOSS
from ingredients.visualisation.curves import ROUTER_STAGE_LOSSES, read_log, training_curves
from ingredients.visualisation.distribution import evaluation_set_figure
from ingredients.visualisation.failures import Failure, correlation_plot, failures_sheet, pearson
from ingredients.visualisation.people_sheets import GalleryExample, MethodsCase, gallery, methods_sheet
from ingredients.visualisation.routing_grid import RoutedVideo, routing_accuracy_plot, routing_grid

_GALLERY_CASES = 4
_METHOD_CASES = 2
_METHODS = {"text_only": "text alone", "textual_inversion": "textual inversion", "lora": "LoRA", "full": "Ingredients"}


def draw_gallery(lab: Lab, output: Path) -> None:
    """Figure 1: the cases in which the people are most alike, so that one sees what the method can do."""
    best = np.argsort(_similarities(lab, "full-s0"))[::-1][:_GALLERY_CASES]
    examples = []
    for index in sorted(best.tolist()):
        case = drawn_cases(index + 1)[index]
        examples.append(
            GalleryExample(prompt=case.prompt, photos=case.photos(), frames=_frames(lab, "full-s0", index))
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
            notes[label] = f"similarity {_similarities(lab, name)[index]:.2f}"
        cases.append(MethodsCase(prompt=case.prompt, photos=case.photos(), videos=videos, notes=notes))
    write_picture(output, methods_sheet(cases, num_frames=3, frame_height=88))


def draw_worst(lab: Lab, sheet: Path, plot: Path) -> dict[str, Any]:
    """Figure 4: the worst cases by three measures, and router error against similarity; returns the correlation."""
    similarities = _similarities(lab, "full-s0")
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
        if not known:
            continue  # such as copy-paste, where nobody changes pose or expression
        value, index = max(known)
        case = drawn_cases(index + 1)[index]
        failures.append(
            Failure(
                label=label,
                prompt=case.prompt,
                photos=case.photos(),
                frames=_frames(lab, "full-s0", index),
                numbers={measure: value, "similarity": float(similarities[index])},
                evidence={"canvas": _canvas(lab, case)},
            )
        )
    write_picture(sheet, failures_sheet(failures, frame_height=96))
    routed = [(index, error) for index, error in enumerate(errors) if error is not None]
    across, up = np.array([error for _, error in routed]), similarities[[index for index, _ in routed]]
    write_picture(plot, correlation_plot(across.tolist(), up.tolist()))
    correlation = pearson(across, up)
    return {
        "cases": len(routed),
        "router_error_mean": float(across.mean()),
        "correlation": correlation and dict(zip(("value", "low", "high"), correlation, strict=True)),
    }


@torch.no_grad()
def draw_routing(lab: Lab, sheet: Path, plot: Path) -> dict[str, Any]:
    """Figure 5 and section 4.4: who is routed where, with the routing loss and without; returns the accuracies."""
    runs = {"with routing loss": lab.route_folder(FULL, 0), "without": lab.route_folder(NO_LOSS, 0)}
    case = drawn_cases(1)[0]
    videos, by_block, by_step, numbers = {}, {}, {}, {}
    probed = []
    for name, run in runs.items():
        pipeline = lab.pipeline(run)
        videos[name] = _routed_video(pipeline, case)
        recalls = probe_cases(pipeline)
        table = recalls.mean(axis=0)  # (blocks, timesteps)
        by_block[name] = [(block, float(value)) for block, value in enumerate(table.mean(axis=1))]
        by_step[name] = list(zip(TIMESTEPS, table.mean(axis=0).tolist(), strict=True))
        numbers[name] = {"timesteps": list(TIMESTEPS), "recall_by_block": table.round(4).tolist()}
        probed.append(recalls)
    grid = routing_grid(videos, case.photos(), prompt=case.prompt, frame_stride=1, block_stride=1)
    write_picture(sheet, grid)
    write_picture(plot, routing_accuracy_plot(by_block, by_step, chance=0.5, step_name="timestep (noise)"))
    return numbers | {"claims": claims_of_section_4_4(*probed)}


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
        pipeline.extract_identities(case.photos(), allow_photographs=True),
        prompt=case.prompt,
        generator=case.seed,
        output_routing_maps=True,
        output_type="np",
    )
    assert isinstance(output, IngredientsPipelineOutput)
    assert output.routing_maps is not None
    frames = to_pixels(output.frames)[0]
    return RoutedVideo(
        frames=frames,
        routing_maps=output.routing_maps[0].numpy(),
        token_frames=pipeline.geometry.token_frames(len(frames)),
    )


def _canvas(lab: Lab, case: Case) -> UInt8Array:
    identities = lab.shipped.extract_identities(case.photos(), allow_photographs=True)
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
    recall = None if record.routing is None else last_half_recall(record.routing)
    return None if recall is None else 1 - recall


def _frames(lab: Lab, name: str, index: int) -> UInt8Array:
    return read_video(video_file(lab, name, index)).frames


def _similarities(lab: Lab, name: str) -> NDArray[np.float64]:
    """Mean similarity of the people of each case (cases,)."""
    return read_result(name, [evaluation_folder(lab, name)]).similarities()
