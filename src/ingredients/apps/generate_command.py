"""`ingredients generate`: photos and a sentence become a video."""

import dataclasses
import functools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingredients.apps.options import (
    AllowPhotographs,
    DropLearnedPositions,
    Face,
    FaceStack,
    Identity,
    Memory,
    Model,
    Overwrite,
)
from ingredients.apps.sampling_options import finite, takes_sampling, takes_speed
from ingredients.apps.several_values import parse_seeds
from ingredients.apps.terminal import is_given, note, show, show_json, with_examples
from ingredients.core.errors import UserInputError
from ingredients.core.memory_mode import MemoryMode
from ingredients.core.paths import parse_path
from ingredients.model_folders.sampling_settings import SamplingOverrides

if TYPE_CHECKING:
    from ingredients.apps.video_files import VideoFiles
    from ingredients.faces.face_choice import FaceChoice
    from ingredients.generation.studio import StudioResult
    from ingredients.generation.takes import Take, Takes
    from ingredients.pipelines.people import PhotoFile

HELP = with_examples(
    "Makes a video in which the people of some photos do what a sentence says, and tells how well each face was kept. "
    "A name in the sentence, as @ana or Ana, means the person whose photo has it.",
    'ingredients generate --photo ana=ana.png --photo ben=ben.png --prompt "Two people wave on a beach"',
    'ingredients generate --photo ana=ana.png --photo ben=ben.png --prompt "@ana waves to @ben" --place ana=right',
    'ingredients generate --photo ana=ana.png --prompt "A person walks" --place ana@0=left ana@8=right',
    'ingredients generate --photo ana=ana.png --photo ben=ben.png --prompt "Two people wave" --save-routing map.png',
    'ingredients generate --photo ana=ana.png --photo ben=ben.png --prompt "Two people wave" --routing-edit map.png',
    'ingredients generate --model published --photo ana=ana.jpg --photo ben=ben.jpg --prompt "Two people talk"',
    'ingredients generate --photo ana=a1.png --photo ana=a2.png --prompt "A person walks" --output ana.mp4',
    'ingredients generate --photo ana=group.png#1 --photo ben=group.png#3 --prompt "Two people wave"',
    'ingredients generate --photo ana=ana.png --photo ben=ben.png --prompt "Two people wave" --takes 4 --seed 7',
    'ingredients generate --photo ana.png --prompt "A person nods" --seeds 1 2 3 --scale 4',
    'ingredients generate --photo ana.png --prompt "A person nods" --seed 4 --json > report.json',
)


@takes_sampling
@takes_speed
def generate(
    *,
    context: typer.Context,
    photo: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]FILE[#FACE]",
            help="A photo and whom it shows; without a name, the file's is taken. Repeat it for more people, or with "
            "the same name for more photos. #FACE says which of several faces, as --face does.",
        ),
    ],
    prompt: Annotated[str, typer.Option(help="What happens. `ingredients world words` lists the words that count.")],
    output: Annotated[
        Path, typer.Option(parser=parse_path, help="Video to write; .mp4, .mov, .mkv, .webm or .gif.")
    ] = Path("out.mp4"),
    face: Face = None,
    model: Model = None,
    identity: Identity = None,
    drop_learned_positions: DropLearnedPositions = False,
    face_stack: FaceStack = "model",
    allow_photographs: AllowPhotographs = False,
    seed: Annotated[int, typer.Option(help="Any integer; the same seed makes the same video.")] = 0,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="N N ...",
            help="Several seeds, of which each makes a video with its number in the name, such as out-7.mp4.",
        ),
    ] = None,
    takes: Annotated[
        int,
        typer.Option(
            min=1,
            max=1000,
            help="How many videos to make, with this seed and those after it. The one whose people are most alike, by "
            "the model's own face networks, gets the name; the others stay beside it as out-take-2.mp4 and so on.",
        ),
    ] = 1,
    stop_undecided: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            callback=finite,
            help="Stop a take after 60 % of its steps if the router gives less than this share of a face to one "
            "person, on average. 0 stops none.",
        ),
    ] = 0.0,
    place: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[@FRAME]=PLACE ...",
            help="Where a person is to stand: left, middle, right, or left,top,right,bottom in parts of the picture, "
            "such as 0.55,0.2,0.95,0.9. With frames, counted from 0, the person goes from place to place. Repeatable.",
        ),
    ] = None,
    place_strength: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1e6,
            callback=finite,
            help="How much the router is told of places after the planned steps. Default: 4.",
        ),
    ] = None,
    sampling: SamplingOverrides,
    negative_prompt: Annotated[str | None, typer.Option(help="What the video is led away from.")] = None,
    face_scale: Annotated[
        float, typer.Option(callback=finite, help="Strength of the faces' local features; 0 is without.")
    ] = 1.0,
    num_frames: Annotated[int | None, typer.Option(min=1, help="Length in frames. Default: the model's own.")] = None,
    height: Annotated[int | None, typer.Option(min=1, help="Pixels. Default: the model's own.")] = None,
    width: Annotated[int | None, typer.Option(min=1, help="Pixels. Default: the model's own.")] = None,
    scale: Annotated[
        int, typer.Option(min=1, max=64, help="Whole number by which the finished video is enlarged, pixel by pixel.")
    ] = 1,
    memory: Memory = MemoryMode.AUTO,
    speed: dict[str, Any],
    routing_map: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path, metavar="FILE.png", help="Picture to write: where the router sent each person."
        ),
    ] = None,
    save_routing: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path,
            metavar="FILE.png|json",
            help="Map to write, for --routing-edit: who is on which part of the picture, in colours or as numbers.",
        ),
    ] = None,
    routing_edit: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path,
            metavar="FILE.png|json",
            help="Map that --save-routing wrote, edited or not: each person goes where it says, in every step.",
        ),
    ] = None,
    contact_sheet: Annotated[
        Path | None,
        typer.Option(parser=parse_path, metavar="FILE.png", help="Picture to write: the frames side by side."),
    ] = None,
    overwrite: Overwrite = False,
    prompt_metadata: Annotated[
        bool,
        typer.Option(
            "--prompt-metadata/--no-prompt-metadata",
            help="Whether the files say what was asked for. That a model made them they always say.",
        ),
    ] = True,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print a JSON object for each video on standard output, a line each, and nothing else there.",
        ),
    ] = False,
) -> None:
    """Makes a video of the people in some photos."""
    from ingredients.apps.video_files import VideoFiles, check_seeds_differ
    from ingredients.core.errors import ModelFolderError
    from ingredients.core.files import check_not_an_input
    from ingredients.core.progress import show_progress
    from ingredients.faces.face_choice import parse_face_choice
    from ingredients.generation.request import StudioRequest
    from ingredients.generation.routing_edit import load_routing, read_routing
    from ingredients.model_folders.find_model import check_model_folder, find_model
    from ingredients.pipelines.execution.speed_options import SpeedOptions
    from ingredients.pipelines.people import identity_photos
    from ingredients.pipelines.places import PLACE_STRENGTH, read_place_options
    from ingredients.pipelines.video_shape import VideoGeometry

    if seeds is not None and is_given(context, "seed"):
        raise UserInputError("--seed is one of --seeds; give one of the two.")
    if takes > 1 and seeds is not None:
        raise UserInputError(
            "--takes makes several seeds by itself; give --seed for the first of them, or --seeds alone."
        )
    if stop_undecided and takes == 1:
        raise UserInputError("--stop-undecided gives up a take for the next; give --takes as well.")
    photos = parse_photos(photo, face=None if face is None else parse_face_choice(face))
    request = StudioRequest(
        people=photos,
        prompt=prompt,
        negative_prompt=negative_prompt,
        seed=seed,
        sampling=sampling,
        face_scale=face_scale,
        num_frames=num_frames,
        height=height,
        width=width,
        allow_photographs=allow_photographs,
        takes=takes,
        places=read_place_options(place or (), strength=PLACE_STRENGTH if place_strength is None else place_strength),
        with_routing_maps=routing_map is not None or save_routing is not None,
    )
    if routing_edit is not None:
        if place:
            raise UserInputError("--place and --routing-edit both say who is where; give one of the two.")
        read_routing(routing_edit)  # which says what is wrong with it
        for written in (output, routing_map, contact_sheet, save_routing):
            if written is not None:
                check_not_an_input(written, [routing_edit])
    files = VideoFiles(
        output=output,
        routing_map=routing_map,
        contact_sheet=contact_sheet,
        routing=save_routing,
        scale=scale,
        overwrite=overwrite,
        prompt_metadata=prompt_metadata,
    )
    speed_options = SpeedOptions(**speed)
    videos = [(request, files)]
    if seeds is not None:
        several = parse_seeds(seeds)
        check_seeds_differ(several)
        videos = [(dataclasses.replace(request, seed=each), files.of_seed(each)) for each in several]
    request.check()
    if identity is not None and not identity.is_dir():
        raise ModelFolderError(f"There is no folder of identity weights {identity}; check the name.")
    for _, of_video in videos:
        of_video.check(photos)
    for index in range(1, takes + 1) if takes > 1 else ():
        files.of_take(index).check(photos)
    opened = identity_photos(photos)
    folder = find_model(model, notice=note)
    check_model_folder(folder)
    if (geometry := VideoGeometry.peek(folder)) is not None:
        shape = geometry.shape(height=height, width=width, num_frames=num_frames)
        geometry.check(shape)
        shape.check_memory()
        files.check_size(shape)

    from ingredients.generation.studio import (
        Studio,  # with PyTorch, whose import takes longer than all checks before it
    )
    from ingredients.generation.takes import StopUndecided, Takes
    from ingredients.pipelines.execution.memory_estimate import VideoDemand

    studio, tell = None, functools.cache(note)  # what holds for all videos is told once
    for number, (each, of_video) in enumerate(videos, start=1):
        which = "the video" if len(videos) == 1 else f"video {number} of {len(videos)}"
        started = time.monotonic()
        with show_progress(f"Making {which}") as progress:
            if studio is None:
                studio = Studio.load(
                    model,
                    identity=identity,
                    drop_learned_positions=drop_learned_positions,
                    face_stack=face_stack,
                    memory=memory,
                    speed=speed_options,
                    demand=VideoDemand(
                        height=height,
                        width=width,
                        num_frames=num_frames,
                        num_people=len(photos),
                        sampling=sampling,
                    ),
                    notice=tell,
                )
                files.check_size(studio.check_shape(request, notice=tell))
                people = studio.read_people(opened, allow_photographs=allow_photographs, notice=tell)
                routing = None
                if routing_edit is not None:
                    routing = load_routing(routing_edit, people.names, studio.token_grid(request))
            this = dataclasses.replace(each, people=people, routing=routing)
            several_takes: Takes[StudioResult] | None = None
            if takes > 1:
                several_takes = studio.make_takes(
                    this,
                    on_take=lambda take: (
                        None if take.result is None else files.of_take(take.number).write(take.result)
                    ),
                    on_step=lambda done: progress(done.step, done.total),
                    notice=tell,
                    stop=StopUndecided(below=stop_undecided) if stop_undecided else None,
                )
                result = several_takes.result
                files.of_take(several_takes.kept.number).become(files)
            else:
                result = studio.make(this, on_step=lambda done: progress(done.step, done.total), notice=tell)
                of_video.write(result)
        seconds = time.monotonic() - started
        if as_json:
            show_json(
                of_video.to_json(
                    result,
                    model=studio.folder,
                    photos=photos,
                    seconds=seconds,
                    notices=studio.notices,
                    takes=several_takes,
                )
            )
        else:
            show(describe(result, of_video, seconds=seconds, takes=several_takes))


def parse_photos(options: list[str], *, face: "FaceChoice | None" = None) -> "dict[str, list[PhotoFile]]":
    """Sorts `NAME=FILE`, `FILE` and either with `#FACE` by name, in the order in which names first appear.

    A photo without a name has that of its file, `ana` for `ana.png`; of a face that is named by `#2`, `group-2`. One
    name for two photos says that they show one person, so it must be said, and not only follow from the files' names.

    Args:
        options: as given.
        face: which face of the photos that name none.

    Raises:
        UserInputError: for an option of another form, or a name that a file only happens to have.
    """
    people: dict[str, list[PhotoFile]] = {}
    unnamed: set[str] = set()
    for option in options:
        name, separator, file = option.partition("=")
        is_unnamed = not separator or (not _exists(file.rpartition("#")[0] or file) and _exists(option))
        if not (option.strip() if is_unnamed else name.strip() and file):
            raise UserInputError(f"--photo {option} must be NAME=FILE or FILE, such as: --photo ana=ana.png")
        photo = _parse_photo(option if is_unnamed else file, face)
        if is_unnamed:
            is_own_choice = photo.path != parse_path(option)
            name = f"{photo.path.stem}-{photo.face}" if is_own_choice else photo.path.stem
        name = name.strip()
        if name in people and (is_unnamed or name in unnamed):
            first = people[name][0]
            raise UserInputError(
                f"The photos {first} and {photo} would both be called {name}; say who they show, as in --photo "
                f"{name}={first}, with one name if they show one person, and two if they show two."
            )
        if is_unnamed:
            unnamed.add(name)
        people.setdefault(name, []).append(photo)
    return people


def _exists(path: str) -> bool:
    return os.path.exists(os.path.expanduser(path))  # noqa: PTH110, PTH111 (Path's own raise)


def _parse_photo(file: str, face: "FaceChoice | None") -> "PhotoFile":
    from ingredients.faces.face_choice import parse_face_choice
    from ingredients.pipelines.people import PhotoFile

    stem, mark, choice = file.rpartition("#")
    if not (mark and stem) or _exists(file):
        return PhotoFile(path=parse_path(file), face=face)
    try:
        return PhotoFile(path=parse_path(stem), face=parse_face_choice(choice))
    except UserInputError as error:
        raise UserInputError(f"There is no photo {file}; and if # is meant to choose: {error}") from error


_JUDGED_BY = {
    "model": "Similarity to the photos (0 is a stranger, 1 the same person in a real clip):",
    "dlib": "Distance to the photos by dlib, for this model comes without a judge (0 is the same picture):",
    None: "This model comes without a judge (dlib is one for photographs where it is installed: "
    'pip install "ingredients[dlib]"):',
}


def describe(
    result: "StudioResult", files: "VideoFiles", *, seconds: float, takes: "Takes[StudioResult] | None" = None
) -> str:
    """The report for a person to read."""
    num_frames, height, width, _ = result.frames.shape
    lines = [
        f"{files.output}: {num_frames} frames of {width * files.scale}x{height * files.scale}, "
        f"seed {result.provenance.seed}, made in {seconds:.0f} s"
    ]
    lines.extend(
        str(picture) for picture in (files.contact_sheet, files.routing_map, files.routing) if picture is not None
    )
    lines.append(_JUDGED_BY[result.judge])
    width = max(len(person.name) for person in result.people)
    lines.extend(f"  {person.name:<{width}}  {person.verdict}" for person in result.people)
    if takes is not None:
        lines.extend(
            [takes.reason, "Likeness to the photos by the model's own face networks (cosine, 1 is the same):"]
        )
        lines.extend(
            f"  {_describe_take(take, takes, files, [person.name for person in result.people])}" for take in takes.all
        )
    return "\n".join(lines)


def _describe_take(
    take: "Take[StudioResult]", takes: "Takes[StudioResult]", files: "VideoFiles", names: list[str]
) -> str:
    """One line on a take."""
    if take.result is None:
        return (
            f"take {take.number}, seed {take.seed}: stopped after step {take.stopped_after}, for the router gave only "
            f"{take.decidedness:.0%} of a face to one person"
        )
    alike = ", ".join(f"{name} {cosine:.2f}" for name, cosine in zip(names, take.likeness, strict=True))
    clear = "" if take.clarity is None else f", action clear to {take.clarity:.0%}"
    file = (files if take is takes.kept else files.of_take(take.number)).output
    return f"take {take.number}, seed {take.seed}: {alike}{clear} ({file})"
