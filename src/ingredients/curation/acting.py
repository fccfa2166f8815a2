"""What people of a clip do, with which face, where, and in which light, by judges that can tell.

The judge of actions and the dual encoder that ship know drawn people and places alone, so that they are asked of drawn
faces only. What is kept are shares; which of them are sure enough to be said is decided where captions are written.

Legend: F frames, N people, H/W pixels, S sentences, D embedding, P places, L lights.
"""

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.curation.cut import spread
from ingredients.curation.masks import boxes_of
from ingredients.curation.step import Clip, ClipStep, Measured, Rejection
from ingredients.world.captions import LIGHT_PHRASES, PLACE_PHRASES

if TYPE_CHECKING:
    from ingredients.faces.image_encoder import DualEncoder
    from ingredients.faces.trait_judges import ActingJudge

_JUDGED_FPS = 8.0
"""Frames a second of the tracks that the judge learnt from."""

_WINDOW = 17
"""Frames of the longest of them; a longer clip is judged in several stretches."""

_NUM_PICTURES = 6
"""Frames by which place and light are told."""

_SENTENCES = (
    "two people stand {place} {light}.",
    "a video of two people: two people talk {place} {light}.",
    "{place} {light}, two people look around, looking calm.",
)
"""The prompts, in the words of the captions that the dual encoder learnt from."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """The networks that tell what happens."""

    acting: "ActingJudge"
    """Tells actions and expressions by the track of a face."""

    encoder: "DualEncoder"
    """Tells places and lights."""


class Acting(ClipStep):
    """Watches what people do, where and in which light."""

    name, cost, title = "acting", "network", "Watching what people do"
    needs = ("cut", "people")
    measured_by = ("people.faces",)

    @functools.cached_property
    def watching(self) -> Watching:
        """The networks, read when the first clip comes."""
        return open_watching()

    def measure(self, clip: Clip) -> Measured:
        """`people`, from left to right, each with the shares of actions and expressions; and `setting`.

        Both are empty where nobody can tell: the judges know drawn people alone.
        """
        tracks: Sequence[Mapping[str, Any]] = clip.results["people"]["tracks"]
        if self.config.people.faces != "drawn" or not tracks:
            return {"people": [], "setting": {}}
        boxes = boxes_of(tracks, len(clip.frames))
        return {
            "people": [
                watch_person(clip.frames, boxes[:, number], self.watching.acting, fps=clip.fps)
                for number in range(len(tracks))
            ],
            "setting": look_around(clip.frames, self.watching.encoder),
        }

    def decide(self, measured: Measured) -> Rejection | None:
        """Whatever people do, the clip is kept."""
        return None


@functools.lru_cache(maxsize=1)
def open_watching() -> Watching:
    """Reads the networks that ship.

    Raises:
        ModelFolderError: if they are not there, or damaged.
    """
    from ingredients.faces.face_stack import load_face_stack
    from ingredients.faces.image_encoder import DualEncoder
    from ingredients.faces.trait_judges import load_acting_judge
    from ingredients.model_folders.find_model import default_model_path
    from ingredients.model_folders.folder_names import FACE_ENCODER, JUDGE_FOLDER

    folder = default_model_path()
    encoder = load_face_stack(folder / FACE_ENCODER, name="drawn").image_encoder
    assert isinstance(encoder, DualEncoder), "the model that ships has one"
    return Watching(acting=load_acting_judge(folder / JUDGE_FOLDER), encoder=encoder)


def watch_person(
    frames: UInt8Array, boxes: Float32Array, judge: "ActingJudge", *, fps: float
) -> dict[str, dict[str, float]]:
    """Shares of `actions` and `expressions` of one person, over all stretches of the clip in which the face is seen.

    Args:
        frames: (F, H, W, 3).
        boxes: (F, 4) of the face; NaN in frames without it.
        judge: the judge of actions.
        fps: frames a second of the clip.
    """
    times = np.arange(max(int(len(frames) / fps * _JUDGED_FPS), 1)) * fps / _JUDGED_FPS
    chosen = np.minimum(times.round().astype(int), len(frames) - 1)
    shares: dict[str, list[dict[str, float]]] = {"actions": [], "expressions": []}
    for stretch in np.array_split(chosen, max(round(len(chosen) / _WINDOW), 1)):
        if np.isfinite(boxes[stretch]).all(-1).any():
            (acting,) = judge.judge_video(frames[stretch], [boxes[stretch]], fps=_JUDGED_FPS)
            shares["actions"].append(acting.actions)
            shares["expressions"].append(acting.expressions)
    return {name: _mean_shares(each) for name, each in shares.items()}


def _mean_shares(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: round(float(np.mean([shares[name] for shares in each])), 4) for name in (each[0] if each else ())}


def look_around(frames: UInt8Array, encoder: "DualEncoder") -> dict[str, dict[str, float]]:
    """Shares of `place` and `light` of a clip (F, H, W, 3): those of sentences that name both, like CLIP's choices."""
    import torch
    from torch.nn import functional as F

    directions = _settings_of(encoder)  # (P, L, D)
    embeds = F.normalize(encoder.encode(frames[spread(range(len(frames)), _NUM_PICTURES)]).embeds, dim=-1).mean(0)
    scale = float(encoder.clip.logit_scale.exp())
    joint = torch.softmax(scale * (directions @ embeds).flatten(), dim=0).view(directions.shape[:2])  # (P, L)
    return {
        "place": dict(zip(PLACE_PHRASES, _rounded(joint.sum(1)), strict=True)),
        "light": dict(zip(LIGHT_PHRASES, _rounded(joint.sum(0)), strict=True)),
    }


def _rounded(shares: Any) -> list[float]:
    return [round(float(share), 4) for share in shares]


@functools.lru_cache(maxsize=1)
def _settings_of(encoder: "DualEncoder") -> Any:
    """(P, L, D): for each place and light the mean of all wordings."""
    import torch
    from torch.nn import functional as F

    rows = []
    for place, light in itertools.product(PLACE_PHRASES.values(), LIGHT_PHRASES.values()):
        sentences = [
            " ".join(sentence.format(place=where, light=how).replace(" .", ".").replace(" ,", ",").split())
            for sentence, where, how in itertools.product(_SENTENCES, place, light)
        ]
        rows.append(F.normalize(encoder.encode_text(sentences), dim=-1).mean(0))
    return torch.stack(rows).view(len(PLACE_PHRASES), len(LIGHT_PHRASES), -1)
