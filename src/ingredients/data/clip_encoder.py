"""Encodes clips for training: latents, captions, faces and routing targets, each computed once.

Legend: B clips, F frames, f latent frames, N people, R references of one person, H/W pixels, h/w latent grid, L video
tokens, P image-encoder tokens, C channels.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F

from ingredients.core.arrays import BoolArray, Float32Array, Int64Array
from ingredients.core.errors import PhotographError, UserInputError
from ingredients.core.protocols import FaceRecogniser, ImageEncoder
from ingredients.data.clip_example import ClipExample, ReferencePhoto
from ingredients.data.encoded_clips import EncodedClip, EncodedPerson
from ingredients.data.encoding_settings import EncoderConfig
from ingredients.data.latents import encode_clips, video_to_pixels
from ingredients.data.lent_references import WHOLE_AND_ALONE
from ingredients.data.routing_targets import (
    boxes_to_masks,
    decide_routing_targets,
    nearest_person_targets,
    token_coverage,
    trilinear_routing_targets,
)
from ingredients.faces.alignment import crop_ffhq
from ingredients.faces.facial_extractor import scale_recogniser
from ingredients.faces.picture_kind import PictureKind, PictureKindClassifier
from ingredients.models.backbones import VideoVae, backbone_of_vae

EncodePrompts = Callable[[Sequence[str]], torch.Tensor]
"""Captions to their embeddings (B, T, D)."""
FindPhrases = Callable[[str, Sequence[str | None]], torch.Tensor]
"""A caption, and the words in it that stand for each of N people, to the text tokens (N, T) that do."""


class ClipEncoder:
    """Encodes clips by the frozen parts of a model.

    Args:
        vae: encodes frames.
        encode_prompts: encodes captions.
        find_phrases: finds the text tokens that stand for people; None keeps none.
        recogniser: embeds faces.
        image_encoder: gives the semantic embedding and the hidden states.
        canvas_crop_size: side of the crops for the canvas.
        patch_size: latents of a video token each way.
        patch_size_t: latent frames of a video token; None as 1.
        config: what is kept.
        picture_kind: tells drawings from photographs, for face networks that know drawings only; None asks nobody.

    Raises:
        UserInputError: if the recogniser gives no feature maps and they are asked for.
    """

    def __init__(
        self,
        *,
        vae: VideoVae,
        encode_prompts: EncodePrompts,
        find_phrases: FindPhrases | None = None,
        recogniser: FaceRecogniser,
        image_encoder: ImageEncoder,
        canvas_crop_size: int,
        patch_size: int,
        patch_size_t: int | None = None,
        config: EncoderConfig,
        picture_kind: PictureKindClassifier | None = None,
    ) -> None:
        if config.scale_source == "recognition_and_clip":
            scale_recogniser(recogniser)
        self.vae = vae
        self.encode_prompts = encode_prompts
        self.find_phrases = find_phrases
        self.recogniser = recogniser
        self.image_encoder = image_encoder
        self.canvas_crop_size = canvas_crop_size
        self.patch_size = patch_size
        self.patch_size_t = patch_size_t
        self.config = config
        self.picture_kind = picture_kind
        self.dtype = cast(torch.dtype, getattr(torch, config.dtype))
        self._prompt_embeds: dict[str, torch.Tensor] = {}

    def check(self, example: ClipExample) -> None:
        """Says whether a clip has what is kept of it.

        Raises:
            UserInputError: if a person has no reference: no photo, and no frame that counts as one; or if one is a
                photograph, and the face networks know drawings only.
        """
        for person, photos in enumerate(example.references):
            in_view = np.isfinite(example.landmarks[:, person]).all(axis=(1, 2)).any()
            if not photos and not (in_view and self.config.num_frame_references):
                raise UserInputError(
                    f"Person {person} has no reference: no photo shows the face, and "
                    + ("no frame does." if self.config.num_frame_references else "frames of the clip are not taken.")
                )
            if any(self._is_photograph(reference) for reference in self._references(example, person)):
                raise PhotographError(
                    f"Person {person} looks photographed, and these face networks know drawn people only; take some "
                    "for photographs by --face-encoder, or take clips and photos all the same by --allow-photographs."
                )

    def _is_photograph(self, reference: ReferencePhoto) -> bool:
        if self.picture_kind is None:
            return False
        return self.picture_kind.look(reference.image, reference.landmarks).kind is PictureKind.PHOTOGRAPH

    @torch.no_grad()
    def encode(self, examples: Sequence[ClipExample]) -> list[EncodedClip]:
        """Encodes clips of one size together, with which `check` found no fault.

        Raises:
            ValueError: if the sizes differ.
        """
        pixels = video_to_pixels(np.stack([example.frames for example in examples]))
        latents = encode_clips(self.vae, pixels.to(self.vae.device, self.vae.dtype))  # (B, f, C, h, w)
        prompt_embeds = self.encode_captions([example.caption for example in examples])
        references = [
            [self._references(example, person) for person in range(example.num_people)] for example in examples
        ]
        photos = [photo for people in references for person in people for photo in person]
        people = iter(self._encode_photos(photos))
        return [
            EncodedClip(
                clip_id=example.clip_id,
                caption=example.caption,
                latents=latents[row].to("cpu", self.dtype),
                prompt_embeds=prompt_embeds[row],
                face_landmarks=torch.from_numpy(example.landmarks[0]),
                frame_landmarks=torch.from_numpy(example.landmarks) if self._keeps_frames else None,
                phrase_tokens=self._phrase_tokens(example),
                people=tuple(
                    _join_references(person_id, kept, [next(people) for _ in kept])
                    for person_id, kept in zip(example.person_ids, references[row], strict=True)
                ),
                **self._targets(example, grid=cast(tuple[int, int], tuple(latents.shape[-2:]))),
            )
            for row, example in enumerate(examples)
        ]

    def widths(self) -> dict[str, int]:
        """What the transformer must agree with, by its own names: widths of a face's features, tokens, patches."""
        size = self.image_encoder.crop_size
        features = self.image_encoder.encode(np.zeros((1, size, size, 3), np.uint8))
        widths = {
            "id_recognition_dim": self.recogniser.embedding_dim,
            "id_semantic_dim": features.embeds.shape[-1],
            "id_vit_dim": features.hidden_states[0].shape[-1],
            "max_text_seq_length": len(self.encode_captions([""])[0]),
            "patch_size": self.patch_size,
            **({} if self.patch_size_t is None else {"patch_size_t": self.patch_size_t}),
        }
        if self.config.scale_source == "recognition_and_clip":
            size, num_patches = self.recogniser.crop_size, features.hidden_states[0].shape[1]
            crop = np.zeros((1, size, size, 3), np.uint8)
            maps = scale_recogniser(self.recogniser).scale_features(crop, num_patches=num_patches)
            widths["recognition_map_dim"] = maps[0].shape[-1]
        return widths

    def encode_captions(self, captions: Sequence[str]) -> list[torch.Tensor]:
        """Embeddings (T, D) of captions; what was encoded lately is not encoded again."""
        unknown = sorted({caption for caption in captions if caption not in self._prompt_embeds})
        if unknown:
            kept = {caption: self._prompt_embeds[caption] for caption in captions if caption not in unknown}
            if len(self._prompt_embeds) > _MANY_CAPTIONS:
                self._prompt_embeds = kept
            embeds = self.encode_prompts(unknown).to("cpu", self.dtype)
            self._prompt_embeds |= dict(zip(unknown, (row.clone() for row in embeds), strict=True))
        return [self._prompt_embeds[caption] for caption in captions]

    @property
    def _keeps_frames(self) -> bool:
        """Whether each latent frame is a picture by itself, which training on images can take any of."""
        return backbone_of_vae(self.vae).temporal_ratio(self.vae.config) == 1

    def _phrase_tokens(self, example: ClipExample) -> torch.Tensor | None:
        if self.find_phrases is None or not example.phrases:
            return None
        return self.find_phrases(example.caption, example.phrases)

    def _references(self, example: ClipExample, person: int) -> list[ReferencePhoto]:
        in_view = np.asarray(np.isfinite(example.landmarks).all(axis=(2, 3)))  # (F, N)
        if self.config.frame_choice == "shared":
            order = self._shuffled(np.arange(len(in_view)), f"frames {example.clip_id}")
            order = order[np.argsort(-in_view[order].sum(axis=1), kind="stable")]
            order = order[in_view[order, person]]
        else:
            order = self._shuffled(np.flatnonzero(in_view[:, person]), f"{person} {example.clip_id}")
        frames = [
            ReferencePhoto(
                image=example.frames[index], landmarks=example.landmarks[index, person], kind="frame", frame=index
            )
            for index in order[: self.config.num_frame_references].tolist()
        ]
        return [*frames, *example.references[person]]

    def _shuffled(self, values: Int64Array, purpose: str) -> Int64Array:
        digest = hashlib.sha256(f"{self.config.seed} {purpose}".encode()).digest()
        return np.random.default_rng(list(digest)).permutation(values)

    def _encode_photos(
        self, photos: Sequence[ReferencePhoto]
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """For each photo: embedding (E,), hidden states (5, P, C) and the crop (S, S, 3) for the canvas."""
        faces = [crop_ffhq(photo.image, photo.landmarks, size=self.image_encoder.crop_size) for photo in photos]
        tight = np.stack([self.recogniser.align(photo.image, photo.landmarks) for photo in photos])
        features = self.image_encoder.encode(np.stack(faces))
        hidden_states = torch.stack(list(features.hidden_states), dim=1)  # (photos, 5, P, C)
        if self.config.scale_source == "recognition_and_clip":
            maps = scale_recogniser(self.recogniser).scale_features(tight, num_patches=hidden_states.shape[2])
            hidden_states = torch.cat([hidden_states, torch.stack(list(maps), dim=1).to(hidden_states)], dim=-1)
        recognition = self.recogniser.embed(tight)
        embeds = torch.cat([recognition, F.normalize(features.embeds, dim=-1).to(recognition)], dim=-1)
        canvas_crops = [
            torch.from_numpy(np.array(crop_ffhq(photo.image, photo.landmarks, size=self.canvas_crop_size)))
            for photo in photos
        ]
        yield from zip(embeds.to("cpu", self.dtype), hidden_states.to("cpu", self.dtype), canvas_crops, strict=True)

    def _targets(self, example: ClipExample, *, grid: tuple[int, int]) -> dict[str, torch.Tensor]:
        height, width = example.frames.shape[1:3]
        tokens = (grid[0] // self.patch_size, grid[1] // self.patch_size)
        cover = functools.partial(
            token_coverage,
            grid=tokens,
            temporal_compression=backbone_of_vae(self.vae).temporal_ratio(self.vae.config),
            patch_size_t=self.patch_size_t,
        )  # masks (F, N, H, W) to (N, f, rows, columns)

        def decide(masks: BoolArray) -> Int64Array:
            if self.config.mask_resize == "trilinear":
                return trilinear_routing_targets(masks, **cover.keywords)
            return decide_routing_targets(cover(masks))

        routing_targets = decide(example.face_masks)
        box_masks = boxes_to_masks(example.boxes, height=height, width=width)
        person_masks = example.face_masks if example.person_masks is None else example.person_masks
        centres = _carry(example.landmarks.mean(axis=2)) / np.array([width, height], np.float32)  # (F, N, 2)
        nearest_targets = nearest_person_targets(
            routing_targets,
            cover(person_masks),
            np.asarray(centres, np.float32),
            temporal_compression=cover.keywords["temporal_compression"],
            patch_size_t=self.patch_size_t,
        )
        targets = {
            "routing_targets": routing_targets,
            "box_targets": decide(box_masks),
            "nearest_targets": nearest_targets,
        }
        return {name: torch.from_numpy(values).to(torch.int8) for name, values in targets.items()}


_MANY_CAPTIONS = 2000


def encode_all(encoder: ClipEncoder, examples: Iterable[ClipExample], *, batch_size: int) -> Iterator[EncodedClip]:
    """Encodes clips in their order, those of one size that follow each other together."""
    batch: list[ClipExample] = []
    for example in examples:
        if batch and (len(batch) == batch_size or example.frames.shape != batch[0].frames.shape):
            yield from encoder.encode(batch)
            batch = []
        batch.append(example)
    if batch:
        yield from encoder.encode(batch)


def vae_digest(vae: VideoVae) -> str:
    """A digest of what a VAE encodes by: its decoder can be trained further without encoding anything anew.

    It is the same for float32 and float16; bfloat16 has lost digits.
    """
    digest = hashlib.sha256(str(vae.config.scaling_factor).encode())
    for name, tensor in sorted(vae.encoder.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().half().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def describe(
    encoder: ClipEncoder, *, parts: Mapping[str, str], source: Mapping[str, Any], reading: Mapping[str, Any]
) -> dict[str, Any]:
    """What encoded clips are made from, as `claim_folder` keeps it."""
    lent_faces = {"lent_faces": WHOLE_AND_ALONE} if reading.get("lent_references") else {}
    return {
        "parts": dict(parts),
        "source": dict(source),
        "reading": _without_later(reading) | lent_faces,
        "encoder": _without_later(dataclasses.asdict(encoder.config)),
        "widths": encoder.widths(),
    }


_LATER_SETTINGS: Mapping[str, Any] = {"frame_choice": "each", "mask_resize": "coverage", "lent_references": 0}
"""What earlier versions did, and did not say: folders that were begun by them can go on."""


def _without_later(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in settings.items()
        if name not in _LATER_SETTINGS or value != _LATER_SETTINGS[name]
    }


def has_shared_frames(description: Mapping[str, Any]) -> bool:
    """Whether the people of encoded clips were taken from common frames."""
    return bool(description.get("encoder", {}).get("frame_choice") == "shared")


def _join_references(
    person_id: str | None,
    photos: Sequence[ReferencePhoto],
    features: Sequence[tuple[torch.Tensor, torch.Tensor, torch.Tensor]],
) -> EncodedPerson:
    embeds, hidden_states, canvas_crops = zip(*features, strict=True)
    return EncodedPerson(
        person_id=person_id,
        kinds=tuple(photo.kind for photo in photos),
        frames=tuple(photo.frame for photo in photos),
        embeds=torch.stack(embeds),
        hidden_states=torch.stack(hidden_states),
        canvas_crops=torch.stack(canvas_crops),
    )


def _carry(centres: Float32Array) -> Float32Array:
    """Centres (F, N, 2) in which a face that is not in view is where it was last seen, or will first be seen.

    A face that is never in view is far away.
    """
    carried = centres.copy()
    for person in range(centres.shape[1]):
        seen = np.flatnonzero(np.isfinite(centres[:, person]).all(axis=1))
        if len(seen) == 0:
            carried[:, person] = _FAR_AWAY
            continue
        last = np.searchsorted(seen, np.arange(len(centres)), side="right") - 1
        carried[:, person] = centres[seen[last.clip(min=0)], person]
    return carried


_FAR_AWAY = 1e6
