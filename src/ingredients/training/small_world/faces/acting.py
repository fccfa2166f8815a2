"""Trains the judge that sees what people do, on tracks of drawn people of the judge's own.

Legend: B batch, M tracks of a pool, F frames, S side of a crop.
"""

import copy
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ingredients.core.arrays import Float32Array
from ingredients.core.errors import UserInputError
from ingredients.faces.network_settings import ActingJudgeConfig, AttributesJudgeConfig
from ingredients.faces.pixel_values import to_pixel_values
from ingredients.faces.trait_judges import ActingNetwork, cut_track, load_acting_judge, save_acting_judge
from ingredients.training.loop.stage import ParameterGroup, StepOutput, WholeStepStage
from ingredients.training.small_world.faces.augmentation import disturb
from ingredients.training.small_world.faces.part_run import Pool, cached_pool
from ingredients.training.small_world.faces.settings import NUM_FRAMES, ActingTrainingConfig, SeenTracksConfig
from ingredients.world import EACH_OWN, TOGETHER, Scene, SceneSpec, SceneStyle, Split, render_scene, sample_scene
from ingredients.world.scenes import VISIBLE, face_states

PART = "acting-judge"

_TOLD = ("action", "expression")

SIZES = ((128, 192), (96, 144), (64, 96))
"""Heights and widths of the clips, from which the tracks are cut."""

HELD_OUT_SEED = 1_000_000_000
HELD_OUT: tuple[tuple[SceneStyle, tuple[int, int], int], ...] = (
    (EACH_OWN, SIZES[0], NUM_FRAMES),
    (TOGETHER, SIZES[-1], 9),
)
"""Styles, heights, widths and lengths of the held-out clips: those of a model to come, and of the one that ships."""


def check_form(
    folder: Path, found: ActingJudgeConfig | AttributesJudgeConfig, wanted: ActingJudgeConfig | AttributesJudgeConfig
) -> None:
    """Refuses a judge to go on from whose network has another form.

    Raises:
        UserInputError: if it has.
    """
    if found != wanted:
        raise UserInputError(
            f"The judge in {folder} has another form than `judge` in the settings of the training; take its form "
            "there, or leave `start` out."
        )


class ActingStage(WholeStepStage):
    """The judge, its pool of tracks and its loss; a `Stage`."""

    name = PART

    def __init__(self, config: ActingTrainingConfig, folder: Path) -> None:
        self.config = config
        torch.manual_seed(config.trainer.seed)
        self.network = ActingNetwork(config.judge)
        self._start: Mapping[str, Tensor] | None = None
        if config.start is not None:
            start = load_acting_judge(config.start).network
            check_form(config.start, start.config, config.judge)
            self._start = start.state_dict()
            self.network.load_state_dict(self._start)
        drawing = ("num_clips", "together_share", "box_jitter", "missing_share")
        key = {name: getattr(config, name) for name in drawing} | {
            "seed": config.trainer.seed,
            "crop_size": config.judge.crop_size,
        }
        self.pool = cached_pool(folder / "tracks.npz", key, lambda: _draw_pool(config))

    def parameter_groups(self) -> list[ParameterGroup]:
        """All of the network."""
        return [ParameterGroup(parameters=dict(self.network.named_parameters()))]

    def training_step(self, generator: torch.Generator, *, progress: float) -> StepOutput:
        """One batch of tracks, a stretch of each."""
        del progress
        self.network.train()
        pixel_values, path, rows = self._batch(generator)
        losses, metrics = [], {}
        for name, logits in zip(_TOLD, self.network(pixel_values, path), strict=True):
            truth = torch.from_numpy(self.pool[f"{name}s"][rows])
            losses.append(F.cross_entropy(logits.float(), truth, label_smoothing=0.05))
            metrics[f"{name}_accuracy"] = (logits.argmax(-1) == truth).float().mean().detach()
        return StepOutput(loss=losses[0] + losses[1], metrics=metrics)

    @torch.no_grad()
    def validate(self) -> Mapping[str, float]:
        """Share of held-out tracks of which action and expression are told right, over both styles and in each.

        An action is told among those that the clips' style knows.
        """
        network, judge = self._mixed().eval(), self.config.judge
        right: dict[str, list[float]] = {}
        for style, size, num_frames in HELD_OUT:
            pool = draw_tracks(
                self.config,
                self.config.num_validation_clips,
                first_seed=HELD_OUT_SEED,
                split="eval",
                style=style,
                size=size,
                num_frames=num_frames,
            )
            unknown = torch.tensor([action not in style.actions for action in judge.actions])
            for rows in np.array_split(np.arange(len(pool["actions"])), max(len(pool["actions"]) // 16, 1)):
                outputs = network(to_pixel_values(pool["crops"][rows]), torch.from_numpy(pool["path"][rows]))
                told = outputs[0].masked_fill(unknown, -torch.inf), outputs[1]
                for name, values, logits in zip(_TOLD, (judge.actions, judge.expressions), told, strict=True):
                    truth = pool[f"{name}s"][rows]
                    for value, is_right in zip(truth, logits.argmax(-1).numpy() == truth, strict=True):
                        for end in ("", f"_{style.name}", f"_{values[value]}"):
                            key = f"{name}_accuracy{end}".replace("-", "_")
                            right.setdefault(key, []).append(float(is_right))
        self.network.train()
        return {
            name: float(np.mean(each)) for name, each in sorted(right.items(), key=lambda item: item[0].count("_"))
        }

    def export(self, folder: Path) -> None:
        """Writes weights and config."""
        save_acting_judge(self._mixed(), folder)

    def _mixed(self) -> ActingNetwork:
        """The network with its part of the weights that it began with."""
        network = copy.deepcopy(self.network)
        if self._start is not None:
            kept = self.config.kept_share
            mixed = {
                name: kept * self._start[name] + (1 - kept) * tensor for name, tensor in network.state_dict().items()
            }
            network.load_state_dict(mixed)
        return network

    def _batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor, np.ndarray]:
        """Stretches of tracks (B, T, 3, S, S), their paths (B, T, 5), and their rows in the pool."""
        config = self.config
        rows = torch.randint(len(self.pool["actions"]), (config.batch_size,), generator=generator).numpy()
        length = int(torch.randint(config.shortest, NUM_FRAMES + 1, (1,), generator=generator))
        first = int(torch.randint(NUM_FRAMES - length + 1, (1,), generator=generator))
        window = slice(first, first + length)
        pixel_values = to_pixel_values(self.pool["crops"][rows, window])  # (B, T, 3, S, S)
        path = torch.from_numpy(self.pool["path"][rows, window]).clone()
        path[..., -1] -= path[:, :1, -1]
        flipped = torch.rand(len(rows), generator=generator) < 0.5
        pixel_values = torch.where(flipped[:, None, None, None, None], pixel_values.flip(-1), pixel_values)
        path[..., 0] = torch.where(flipped[:, None], -path[..., 0], path[..., 0])
        size = pixel_values.shape[-1]
        # (B, 3, T S, S): one picture, so that all frames change alike
        column = pixel_values.transpose(1, 2).flatten(2, 3)
        column = disturb(column, generator, config.augmentation)
        pixel_values = torch.unflatten(column, 2, (length, size)).transpose(1, 2)
        return pixel_values, path, rows


def _draw_pool(config: ActingTrainingConfig) -> Pool:
    """The tracks that are trained on, of both styles."""
    num_together = round(config.num_clips * config.together_share)
    numbers = ((EACH_OWN, config.num_clips - num_together), (TOGETHER, num_together))
    pools = [
        draw_tracks(config, number, first_seed=config.trainer.seed * 10**7, split="judge", style=style)
        for style, number in numbers
        if number
    ]
    return {name: np.concatenate([pool[name] for pool in pools]) for name in pools[0]}


def draw_tracks(
    config: ActingTrainingConfig,
    num_clips: int,
    *,
    first_seed: int,
    split: Split,
    style: SceneStyle = EACH_OWN,
    size: tuple[int, int] | None = None,
    num_frames: int = NUM_FRAMES,
) -> Pool:
    """Draws clips and cuts the track of everybody whose face is seen in at least a quarter of the frames.

    Args:
        config: says what tracks look like.
        num_clips: how many clips.
        first_seed: the seed of the first; each next one has the next seed.
        split: whose identities take part.
        style: how the clips are played.
        size: height and width of the clips; None takes one of several for each.
        num_frames: F.

    Returns:
        `crops` (M, F, S, S, 3), `path` (M, F, 5), `actions` (M,) and `expressions` (M,), indices.
    """
    rows: dict[str, list[np.ndarray]] = {"crops": [], "path": [], "actions": [], "expressions": []}
    for seed in range(first_seed, first_seed + num_clips):
        rng = np.random.default_rng([seed, 31])
        height, width = size or SIZES[int(rng.choice(3, p=(0.6, 0.25, 0.15)))]
        spec = sample_scene(seed, split=split, style=style)
        scene = render_scene(spec, height=height, width=width, num_frames=num_frames)
        for index, boxes in seen_boxes(spec, scene, rng, config):
            track = cut_track(scene.frames, boxes, fps=8.0, size=config.judge.crop_size)
            rows["crops"].append(track.crops)
            rows["path"].append(track.path)
            rows["actions"].append(np.array(config.judge.actions.index(spec.acts[index].action)))
            rows["expressions"].append(np.array(config.judge.expressions.index(spec.acts[index].expression)))
    return {name: np.stack(values) for name, values in rows.items()}


def seen_boxes(
    spec: SceneSpec, scene: Scene, rng: np.random.Generator, config: SeenTracksConfig
) -> list[tuple[int, Float32Array]]:
    """Index and boxes (F, 4) of each person, as a detector would give them; NaN where the face is not found."""
    states = face_states(scene)  # (F, N)
    found = []
    for index in range(len(spec.people)):
        boxes = np.where((states[:, index] == VISIBLE)[:, None], scene.boxes[:, index], np.nan)
        boxes[rng.random(len(boxes)) < config.missing_share] = np.nan
        heights = boxes[:, 3] - boxes[:, 1]
        boxes += rng.normal(0, config.box_jitter, boxes.shape) * heights[:, None]
        if np.isfinite(boxes).all(-1).sum() >= len(boxes) / 4:
            found.append((index, np.asarray(boxes, np.float32)))
    return found
