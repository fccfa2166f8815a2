"""One clip on one page: what every step measured of it, held against which limits, and what its frames looked like."""

import base64
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image, ImageDraw

from ingredients.core.arrays import Float32Array
from ingredients.core.config import config_to_dict
from ingredients.core.errors import UserInputError
from ingredients.core.html_page import html_page
from ingredients.curation import probe
from ingredients.curation.chain import cheap_steps, costly_steps
from ingredients.curation.config import CurationConfig
from ingredients.curation.quality import crop_of
from ingredients.curation.shots import find_spans, find_transitions
from ingredients.curation.signals import Signals
from ingredients.curation.source_work import SourceTask, clip_name, source_signals, take_step
from ingredients.curation.sources import name_of
from ingredients.curation.step import Clip, Rejection
from ingredients.curation.store import SourceStore

_TEMPLATE = Path(__file__).with_name("explain.html.jinja")
_NUM_FRAMES = 5
_FRAME_HEIGHT = 200
_MOST_POINTS = 600


def explain_clip(path: Path, seconds: float, config: CurationConfig) -> str:
    """A page of HTML on the clip that shows a moment of a video; all steps are taken, also after one that rejects it.

    Args:
        path: the video.
        seconds: the moment.
        config: all settings.

    Raises:
        UserInputError: if the video cannot be read, or is shorter.
    """
    found = probe.look(path)
    if isinstance(found, Rejection):
        raise UserInputError(probe.problem_in_words(path, found))
    state, facts = found
    with tempfile.TemporaryDirectory(prefix="ingredients-") as folder:
        task = SourceTask(
            path=path,
            digest="00explained",
            num_bytes=state.num_bytes,
            work=Path(folder),
            config=config,
            num_threads=0,
            most_seconds=seconds + config.shots.max_seconds + 5,
        )
        store = SourceStore(task.work, task.digest)
        signals = source_signals(task, store, lambda step, amount: None)
        if isinstance(signals, Rejection):
            raise UserInputError(str(signals.value))
        if seconds > signals.times[-1] + 1:
            raise UserInputError(
                f"The video {path} ends after {signals.times[-1]:.1f} seconds; give an earlier time than {seconds:g}."
            )
        spans = [span for spans in find_spans(signals, config.shots) for span in spans]
        span = min(spans, key=lambda each: max(each.start_seconds - seconds, seconds - each.end_seconds, 0.0))
        clip = Clip(
            clip_id=clip_name(path, "00000000", span),
            path=path,
            span=span,
            crop=crop_of(signals, span),
            signals=signals,
            folder=store.clips,
            results={},
        )
        verdict = probe.decide(facts, state.num_bytes, config.probe)
        rows = [_row("probe", config_to_dict(facts), verdict)]
        for step in (*cheap_steps(config), *costly_steps(config)):
            if not all(name in clip.results for name in step.needs):
                continue
            rejection = take_step(step, "explain0", clip, store)
            rows.append(_row(step.name, clip.results.get(step.name, {}), rejection))
        frames = _frames(clip)
    return html_page(
        _TEMPLATE,
        name=name_of(Path(path.name)),
        seconds=seconds,
        span=span,
        rows=rows,
        frames=frames,
        is_kept=not any(row["rejection"] for row in rows),
        curves=_curves(signals, span.start_seconds, span.end_seconds, find_transitions(signals, config.shots)),
        caption=str(clip.results.get("captions", {}).get("caption", "")),
    )


def _row(step: str, measured: Any, rejection: Rejection | None) -> dict[str, Any]:
    return {
        "step": step,
        "measured": [
            (name, f"{value:.4g}" if isinstance(value, float) else str(value))
            for name, value in measured.items()
            if isinstance(value, int | float | str) and value != ""
        ],
        "rejection": None if rejection is None else rejection.sentence,
    }


def _frames(clip: Clip) -> list[Markup]:
    """Frames of the clip as the data set would have them, with the faces that were found."""
    if "cut" not in clip.results:
        return []
    frames = clip.frames
    tracks = clip.results.get("people", {}).get("tracks", [])
    pictures = []
    for place in np.linspace(0, len(frames) - 1, _NUM_FRAMES).round().astype(int).tolist():
        picture = Image.fromarray(frames[place])
        draw = ImageDraw.Draw(picture)
        for number, track in enumerate(tracks):
            if (box := track["boxes"][place]) is not None:
                draw.rectangle(box, outline=_COLOURS[number % len(_COLOURS)], width=max(picture.height // 120, 1))
        size = (max(round(picture.width * _FRAME_HEIGHT / picture.height), 1), _FRAME_HEIGHT)
        encoded = io.BytesIO()
        picture.resize(size, Image.Resampling.LANCZOS).save(encoded, format="JPEG", quality=85)
        pictures.append(Markup("data:image/jpeg;base64,") + base64.b64encode(encoded.getvalue()).decode())
    return pictures


_COLOURS = ("#ff3b30", "#34c759", "#0a84ff", "#ffd60a", "#bf5af2", "#ff9f0a")


def _curves(signals: Signals, start: float, end: float, transitions: Sequence[Any]) -> list[dict[str, Any]]:
    """Signals around the clip as lines of SVG in a box of 1000 by 100, with the clip and the transitions in it."""
    margin = max(end - start, 1.0)
    first = int(np.searchsorted(signals.times, start - margin))
    last = max(int(np.searchsorted(signals.times, end + margin)), first + 2)
    times = signals.times[first:last]
    begin, length = float(times[0]), max(float(times[-1] - times[0]), 1e-3)

    def across(time: float) -> float:
        return round(1000 * (time - begin) / length, 2)

    edges = [
        across(float(signals.times[min(frame, signals.num_frames - 1)]))
        for transition in transitions
        for frame in (transition.first, transition.end)
        if first <= frame < last
    ]
    motion: Float32Array = np.nan_to_num(signals.motion[first:last].mean(axis=(1, 2)) * signals.fps)
    step = max(len(times) // _MOST_POINTS, 1)
    curves = []
    for title, unit, values in (
        ("Change of content", "PySceneDetect's", signals.content[first:last]),
        ("Change from frame to frame", "grey levels", signals.change[first:last]),
        ("Motion", "picture heights a second", motion),
        ("Brightness", "grey levels", signals.brightness[first:last]),
    ):
        most = max(float(values.max()), 1e-6)
        points = " ".join(
            f"{across(float(time))},{100 - 96 * float(value) / most:.2f}"
            for time, value in zip(times[::step], values[::step], strict=True)
        )
        curves.append({"title": title, "unit": unit, "most": f"{most:.3g}", "points": points})
    return [
        {**curve, "from": across(start), "to": across(end), "edges": sorted(set(edges)), "begin": begin,
         "end": begin + length}
        for curve in curves
    ]  # fmt: skip
