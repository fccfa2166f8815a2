"""`ingredients evaluate --videos`: judges videos that any system made."""

from pathlib import Path
from typing import Literal

import typer

from ingredients.apps.early_checks import check_files
from ingredients.apps.judge_options import check_backends
from ingredients.apps.terminal import INTERRUPTED, note, say, show, show_json


def judge_folder(
    folder: Path,
    *,
    output: Path,
    model: str | None,
    judge: str,
    detector: str | None,
    clip: Path | None,
    inception: Path | None,
    calibration: Path | None,
    max_frames: int | None,
    on_error: Literal["skip", "stop"],
    report_videos: int,
    as_json: bool,
) -> None:
    """Judges the videos of a folder with a manifest, and prints what was found."""
    from ingredients.core.output_folders import check_output_folder
    from ingredients.core.progress import show_progress
    from ingredients.evaluation.manifest import read_manifest
    from ingredients.evaluation.names import HTML_NAME, MODEL
    from ingredients.model_folders.places import find_model

    check_output_folder(output, "an evaluation")
    check_backends(judge=judge, detector=detector, clip=clip, inception=inception)
    check_files([calibration], "calibration")
    read_manifest(folder)
    model_folder = find_model(model if MODEL in (judge, detector) else None, notice=say)

    from ingredients.evaluation.evaluate import evaluate  # with PyTorch
    from ingredients.evaluation.folder_source import FolderSource
    from ingredients.evaluation.judges import load_judges

    judges = load_judges(model_folder, judge=judge, detector=detector, clip=clip, inception=inception)
    try:
        with show_progress("Judging") as progress:
            result = evaluate(
                FolderSource(folder, calibration=calibration, max_frames=max_frames),
                judges,
                output,
                on_error=on_error,
                num_report_videos=report_videos,
                progress=progress,
            )
    except KeyboardInterrupt as interruption:
        raise explain_interruption(output) from interruption
    if result.num_errors:
        note(f"{result.num_errors} of {len(result.cases)} videos could not be judged; the report says why.")
    if as_json:
        show_json(result.to_json())
    else:
        show(f"{result.to_summary()}\nreport: {output / HTML_NAME}")


def explain_interruption(output: Path) -> typer.Exit:
    """Says what became of an interrupted evaluation."""
    say(f"Interrupted; the finished cases are kept in {output}, and the same command goes on from there.")
    return typer.Exit(INTERRUPTED)
