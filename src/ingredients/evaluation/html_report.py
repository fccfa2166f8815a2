"""`report.html`: the numbers, who appears as whom, and each case with its photos and its video, in one file.

Photos and videos are in the file itself; it asks nothing of the network, and says so to the browser. The worst cases
come first and are the first to have their videos in it. `report.html.jinja` is the page; what others wrote is escaped.
"""

import base64
import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import UserInputError
from ingredients.core.html_page import html_page
from ingredients.evaluation.changes import confusion_matrix
from ingredients.evaluation.metrics.registry import METRICS
from ingredients.evaluation.result import Result
from ingredients.evaluation.tables import ReportedCase, format_beside, format_estimate
from ingredients.evaluation.traits import ACTS
from ingredients.media.photos import load_photo
from ingredients.media.video import measure_video, plays_in_browsers, read_video, write_video

DEFAULT_NUM_VIDEOS = 24
"""Videos in the report: with a quarter of a megabyte each it stays a file that can be sent."""

_TEMPLATE = Path(__file__).with_name("report.html.jinja")
_BETTER = {True: "higher is better", False: "lower is better", None: ""}

_PHOTO_SIZE = 112
"""Pixels of the longer side: twice what the page shows, for sharp screens."""

_SMALL_WIDTH = 384
"""A video at most half as wide is shown by whole pixels, as wide as fits in here: the small model's 96 four times."""

_MAX_VIDEO_BYTES = 8 * 2**20
_TRANSCODED_FACTOR = 23
"""x264's usual quality."""


def html_report(result: Result, *, num_videos: int = DEFAULT_NUM_VIDEOS) -> str:
    """The report as text."""
    ranked = sorted(result.cases, key=_goodness)
    videos = _embed_videos(ranked, num_videos)
    has_text = any(case.record.text is not None for case in ranked)
    similarity = "similarity" if result.is_normalised else "raw similarity"
    columns = [similarity, "lowest", "paper, %", *(["text"] if has_text else [])]
    return html_page(
        _TEMPLATE,
        title=result.account.title,
        facts=result.account.facts,
        metrics=_metrics(result),
        motion=[f"{share:.0%}" for share in result.motion],
        sharpness=[f"{share:.0%}" for share in result.sharpness],
        matrix=_matrix(result),
        num_kept=sum(case.video is not None for case in ranked),
        num_embedded=sum(video is not None for video in videos),
        columns=columns,
        cases=[_case(case, video, columns) for case, video in zip(ranked, videos, strict=True)],
    )


def _metrics(result: Result) -> list[dict[str, str]]:
    rows = []
    for name, estimate in result.metrics.items():
        value, interval = format_estimate(name, estimate)
        real, after_vae, chance = format_beside(name, estimate)
        metric = METRICS[name]
        rows.append(
            {
                "name": name,
                "value": value,
                "interval": interval,
                "real": real,
                "after_vae": after_vae,
                "chance": chance,
            }
            | {"better": _BETTER[metric.higher_is_better], "description": metric.description}
        )
    return rows


def _matrix(result: Result) -> list[list[dict[str, str]]]:
    """Rows of counts, the darker the larger their share of the row; none where nobody asked who appears as whom."""
    if not result.confusions:
        return []
    return [
        [{"count": str(count), "opacity": f"{0.6 * count / max(sum(counts), 1):.3f}"} for count in counts]
        for counts in confusion_matrix(result.confusions, result.num_people)
    ]


def _goodness(case: ReportedCase) -> tuple[bool, float]:
    return case.record.error is None, case.record.people.mean_similarity


def _embed_videos(cases: Sequence[ReportedCase], num_videos: int) -> list[Markup | None]:
    """The videos of the first cases that have one; None for the others."""
    videos: list[Markup | None] = []
    num_embedded = 0
    for case in cases:
        video = embed_video(case.video) if case.video is not None and num_embedded < num_videos else None
        num_embedded += video is not None
        videos.append(video)
    return videos


def _case(case: ReportedCase, video: Markup | None, columns: Sequence[str]) -> dict[str, Any]:
    record = case.record
    numbers = (
        (record.people.mean_similarity, 2),
        (record.people.greedy_minimum, 2),
        (None if record.paper is None else 100 * record.paper.face_similarity, 1),
        (None if record.text is None else record.text.cosine, 3),
    )
    return {
        "label": record.label,
        "video": video,
        "file_name": case.file_name or "not kept",
        "people": _people(case),
        "prompt": record.prompt,
        "remarks": case.remarks(),
        "numbers": [
            {"label": column, "exact": "", "text": ""}
            if value is None
            else {"label": column, "exact": f"{value:.6f}", "text": f"{value:.{digits}f}"}
            for (value, digits), column in zip(numbers, columns, strict=False)
        ],  # the last column is text, where nobody judged it there is none
    }


def _people(case: ReportedCase) -> list[dict[str, str]]:
    people = []
    for index, (person, found) in enumerate(zip(case.people, case.record.people.people, strict=True)):
        seen = case.seen_as(index)
        people.append(
            {
                "photo": embed_photo(person.photos[0]),
                "name": person.name,
                "similarity": f"{found.similarity:.2f}" if found.found else "no face",
                "seen_as": {"": "", "missing": "missing", person.name: "as themselves"}.get(seen, f"as {seen}"),
                "acts": _acts(case.traits_of(index) or {}),
            }
        )
    return people


def _acts(traits: Mapping[str, Mapping[str, str]]) -> str:
    """What a person should do and how they should look, and where it is another thing, what is seen."""
    told = []
    for name in ACTS:
        if name in traits:
            asked, seen = traits[name]["asked"], traits[name]["seen"]
            told.append(asked if asked == seen else f"{asked} (seen: {seen or 'nobody'})")
    return ", ".join(told)


def embed_photo(photo: Path | UInt8Array) -> Markup:
    """An `img` of a photo, scaled down; an empty frame for one that cannot be read."""
    try:
        picture = Image.fromarray(load_photo(photo) if isinstance(photo, Path) else photo)
    except UserInputError:
        return Markup('<img alt="no photo">')
    picture.thumbnail((_PHOTO_SIZE, _PHOTO_SIZE))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=88)
    return Markup(f'<img alt="" src="data:image/jpeg;base64,{_encode(data.getvalue())}">')


def embed_video(path: Path) -> Markup | None:
    """A `video` of a file, made H.264 where it is not; None if it cannot be read, or is too large for a page.

    A small one is enlarged by a whole number, so that each of its pixels is a square.
    """
    try:
        data = path.read_bytes() if plays_in_browsers(path) else _transcode(path)
        width = measure_video(path, most_frames=1).width
    except UserInputError:
        return None
    if len(data) > _MAX_VIDEO_BYTES:
        return None
    source = f"data:video/mp4;base64,{_encode(data)}"
    scale = _SMALL_WIDTH // width
    small = f' class="small" style="width: {scale * width}px"' if scale > 1 else ""
    return Markup(f'<video{small} autoplay controls loop muted playsinline preload="auto" src="{source}"></video>')


def _transcode(path: Path) -> bytes:
    video = read_video(path, max_bytes=2**30)
    height, width = (side - side % 2 for side in video.frames.shape[1:3])  # H.264's colours come in blocks of two
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "video.mp4"
        write_video(target, video.frames[:, :height, :width], fps=video.fps, constant_rate_factor=_TRANSCODED_FACTOR)
        return target.read_bytes()


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
