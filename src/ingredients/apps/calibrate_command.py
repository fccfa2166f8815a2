"""`ingredients world calibrate`: the scale of a model's judge, from real clips."""

from pathlib import Path
from typing import Annotated

import typer

from ingredients.apps.early_checks import check_folders
from ingredients.apps.terminal import show, with_examples
from ingredients.core.paths import parse_path

HELP = with_examples(
    "Shows the judge of a model folder real clips of held-out people, and writes judge/calibration.json: the mean "
    "cosines that its similarities are scaled by, its misses and false alarms, and the ceiling that the VAE sets. "
    "Needed once after `ingredients world train ... pack`.",
    "ingredients world calibrate runs/small-world/packed",
)


def calibrate(
    model: Annotated[Path, typer.Argument(parser=parse_path, metavar="FOLDER", help="Model folder.")],
    clips: Annotated[int, typer.Option(min=1, help="How many clips.")] = 100,
    height: Annotated[int, typer.Option(min=32, help="Pixels; those of the videos to judge.")] = 64,
    width: Annotated[int, typer.Option(min=32, help="Pixels.")] = 96,
    num_frames: Annotated[int, typer.Option(min=1, help="Frames of a clip.")] = 9,
) -> None:
    """Measures the judge of a model folder on real clips."""
    check_folders([model], "model folder")

    from ingredients.core.progress import show_progress
    from ingredients.evaluation.calibrate import calibrate_model
    from ingredients.evaluation.tables import calibration_table

    with show_progress("Calibrating") as progress:
        calibration = calibrate_model(
            model, num_clips=clips, height=height, width=width, num_frames=num_frames, progress=progress
        )
    show(calibration_table(calibration))
