"""`ingredients judge`: who of some photos is who in any video, when, and how alike."""

from pathlib import Path
from typing import Annotated

import typer

from ingredients.apps.generate_command import parse_photos
from ingredients.apps.judge_options import DetectorOption, check_backends
from ingredients.apps.options import Face, Model, Overwrite
from ingredients.apps.sampling_options import finite
from ingredients.apps.terminal import note, show, show_json, with_examples
from ingredients.core.paths import parse_path

HELP = with_examples(
    "Says who is who in a video, whoever made it: when each person is seen, how alike, and whether people are "
    "swapped, blended, doubled or missing. Writes a picture of marked frames, and a JSON report beside it.",
    "ingredients judge out.mp4 --photo ana=ana.png --photo ben=ben.png",
    "ingredients judge interview.mp4 --photo ana=ana.jpg --judge dlib --output interview.png",
    "ingredients judge theirs.mp4 --photo ana=group.jpg#1 --photo ben=group.jpg#2 --left-to-right",
    "ingredients judge film.mp4 --photo ana=ana.jpg --judge arcface:glintr100.onnx \\",
    "  --detector scrfd:scrfd_10g_bnkps.onnx",
)


def judge(
    *,
    video: Annotated[Path, typer.Argument(parser=parse_path, metavar="VIDEO", help="The video: MP4, WebM, GIF, ...")],
    photo: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]FILE[#FACE]",
            help="A photo and whom it shows, as for `ingredients generate`. Repeat it for more people, or with the "
            "same name for more photos.",
        ),
    ],
    face: Face = None,
    left_to_right: Annotated[
        bool,
        typer.Option(
            "--left-to-right",
            help="The people should stand in the order of the photos, from left to right; another order is a swap.",
        ),
    ] = False,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="model|dlib|arcface:FILE|curricularface:FILE|facenet:FILE",
            help="Who compares faces. Default: the judge of the model that ships, for drawings; dlib where the photos "
            "are photographs.",
        ),
    ] = None,
    detector: DetectorOption = None,
    model: Model = None,
    looks: Annotated[
        float,
        typer.Option(callback=finite, min=0.1, max=1000, help="Frames of each second to look at, at most."),
    ] = 8.0,
    output: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path, metavar="FILE.png", help="Picture to write. Default: VIDEO-judged.png in this folder."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(parser=parse_path, metavar="FILE.json", help="Report to write. Default: beside the picture."),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report on standard output, and nothing else there.")
    ] = False,
) -> None:
    """Says who is who in a video."""
    from ingredients.core.errors import OutputError
    from ingredients.core.files import check_not_an_input, check_output_path
    from ingredients.core.json_yaml import write_json
    from ingredients.core.printable import printable
    from ingredients.core.progress import show_progress
    from ingredients.evaluation.names import MODEL
    from ingredients.faces.face_choice import parse_face_choice
    from ingredients.media.pictures import check_picture_path, write_picture
    from ingredients.media.video import measure_video
    from ingredients.model_folders.find_model import find_model
    from ingredients.pipelines.people import identity_photos

    photos = parse_photos(photo, face=None if face is None else parse_face_choice(face))
    check_backends(judge=judge or MODEL, detector=detector, clip=None, inception=None)
    inputs = [video, *(each.path for of_person in photos.values() for each in of_person)]
    output = check_picture_path(output or Path(f"{video.stem}-judged.png"), overwrite=True)
    report = report or output.with_suffix(".json")
    check_not_an_input(output, inputs)
    check_not_an_input(check_output_path(report, overwrite=True), inputs)
    check_picture_path(output, overwrite=overwrite)
    check_output_path(report, overwrite=overwrite)
    if output.resolve() == report.resolve():
        raise OutputError(f"The picture and the report would both be {output}; choose another name for one.")
    measure_video(video, most_frames=1)
    opened = identity_photos(photos)
    model_folder = find_model(model, notice=note)

    from ingredients.generation.judging import judge_video, load_video_judge, read_frames  # with PyTorch

    judges, asked = load_video_judge(model_folder, opened, judge=judge, detector=detector, notice=note)
    with show_progress("Judging") as progress:
        judgement = judge_video(
            video, judges.judge, asked, ordered=left_to_right, looks_per_second=looks, progress=progress
        )
    frames = read_frames(video, judgement, judgement.picked_frames())
    picture = judgement.sheet(frames, title=f"{video.name}, judged by {judges.judge_name}")
    values = {
        "video": printable(str(video), most=None),
        "judge": {"name": judges.judge_name, "detector": judges.detector_name, "measure": judges.judge.measure},
        "photos": {
            name: [printable(str(each), most=None) for each in of_person] for name, of_person in photos.items()
        },
        **judgement.to_json(),
        "sheet": printable(str(output), most=None),
    }
    write_picture(output, picture)
    write_json(report, values)
    if as_json:
        show_json(values)
    else:
        show("\n".join([judgement.describe(judges.judge_name), str(output), str(report)]))
