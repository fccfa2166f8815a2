"""Measures videos, whoever made them: `ingredients evaluate`.

A source yields each case with its frames (`sources.py`), `measure.py` makes a record of each, the metrics make numbers
of the records (`metrics/`), and the reports show both.
"""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from ingredients.casebook.cases import Case
from ingredients.core.errors import UserInputError
from ingredients.core.files import write_bytes
from ingredients.core.json_yaml import finite_or_none, to_json
from ingredients.core.output_folders import fills_folder
from ingredients.core.protocols import ProgressCallback
from ingredients.evaluation.case_record import MEASURES_VERSION, CaseRecord, Need, failed_case
from ingredients.evaluation.evaluation_folder import EvaluationFolder, fingerprint, judge_fingerprint, save_manifest
from ingredients.evaluation.folder_scale import FolderScale
from ingredients.evaluation.html_report import DEFAULT_NUM_VIDEOS, html_report
from ingredients.evaluation.judges import Judges
from ingredients.evaluation.measure import Measurer, parts_of_case
from ingredients.evaluation.metrics.metric import Metric
from ingredients.evaluation.metrics.registry import choose_available, compute_metrics, needed_parts
from ingredients.evaluation.names import HTML_NAME, REPORT_NAME, RESULT_NAME
from ingredients.evaluation.result import JudgedBy, Result
from ingredients.evaluation.sources import VideoSource
from ingredients.evaluation.tables import case_tables
from ingredients.pipelines.video_shape import FPS

OnError = Literal["skip", "stop"]
"""Whether a case without a video counts as one in which everybody is missing, or ends the evaluation."""


@fills_folder("an evaluation", "output")
def evaluate(
    source: VideoSource,
    judges: Judges,
    output: str | Path,
    *,
    metrics: Iterable[str] | None = None,
    save_videos: bool = False,
    on_error: OnError = "skip",
    num_report_videos: int = DEFAULT_NUM_VIDEOS,
    progress: ProgressCallback | None = None,
) -> Result:
    """Judges the videos of a source, and writes the numbers, the tables and the report.

    Args:
        source: a model (`PipelineSource`), a folder of videos (`FolderSource`) or the drawn world itself
            (`DrawnClips`).
        judges: everybody who judges.
        output: folder of the records; a run that was interrupted goes on where it stopped.
        metrics: names; all that can be had, without them.
        save_videos: whether videos that are made are kept in the folder, with photos and a manifest, so that a
            `FolderSource` can be made of it.
        on_error: what becomes of a case without a video.
        num_report_videos: videos in `report.html`.
        progress: told of the cases done.

    Raises:
        UserInputError: for an unknown metric or one that cannot be had here, a case without a video if that ends the
            evaluation, or a folder that holds another evaluation.
        OutputError: if the folder cannot be written.
    """
    wanted = None if metrics is None else list(metrics)
    needs = needed_parts(choose_metrics(source, judges, wanted, is_calibrated=True))
    folder = open_folder(source, judges, output)
    measurer = open_measurer(source, judges, needs=needs)
    scale = source.find_scale(measurer, folder.path)
    if scale is not None:
        judge = judges.judge.with_scale(scale.scale if isinstance(scale, FolderScale) else scale)
        measurer.judges = dataclasses.replace(measurer.judges, judge=judge)
    chosen = choose_metrics(source, measurer.judges, wanted)
    records = measure_cases(source, measurer, folder, save_videos=save_videos, on_error=on_error, progress=progress)
    if save_videos:
        save_manifest(folder, source.cases, name=source.name, real_frames=source.real_frames, fps=FPS)
    judged_by = _judged_by(source, measurer, scale if isinstance(scale, FolderScale) else None)
    result = Result(
        metrics=compute_metrics(chosen, records),
        cases=[source.report(case, record, folder) for case, record in zip(source.cases, records, strict=True)],
        judged_by=judged_by,
        account=source.account(records, judged_by),
    )
    _write(folder.path, result, num_report_videos=num_report_videos)
    return result


def choose_metrics(
    source: VideoSource, judges: Judges, names: Iterable[str] | None = None, *, is_calibrated: bool | None = None
) -> list[Metric]:
    """The metrics asked for, or all that can be had of a source.

    Args:
        source: the source of the videos.
        judges: everybody who judges.
        names: those asked for.
        is_calibrated: whether the judge of faces has a scale, where that is not known yet.

    Raises:
        UserInputError: for an unknown one, or one that cannot be had.
    """
    encoder = judges.text_encoder or source.own_text_encoder()
    lacking: dict[Need, str] = dict(source.lacking())
    if encoder is None:
        lacking["text"] = "a judge of text"
    if encoder is None or encoder.name != "clip":
        lacking["clip"] = "CLIP"
    if encoder is None or encoder.name != "dual_encoder":
        lacking["dual_encoder"] = "a model's own dual encoder as the judge of text"
    if judges.inception is None:
        lacking["inception"] = "InceptionV3"
    if judges.acting is None or judges.attributes is None:
        lacking["traits"] = "judges of what people do and look like"
    if not (judges.judge.is_calibrated if is_calibrated is None else is_calibrated):
        lacking["scale"] = "a calibrated judge"
    return choose_available(names, lacking=lacking, of_whom=source.whose)


def open_folder(source: VideoSource, judges: Judges, output: str | Path) -> EvaluationFolder:
    """The folder of an evaluation of this source by these judges.

    Raises:
        UserInputError: if the folder holds another one.
        OutputError: if it cannot be made.
    """
    encoder, inception = judges.text_encoder, judges.inception
    description = {
        **source.describe(),
        "judge": judge_fingerprint(judges.judge),
        "version of the measures": MEASURES_VERSION,
        "judge of text": None if encoder is None else fingerprint([encoder.network]),
        "judges of what people do and look like": [
            None if each is None else fingerprint([each.network]) for each in (judges.acting, judges.attributes)
        ],
        "InceptionV3": None if inception is None else fingerprint([], files=[inception.network.path]),
    }
    return EvaluationFolder(output, description=description)


def open_measurer(source: VideoSource, judges: Judges, *, needs: frozenset[Need]) -> Measurer:
    """Who measures the videos of a source; the text is judged by the model's own, if it has one and nobody else is."""
    return Measurer(
        dataclasses.replace(judges, text_encoder=judges.text_encoder or source.own_text_encoder()),
        source.know_people(judges),
        needs=needs,
        real_frames=source.real_frames,
        through_vae=source.through_vae,
        probe_router=source.probe_router,
        max_frames=source.max_frames,
    )


def measure_cases(
    source: VideoSource,
    measurer: Measurer,
    folder: EvaluationFolder,
    *,
    save_videos: bool = False,
    on_error: OnError = "skip",
    progress: ProgressCallback | None = None,
) -> list[CaseRecord]:
    """The records of all cases, in their order; an interrupted run loses the case, or the batch, that it was at.

    Args:
        source: the source of the videos.
        measurer: makes the records.
        folder: keeps them; what is there and complete is not made again.
        save_videos: whether the videos are kept there, too.
        on_error: what becomes of a case without a video.
        progress: told of the cases done.

    Raises:
        UserInputError: for a case without a video, if that ends the evaluation.
        OutputError: if the disk is full.
    """
    digests = {case.index: source.digest(case) for case in source.cases}
    records: dict[int, CaseRecord] = {}
    for case in source.cases:
        record = folder.load(source.name, case.index)
        if record is not None and _is_complete(case, record, measurer.needs, digests[case.index]):
            if record.error is None and save_videos and not folder.has_video(source.name, case.index):
                continue
            records[case.index] = record
    pending = [case for case in source.cases if case.index not in records]
    if progress is not None:
        progress(len(records), len(source.cases))
    for case, video in source.videos(pending, measurer.known):
        digest = digests[case.index]
        if isinstance(video, UserInputError):
            if on_error == "stop":
                raise UserInputError(f"Case {case.label}: {video}") from video
            record = failed_case(case, str(video), source=digest)
        else:
            if save_videos:
                folder.save_video(source.name, case, video.frames, fps=FPS)
            record = measurer.measure(case, video.frames, seconds=video.seconds, source=digest)
        folder.save(source.name, record)
        records[case.index] = record
        if progress is not None:
            progress(len(records), len(source.cases))
    return [records[case.index] for case in source.cases]


def _is_complete(case: Case, record: CaseRecord, needs: frozenset[Need], digest: str | None) -> bool:
    if record.source != digest:
        return False
    if record.error is not None:  # a file may be there by now; a model fails again
        return digest is None
    return parts_of_case(case, needs) <= record.parts


def _judged_by(source: VideoSource, measurer: Measurer, folder_scale: FolderScale | None) -> JudgedBy:
    judges, judge = measurer.judges, measurer.judges.judge
    return JudgedBy(
        name=judges.judge_name,
        detector=judges.detector_name,
        measure=judge.measure,
        scale=judge.scale if judge.is_calibrated else None,
        limit=judge.scale.same_person_limit,
        folder_scale=folder_scale,
        calibration=judges.calibration,
        text_encoder=None if judges.text_encoder is None else judges.text_encoder.name,
        num_known_people=len(measurer.known.everybody),
        max_frames=source.max_frames,
    )


def _write(folder: Path, result: Result, *, num_report_videos: int) -> None:
    """Writes `result.json`, `report.md`, `report.html`, `cases.csv` and `people.csv`, each whole or not at all.

    All of them are there before the first is written, so that what cannot be said leaves none of them.
    """
    texts = {
        HTML_NAME: html_report(result, num_videos=num_report_videos),
        **case_tables(result.cases),
        REPORT_NAME: result.to_markdown(),
        RESULT_NAME: to_json(finite_or_none(result.to_json()), indent=1) + "\n",  # last: then an evaluation is done
    }
    encoded = {name: text.encode("utf-8", "backslashreplace") for name, text in texts.items()}
    for name, content in encoded.items():
        write_bytes(folder / name, content)
