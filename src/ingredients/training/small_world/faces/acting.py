"""Trains the judge that sees what people do, on tracks of drawn people of the judge's own.

Legend: B batch, M tracks of a pool, F frames, S side of a crop.
"""

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.faces.acting_judge import ActingNetwork, cut_track, save_acting_judge
from ingredients.training.loop.stage import ParameterGroup, StepOutput, WholeStepStage
from ingredients.training.small_world.faces.augmentation import disturb
from ingredients.training.small_world.faces.part_run import Pool, cached_pool, train_part
from ingredients.training.small_world.faces.settings import NUM_FRAMES, ActingTrainingConfig
from ingredients.world import EACH_OWN, Scene, SceneSpec, Split, render_scene, sample_scene
from ingredients.world.scenes import VISIBLE, face_states

PART = "acting-judge"

_SIZES = ((128, 192), (96, 144), (64, 96))
"""Heights and widths of the clips, from which the tracks are cut."""

_HELD_OUT_SEED = 1_000_000_000


class ActingStage(WholeStepStage):
    """The judge, its pool of tracks and its loss; a `Stage`."""

    name = PART

    def __init__(self, config: ActingTrainingConfig, folder: Path) -> None:
        self.config = config
        torch.manual_seed(config.trainer.seed)
        self.network = ActingNetwork(config.judge)
        drawing = ("num_clips", "box_jitter", "missing_share")
        key = {name: getattr(config, name) for name in drawing} | {
            "seed": config.trainer.seed,
            "crop_size": config.judge.crop_size,
            "style": EACH_OWN.name,
        }
        self.pool = cached_pool(
            folder / "tracks.npz",
            key,
            lambda: draw_tracks(config, config.num_clips, first_seed=config.trainer.seed * 10**7, split="judge"),
        )

    def parameter_groups(self) -> list[ParameterGroup]:
        """All of the network."""
        return [ParameterGroup(parameters=dict(self.network.named_parameters()))]

    def training_step(self, generator: torch.Generator, *, progress: float) -> StepOutput:
        """One batch of tracks, a stretch of each."""
        del progress
        self.network.train()
        pixel_values, path, rows = self._batch(generator)
        actions, expressions = self.network(pixel_values, path)
        truth = [torch.from_numpy(self.pool[name][rows]) for name in ("actions", "expressions")]
        losses = [
            F.cross_entropy(logits.float(), labels, label_smoothing=0.05)
            for logits, labels in zip((actions, expressions), truth, strict=True)
        ]
        correct = [
            (logits.argmax(-1) == labels).float().mean()
            for logits, labels in zip((actions, expressions), truth, strict=True)
        ]
        metrics = {"action_accuracy": correct[0].detach(), "expression_accuracy": correct[1].detach()}
        return StepOutput(loss=losses[0] + losses[1], metrics=metrics)

    @torch.no_grad()
    def validate(self) -> Mapping[str, float]:
        """Share of held-out tracks of which action and expression are told right."""
        self.network.eval()
        pool = draw_tracks(
            self.config, self.config.num_validation_clips, first_seed=_HELD_OUT_SEED, split="eval", size=_SIZES[0]
        )
        right: dict[str, list[Tensor]] = {"actions": [], "expressions": []}
        for rows in np.array_split(np.arange(len(pool["actions"])), max(len(pool["actions"]) // 16, 1)):
            pixel_values = _to_pixel_values(pool["crops"][rows])
            outputs = self.network(pixel_values, torch.from_numpy(pool["path"][rows]))
            for name, logits in zip(right, outputs, strict=True):
                right[name].append(logits.argmax(-1) == torch.from_numpy(pool[name][rows]))
        told = {name: torch.cat(parts) for name, parts in right.items()}
        by_action = {
            f"action_accuracy_{action}": float(told["actions"][pool["actions"] == index].float().mean())
            for index, action in enumerate(self.config.judge.actions)
            if (pool["actions"] == index).any()
        }
        self.network.train()
        return {
            "action_accuracy": float(told["actions"].float().mean()),
            "expression_accuracy": float(told["expressions"].float().mean()),
            **by_action,
        }

    def export(self, folder: Path) -> None:
        """Writes weights and config."""
        save_acting_judge(self.network, folder)

    def _batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor, np.ndarray]:
        """Stretches of tracks (B, T, 3, S, S), their paths (B, T, 5), and their rows in the pool."""
        config = self.config
        rows = torch.randint(len(self.pool["actions"]), (config.batch_size,), generator=generator).numpy()
        length = int(torch.randint(config.shortest, NUM_FRAMES + 1, (1,), generator=generator))
        first = int(torch.randint(NUM_FRAMES - length + 1, (1,), generator=generator))
        window = slice(first, first + length)
        pixel_values = _to_pixel_values(self.pool["crops"][rows, window])  # (B, T, 3, S, S)
        path = torch.from_numpy(self.pool["path"][rows, window]).clone()
        path[..., -1] -= path[:, :1, -1]
        flipped = torch.rand(len(rows), generator=generator) < 0.5
        pixel_values = torch.where(flipped[:, None, None, None, None], pixel_values.flip(-1), pixel_values)
        path[..., 0] = torch.where(flipped[:, None], -path[..., 0], path[..., 0])
        size = pixel_values.shape[-1]
        column = pixel_values.transpose(1, 2).flatten(
            2, 3
        )  # (B, 3, T S, S): one picture, so that all frames change alike
        column = disturb(column, generator, config.augmentation)
        pixel_values = torch.unflatten(column, 2, (length, size)).transpose(1, 2)
        return pixel_values, path, rows


def _to_pixel_values(crops: UInt8Array) -> Tensor:
    """(B, T, S, S, 3) uint8 to (B, T, 3, S, S) in -1..1."""
    return torch.from_numpy(crops).permute(0, 1, 4, 2, 3).float() / 127.5 - 1.0


def draw_tracks(
    config: ActingTrainingConfig, num_clips: int, *, first_seed: int, split: Split, size: tuple[int, int] | None = None
) -> Pool:
    """Draws clips and cuts the track of everybody whose face is seen in at least a quarter of the frames.

    Args:
        config: says what tracks look like.
        num_clips: how many clips.
        first_seed: of the first; each next one has the next seed.
        split: whose identities take part.
        size: height and width of the clips; None takes one of several for each.

    Returns:
        `crops` (M, F, S, S, 3), `path` (M, F, 5), `actions` (M,) and `expressions` (M,), indices.
    """
    rows: dict[str, list[np.ndarray]] = {"crops": [], "path": [], "actions": [], "expressions": []}
    for seed in range(first_seed, first_seed + num_clips):
        rng = np.random.default_rng([seed, 31])
        height, width = size or _SIZES[int(rng.choice(3, p=(0.6, 0.25, 0.15)))]
        spec = sample_scene(seed, split=split, style=EACH_OWN)
        scene = render_scene(spec, height=height, width=width, num_frames=NUM_FRAMES)
        for index, boxes in seen_boxes(spec, scene, rng, config):
            track = cut_track(scene.frames, boxes, fps=8.0, size=config.judge.crop_size)
            rows["crops"].append(track.crops)
            rows["path"].append(track.path)
            rows["actions"].append(np.array(config.judge.actions.index(spec.roles[index].action)))
            rows["expressions"].append(np.array(config.judge.expressions.index(spec.roles[index].expression)))
    return {name: np.stack(values) for name, values in rows.items()}


def seen_boxes(
    spec: SceneSpec, scene: Scene, rng: np.random.Generator, config: ActingTrainingConfig
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


def train_acting_judge(
    config: ActingTrainingConfig | None, output: Path, resume: bool = False, *, show: bool = True
) -> dict[str, float]:
    """Trains the judge of actions and expressions into `output / "acting-judge"`.

    Args:
        config: data, loss and loop; None takes the defaults.
        output: folder of the whole small model's runs.
        resume: go on from the last checkpoint.
        show: show a progress bar.
    """
    config = config or ActingTrainingConfig()
    folder = output / PART
    make_stage = functools.partial(ActingStage, config, folder)
    return train_part(make_stage, config, config.trainer, folder, resume=resume, show=show)
