"""Measures videos that any system made: `ingredients evaluate --videos`."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ingredients.core.errors import UserInputError
from ingredients.core.output_folders import fills_folder
from ingredients.core.protocols import ProgressCallback
from ingredients.evaluation.assessment import SimilarityScale
from ingredients.evaluation.case_record import MEASURES_VERSION, CaseRecord, Need
from ingredients.evaluation.evaluation_folder import EvaluationFolder, fingerprint, judge_fingerprint
from ingredients.evaluation.folder_scale import (
    FolderScale,
    load_folder_scale,
    save_folder_scale,
    scale_from_photos,
    scale_from_real_videos,
)
from ingredients.evaluation.html_report import DEFAULT_NUM_VIDEOS
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.judges import Backends
from ingredients.evaluation.known_people import KnownPerson, PeopleOfFolder, digest_of, file_digest
from ingredients.evaluation.manifest import ManifestVideo, read_manifest
from ingredients.evaluation.metrics.metric import Metric
from ingredients.evaluation.metrics.registry import choose_available, compute_metrics
from ingredients.evaluation.outputs import write_outputs
from ingredients.evaluation.reported import ReportedCase, ReportedPerson
from ingredients.evaluation.video_runner import OnError, VideoRunner
from ingredients.evaluation.videos_result import VideosResult
from ingredients.world.captions import other_sentences

FOLDER_SCALE_NAME = "calibration.json"


@fills_folder("an evaluation", "output")
def evaluate_videos(
    folder: str | Path,
    backends: Backends,
    output: str | Path,
    *,
    metrics: Iterable[str] | None = None,
    calibration: str | Path | None = None,
    max_frames: int | None = None,
    on_error: OnError = "skip",
    num_report_videos: int = DEFAULT_NUM_VIDEOS,
    progress: ProgressCallback | None = None,
) -> VideosResult:
    """Judges the videos of a folder with a manifest, and writes the numbers, the tables and the report.

    Args:
        folder: holds `manifest.jsonl` and what it names.
        backends: everybody who judges.
        output: folder of the records; a run that was interrupted goes on where it stopped.
        metrics: names; all that can be had, without them.
        calibration: the `calibration.json` of another evaluation by the same judge, so that both have one scale.
            Without it, a judge without a scale of its own gets one from the real videos of the folder or from several
            photos of each person, where there are enough.
        max_frames: frames of a video that are looked at, spread evenly; None: all.
        on_error: whether a video that cannot be judged counts as one in which everybody is missing, or ends the
            evaluation.
        num_report_videos: videos in `report.html`.
        progress: told of the videos done.

    Raises:
        UserInputError: for a manifest with faults, an unknown metric or one that cannot be had here, or an output
            folder that holds another evaluation.
        OutputError: if the output folder cannot be written.
    """
    folder = Path(folder)
    videos = read_manifest(folder)
    records = EvaluationFolder(output, description=_describe(folder, videos, backends, max_frames, calibration))
    people = PeopleOfFolder(
        folder,
        backends.judge,
        inception=backends.inception,
        use_drawn_world=backends.calibration is not None,
    )
    people.meet(videos)
    runner = VideoRunner(folder, backends, records, people, max_frames=max_frames, on_error=on_error)
    scale = _find_scale(videos, backends, people, runner, records, calibration)
    runner.judge = backends.judge if scale is None else _scaled(backends.judge, scale)
    chosen = _choose_metrics(metrics, videos, backends, runner.judge)
    judged = runner.run(videos, progress=progress)
    result = VideosResult(
        metrics=compute_metrics(chosen, judged),
        cases=[_report(folder, video, record) for video, record in zip(videos, judged, strict=True)],
        judge=backends.judge_name,
        detector=backends.detector_name,
        measure=backends.judge.measure,
        scale=runner.judge.scale if runner.judge.is_calibrated else None,
        limit=runner.judge.scale.same_person_limit,
        folder_scale=scale if isinstance(scale, FolderScale) else None,
        calibration=backends.calibration,
        text_encoder=None if backends.text_encoder is None else backends.text_encoder.name,
        num_known_people=len(people.everybody),
        max_frames=max_frames,
    )
    write_outputs(
        records.path, result.to_json(), result.to_markdown(), result.to_page(), num_report_videos=num_report_videos
    )
    return result


def _describe(
    folder: Path,
    videos: Sequence[ManifestVideo],
    backends: Backends,
    max_frames: int | None,
    calibration: str | Path | None,
) -> dict[str, object]:
    """What all records depend on; the videos themselves, each record remembers."""
    people = sorted(
        {(person.name, photo, file_digest(folder / photo)) for video in videos for person in video.people
         for photo in person.photos}
    )  # fmt: skip
    real = sorted({video.real_video for video in videos if video.real_video is not None})
    encoder, inception = backends.text_encoder, backends.inception
    return {
        "kind": "videos of a folder",
        "version of the measures": MEASURES_VERSION,
        "judge": judge_fingerprint(backends.judge),
        "photos": digest_of(people),
        "real videos": digest_of([(name, file_digest(folder / name)) for name in real]),
        "frames looked at": max_frames,
        "calibration": None if calibration is None else file_digest(Path(calibration)),
        "judge of text": None if encoder is None else fingerprint([encoder.network]),
        "InceptionV3": None if inception is None else fingerprint([], files=[inception.network.path]),
    }


def _find_scale(
    videos: Sequence[ManifestVideo],
    backends: Backends,
    people: PeopleOfFolder,
    runner: VideoRunner,
    records: EvaluationFolder,
    calibration: str | Path | None,
) -> FolderScale | SimilarityScale | None:
    """The scale of the judge: one that was given, the model's own, or what the folder has of real people."""
    if calibration is not None:
        return load_folder_scale(Path(calibration), judge=backends.judge_id)
    if backends.judge.is_calibrated:
        one_photo_each = all(len(person.photos) == 1 for video in videos for person in video.people)
        return backends.judge.one_photo_scale if one_photo_each else backends.judge.scale
    path = records.path / FOLDER_SCALE_NAME
    if path.is_file():  # the folder's description says that it is of these photos and real videos
        return load_folder_scale(path, judge=backends.judge_id)
    scale = _measure_scale(videos, backends, people, runner)
    if scale is not None:
        save_folder_scale(scale, path)
    return scale


def _measure_scale(
    videos: Sequence[ManifestVideo], backends: Backends, people: PeopleOfFolder, runner: VideoRunner
) -> FolderScale | None:
    known: list[tuple[ManifestVideo, list[KnownPerson]]] = []
    for video in videos:
        try:
            known.append((video, people.of_video(video)))
        except UserInputError:
            continue  # said when the video's turn comes
    real = []
    for video, of_video in known:
        if video.real_video is not None:
            try:
                view = runner.view_real(video.real_video)
            except UserInputError:
                continue
            real.append((view.tracks, of_video, view.num_frames))
    name, measure = backends.judge_id, backends.judge.measure
    from_real = scale_from_real_videos(real, people.everybody, judge=name, measure=measure)
    return from_real or scale_from_photos(
        [of_video for _, of_video in known], people.everybody, judge=name, measure=measure
    )


def _scaled(judge: Judge, scale: FolderScale | SimilarityScale) -> Judge:
    return judge.with_scale(scale.scale if isinstance(scale, FolderScale) else scale)


def _choose_metrics(
    names: Iterable[str] | None, videos: Sequence[ManifestVideo], backends: Backends, judge: Judge
) -> list[Metric]:
    encoder = backends.text_encoder
    lacking: dict[Need, str] = {"routing": "a model whose router can be asked"}
    if all(video.temporal_ratio is None for video in videos):
        lacking["latent_frames"] = "videos whose temporal_ratio is known"
    if not any(other_sentences(video.prompt) for video in videos):
        lacking["attributes"] = "prompts that are sentences of the drawn world"
    if encoder is None:
        lacking["text"] = "a judge of text"
    if encoder is None or encoder.name != "clip":
        lacking["clip"] = "CLIP"
    if encoder is None or encoder.name != "dual_encoder":
        lacking["dual_encoder"] = "a model's dual encoder as the judge of text"
    if backends.inception is None:
        lacking["inception"] = "InceptionV3"
    if not judge.is_calibrated:
        lacking["scale"] = "a calibrated judge"
    if all(video.real_video is None for video in videos):
        lacking["real_video"] = "real videos"
        lacking["faces"] = "real videos"
    return choose_available(names, lacking=lacking, of_whom="this evaluation")


def _report(folder: Path, video: ManifestVideo, record: CaseRecord) -> ReportedCase:
    return ReportedCase(
        record=record,
        people=tuple(
            ReportedPerson(name=person.name, photos=tuple(folder / photo for photo in person.photos))
            for person in video.people
        ),
        video=folder / video.file_name,
        file_name=video.file_name,
    )
