"""`ingredients world ...`: portraits and scenes of drawn people, the words the small model knows, and its training."""

import contextlib
import itertools
import os
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from ingredients.apps.options import Overwrite, check_folders
from ingredients.apps.sampling_options import finite
from ingredients.apps.terminal import IngredientsGroup, is_given, note, say, show, with_examples
from ingredients.core.errors import UserInputError
from ingredients.core.output_folders import check_output_folder
from ingredients.core.paths import parse_path
from ingredients.training.small_world import ALL_PARTS, PART_NAMES

SplitOption = Annotated[
    Literal["train", "judge", "eval"],
    typer.Option(help="Whose identities: those the model, or its judge, was trained on, or those that neither saw."),
]

StyleOption = Annotated[
    Literal["together", "each-own"],
    typer.Option(
        help="together: all do the same, close to the camera. each-own: each person has an action, an expression, a "
        "place and a name of the own, some are extras, and hands fit."
    ),
]

app = typer.Typer(
    cls=IngredientsGroup,
    no_args_is_help=True,
    help=with_examples(
        "The drawn world: make photos and clips to play with, and train the small model again.",
        "ingredients world portrait --seed 7 --output ana.png",
        "ingredients world scene --seed 3 --people 2",
        "ingredients world film --minutes 5 --seed 1",
        "ingredients world words",
        "ingredients world train recogniser --minutes 20",
    ),
)


@app.command(
    help=with_examples(
        "Draws a photo of one drawn person. The same seed is the same person; --photo-seed takes another photo. With "
        "--like, the person is drawn who is most like that of a photograph, as near as the drawn world's few features "
        "come; with --beside, both are shown side by side, to be corrected by --feature.",
        "ingredients world portrait --seed 7",
        "ingredients world portrait --seed 7 --photo-seed 2 --output ana-again.png",
        "ingredients world portrait --like ana.jpg --output ana-drawn.png --beside ana-both.png",
        "ingredients world portrait --like ana.jpg --feature hair_colour=ginger --feature glasses=round",
    )
)
def portrait(
    *,
    context: typer.Context,
    seed: Annotated[int, typer.Option(help="Who: any integer.")] = 0,
    photo_seed: Annotated[
        int | None, typer.Option(help="Which photo: pose, expression, light, backdrop. Default: the same as --seed.")
    ] = None,
    split: SplitOption = "eval",
    size: Annotated[int, typer.Option(min=32, max=4096, help="Side of the photo in pixels.")] = 256,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="FILE[#FACE]",
            help="A photograph of whom to draw, instead of --seed; dlib finds the face "
            '(pip install "ingredients\\[dlib]"). #FACE says which of several.',
        ),
    ] = None,
    feature: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="A feature of the drawing to be set by hand, with --like. Repeat it for more."
        ),
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path, metavar="FILE.png", help="Picture to write, with --like: photograph and drawing."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(parser=parse_path, help="File to write. Default: portrait-SEED.png, or PHOTO-drawn.png."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Draws a photo of one drawn person."""
    from ingredients.media.pictures import check_picture_path, write_picture
    from ingredients.world import render_portrait, sample_identity

    if like is not None:
        for name in ("seed", "split"):
            if is_given(context, name):
                raise UserInputError(f"--{name} says whom to draw, as --like does; leave one of the two out.")
        _draw_like(
            like,
            features=feature or [],
            photo_seed=photo_seed,
            size=size,
            output=output,
            beside=beside,
            overwrite=overwrite,
        )
        return
    if feature or beside is not None:
        raise UserInputError("--feature and --beside go with --like, which names a photograph.")
    output = check_picture_path(output or Path(f"portrait-{seed}.png"), overwrite=overwrite)
    photo_seed = seed if photo_seed is None else photo_seed
    write_picture(output, render_portrait(sample_identity(seed, split), photo_seed, size=size).image)
    show(output)


def _draw_like(
    photo: str,
    *,
    features: list[str],
    photo_seed: int | None,
    size: int,
    output: Path | None,
    beside: Path | None,
    overwrite: bool,
) -> None:
    """Draws the person of a photograph, and says what was measured and what is a guess."""
    from ingredients.apps.generate_command import parse_photos
    from ingredients.core.files import check_not_an_input
    from ingredients.generation.likeness_features import check_features
    from ingredients.media.photos import load_photo
    from ingredients.media.pictures import check_picture_path, write_picture

    [[file]] = parse_photos([f"photo={photo}"]).values()
    pairs = [each.partition("=")[::2] for each in features]
    by_hand = {name.strip(): value.strip() for name, value in pairs}
    check_features(by_hand)
    output = output or Path(f"{file.path.stem}-drawn.png")
    outputs = [output] if beside is None else [output, beside]
    for each in outputs:
        check_not_an_input(check_picture_path(each, overwrite=True), [file.path])
        check_picture_path(each, overwrite=overwrite)
    if beside is not None and beside.resolve() == output.resolve():
        raise UserInputError(f"The drawing and the comparison would both be {output}; choose another name for one.")
    image = load_photo(file.path)

    from ingredients.faces.dlib_faces import DlibFaceDetector  # with PyTorch
    from ingredients.generation.drawn_likeness import draw_like
    from ingredients.generation.likeness_parts import installed_face_parser

    drawn = draw_like(
        image,
        DlibFaceDetector(),
        label=f"the photo {file.path}",
        choice=file.face or "largest",
        features=by_hand,
        parser=installed_face_parser(),
    )
    picture = drawn.portrait(size=size, seed=photo_seed)
    write_picture(output, picture)
    if beside is not None:
        write_picture(beside, drawn.beside(picture))
    say(drawn.description)
    show("\n".join(str(each) for each in outputs))


@app.command(
    help=with_examples(
        "Draws a clip of one to four drawn people, with a picture of its exact masks; prints its sentence.",
        "ingredients world scene --seed 3",
        "ingredients world scene --people 3 --action wave --place beach --output three.mp4",
        "ingredients world scene --style each-own --seed 120",
    )
)
def scene(
    seed: Annotated[int, typer.Option(help="Which scene: any integer.")] = 0,
    people: Annotated[
        int | None, typer.Option(min=1, max=4, help="How many people. Default: drawn from the seed.")
    ] = None,
    action: Annotated[str | None, typer.Option(help="What they do, such as wave. Default: drawn.")] = None,
    expression: Annotated[str | None, typer.Option(help="How they look, such as smile. Default: drawn.")] = None,
    place: Annotated[str | None, typer.Option(help="Where, such as beach. Default: drawn.")] = None,
    light: Annotated[str | None, typer.Option(help="In which light, such as sunset. Default: drawn.")] = None,
    style: StyleOption = "together",
    split: SplitOption = "eval",
    height: Annotated[int, typer.Option(min=32, max=720, help="Pixels; even.")] = 192,
    width: Annotated[int, typer.Option(min=32, max=1280, help="Pixels; even.")] = 288,
    num_frames: Annotated[int, typer.Option(min=1, max=240, help="Length in frames.")] = 17,
    fps: Annotated[float, typer.Option(callback=finite, min=1, max=120, help="Frames a second.")] = 8.0,
    output: Annotated[
        Path | None, typer.Option(parser=parse_path, help="Video to write. Default: scene-SEED.mp4.")
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(parser=parse_path, help="Picture of the masks. Default: OUTPUT-masks.png.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Draws a clip of one to four drawn people."""
    from ingredients.media.pictures import check_picture_path, write_picture
    from ingredients.media.video import check_video_path, write_video
    from ingredients.visualisation.clip_sheet import draw_mask_picture
    from ingredients.world import STYLES, render_scene, sample_scene

    output = check_video_path(output or Path(f"scene-{seed}.mp4"), overwrite=overwrite)
    masks = check_picture_path(masks or output.with_name(f"{output.stem}-masks.png"), overwrite=overwrite)
    try:
        spec = sample_scene(
            seed,
            num_people=people,
            split=split,
            action=action,
            expression=expression,
            place=place,
            light=light,
            style=STYLES[style],
        )
    except ValueError as error:  # an action, a place and so on that the world does not know; the message lists those
        raise UserInputError(f"This scene cannot be drawn: {error}.") from error
    drawn = render_scene(spec, height=height, width=width, num_frames=num_frames, fps=fps)
    mask_picture = draw_mask_picture(drawn)  # before the video is there
    write_video(output, drawn.frames, fps=fps, metadata={"title": drawn.caption})
    write_picture(masks, mask_picture)
    say(drawn.caption)
    show(f"{output}\n{masks}")


@app.command(
    help=with_examples(
        "Draws a data set of clips with masks, tracks, photos and captions, of the same form as real videos "
        "(docs/data.md). A stopped run goes on.",
        "ingredients world clips --number 50 --output my-clips",
        "ingredients world clips --number 50 --first-seed 1000 --split eval --output held-out",
        "ingredients world clips --number 5000 --without-held-out-pairs --output to-train-from",
    )
)
def clips(
    output: Annotated[Path, typer.Option(parser=parse_path, help="Folder of the data set.")] = Path("world-clips"),
    number: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    first_seed: Annotated[int, typer.Option(help="The first clip; each next one has the next seed.")] = 0,
    split: SplitOption = "train",
    height: Annotated[int, typer.Option(min=32, max=720, help="Pixels; even.")] = 64,
    width: Annotated[int, typer.Option(min=32, max=1280, help="Pixels; even.")] = 96,
    num_frames: Annotated[int, typer.Option(min=1, max=240, help="Length in frames.")] = 9,
    references: Annotated[int, typer.Option(min=0, max=10, help="Photos of each person.")] = 2,
    style: StyleOption = "together",
    without_held_out_pairs: Annotated[
        bool,
        typer.Option(
            "--without-held-out-pairs",
            help="Skip the seeds whose scenes show a pair of action and place that the benchmark keeps for itself.",
        ),
    ] = False,
) -> None:
    """Draws a data set of clips."""
    from ingredients.core.progress import show_progress
    from ingredients.data.world_folder import write_world_folder
    from ingredients.world import STYLES
    from ingredients.world.held_out_pairs import seeds_without_held_out_pairs

    if without_held_out_pairs:
        seeds = list(itertools.islice(seeds_without_held_out_pairs(first_seed, STYLES[style]), number))
        _check_no_held_out_pairs(output, style)
    else:
        seeds = list(range(first_seed, first_seed + number))
    with show_progress("Drawing clips") as progress:
        records = write_world_folder(
            output,
            seeds,
            split=split,
            height=height,
            width=width,
            num_frames=num_frames,
            num_references=references,
            style=STYLES[style],
            progress=progress,
        )
    say(f"{len(records)} clips")
    show(output)


@app.command(
    help=with_examples(
        "Draws raw films as a curator meets them: hard cuts and dissolves, one-person and empty shots, strangers, "
        "people who leave and come back, letterbox, a station's sign, stills, repeated shots, a phone's turned and an "
        "anamorphic format. OUTPUT/films holds the films, OUTPUT/truth what should be found in them "
        "(docs/world.md). A stopped run goes on with the films that are missing.",
        "ingredients world film --minutes 5 --seed 1 --output my-films",
        "ingredients world film --minutes 0.5 --fps 12 --output little",
    )
)
def film(
    output: Annotated[Path, typer.Option(parser=parse_path, help="Folder of the films.")] = Path("world-films"),
    minutes: Annotated[
        float, typer.Option(callback=finite, min=0.05, max=600, help="Length of all five films together.")
    ] = 5.0,
    seed: Annotated[int, typer.Option(help="Which films: any integer.")] = 0,
    height: Annotated[int, typer.Option(min=48, max=720, help="Pixels of the picture; a multiple of 8.")] = 96,
    width: Annotated[int, typer.Option(min=48, max=1280, help="Pixels of the picture; a multiple of 8.")] = 144,
    fps: Annotated[float, typer.Option(callback=finite, min=4, max=120, help="Frames a second.")] = 24.0,
    split: SplitOption = "eval",
) -> None:
    """Draws raw films and their truth."""
    from ingredients.core.progress import show_progress
    from ingredients.data.film_folder import write_films
    from ingredients.world.film import FilmSettings

    try:
        settings = FilmSettings(seed=seed, minutes=minutes, height=height, width=width, fps=fps, split=split)
    except ValueError as error:
        raise UserInputError(f"These films cannot be drawn: {error}.") from error
    with show_progress("Drawing shots") as progress:
        truths = write_films(output, settings, progress=progress)
    num_shots = sum(len(truth.shots) for truth in truths)
    say(
        f"{len(truths)} films of {sum(truth.num_frames for truth in truths) / fps / 60:.1f} minutes, {num_shots} shots"
    )
    show(output)


@app.command(
    help=with_examples(
        "Lists the words that the small model's text encoder knows; others get a warning and no effect.",
        "ingredients world words",
    )
)
def words() -> None:
    """Lists the words that the small model's text encoder knows."""
    from ingredients.world import vocabulary

    show(textwrap.fill(" ".join(vocabulary()), width=80))


@app.command(
    help=with_examples(
        "Trains one part of the small model again, or `all` of them one after the other within a time; packs the "
        "trained parts into a model folder, or unpacks a folder to train its parts further. Parts, in the order in "
        f"which they need each other: {', '.join(PART_NAMES)}. "
        "Settings are those of the part's config.yaml, which lies beside its weights. The base-t2v of unpack "
        "is the base inside the aligned model, trained further with it, not the one that it was aligned from.",
        "ingredients world train recogniser --minutes 20",
        "ingredients world train recogniser --minutes 40 --resume",
        "ingredients world train align stage.batch_size=8 trainer.learning_rate=1e-4",
        "ingredients world train vae --model acting_world --minutes 150 --output runs/new",
        "ingredients world train route --config configs/ablations/route-mse.yaml",
        "ingredients world train unpack --output runs/more",
        "ingredients world train all --minutes 480 --plan",
        "ingredients world train all --minutes 480 --output runs/new align.stage.batch_size=8",
        "ingredients world train all --minutes 60 --output runs/new --resume     # an hour more",
    )
)
def train(
    part: Annotated[str, typer.Argument(metavar="PART", help="Which part, or all.")],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Settings of the part that differ; of all parts, PART.KEY=VALUE."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(parser=parse_path, metavar="FILE.yaml", help="Settings that differ; KEY=VALUE comes after it."),
    ] = None,
    output: Annotated[
        Path, typer.Option(parser=parse_path, help="Folder of all runs; the part writes to OUTPUT/PART.")
    ] = Path("runs/small-world"),
    minutes: Annotated[
        float | None,
        typer.Option(
            callback=finite,
            min=0.01,
            help="Training time of the whole run. Default: the part's own; all parts together need to be told.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint; of all parts, leave out what is done.")
    ] = False,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where it trains. auto: on a GPU, where there is one.")
    ] = "auto",
    model: Annotated[
        Literal["small_world", "acting_world"] | None,
        typer.Option(
            help="What is made: 9 frames of 96x64 in which all do the same, or 17 of 192x128 with own roles. Default: "
            "acting_world with all, and small_world for a part alone."
        ),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="With all: print the plan, and train nothing.")] = False,
    tiny: Annotated[
        bool, typer.Option("--tiny", help="With all: a rehearsal, two steps for each part; its model is of no use.")
    ] = False,
) -> None:
    """Trains one part of the small model, or all."""
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before PyTorch looks
    if part == ALL_PARTS:
        if config is not None:
            raise UserInputError("--config is of one part; write PART.KEY=VALUE for the settings of all parts.")
        _train_all(
            settings or (),
            output,
            model=model or "acting_world",
            minutes=minutes,
            resume=resume,
            device=device,
            plan=plan,
            tiny=tiny,
        )
        return
    if plan or tiny:
        raise UserInputError(f"--plan and --tiny go with all parts; write: ingredients world train {ALL_PARTS} ...")
    if model is not None and config is not None:
        raise UserInputError("--config holds the settings of a part, so --model would change nothing; leave one out.")
    from ingredients.core.warnings_told import TrainingWarning, warnings_told
    from ingredients.training.small_world.plan import settings_of_model
    from ingredients.training.small_world.settings import PART_SETTINGS

    if part not in PART_NAMES:
        raise UserInputError(
            f"There is no part {part!r} to train; choose one of {', '.join(PART_NAMES)}, or {ALL_PARTS}."
        )
    of_model = () if model is None else settings_of_model(model, part)
    loaded = PART_SETTINGS[part].load(config, (*of_model, *(settings or ())), minutes, output=output)
    if not (output / part).is_dir():  # what is in a folder is judged by the part
        check_output_folder(output / part, "a training run")

    from ingredients.training.small_world.parts import PARTS  # with PyTorch

    _check_device(device)
    with _interruptible(f"the part {part} was trained"), warnings_told(note, TrainingWarning):
        result = PARTS[part].run(output, loaded, resume=resume)
    measured = result.items() if isinstance(result, Mapping) else ()
    lines = [f"{name}: {value:.4g}" for name, value in measured]
    show("\n".join([*lines, str(result if isinstance(result, Path) else output / part)]))


def _train_all(
    settings: Sequence[str],
    output: Path,
    *,
    model: Literal["small_world", "acting_world"],
    minutes: float | None,
    resume: bool,
    device: Literal["auto", "cpu", "cuda"],
    plan: bool,
    tiny: bool,
) -> None:
    """Trains all parts within a time, or prints how it would."""
    from ingredients.core.warnings_told import TrainingWarning, warnings_told
    from ingredients.training.small_world.plan import plan_parts, read_progress, show_plan

    if minutes is None:
        raise UserInputError("Say how long the training of all parts may take, such as --minutes 480.")
    scale: Literal["full", "card", "tiny"] = "tiny" if tiny else "card" if device == "cuda" else "full"
    planned = plan_parts(model, scale, settings)
    if not output.is_dir():
        check_output_folder(output, "runs of the small model")
    done = read_progress(output, model).done if resume else ()
    show(show_plan(planned, output, minutes=minutes, done=done))
    if plan:
        return

    from ingredients.training.small_world.all_parts import train_all_parts  # with PyTorch

    _check_device(device)
    with _interruptible("anything was trained"), warnings_told(note, TrainingWarning):
        packed = train_all_parts(planned, output, model=model, minutes=minutes, resume=resume, notice=say)
    show(packed)


def _check_device(device: Literal["auto", "cpu", "cuda"]) -> None:
    """Refuses a GPU that is not there."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UserInputError("There is no GPU here that PyTorch can use; train on the processor, without --device.")


@contextlib.contextmanager
def _interruptible(before: str) -> Iterator[None]:
    """Lets Ctrl-C and SIGTERM end a training after a checkpoint, and says what is kept."""
    from ingredients.training.loop.interruptions import StopRequest, TrainingInterruptedError

    stop = StopRequest(says=False)
    try:
        with stop.listening():
            yield
    except TrainingInterruptedError as interruption:
        say(interruption.sentence("the same command with --resume"))
        raise typer.Exit(interruption.exit_code) from interruption
    except KeyboardInterrupt as interruption:
        say(f"Interrupted before {before}; checkpoints that were there are kept.")
        raise typer.Exit(stop.exit_code) from interruption


@app.command(
    help=with_examples(
        "Shows the judge of a model folder real clips of held-out people, and writes judge/calibration.json: the mean "
        "cosines that its similarities are scaled by, its misses and false alarms, and the ceiling that the VAE sets. "
        "Needed once after `ingredients world train ... pack`.",
        "ingredients world calibrate runs/small-world/packed",
    )
)
def calibrate(
    model: Annotated[Path, typer.Argument(parser=parse_path, metavar="FOLDER", help="Model folder.")],
    clips: Annotated[int, typer.Option(min=1, help="How many clips.")] = 100,
    height: Annotated[
        int | None,
        typer.Option(min=32, help="Pixels of the videos to judge. Default, here and below: the model's own."),
    ] = None,
    width: Annotated[int | None, typer.Option(min=32, help="Pixels.")] = None,
    num_frames: Annotated[int | None, typer.Option(min=1, help="Frames of a clip.")] = None,
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


def _check_no_held_out_pairs(folder: Path, style: str) -> None:
    """Refuses a data set that was begun with all pairs: going on without some of them would not take them out."""
    from ingredients.data.clip_folder import METADATA_NAME, read_clip_folder
    from ingredients.world import STYLES, sample_scene
    from ingredients.world.held_out_pairs import shows_held_out_pair

    records = read_clip_folder(folder) if (folder / METADATA_NAME).is_file() else []
    for record in records:
        drawn = re.fullmatch(r"[\w-]*\w-(-?\d+)", record.clip_id)
        if not drawn:
            continue
        spec = sample_scene(int(drawn[1]), style=STYLES[style])
        if shows_held_out_pair(spec.attributes, spec.roles):
            raise UserInputError(
                f"The data set {folder} was begun with all pairs of action and place, and its clip {record.clip_id} "
                "shows one that is held out; choose another folder."
            )
