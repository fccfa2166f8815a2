"""`report.html`: the numbers, who appears as whom, and each case with its photos and its video, in one file.

Photos and videos are in the file itself; it asks nothing of the network, and says so to the browser. The worst cases
come first and are the first to have their videos in it.
"""

import html
from collections.abc import Mapping, Sequence

from ingredients.evaluation.changes import confusion_matrix
from ingredients.evaluation.html_assets import SCRIPT, STYLE
from ingredients.evaluation.html_media import embed_photo, embed_video
from ingredients.evaluation.metrics.registry import METRICS
from ingredients.evaluation.reported import ReportedCase, ReportPage
from ingredients.evaluation.results import format_beside, format_estimate
from ingredients.evaluation.statistics import Estimate

DEFAULT_NUM_VIDEOS = 24
"""Videos in the report: with a quarter of a megabyte each it stays a file that can be sent."""

_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_BETTER = {True: "higher is better", False: "lower is better", None: ""}


def html_report(page: ReportPage, *, num_videos: int = DEFAULT_NUM_VIDEOS) -> str:
    """The report as text."""
    title = html.escape(page.title)
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            f"<title>{title}</title><style>{STYLE}</style></head><body>",
            f"<h1>{title}</h1>",
            *(f'<p class="quiet">{html.escape(fact)}</p>' for fact in page.facts),
            "<h2>Numbers</h2>",
            _metrics(page.metrics),
            *_motion(page.motion),
            *_matrix(page),
            "<h2>Cases</h2>",
            *_cases(page, num_videos),
            f"<script>{SCRIPT}</script></body></html>",
            "",
        ]
    )


def _metrics(metrics: Mapping[str, Estimate]) -> str:
    rows = []
    for name, estimate in metrics.items():
        value, interval = format_estimate(name, estimate)
        real, chance = format_beside(name, estimate)
        metric = METRICS[name]
        rows.append(
            f'<tr><td><code>{name}</code></td><td class="number">{value}</td><td class="number">{interval}</td>'
            f'<td class="number" data-label="real clips">{real}</td>'
            f'<td class="number" data-label="chance">{chance}</td>'
            f'<td class="quiet better">{_BETTER[metric.higher_is_better]}</td>'
            f"<td>{html.escape(metric.description)}</td></tr>"
        )
    return (
        '<div class="scroll"><table class="metrics"><thead><tr><th>metric</th><th class="number">value</th>'
        '<th class="number">95 % interval</th><th class="number">real clips</th><th class="number">chance</th>'
        "<th></th><th>what it is</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _motion(shares: Sequence[float]) -> list[str]:
    if not shares:
        return []
    headings = "".join(f'<th class="number">{index} to {index + 1}</th>' for index in range(len(shares)))
    cells = "".join(f'<td class="number">{share:.0%}</td>' for share in shares)
    return [
        "<h2>Motion, from frame to frame</h2>",
        '<p class="quiet">Change at each transition, as a share of that in real clips of the same prompts.</p>',
        '<div class="scroll"><table class="transitions"><thead><tr>'
        f"{headings}</tr></thead><tbody><tr>{cells}</tr></tbody></table></div>",
    ]


def _matrix(page: ReportPage) -> list[str]:
    if not page.confusions:
        return []
    num_people = page.num_people
    columns = [*(f"person {person + 1}" for person in range(num_people)), "a stranger", "missing"]
    heading = "".join(f"<th>{column}</th>" for column in columns)
    rows = []
    for person, counts in enumerate(confusion_matrix(page.confusions, num_people)):
        total = max(sum(counts), 1)
        cells = "".join(
            f'<td style="background: rgba(var(--accent), {0.6 * count / total:.3f})">{count}</td>' for count in counts
        )
        rows.append(f"<tr><th>person {person + 1}</th>{cells}</tr>")
    return [
        "<h2>Who appears as whom</h2>",
        '<p class="quiet">Rows: who was asked for, by place in the list of people. Columns: whom their lasting face '
        "is most alike. Counts of videos.</p>",
        f'<div class="scroll"><table class="matrix"><thead><tr><th>asked for</th>{heading}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>",
    ]


def _cases(page: ReportPage, num_videos: int) -> list[str]:
    ranked = sorted(page.cases, key=_goodness)
    num_kept = sum(case.video is not None for case in ranked)
    similarity = "similarity" if page.is_normalised else "raw similarity"
    has_text = any(case.record.text is not None for case in ranked)
    columns = [similarity, "lowest", "paper, %", *(["text"] if has_text else [])]
    headings = "".join(
        f'<th class="number"{" aria-sort=ascending" if name == similarity else ""}>'
        f'<button type="button">{name}</button></th>'
        for name in columns
    )
    rows, num_embedded = [], 0
    for case in ranked:
        video = embed_video(case.video) if case.video is not None and num_embedded < num_videos else None
        num_embedded += video is not None
        rows.append(_case(case, video, columns))
    return [
        f'<p class="quiet">Worst first; the headings sort. {num_embedded} of {num_kept} videos are in this file; '
        "<code>--report-videos</code> changes how many.</p>"
        if num_kept
        else '<p class="quiet">Worst first; the headings sort. The videos were not kept.</p>',
        '<div class="scroll"><table class="cases"><thead><tr><th><button type="button">case</button></th>'
        f"<th>video</th><th>people</th><th>prompt and remarks</th>{headings}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>",
    ]


def _goodness(case: ReportedCase) -> tuple[bool, float]:
    return case.record.error is None, case.record.people.mean_similarity


def _case(case: ReportedCase, video: str | None, columns: Sequence[str]) -> str:
    record = case.record
    numbers = (
        (record.people.mean_similarity, 2),
        (record.people.greedy_minimum, 2),
        (None if record.paper is None else 100 * record.paper.face_similarity, 1),
        (None if record.text is None else record.text.cosine, 3),
    )
    cells = "".join(
        _number(value, digits, column) for (value, digits), column in zip(numbers, columns, strict=False)
    )  # the last column is text, where nobody judged it there is none
    label = html.escape(record.label)
    shown = video or f'<span class="none">{html.escape(case.file_name or "not kept")}</span>'
    return (
        f'<tr><td data-value="{label}">{label}</td><td>{shown}</td><td>{_people(case)}</td>'
        f'<td class="prompt">{html.escape(record.prompt)}{_remarks(case.remarks())}</td>{cells}</tr>'
    )


def _people(case: ReportedCase) -> str:
    parts = []
    for index, (person, found) in enumerate(zip(case.people, case.record.people.people, strict=True)):
        photo = embed_photo(person.photos[0])
        similarity = f"{found.similarity:.2f}" if found.found else "no face"
        seen = case.seen_as(index)
        words = {"": "", "missing": "missing", person.name: "as themselves"}.get(seen, f"as {seen}")
        parts.append(
            f'<div class="person">{photo}<span>{html.escape(person.name)} <b>{similarity}</b>'
            f'<br><span class="quiet">{html.escape(words)}</span></span></div>'
        )
    return "".join(parts)


def _number(value: float | None, digits: int, label: str) -> str:
    if value is None:
        return '<td class="number" data-value=""></td>'
    return f'<td class="number" data-value="{value:.6f}" data-label="{label}">{value:.{digits}f}</td>'


def _remarks(remarks: Sequence[str]) -> str:
    return "".join(f'<span class="remark">{html.escape(remark)}</span>' for remark in remarks)
