"""Makes the folder of an evaluation one that `ingredients evaluate --videos` reads, so that any judge can have a look.

manifest.jsonl
frames/whole/0000.mkv  the frames without loss, which the manifest names, so that the numbers are the evaluation's own
videos/whole/0000.mp4  the same for watching
photos/0000-1-2.png    case 0, person 1, photo 2: the first is the one that the generator got
real/0000.mkv          what the drawn world's own camera would have seen
"""

from collections.abc import Sequence
from pathlib import Path

from ingredients.evaluation.cases import Case, person_photos
from ingredients.evaluation.evaluation_folder import EvaluationFolder
from ingredients.evaluation.manifest import ManifestPerson, ManifestVideo, write_manifest
from ingredients.media.pictures import write_picture
from ingredients.media.video import write_lossless_video
from ingredients.pipelines.video_shape import VideoShape
from ingredients.world.identity import sample_identity
from ingredients.world.scenes import render_scene

_PHOTO_SIZE = 128
"""As the generator gets them."""


def save_manifest(
    folder: EvaluationFolder,
    cases: Sequence[Case],
    *,
    variant: str,
    shape: VideoShape,
    fps: float,
    ordered: bool,
    temporal_ratio: int,
) -> None:
    """Writes photos and real videos beside the videos that were kept, and the manifest.

    A case without a video is listed too: whoever judges the folder counts everybody in it as missing, as here.

    Args:
        folder: of the evaluation.
        cases: all of them.
        variant: whose videos they are.
        shape: of the real videos.
        fps: frames a second.
        ordered: whether people are asked for from left to right.
        temporal_ratio: frames in each latent frame of the model's VAE but the first.

    Raises:
        OutputError: if something cannot be written.
    """
    for name in ("photos", "real"):
        (folder.path / name).mkdir(exist_ok=True)
    videos = []
    for case in cases:
        real = folder.path / "real" / f"{case.index:04d}.mkv"
        if not real.exists():
            scene = render_scene(
                case.scene(), height=shape.height, width=shape.width, num_frames=shape.num_frames, fps=fps
            )
            write_lossless_video(real, scene.frames, fps=fps)
        videos.append(
            ManifestVideo(
                file_name=_inside(folder, folder.frames_path(variant, case.index)),
                prompt=case.prompt,
                people=tuple(_save_person(folder, case, index) for index in range(len(case.people))),
                real_video=_inside(folder, real),
                ordered=ordered,
                temporal_ratio=temporal_ratio,
            )
        )
    write_manifest(folder.path, videos)


def _save_person(folder: EvaluationFolder, case: Case, index: int) -> ManifestPerson:
    person, seed = case.people[index], case.portrait_seeds[index]
    names = []
    for number, photo in enumerate(person_photos(person, seed, size=_PHOTO_SIZE), start=1):
        path = folder.path / "photos" / f"{case.index:04d}-{index + 1}-{number}.png"
        if not path.exists():
            write_picture(path, photo.image)
        names.append(_inside(folder, path))
    is_of_seed = sample_identity(seed, "eval") == person
    return ManifestPerson(
        name=f"person {case.index}-{index + 1}", photos=tuple(names), identity_seed=seed if is_of_seed else None
    )


def _inside(folder: EvaluationFolder, path: Path) -> str:
    return path.relative_to(folder.path).as_posix()
