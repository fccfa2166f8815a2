"""`ingredients data encode`: latents, caption embeddings and face features, computed once for all training."""

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ingredients.apps.options import AllowPhotographs, Model, check_folders
from ingredients.apps.terminal import kept_when_interrupted, say, show, with_examples
from ingredients.core.paths import parse_path

if TYPE_CHECKING:
    from ingredients.data.buckets import Bucket

HELP = with_examples(
    "Encodes a data set for training with a model: latents, caption embeddings, face features and routing targets, "
    "in shards. A stopped run goes on; clips that cannot be used are named and left out, or end the run. What was "
    "encoded by another model, with other settings or from another state of the data set is refused.",
    "ingredients data encode my-clips --output encoded/my-clips",
    "ingredients data encode my-clips --model cogvideox-5b-i2v --face-encoder published/face_encoder \\",
    "  --bucket 49x480x720 --bucket 49x720x480 --stride 2 --output encoded/my-clips",
    "ingredients data encode my-shards --part 0/4 --output encoded/my-shards   # and 1/4, 2/4, 3/4 elsewhere",
)


def encode(
    folder: Annotated[
        Path,
        typer.Argument(
            parser=parse_path, metavar="FOLDER", help="Data set: a folder with metadata.jsonl, or of shards."
        ),
    ],
    output: Annotated[Path, typer.Option(parser=parse_path, help="Folder of the encoded clips.")],
    model: Model = None,
    face_encoder: Annotated[
        Path | None,
        typer.Option(parser=parse_path, help="Folder of the face networks, for a base model that has none."),
    ] = None,
    bucket: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FRAMESxHEIGHTxWIDTH",
            help="A length and size to train on; several may be given, and each clip goes to the one that suits it. "
            "Default: the model's own.",
        ),
    ] = None,
    stride: Annotated[int, typer.Option(min=1, help="Take every so many frames; the paper takes every second.")] = 1,
    frame_references: Annotated[
        int, typer.Option(min=0, max=8, help="Frames of the clip from which each face is taken as a reference.")
    ] = 1,
    shared_frames: Annotated[
        bool,
        typer.Option(
            "--shared-frames",
            help="Take all people of a clip from the same frames, as the paper does (3.3), for "
            "stage.reference_source=same_frame.",
        ),
    ] = False,
    mask_resize: Annotated[
        Literal["coverage", "trilinear"],
        typer.Option(help="How masks become routing targets: by the share of a token, or as in the paper (3.3)."),
    ] = "coverage",
    photos: Annotated[
        bool, typer.Option("--photos/--no-photos", help="Whether photos that are no frames are encoded, too.")
    ] = True,
    lent_references: Annotated[
        int,
        typer.Option(min=0, max=16, help="Pictures of each person to take from other clips of the same person_id."),
    ] = 0,
    allow_photographs: AllowPhotographs = False,
    recognition_maps: Annotated[
        bool,
        typer.Option(
            "--recognition-maps", help="Keep the recogniser's own feature maps beside the image encoder's, as in 3.2."
        ),
    ] = False,
    part: Annotated[
        str, typer.Option(metavar="I/N", help="Encode part I of N, counted from 0, for N machines on one disk.")
    ] = "0/1",
    on_bad_clip: Annotated[
        Literal["skip", "stop"], typer.Option(help="What becomes of a clip that cannot be used.")
    ] = "skip",
    shard_size: Annotated[int, typer.Option(min=1, help="Clips of a shard.")] = 50,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips encoded at once.")] = 4,
    seed: Annotated[int, typer.Option(help="Draws frames and beginnings.")] = 0,
) -> None:
    """Encodes a data set for training."""
    from ingredients.core.errors import UserInputError
    from ingredients.core.output_folders import check_output_folder
    from ingredients.core.progress import show_progress
    from ingredients.data.clip_source import open_clip_source
    from ingredients.data.folder_examples import ReadingConfig
    from ingredients.model_folders.find_model import find_model

    chosen_part = _parse_part(part)
    buckets = tuple(_parse_bucket(text) for text in bucket or ())
    check_output_folder(output, "encoded clips")
    check_folders([face_encoder], "folder of face networks")
    source = open_clip_source(folder)
    model_folder = find_model(model, notice=say)

    import torch

    from ingredients.data.encode_data_set import encode_data_set
    from ingredients.data.encoding_settings import EncoderConfig
    from ingredients.data.folder_examples import source_examples
    from ingredients.pipelines.encoding_model import load_encoding_model
    from ingredients.pipelines.loading import default_device, default_dtype
    from ingredients.pipelines.video_shape import VideoShape

    device = default_device()
    dtype = default_dtype(device)
    with torch.inference_mode():
        loaded = load_encoding_model(
            model_folder,
            EncoderConfig(
                num_frame_references=frame_references,
                frame_choice="shared" if shared_frames else "each",
                mask_resize=mask_resize,
                scale_source="recognition_and_clip" if recognition_maps else "clip",
                dtype="bfloat16" if dtype == torch.bfloat16 else "float16",
                seed=seed,
            ),
            face_encoder=face_encoder,
            allow_photographs=allow_photographs,
            device=device,
            dtype=dtype,
        )
        reading = ReadingConfig(
            buckets=buckets or (loaded.bucket,), stride=stride, seed=seed, lent_references=lent_references
        )
        for each in reading.buckets:
            shape = VideoShape(height=each.height, width=each.width, num_frames=each.num_frames)
            loaded.geometry.check(shape)
        num_clips = source.count()
        with kept_when_interrupted("the finished shards are", output), show_progress("Encoding clips") as progress:
            num_bad = encode_data_set(
                output,
                source_examples(source, reading, detector=loaded.detector if photos else None),
                loaded.encoder,
                parts=loaded.digests,
                source={"fingerprint": source.fingerprint(), "shard_size": shard_size},
                reading=dataclasses.asdict(reading) | {"photos": photos},
                shard_size=shard_size,
                batch_size=batch_size,
                part=chosen_part,
                on_bad=on_bad_clip,
                on_bad_input=lambda name, problem: say(f"Left out: {name}: {problem}"),
                num_items=num_clips,
                progress=progress,
            )
    if num_bad == num_clips:
        raise UserInputError(
            f"No clip of {folder} could be encoded ({num_bad} left out); `ingredients data check {folder}` says what "
            "is wrong with files, and the lines above why each clip was left out."
        )
    say(f"{num_clips - num_bad} of {num_clips} clips" + ("" if chosen_part == (0, 1) else f", part {part} encoded"))
    show(output)


def _parse_bucket(text: str) -> "Bucket":
    from ingredients.core.errors import UserInputError
    from ingredients.data.buckets import Bucket

    match = re.fullmatch(r"(\d+)x(\d+)x(\d+)", text)
    if match is None or min(numbers := [int(number) for number in match.groups()]) < 1:
        raise UserInputError(f"The bucket {text} must read FRAMESxHEIGHTxWIDTH, such as 49x480x720.")
    if (numbers[0] - 1) % 8:
        raise UserInputError(f"The bucket {text} has {numbers[0]} frames, and the VAE takes 1, 9, 17, 25 and so on.")
    return Bucket(num_frames=numbers[0], height=numbers[1], width=numbers[2])


def _parse_part(text: str) -> tuple[int, int]:
    from ingredients.core.errors import UserInputError

    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise UserInputError(f"The part {text} must read I/N, I from 0 to N - 1, such as 0/4.")
    return int(match[1]), int(match[2])
