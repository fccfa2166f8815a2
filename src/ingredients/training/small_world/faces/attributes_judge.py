"""Trains the judge that sees what people look like, on pictures of drawn people of the judge's own.

Legend: B batch, M pictures of a pool, F frames, S side of a crop.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from ingredients.core.arrays import UInt8Array
from ingredients.faces.pixel_values import to_pixel_values
from ingredients.faces.trait_judges import (
    AttributesJudge,
    AttributesNetwork,
    cut_pictures,
    load_attributes_judge,
    save_attributes_judge,
)
from ingredients.training.loop.stage import ParameterGroup, StepOutput, WholeStepStage
from ingredients.training.small_world.faces.acting import HELD_OUT, HELD_OUT_SEED, SIZES, check_form, seen_boxes
from ingredients.training.small_world.faces.augmentation import disturb, draw_framing
from ingredients.training.small_world.faces.part_run import Pool, cached_pool
from ingredients.training.small_world.faces.settings import AttributesTrainingConfig
from ingredients.world import EACH_OWN, TOGETHER, Scene, SceneSpec, render_scene, sample_scene

PART = "attributes-judge"

_HIDDEN = -1
"""Target of what a picture does not show."""


class AttributesStage(WholeStepStage):
    """The judge, its pool of pictures and its loss; a `Stage`."""

    name = PART

    def __init__(self, config: AttributesTrainingConfig, folder: Path) -> None:
        self.config = config
        torch.manual_seed(config.trainer.seed)
        self.network = AttributesNetwork(config.judge)
        if config.start is not None:
            start = load_attributes_judge(config.start).network
            check_form(config.start, start.config, config.judge)
            self.network.load_state_dict(start.state_dict())
        drawing = ("num_clips", "box_jitter", "missing_share")
        key = {name: getattr(config, name) for name in drawing} | {
            "seed": config.trainer.seed,
            "crop_size": config.judge.crop_size,
            "attributes": list(config.judge.attributes),
        }
        self.pool = cached_pool(folder / "pictures.npz", key, lambda: draw_pictures(config))

    def parameter_groups(self) -> list[ParameterGroup]:
        """All of the network."""
        return [ParameterGroup(parameters=dict(self.network.named_parameters()))]

    def training_step(self, generator: torch.Generator, *, progress: float) -> StepOutput:
        """One batch of pictures."""
        del progress
        self.network.train()
        rows = torch.randint(len(self.pool["crops"]), (self.config.batch_size,), generator=generator).numpy()
        pixel_values = to_pixel_values(self.pool["crops"][rows])
        flipped = torch.rand(len(rows), generator=generator) < 0.5
        pixel_values = torch.where(flipped[:, None, None, None], pixel_values.flip(-1), pixel_values)
        zoom, shift = self.config.max_zoom, self.config.max_shift * pixel_values.shape[-1]
        framing = draw_framing(len(rows), generator, zoom=(1 / zoom, zoom), turn=0.06, shift=shift)
        pixel_values = disturb(framing.pictures(pixel_values), generator, self.config.augmentation)
        targets = torch.from_numpy(self.pool["targets"][rows])  # (B, attributes)
        losses, right = [], []
        for column, logits in enumerate(self.network(pixel_values).values()):
            truth = targets[:, column]
            shown = truth != _HIDDEN
            loss = F.cross_entropy(
                logits.float(), truth, ignore_index=_HIDDEN, label_smoothing=0.02, reduction="sum"
            ) / shown.sum().clamp(min=1)
            losses.append(loss)
            right.append((logits.argmax(-1) == truth)[shown].float())
        accuracy = torch.cat(right).mean()
        return StepOutput(loss=torch.stack(losses).mean(), metrics={"accuracy": accuracy.detach()})

    def validate(self) -> Mapping[str, float]:
        """Share of the held-out people of whom each attribute is told right, over both styles and for each."""
        self.network.eval()
        judge = AttributesJudge(self.network)
        right: dict[str, list[float]] = {}
        for style, (height, width), num_frames in HELD_OUT:
            for seed in range(HELD_OUT_SEED, HELD_OUT_SEED + self.config.num_validation_clips):
                spec = sample_scene(seed, split="eval", style=style)
                scene = render_scene(spec, height=height, width=width, num_frames=num_frames)
                for pictures, truth in _people(spec, scene, np.random.default_rng([seed, 37]), self.config):
                    told = judge.judge(pictures)
                    for name, value in truth.items():
                        is_right = float(max(told[name], key=told[name].__getitem__) == value)
                        right.setdefault(f"{name}_accuracy", []).append(is_right)
                        right.setdefault(f"{name}_accuracy_{style.name}".replace("-", "_"), []).append(is_right)
        self.network.train()
        return {
            name: float(np.mean(each))
            for name, each in sorted(right.items(), key=lambda item: "_accuracy_" in item[0])
        }

    def export(self, folder: Path) -> None:
        """Writes weights and config."""
        save_attributes_judge(self.network, folder)


def draw_pictures(config: AttributesTrainingConfig) -> Pool:
    """Draws the pictures that are trained on: two moments of each clip, a second apart.

    Returns:
        `crops` (M, S, S, 3) and `targets` (M, attributes), indices of values, `_HIDDEN` for what is not shown.
    """
    crops: list[UInt8Array] = []
    targets: list[list[int]] = []
    first_seed = config.trainer.seed * 10**7
    for seed in range(first_seed, first_seed + config.num_clips):
        rng = np.random.default_rng([seed, 37])
        height, width = SIZES[int(rng.choice(3, p=(0.4, 0.3, 0.3)))]
        spec = sample_scene(seed, split="judge", style=(EACH_OWN, TOGETHER)[seed % 2])
        scene = render_scene(spec, height=height, width=width, num_frames=2, fps=1.0)
        for pictures, truth in _people(spec, scene, rng, config):
            row = [
                values.index(truth[name]) if name in truth else _HIDDEN
                for name, values in config.judge.attributes.items()
            ]
            crops.extend(pictures)
            targets.extend([row] * len(pictures))
    return {"crops": np.stack(crops), "targets": np.array(targets, np.int64)}


def _people(
    spec: SceneSpec, scene: Scene, rng: np.random.Generator, config: AttributesTrainingConfig
) -> list[tuple[UInt8Array, dict[str, str]]]:
    """Pictures (M, S, S, 3) of each person whom a scene shows, and the truth about what they show."""
    return [
        (
            cut_pictures(scene.frames, boxes, size=config.judge.crop_size),
            spec.people[index].visible_attributes,
        )
        for index, boxes in seen_boxes(spec, scene, rng, config)
    ]
