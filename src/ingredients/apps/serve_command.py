"""`ingredients serve`: one warm model, asked over HTTP."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingredients.apps.options import DropLearnedPositions, FaceStack, Identity, Memory, Model
from ingredients.apps.sampling_options import takes_sampling, takes_speed
from ingredients.apps.terminal import note, show, with_examples
from ingredients.core.memory_mode import MemoryMode
from ingredients.core.paths import parse_path
from ingredients.model_folders.sampling_settings import SamplingOverrides

if TYPE_CHECKING:
    from ingredients.generation.worker import Maker

HELP = with_examples(
    "Serves one warm model over HTTP, in the shape of /v1/videos, with a page at its address. Videos that were asked "
    "for lie on disk and survive a restart. Sampling options are defaults for what a request leaves out. Without keys "
    "it listens on this machine only.",
    "ingredients serve",
    "ingredients serve --port 8000 --store ~/videos --num-inference-steps 20",
    "ingredients serve --workers 4",
    "ingredients serve --workers ray://head:10001",
    "ingredients keys add ana --keys keys.json",
    "ingredients serve --host 0.0.0.0 --keys keys.json --model published --keep-days 2",
    "curl -F prompt='A person waves on a beach.' -F people=ana -F input_references=@ana.png \\",
    "  http://127.0.0.1:8080/v1/videos",
)

_MEGA = 1_000_000
_MIB = 2**20
_GIB = 2**30


@takes_sampling
@takes_speed
def serve(
    *,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine's own need --keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes any that is free.")] = 8080,
    model: Model = None,
    identity: Identity = None,
    drop_learned_positions: DropLearnedPositions = False,
    face_stack: FaceStack = "model",
    memory: Memory = MemoryMode.AUTO,
    workers: Annotated[
        str,
        typer.Option(
            metavar="NUMBER|ray://HOST:PORT",
            help="Videos that are made at once: so many processes, each with the model and a GPU of its own; or a Ray "
            "cluster (ray://HOST:PORT, or ray for one on this machine), a worker for each of its GPUs, or as many as "
            "#NUMBER behind it says.",
        ),
    ] = "1",
    store: Annotated[
        Path, typer.Option(parser=parse_path, metavar="FOLDER", help="Where videos and their photos are kept.")
    ] = Path("ingredients-videos"),
    keys: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path, metavar="FILE", help="Keys that callers must have, made by `ingredients keys add`."
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="A page of another server that may ask, such as https://studio.example."),
    ] = None,
    sampling: SamplingOverrides,
    negative_prompt: Annotated[str | None, typer.Option(help="What videos are led away from, by default.")] = None,
    num_frames: Annotated[int | None, typer.Option(min=1, help="Length in frames, by default.")] = None,
    height: Annotated[int | None, typer.Option(min=1, help="Pixels, by default.")] = None,
    width: Annotated[int | None, typer.Option(min=1, help="Pixels, by default.")] = None,
    scale: Annotated[
        int, typer.Option(min=1, max=16, help="By how many whole pixels each is enlarged, by default.")
    ] = 1,
    speed: dict[str, Any],
    keep_days: Annotated[
        float, typer.Option(min=0, max=36_500, help="How long videos are kept when they are done; 0: until removed.")
    ] = 7,
    most_queued: Annotated[int, typer.Option(min=1, help="Videos that may wait at once.")] = 200,
    most_queued_each: Annotated[int, typer.Option(min=1, help="The same for each key.")] = 100,
    requests_per_minute: Annotated[
        int, typer.Option(min=1, help="Videos that may be asked for in a minute, for each key.")
    ] = 60,
    most_people: Annotated[int, typer.Option(min=1, help="People in a video.")] = 8,
    most_photos: Annotated[int, typer.Option(min=1, help="Photos of all people of a video.")] = 24,
    most_photo_megapixels: Annotated[int, typer.Option(min=1, max=64, help="Size of a photo.")] = 40,
    most_upload_mib: Annotated[int, typer.Option(min=1, help="Size of a request.")] = 64,
    most_video_megapixels: Annotated[
        int, typer.Option(min=1, help="Width times height times frames of a video, in millions.")
    ] = 50,
    most_steps: Annotated[int, typer.Option(min=1, help="Denoising steps of a video.")] = 200,
    most_takes: Annotated[int, typer.Option(min=1, help="Takes of a video, of which the best is kept.")] = 8,
    least_free_gib: Annotated[
        float, typer.Option(min=0, help="Room that must be left on the disk for another video to be taken.")
    ] = 1,
) -> None:
    """Serves a model over HTTP."""
    from ingredients.apps.server.keys import KeyRing
    from ingredients.apps.server.settings import RequestLimits, ServerDefaults, WorkerPlan, check_host
    from ingredients.core.errors import ModelFolderError
    from ingredients.core.optional_dependencies import import_optional
    from ingredients.core.output_folders import check_output_folder
    from ingredients.model_folders.find_model import check_model_folder, find_model
    from ingredients.pipelines.execution.speed_options import SpeedOptions

    speed_options = SpeedOptions(**speed)
    plan = WorkerPlan.parse(workers)
    if keys is not None:
        KeyRing(keys)  # which says what is wrong with them
    check_host(host, has_keys=keys is not None)
    check_output_folder(store, "jobs of a server")
    if identity is not None and not identity.is_dir():
        raise ModelFolderError(f"There is no folder of identity weights {identity}; check the name.")
    folder = find_model(model, notice=note)
    check_model_folder(folder)

    for library in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
        import_optional(library, extra="studio")
    if plan.ray_address is not None:
        import_optional("ray", extra="ray")

    from ingredients.apps.server.log import log_to_standard_error
    from ingredients.apps.server.run import (
        run_server,  # with those libraries, whose import takes longer than all checks
    )
    from ingredients.generation.job_store import StoreLimits

    def tell(address: str, _: Any) -> None:
        show(address)
        if keys is None:
            note("There are no keys: everybody on this machine can use the server, and nobody else.")
        note(f"Videos are kept in {store}. Ctrl-C ends the server; what is not done then goes on at the next start.")

    log_to_standard_error()
    run_server(
        store,
        functools.partial(
            _load_studio,
            folder,
            identity=identity,
            drop_learned_positions=drop_learned_positions,
            face_stack=face_stack,
            memory=memory,
            speed=speed_options,
            notice=note,
        ),
        host=host,
        port=port,
        workers=plan,
        keys=keys,
        request_limits=RequestLimits(
            most_upload_bytes=most_upload_mib * _MIB,
            most_photo_pixels=most_photo_megapixels * _MEGA,
            most_people=most_people,
            most_photos=most_photos,
            most_video_pixels=most_video_megapixels * _MEGA,
            most_steps=most_steps,
            most_takes=most_takes,
            requests_per_minute=requests_per_minute,
        ),
        store_limits=StoreLimits(
            most_queued=most_queued,
            most_queued_each=most_queued_each,
            least_free_bytes=int(least_free_gib * _GIB),
            keep_seconds=keep_days * 86_400 or None,
        ),
        defaults=ServerDefaults(
            negative_prompt=negative_prompt,
            sampling=sampling,
            num_frames=num_frames,
            height=height,
            width=width,
            scale=scale,
        ),
        allowed_origins=allow_origin or (),
        on_listening=tell,
    )


def _load_studio(folder: Path, **options: Any) -> "Maker":
    """Loads the model, in whichever thread or process makes the videos."""
    from ingredients.generation.studio import Studio  # with PyTorch, whose import takes seconds

    return Studio.load(folder, **options)
