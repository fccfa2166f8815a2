"""Trains the recogniser, and the judge: two architectures, other people, one loss.

Loss: Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition" (2019), Eq. 3.

Legend: B batch, M crops of a pool, N people of a scene, S side of a crop, D embedding.
"""

import copy
import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ingredients.core.arrays import UInt8Array
from ingredients.faces.alignment import crop_arcface
from ingredients.faces.detector import HeatmapFaceDetector
from ingredients.faces.judge_recogniser import DepthwiseFaceNetwork
from ingredients.faces.pixel_values import crops_to_pixel_values
from ingredients.faces.recogniser import ArcFaceRecogniser, ResidualFaceNetwork
from ingredients.faces.weights import save_weights
from ingredients.training.loop.stage import ParameterGroup, StepOutput, WholeStepStage, step_generator
from ingredients.training.small_world.faces.attributes import FaceAttributeHead
from ingredients.training.small_world.faces.augmentation import disturb, draw_framing
from ingredients.training.small_world.faces.detector import load_trained_detector
from ingredients.training.small_world.faces.part_run import Pool, cached_pool, recalibrate_batch_norm
from ingredients.training.small_world.faces.settings import (
    FAMILY_SIZE,
    JudgeTrainingConfig,
    RecogniserTrainingConfig,
    RecognitionTrainingConfig,
)
from ingredients.training.small_world.faces.verification import measure_recogniser
from ingredients.world import Identity, Split, render_portrait, render_scene, sample_identity, sample_scene
from ingredients.world.scenes import VISIBLE, face_states

RECOGNISER_PART, JUDGE_PART = "recogniser", "judge"
RECOGNISER_WEIGHTS_NAME, JUDGE_WEIGHTS_NAME = "recogniser.safetensors", "judge.safetensors"
CONFIG_NAME = "config.yaml"

_TWIN_SEED_STEP = 10_000_000
_PORTRAIT_SIZES = (48, 64, 96, 128, 192)


class ArcFaceHead(nn.Module):
    """Class directions, and ArcFace's loss against them; thrown away after training."""

    def __init__(self, embedding_dim: int, num_classes: int, *, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.directions = nn.Parameter(torch.randn(num_classes, embedding_dim) * 0.05)

    def forward(self, embeds: Tensor, classes: Tensor, *, margin: float) -> tuple[Tensor, Tensor]:
        """Loss and share of crops whose own class is the nearest (before the margin).

        Args:
            embeds: (B, D), not normalised.
            classes: (B,) long.
            margin: radians.
        """
        with torch.autocast("cpu", enabled=False):  # angles need all their digits
            cosines = F.normalize(embeds.float(), dim=-1) @ F.normalize(self.directions, dim=-1).T  # (B, classes)
        own = cosines.gather(1, classes[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)
        # cos(angle + margin); where the angle would pass pi, falling on linearly keeps the loss monotonic
        widened = own * math.cos(margin) - (1 - own.square()).sqrt() * math.sin(margin)
        widened = torch.where(own > -math.cos(margin), widened, own - margin * math.sin(margin))
        logits = self.scale * cosines.scatter(1, classes[:, None], widened)
        correct = (cosines.detach().argmax(1) == classes).float().mean()
        return F.cross_entropy(logits, classes), correct


class RecognitionStage(WholeStepStage):
    """A recogniser, its pool of crops and ArcFace's head; a `Stage`."""

    def __init__(
        self,
        network: nn.Module,
        config: RecognitionTrainingConfig,
        *,
        name: str,
        weights_name: str,
        split: Split,
        crop_size: int,
        embedding_dim: int,
        folder: Path,
        detector: HeatmapFaceDetector,
    ) -> None:
        self._name = name
        self.network = network
        self.config = config
        self.weights_name = weights_name
        self.crop_size = crop_size
        self.embedding_dim = embedding_dim
        self.detector = detector
        self.people = draw_people(config.num_people, first_seed=config.trainer.seed * config.num_people, split=split)
        self.head = ArcFaceHead(embedding_dim, config.num_people, scale=config.scale)
        self.attribute_head = FaceAttributeHead(embedding_dim)
        key = {
            name: getattr(config, name)
            for name in ("num_people", "num_group_scenes", "num_pair_scenes", "num_portraits")
        } | {"seed": config.trainer.seed, "split": split, "crop_size": crop_size, "families": "with twins"}
        self.pool = cached_pool(
            folder / "crops.npz", key, lambda: render_crop_pool(self.people, config, crop_size=crop_size)
        )

    @property
    def name(self) -> str:
        """Name of the part."""
        return self._name

    def parameter_groups(self) -> list[ParameterGroup]:
        """The network, and the heads without decay."""
        heads = {"head": self.head, "attribute_head": self.attribute_head}
        return [
            ParameterGroup(parameters={f"network.{name}": part for name, part in self.network.named_parameters()}),
            ParameterGroup(
                parameters={
                    f"{prefix}.{name}": part
                    for prefix, head in heads.items()
                    for name, part in head.named_parameters()
                },
                weight_decay=0.0,
            ),
        ]

    def training_step(self, generator: torch.Generator, *, progress: float) -> StepOutput:
        """One batch of crops of random people."""
        self.network.train()
        pixel_values, classes = self._batch(generator)
        margin = self.config.margin * min(progress / max(self.config.margin_warmup, 1e-6), 1.0)
        embeds = self.network(pixel_values)
        arcface_loss, correct = self.head(embeds, classes, margin=margin)
        people = [self.people[index] for index in classes.tolist()]
        attribute_loss, attributes = self.attribute_head(embeds, people)
        return StepOutput(
            loss=arcface_loss + self.config.attribute_weight * attribute_loss,
            metrics={"arcface": arcface_loss.detach(), "accuracy": correct, "attributes": attributes},
        )

    @torch.no_grad()
    def validate(self) -> Mapping[str, float]:
        """Verification and identification on held-out people, faces found by the real detector."""
        generators = (step_generator(self.config.trainer.seed, -1 - index) for index in range(24))
        recalibrate_batch_norm(self.network, (self._batch(generator)[0] for generator in generators))
        recogniser = ArcFaceRecogniser(
            copy.deepcopy(self.network), crop_size=self.crop_size, embedding_dim=self.embedding_dim
        )
        return measure_recogniser(recogniser, self.detector, num_clips=self.config.num_validation_clips)

    def export(self, folder: Path) -> None:
        """Writes the network in half precision."""
        save_weights(self.network, folder / self.weights_name)

    def _batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Disturbed crops (B, 3, S, S) and their classes (B,)."""
        rows = torch.randint(len(self.pool["crops"]), (self.config.batch_size,), generator=generator).numpy()
        pixel_values = crops_to_pixel_values(self.pool["crops"][rows])
        framing = draw_framing(
            len(rows), generator, zoom=(0.92, 1.08), turn=0.09, shift=0.035 * self.crop_size
        )  # as far as the detector's landmarks stray
        pixel_values = disturb(framing.pictures(pixel_values), generator, self.config.augmentation)
        return pixel_values, torch.from_numpy(self.pool["people"][rows])


def draw_people(num_people: int, *, first_seed: int, split: Split) -> list[Identity]:
    """People of a split, in families of four who share skin, hair colour and hat.

    The last of a family is the first one's twin, who has the same hair style, glasses and beard too.
    """
    people: list[Identity] = []
    for index in range(num_people):
        place = index % FAMILY_SIZE
        first = people[index - place] if place else None
        if first is not None and place == FAMILY_SIZE - 1:
            people.append(_draw_twin(first, first_seed + index, split))
        else:
            people.append(sample_identity(first_seed + index, split, like=first))
    return people


def _draw_twin(first: Identity, first_seed: int, split: Split) -> Identity:
    for seed in itertools.count(first_seed, step=_TWIN_SEED_STEP):  # until one belongs to the split
        person = sample_identity(seed, split, like=first)
        twin = dataclasses.replace(person, hair_style=first.hair_style, glasses=first.glasses, beard=first.beard)
        if twin.split == split:
            return twin
    raise AssertionError("itertools.count never ends")


def render_crop_pool(people: Sequence[Identity], config: RecognitionTrainingConfig, *, crop_size: int) -> Pool:
    """Aligned crops of every person: from scenes at the video's size, and from portraits at many sizes.

    Returns:
        `crops` (M, S, S, 3) and `people` (M,): each crop's class.
    """
    seed = config.trainer.seed
    crops: list[UInt8Array] = []
    classes: list[int] = []
    rng = np.random.default_rng([seed, 5])
    scene_seed = seed * 1_000_000
    for size, num_rounds in ((4, config.num_group_scenes), (2, config.num_pair_scenes)):
        for _ in range(num_rounds):
            for members in rng.permutation(len(people)).reshape(-1, size).tolist():
                scene_seed += 1
                _add_scene_crops(
                    [people[member] for member in members], members, scene_seed, crop_size, crops, classes
                )
    for index, person in enumerate(people):
        for _ in range(config.num_portraits):
            scene_seed += 1
            portrait = render_portrait(person, scene_seed, size=int(rng.choice(_PORTRAIT_SIZES)))
            crops.append(crop_arcface(portrait.image, portrait.landmarks, size=crop_size))
            classes.append(index)
    return {"crops": np.stack(crops), "people": np.array(classes)}


def _add_scene_crops(
    people: Sequence[Identity],
    members: Sequence[int],
    seed: int,
    crop_size: int,
    crops: list[UInt8Array],
    classes: list[int],
) -> None:
    scene = render_scene(sample_scene(seed, people=people), num_frames=2, fps=2.0)
    for frame, index in np.argwhere(face_states(scene) == VISIBLE):
        crops.append(crop_arcface(scene.frames[frame], scene.landmarks[frame, index], size=crop_size))
        classes.append(members[index])


def recogniser_stage(config: RecogniserTrainingConfig, folder: Path) -> RecognitionStage:
    """The stage of the recogniser that conditions the videos.

    Raises:
        ModelFolderError: if the detector is not trained yet.
    """
    return _stage(config, config.recogniser, ResidualFaceNetwork, folder, RECOGNISER_WEIGHTS_NAME, "train")


def judge_stage(config: JudgeTrainingConfig, folder: Path) -> RecognitionStage:
    """The stage of the judge, on people of its own split; raises as `recogniser_stage`."""
    return _stage(config, config.judge, DepthwiseFaceNetwork, folder, JUDGE_WEIGHTS_NAME, "judge")


def _stage(
    config: RecogniserTrainingConfig | JudgeTrainingConfig,
    sizes: Any,
    network_type: Callable[[Any], nn.Module],
    folder: Path,
    weights_name: str,
    split: Split,
) -> RecognitionStage:
    detector = load_trained_detector(folder.parent)
    torch.manual_seed(config.recognition.trainer.seed)
    return RecognitionStage(
        network_type(sizes),
        config.recognition,
        name=folder.name,
        weights_name=weights_name,
        split=split,
        crop_size=sizes.crop_size,
        embedding_dim=sizes.embedding_dim,
        folder=folder,
        detector=detector,
    )
