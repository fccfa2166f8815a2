"""Trains the two networks that tell the drawn world from photographs and other drawings, without a photograph.

Drawn people are spoilt in every way that photos of them may be: enlarged, shrunk, blurred, in other light, grey, as a
JPEG, turned, before another backdrop. What is no drawn person is made (`foreign_pictures.py`) and spoilt in the same
ways, so that none of them gives the kind away. The first network learns from whole crops, the second from pieces from
close up as well.

Legend: B batch, M crops of a pool, V views of a crop, S side of what a network sees, H/W pixels.
"""

import copy
import io
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter
from torch import Tensor
from torch.nn import functional as F

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.config import load_config
from ingredients.faces.alignment import ARCFACE_TEMPLATE, crop_arcface
from ingredients.faces.picture_kind import (
    DETAIL,
    WEIGHTS_NAME,
    CloseUpClassifier,
    PictureKind,
    PictureKindClassifier,
    PictureKindNetwork,
    build_picture_kind,
    cut_pieces,
)
from ingredients.faces.pixel_values import crops_to_pixel_values
from ingredients.faces.weights import save_weights
from ingredients.training.loop.stage import ParameterGroup, StepOutput, WholeStepStage, step_generator
from ingredients.training.small_world.faces.augmentation import disturb
from ingredients.training.small_world.faces.foreign_pictures import (
    draw_other_style,
    draw_photographic,
    photographic_from,
    restyled,
)
from ingredients.training.small_world.faces.part_run import (
    Pool,
    cached_pool,
    recalibrate_batch_norm,
    trained_part,
)
from ingredients.training.small_world.faces.settings import (
    PictureKindTrainingConfig,
)
from ingredients.world import Split, render_portrait, render_scene, sample_identity, sample_scene
from ingredients.world.scenes import VISIBLE, face_states
from ingredients.world.styles import STYLES

PART, CLOSE_UP_PART = "picture-kind", "picture-kind-close-ups"
CONFIG_NAME = "config.yaml"

_HELD_OUT_SEED = 1_000_000_000

Picture = tuple[UInt8Array, Float32Array]
"""RGB (H, W, 3), and the landmarks (5, 2) by which its face is cut out."""


class PictureKindStage(WholeStepStage):
    """The network, a pool of crops of each kind, and its loss; a `Stage`."""

    name = PART

    def __init__(self, config: PictureKindTrainingConfig, folder: Path) -> None:
        self.config = config
        torch.manual_seed(config.trainer.seed)
        self.network = PictureKindNetwork(config.picture_kind)
        key = {
            name: getattr(config, name) for name in ("num_portraits", "num_scenes", "num_foreign", "num_spoilt")
        } | {"seed": config.trainer.seed, "size": config.picture_kind.crop_size}
        key |= {"close_ups": config.picture_kind.close_ups}
        self.pool = cached_pool(folder / "crops.npz", key, lambda: render_pool(config))

    def parameter_groups(self) -> list[ParameterGroup]:
        """All of the network."""
        return [ParameterGroup(parameters=dict(self.network.named_parameters()))]

    def training_step(self, generator: torch.Generator, *, progress: float) -> StepOutput:
        """One batch, as many crops of each kind."""
        del progress
        self.network.train()
        pixel_values, kinds = self._batch(generator)
        logits = self.network(pixel_values).float()
        correct = (logits.detach().argmax(1) == kinds).float().mean()
        return StepOutput(loss=F.cross_entropy(logits, kinds), metrics={"accuracy": correct})

    @torch.no_grad()
    def validate(self) -> Mapping[str, float]:
        """What is told of held-out people and pictures."""
        generators = (step_generator(self.config.trainer.seed, -1 - index) for index in range(24))
        recalibrate_batch_norm(self.network, (self._batch(generator)[0] for generator in generators))
        has_close_ups = self.config.picture_kind.close_ups
        classifier_type = CloseUpClassifier if has_close_ups else PictureKindClassifier
        classifier = classifier_type(copy.deepcopy(self.network), self.config.picture_kind)
        return measure_picture_kind(classifier, number=self.config.num_validation)

    def export(self, folder: Path) -> None:
        """Writes the weights, in half precision."""
        save_weights(self.network, folder / WEIGHTS_NAME)

    def _batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Crops (B, 3, S, S) and their kinds (B,)."""
        crops, kinds = [], []
        for kind in PictureKind:
            pool = self.pool[kind.name]
            number = self.config.batch_size // len(PictureKind)
            chosen = torch.randint(len(pool), (number,), generator=generator).numpy()
            crops.append(pool[chosen, torch.randint(pool.shape[1], (number,), generator=generator).numpy()])
            kinds += [int(kind)] * number
        pixel_values = crops_to_pixel_values(np.concatenate(crops))
        mirrored = torch.rand(len(kinds), 1, 1, 1, generator=generator) < 0.5
        pixel_values = torch.where(mirrored, pixel_values.flip(-1), pixel_values)
        return disturb(pixel_values, generator, self.config.augmentation), torch.tensor(kinds)


def render_pool(config: PictureKindTrainingConfig) -> Pool:
    """Crops (M, V, S, S, 3) of each kind, by its name: a face as a whole, and with close-ups a piece of it."""
    seed = config.trainer.seed
    pictures: dict[PictureKind, Iterable[Picture]] = {
        PictureKind.DRAWN_WORLD: itertools.chain(
            draw_portraits(seed * config.num_portraits, config.num_portraits),
            draw_frames(seed * config.num_scenes, config.num_scenes),
        )
    }
    for kind in (PictureKind.OTHER_STYLE, PictureKind.PHOTOGRAPH):
        pictures[kind] = draw_foreign(kind, seed * config.num_foreign, config.num_foreign)
    return {
        kind.name: _render_views(of_kind, np.random.default_rng([seed, 53, kind]), config)
        for kind, of_kind in pictures.items()
    }


def _render_views(
    pictures: Iterable[Picture], rng: np.random.Generator, config: PictureKindTrainingConfig
) -> UInt8Array:
    size = config.picture_kind.crop_size
    if not config.picture_kind.close_ups:
        return np.stack([crop[None] for crop in _spoilt_crops(pictures, rng, size, config.num_spoilt)])
    views = []
    for crop in _spoilt_crops(pictures, rng, DETAIL * size, config.num_spoilt):
        middle = (float(rng.uniform(0.3, 0.7)), float(rng.uniform(0.32, 0.75)))
        whole = cut_pieces(crop[None], (0.5, 0.5), float(rng.uniform(0.85, 1.0)))
        views.append(np.concatenate([whole, cut_pieces(crop[None], middle, 1 / DETAIL)]))
    return np.stack(views)


def measure_picture_kind(classifier: PictureKindClassifier, *, number: int) -> dict[str, float]:
    """What is told of held-out people and pictures, spoilt as in training.

    Returns:
        For each kind, `KIND_right`: the share that is told right; `drawn_world_refused`: the share of drawn people
        that is taken for a photograph; `drawn_world_low`: what one in a hundred of them scores less than as such.
    """
    pictures: dict[PictureKind, Iterable[Picture]] = {
        PictureKind.DRAWN_WORLD: itertools.chain(
            draw_portraits(_HELD_OUT_SEED, number, split="eval"), draw_frames(_HELD_OUT_SEED, number, split="eval")
        )
    }
    for kind in (PictureKind.OTHER_STYLE, PictureKind.PHOTOGRAPH):
        pictures[kind] = draw_foreign(kind, _HELD_OUT_SEED, number, split="eval")
    metrics: dict[str, float] = {}
    for kind, of_kind in pictures.items():
        rng = np.random.default_rng([_HELD_OUT_SEED, kind])
        crops = np.stack(list(_spoilt_crops(of_kind, rng, classifier.crop_side, 1)))
        looks = classifier.look_at_crops(crops)
        metrics[f"{kind.name.lower()}_right"] = float(np.mean([look.kind is kind for look in looks]))
        if kind is PictureKind.DRAWN_WORLD:
            refused = [look.kind is PictureKind.PHOTOGRAPH for look in looks]
            metrics["drawn_world_refused"] = float(np.mean(refused))
            metrics["drawn_world_low"] = float(np.quantile([look.drawn_world for look in looks], 0.01))
    return metrics


def _spoilt_crops(
    pictures: Iterable[Picture], rng: np.random.Generator, side: int, num_spoilt: int
) -> Iterator[UInt8Array]:
    """Aligned crops (side, side, 3); one of ten as it is."""
    for picture in pictures:
        for _ in range(num_spoilt):
            image, landmarks = spoil(picture, rng) if rng.random() < 0.9 else picture
            yield crop_arcface(image, landmarks, size=side)


def load_trained_picture_kind(output: Path) -> PictureKindClassifier:
    """The network of the part in `output`, and the second one if there is one.

    Raises:
        ModelFolderError: if there is no first one.
    """
    folder = trained_part(output, PART, WEIGHTS_NAME)
    has_second = (output / CLOSE_UP_PART / WEIGHTS_NAME).is_file()
    return _load_part(folder, _load_part(output / CLOSE_UP_PART) if has_second else None)


def _load_part(folder: Path, second: PictureKindClassifier | None = None) -> PictureKindClassifier:
    config = load_config(PictureKindTrainingConfig, folder / CONFIG_NAME)
    return build_picture_kind(config.picture_kind, folder / WEIGHTS_NAME, second)


_PORTRAIT_SIZES = (48, 64, 96, 128, 192, 256)
_SCENE_SIZES = ((64, 96), (64, 96), (128, 192))
_FOREIGN_SIZES = {PictureKind.OTHER_STYLE: (48, 64, 96, 128, 192), PictureKind.PHOTOGRAPH: (64, 96, 128)}
_BACKDROP_CHANCE = 0.35


def draw_portraits(first_seed: int, number: int, *, split: Split = "train") -> Iterator[Picture]:
    """Portraits, every third before a backdrop that is no drawing."""
    for seed in range(first_seed, first_seed + number):
        rng = np.random.default_rng([seed, 41])
        size = int(rng.choice(_PORTRAIT_SIZES))
        portrait = render_portrait(sample_identity(seed, split), seed, size=size)
        image = portrait.image
        if rng.random() < _BACKDROP_CHANCE:
            image = np.where(portrait.person_mask[..., None], image, draw_photographic(rng, size))
        yield image, portrait.landmarks


def draw_frames(first_seed: int, number: int, *, split: Split = "train") -> Iterator[Picture]:
    """Faces of single frames of clips."""
    for seed in range(first_seed, first_seed + number):
        rng = np.random.default_rng([seed, 43])
        height, width = _SCENE_SIZES[int(rng.integers(len(_SCENE_SIZES)))]
        style = tuple(STYLES.values())[seed % len(STYLES)]
        spec = sample_scene(seed, split=split, style=style)
        scene = render_scene(spec, height=height, width=width, num_frames=2, fps=1.0)
        frame = scene.frames[1]
        if rng.random() < _BACKDROP_CHANCE:
            backdrop = draw_photographic(rng, width)[:height]
            frame = np.where(scene.person_masks[1].any(0)[..., None], frame, backdrop)
        for person in np.flatnonzero(face_states(scene)[1] == VISIBLE):
            yield frame, scene.landmarks[1, person]


def draw_foreign(kind: PictureKind, first_seed: int, number: int, *, split: Split = "train") -> Iterator[Picture]:
    """Pictures that are not of the drawn world, and something in them that a detector may have taken for a face."""
    for seed in range(first_seed, first_seed + number):
        rng = np.random.default_rng([seed, 47, kind])
        size = int(rng.choice(_FOREIGN_SIZES[kind]))
        template = np.asarray(ARCFACE_TEMPLATE, np.float32)
        is_from_the_world = rng.random() < 0.35
        if is_from_the_world:
            portrait = render_portrait(sample_identity(seed, split), seed, size=2 * size)
            change = photographic_from if kind is PictureKind.PHOTOGRAPH else restyled
            image = change(crop_arcface(portrait.image, portrait.landmarks, size=size), rng)
        else:
            image = (draw_photographic if kind is PictureKind.PHOTOGRAPH else draw_other_style)(rng, size)
        zoom, angle = float(np.exp(rng.uniform(-0.35, 0.25))), float(rng.uniform(-0.25, 0.25))
        turn = zoom * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        landmarks = (template - 0.5) @ turn.T + 0.5 + rng.normal(0, 0.05, 2)
        margin = size // 2  # so that a crop ends where the picture does no more often than a drawn face's
        image = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
        yield image, (landmarks * size + margin).astype(np.float32)


def spoil(picture: Picture, rng: np.random.Generator) -> Picture:
    """A picture as it may come: of another size, in another light, blurred, noisy, grey, as a JPEG."""
    image, landmarks = picture
    photo = Image.fromarray(image)
    face_size = float(np.linalg.norm(landmarks[1] - landmarks[0])) * 2.3
    if rng.random() < 0.6:
        scale = float(np.exp(rng.uniform(math.log(max(18.0 / face_size, 0.25)), math.log(2.5))))
        size = (max(round(photo.width * scale), 8), max(round(photo.height * scale), 8))
        stretch = np.array([size[0] / photo.width, size[1] / photo.height], np.float32)
        photo, landmarks = photo.resize(size, _FILTERS[int(rng.integers(len(_FILTERS)))]), landmarks * stretch
        face_size *= scale
    if rng.random() < 0.12:
        photo, landmarks = _turn(photo, landmarks, float(rng.uniform(-20, 20)), rng)
    if rng.random() < 0.2:  # cut off close to the face
        low, high = landmarks.min(axis=0), landmarks.max(axis=0)
        left, top = np.clip(low - rng.uniform(0.2, 1.0, 2) * face_size, 0, None).astype(int).tolist()
        right, bottom = np.ceil(high + rng.uniform(0.2, 1.0, 2) * face_size).astype(int).tolist()
        photo = photo.crop((left, top, min(right, photo.width), min(bottom, photo.height)))
        landmarks = landmarks - np.array([left, top], np.float32)
    if rng.random() < 0.25:
        photo = photo.convert("L").convert("RGB")
    for enhancer, low, high in (
        (ImageEnhance.Brightness, 0.35, 1.9),
        (ImageEnhance.Contrast, 0.45, 1.7),
        (ImageEnhance.Color, 0.3, 1.8),
    ):
        if rng.random() < 0.3:
            photo = enhancer(photo).enhance(float(rng.uniform(low, high)))
    if rng.random() < 0.3:
        gains = rng.uniform(0.65, 1.3, 3)
        photo = Image.fromarray(np.clip(np.asarray(photo) * gains, 0, 255).astype(np.uint8))
    if rng.random() < 0.3:
        photo = photo.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.005, 0.05)) * face_size))
    if rng.random() < 0.2:
        noise = rng.normal(0, float(rng.uniform(1, 9)), (photo.height, photo.width, 3))
        photo = Image.fromarray(np.clip(np.asarray(photo) + noise, 0, 255).astype(np.uint8))
    if rng.random() < 0.5:
        stored = io.BytesIO()
        photo.save(stored, "JPEG", quality=int(rng.integers(20, 96)))
        photo = Image.open(stored)
    error = rng.normal(0, 0.025 * face_size, (5, 2)) + rng.normal(0, 0.02 * face_size, 2)
    return np.asarray(photo), (landmarks + error).astype(np.float32)


def _turn(
    photo: Image.Image, landmarks: Float32Array, degrees: float, rng: np.random.Generator
) -> tuple[Image.Image, Float32Array]:
    """A picture turned about its middle; its corners show one colour."""
    corners = (0, 0, 0) if rng.random() < 0.6 else tuple(rng.integers(0, 256, 3).tolist())
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    middle = np.array([photo.width, photo.height]) / 2
    turned = photo.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=corners)
    return turned, ((landmarks - middle) @ turn.T + middle).astype(np.float32)


_FILTERS = (
    Image.Resampling.NEAREST,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    Image.Resampling.BOX,
)
