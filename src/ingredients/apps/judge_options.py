"""Options of `ingredients evaluate` that say who judges, and what goes with which way of evaluating."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

import typer

from ingredients.apps.options import check_files, check_folders
from ingredients.apps.terminal import is_given
from ingredients.core.errors import UserInputError
from ingredients.core.paths import parse_path

_JUDGES = "Judges"

JudgeOption = Annotated[
    str,
    typer.Option(
        metavar="model|dlib|arcface:FILE|curricularface:FILE|facenet:FILE",
        help="Who compares faces: the model's judge, for drawings; dlib or an ONNX file, for photographs.",
        rich_help_panel=_JUDGES,
    ),
]
DetectorOption = Annotated[
    str | None,
    typer.Option(
        metavar="model|dlib|scrfd:FILE",
        help="Who finds faces. Default: that of the model's judge for its judge and for drawings, dlib otherwise.",
        rich_help_panel=_JUDGES,
    ),
]
ClipOption = Annotated[
    Path | None,
    typer.Option(
        parser=parse_path,
        metavar="FOLDER",
        help="CLIP for text relevance: a copy of openai/clip-vit-base-patch32, for the paper's number.",
        rich_help_panel=_JUDGES,
    ),
]
InceptionOption = Annotated[
    Path | None,
    typer.Option(
        parser=parse_path,
        metavar="FILE.onnx",
        help="InceptionV3 for FID; docs/evaluation.md says how to make the file.",
        rich_help_panel=_JUDGES,
    ),
]

_FOLDER = "Videos made elsewhere"

VideosOption = Annotated[
    Path | None,
    typer.Option(
        parser=parse_path,
        metavar="FOLDER",
        help="Judge the videos of this folder, which any system may have made, instead of making some: it holds "
        "manifest.jsonl, which docs/evaluation.md describes.",
        rich_help_panel=_FOLDER,
    ),
]
CalibrationOption = Annotated[
    Path | None,
    typer.Option(
        parser=parse_path,
        metavar="FILE",
        help="calibration.json of another evaluation by the same judge. Default: from the folder's real videos, or "
        "several photos of each person.",
        rich_help_panel=_FOLDER,
    ),
]
MaxFramesOption = Annotated[
    int | None,
    typer.Option(min=2, help="Frames of each video to look at, spread evenly. Default: all.", rich_help_panel=_FOLDER),
]


OnErrorOption = Annotated[
    Literal["skip", "stop"],
    typer.Option(
        help="A video or photo that cannot be used: count everybody of the video as missing, or stop.",
        rich_help_panel=_FOLDER,
    ),
]
ReportVideosOption = Annotated[
    int, typer.Option(min=0, help="Videos in report.html, of the worst cases; more make a larger file.")
]


def check_backends(*, judge: str, detector: str | None, clip: Path | None, inception: Path | None) -> None:
    """Says whether those who should judge have names that are known, and files that are there.

    Raises:
        UserInputError: if one has not.
    """
    from ingredients.evaluation.names import parse_detector, parse_judge

    parse_judge(judge)
    if detector is not None:
        parse_detector(detector)
    check_folders([clip], "folder of CLIP")
    check_files([inception], "InceptionV3 network")


_OF_FOLDERS = frozenset({"calibration", "max_frames", "on_error"})
_OF_BOTH = frozenset(
    {"videos", "model", "judge", "detector", "clip", "inception", "output", "report_videos", "as_json"}
)


def check_options(context: typer.Context, *, videos: bool, modules: bool) -> None:
    """Says whether the options that were given go together.

    Raises:
        UserInputError: for an option that the chosen way of evaluating has no use for.
    """
    given = [name for name in context.params if is_given(context, name)]
    if videos:
        _refuse(
            given, set(context.params) - _OF_BOTH - _OF_FOLDERS, "is about making videos; leave it out with --videos"
        )
    else:
        _refuse(given, _OF_FOLDERS, "is about videos made elsewhere; name their folder with --videos")
    if modules:
        _refuse(given, {"clip", "inception", "report_videos", "places"}, "has no part in --modules; leave it out")


def _refuse(given: Collection[str], refused: Collection[str], reason: str) -> None:
    for name in given:
        if name in refused:
            raise UserInputError(f"The option --{name.replace('_', '-')} {reason}.")
