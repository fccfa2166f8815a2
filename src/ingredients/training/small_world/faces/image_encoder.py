"""Trains the dual encoder on two kinds of pairs: faces with descriptions, and frames of scenes with captions.

Loss: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021), the symmetric
cross-entropy over a batch, once for each kind. Linear heads that read the drawn attributes off the class token,
thrown away afterwards, make up for the small number of steps.

Legend: B batch, M pictures of a pool, S side of a picture, D embedding, C channels.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ingredients.core.arrays import UInt8Array
from ingredients.faces.alignment import crop_ffhq
from ingredients.faces.image_encoder import (
    SPECIAL_WORDS,
    DualEncoder,
    WordTokenizer,
    build_clip,
    preprocess,
    save_dual_encoder,
    split_words,
    text_embeds,
)
from ingredients.faces.pixel_values import to_pixel_values
from ingredients.training.loop.stage import ParameterGroup, StepOutput, WholeStepStage
from ingredients.training.small_world.faces.attributes import FaceAttributeHead, SceneAttributeHead
from ingredients.training.small_world.faces.augmentation import disturb, draw_framing
from ingredients.training.small_world.faces.part_run import Pool, cached_pool
from ingredients.training.small_world.faces.settings import ImageEncoderTrainingConfig
from ingredients.world import (
    Identity,
    SceneSpec,
    describe_portrait,
    describe_scene,
    render_portrait,
    render_scene,
    sample_identity,
    sample_scene,
    vocabulary,
)
from ingredients.world.scenes import VISIBLE, face_states

PART = "image-encoder"
CONFIG_NAME = "config.yaml"

_HELD_OUT_SEED = 3_000_000_000
_NUM_SURVEYED = 3000
"""People whose descriptions are written to know their words."""


class ImageEncoderStage(WholeStepStage):
    """The dual encoder, its two pools and its losses; a `Stage`."""

    name = PART

    def __init__(self, config: ImageEncoderTrainingConfig, folder: Path) -> None:
        self.config = config
        torch.manual_seed(config.trainer.seed)
        sizes = config.image_encoder
        words = known_words()
        self.tokenizer = WordTokenizer(words, max_length=sizes.max_text_length)
        self.clip = build_clip(sizes, vocab_size=len(words) + len(SPECIAL_WORDS))
        self.face_head = FaceAttributeHead(sizes.hidden_size)
        self.scene_head = SceneAttributeHead(sizes.hidden_size)
        seed = config.trainer.seed
        self.scenes = [sample_scene(seed * config.num_scenes + index) for index in range(config.num_scenes)]
        self.sitters = [sample_identity(seed * config.num_portraits + index) for index in range(config.num_portraits)]
        key = {
            "seed": seed,
            "scenes": config.num_scenes,
            "portraits": config.num_portraits,
            "size": sizes.crop_size,
        }
        self.pool = cached_pool(
            folder / "pictures.npz", key, lambda: render_pairs(self.scenes, self.sitters, crop_size=sizes.crop_size)
        )

    def parameter_groups(self) -> list[ParameterGroup]:
        """Both towers and the attribute heads."""
        parts = {"clip": self.clip, "face_head": self.face_head, "scene_head": self.scene_head}
        return [
            ParameterGroup(
                parameters={
                    f"{prefix}.{name}": parameter
                    for prefix, part in parts.items()
                    for name, parameter in part.named_parameters()
                }
            )
        ]

    def training_step(self, generator: torch.Generator, *, progress: float) -> StepOutput:
        """One batch of faces and one of frames, through the image tower together."""
        del progress
        config = self.config
        self.clip.train()
        rng = np.random.default_rng(int(torch.randint(2**40, (1,), generator=generator)))
        face_rows = rng.integers(len(self.pool["faces"]), size=config.face_batch_size)
        frame_rows = rng.integers(len(self.pool["frames"]), size=config.frame_batch_size)
        people = [self._person(row) for row in face_rows]
        scenes = [self.scenes[self.pool["frame_scenes"][row]] for row in frame_rows]
        sentences = [describe_portrait(person, rng) for person in people]
        sentences += [describe_scene(scene.attributes, rng, complete=bool(rng.random() < 0.5)) for scene in scenes]

        pictures = np.concatenate([self.pool["faces"][face_rows], self.pool["frames"][frame_rows]])
        class_tokens = self._class_tokens(pictures, generator)  # (B, C)
        image_embeds = self.clip.visual_projection(class_tokens)
        caption_embeds = text_embeds(self.clip, *self.tokenizer(sentences))
        split = [config.face_batch_size, config.frame_batch_size]
        scale = self.clip.logit_scale.clamp(max=4.6).exp()
        losses = [
            contrastive_loss(images, captions, scale)
            for images, captions in zip(
                torch.split(image_embeds, split), torch.split(caption_embeds, split), strict=True
            )
        ]
        face_tokens, frame_tokens = torch.split(class_tokens, split)
        face_loss, face_right = self.face_head(face_tokens, people)
        frame_loss, frame_right = self.scene_head(frame_tokens, scenes)
        loss = losses[0] + losses[1] + config.attribute_weight * (face_loss + frame_loss)
        return StepOutput(
            loss=loss,
            metrics={
                "face_contrast": losses[0].detach(),
                "frame_contrast": losses[1].detach(),
                "face_attributes": face_right,
                "frame_attributes": frame_right,
                "scale": scale.detach(),
            },
        )

    @torch.no_grad()
    def validate(self) -> Mapping[str, float]:
        """Retrieval on held-out people and scenes."""
        encoder = DualEncoder(copy.deepcopy(self.clip), self.tokenizer, self.config.image_encoder)
        return measure_image_encoder(encoder, num_pairs=self.config.num_validation_pairs)

    def export(self, folder: Path) -> None:
        """Writes the encoder as a folder of its own, in half precision."""
        encoder = DualEncoder(copy.deepcopy(self.clip), self.tokenizer, self.config.image_encoder)
        save_dual_encoder(encoder, folder)

    def _person(self, row: int) -> Identity:
        scene, index = int(self.pool["face_scenes"][row]), int(self.pool["face_people"][row])
        return self.sitters[index] if scene < 0 else self.scenes[scene].people[index]

    def _class_tokens(self, pictures: UInt8Array, generator: torch.Generator) -> Tensor:
        pixel_values = to_pixel_values(pictures)
        size = self.config.image_encoder.crop_size
        framing = draw_framing(len(pictures), generator, zoom=(0.94, 1.06), turn=0.06, shift=0.03 * size)
        pixel_values = disturb(framing.pictures(pixel_values), generator, self.config.augmentation)
        bytes_again = ((pixel_values + 1.0) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        output = self.clip.vision_model(pixel_values=preprocess(bytes_again, crop_size=size))
        class_tokens: Tensor = output.pooler_output
        return class_tokens


def known_words() -> list[str]:
    """Every word of captions and of descriptions, sorted."""
    rng = np.random.default_rng(0)
    words = set(vocabulary())
    for seed in range(_NUM_SURVEYED):
        words.update(split_words(describe_portrait(sample_identity(seed), rng)))
    return sorted(words)


def contrastive_loss(image_embeds: Tensor, caption_embeds: Tensor, scale: Tensor) -> Tensor:
    """Symmetric cross-entropy of a batch of pairs (B, D), each row's partner being the same row.

    Args:
        image_embeds: (B, D), not normalised.
        caption_embeds: (B, D), not normalised.
        scale: inverse temperature.
    """
    with torch.autocast("cpu", enabled=False):  # the scale would enlarge bfloat16's errors
        logits = scale * F.normalize(image_embeds.float(), dim=-1) @ F.normalize(caption_embeds.float(), dim=-1).T
    partners = torch.arange(len(logits))
    return (F.cross_entropy(logits, partners) + F.cross_entropy(logits.T, partners)) / 2


def render_pairs(scenes: Sequence[SceneSpec], sitters: Sequence[Identity], *, crop_size: int) -> Pool:
    """Draws the pictures of the pairs.

    Returns:
        `frames` (M, S, S, 3), squeezed to a square, with `frame_scenes` (M,); `faces` (M', S, S, 3), aligned to the
        FFHQ template, with `face_scenes` (M',) and `face_people` (M',): a person of a scene, or a sitter (scene -1).
    """
    frames: list[UInt8Array] = []
    frame_scenes: list[int] = []
    faces: list[UInt8Array] = []
    owners: list[tuple[int, int]] = []
    for index, spec in enumerate(scenes):
        scene = render_scene(spec, num_frames=2, fps=2.0)
        frames += list(squeeze(scene.frames, crop_size))
        frame_scenes += [index, index]
        for person in np.flatnonzero(face_states(scene)[0] == VISIBLE):
            faces.append(crop_ffhq(scene.frames[0], scene.landmarks[0, person], size=crop_size))
            owners.append((index, int(person)))
    for index, sitter in enumerate(sitters):
        portrait = render_portrait(sitter, _HELD_OUT_SEED + index, size=128)
        faces.append(crop_ffhq(portrait.image, portrait.landmarks, size=crop_size))
        owners.append((-1, index))
    face_scenes, face_people = np.array(owners).T
    return {
        "frames": np.stack(frames),
        "frame_scenes": np.array(frame_scenes),
        "faces": np.stack(faces),
        "face_scenes": face_scenes,
        "face_people": face_people,
    }


def squeeze(frames: UInt8Array, size: int) -> UInt8Array:
    """Frames (F, H, W, 3) resized to a square as `preprocess` does it, still uint8."""
    pixel_values = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
    resized = F.interpolate(pixel_values, size=(size, size), mode="bicubic", antialias=True).clamp(0, 255)
    return resized.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def measure_image_encoder(encoder: DualEncoder, *, num_pairs: int) -> dict[str, float]:
    """Retrieval on held-out pairs.

    Returns:
        `description_rank_1`, `description_rank_5`: share of faces whose own description is the first, or among the
        first five, of all; `person_rank_1`: share of faces nearest to the other photo of the same person;
        `caption_pairwise`: how often a frame is nearer to its own caption than to another scene's;
        `caption_rank_5`: share of frames whose own caption is among the first five of all.
    """
    rng = np.random.default_rng(_HELD_OUT_SEED)
    people = [sample_identity(_HELD_OUT_SEED + index, "eval") for index in range(num_pairs)]
    first, second = (_embed_faces(encoder, people, first_seed=_HELD_OUT_SEED + shift) for shift in (0, num_pairs))
    descriptions = F.normalize(encoder.encode_text([describe_portrait(person, rng) for person in people]), dim=-1)
    specs = [sample_scene(_HELD_OUT_SEED + index, split="eval") for index in range(num_pairs)]
    frames = np.concatenate([render_scene(spec, num_frames=1).frames for spec in specs])
    captions = [describe_scene(spec.attributes, rng, complete=True) for spec in specs]
    relevance = encoder.text_relevance(frames, captions)  # (pairs, pairs)
    others = ~torch.eye(num_pairs, dtype=torch.bool)
    return {
        "description_rank_1": rank_share(first @ descriptions.T, 1),
        "description_rank_5": rank_share(first @ descriptions.T, 5),
        "person_rank_1": rank_share(first @ second.T, 1),
        "caption_pairwise": float((relevance.diagonal()[:, None] > relevance)[others].float().mean()),
        "caption_rank_5": rank_share(relevance, 5),
    }


def rank_share(similarities: Tensor, rank: int) -> float:
    """Share of rows (pairs, pairs) whose diagonal is among the `rank` largest."""
    num_above = (similarities > similarities.diagonal()[:, None]).sum(1)
    return float((num_above < rank).float().mean())


def _embed_faces(encoder: DualEncoder, people: Sequence[Identity], *, first_seed: int) -> Tensor:
    portraits = [render_portrait(person, first_seed + index, size=96) for index, person in enumerate(people)]
    crops = [crop_ffhq(portrait.image, portrait.landmarks, size=encoder.crop_size) for portrait in portraits]
    return F.normalize(encoder.encode(np.stack(crops)).embeds, dim=-1)
