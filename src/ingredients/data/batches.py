"""Batches of encoded clips, with the randomness of training: slot order, choice of reference, dropped captions.

Legend: B batch, F latent frames, C channels, h/w latent grid, N identities (padded), S side of a crop, L video tokens,
T text tokens, D text width, E embedding width, P image-encoder tokens, H/W pixels.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from ingredients.core.arrays import UInt8Array
from ingredients.core.token_time import front_padding
from ingredients.data.encoded_clips import EncodedClips
from ingredients.data.encoding_settings import ReferenceSource, RoutingSupervision
from ingredients.data.routing_targets import BACKGROUND
from ingredients.data.sampling import SampleDraw
from ingredients.models.noise_schedule import draw_noise

ReferenceKey = tuple[int, int, int]
"""Clip, person of that clip, and number of the reference."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IdentityBatch:
    """The people of a batch, as the transformer takes them."""

    id_embeds: torch.Tensor
    """(B, N, E): recognition embedding (raw) | image embedding (norm 1)."""

    id_vit_hidden_states: list[torch.Tensor]
    """Five tensors (B, N, P, C)."""

    id_mask: torch.Tensor
    """(B, N) bool, True = a real identity."""

    def to(self, device: torch.device) -> "IdentityBatch":
        """The same on a device."""
        return IdentityBatch(
            id_embeds=to_device(self.id_embeds, device),
            id_vit_hidden_states=[to_device(states, device) for states in self.id_vit_hidden_states],
            id_mask=to_device(self.id_mask, device),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipBatch:
    """Noisy clips with all that a stage needs to know about them."""

    draws: Sequence[SampleDraw]
    """B: which clips, and the source of each one's randomness."""

    latents: torch.Tensor
    """(B, F, C, h, w) float32."""

    noise: torch.Tensor
    """The noise, in the shape of `latents`."""

    levels: torch.Tensor
    """(B,) in [0, 1): the noise levels, as shares of the timesteps."""

    captions: list[str]
    """B sentences, empty where the caption was dropped."""

    prompt_embeds: torch.Tensor
    """(B, T, D) float32, of the captions."""

    routing_targets: torch.Tensor
    """(B, L) long, `BACKGROUND` off the faces; identities counted in the order of the references."""

    nearest_targets: torch.Tensor
    """(B, L) long, where background tokens take the nearest person."""

    references: list[list[ReferenceKey]]
    """For each sample and identity, the reference that was drawn."""

    people: IdentityBatch
    """Features of the references."""

    canvas_crops: list[UInt8Array]
    """For each sample (N, S, S, 3): what the canvas shows."""

    face_landmarks: torch.Tensor
    """(B, N, 5, 2) pixels of the first frame, in the order of the references; NaN for a face that cannot be seen, and
    for padding."""

    phrase_tokens: torch.Tensor | None = None
    """(B, N, T) bool, the text tokens that stand for each identity, in the order of the references; none of a dropped
    caption. None where the clips do not say."""

    num_padding_frames: int = 0
    """How many of F are copies of the first latent frame in front, which temporal patches need."""

    def __len__(self) -> int:
        return len(self.draws)

    def chances(self, purpose: str) -> torch.Tensor:
        """A uniform number in [0, 1) for each sample and purpose (B,), on the batch's device."""
        return to_device(torch.tensor([draw.chance(purpose) for draw in self.draws]), self.latents.device)

    def normal(self, purpose: str, shape: Sequence[int]) -> torch.Tensor:
        """Gaussian noise (B, *shape) for a purpose, on the batch's device."""
        rows = [torch.randn(tuple(shape), generator=draw.generator(purpose)) for draw in self.draws]
        return to_device(torch.stack(rows), self.latents.device)

    @property
    def num_face_tokens(self) -> int:
        """Tokens on faces, in all samples."""
        return int((self.routing_targets != BACKGROUND).sum())

    @property
    def num_people(self) -> int:
        """People, in all samples."""
        return int(self.people.id_mask.sum())

    def to(self, device: torch.device) -> "ClipBatch":
        """The same with its tensors on a device."""
        moved: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, IdentityBatch):
                moved[field.name] = value.to(device)
            elif isinstance(value, torch.Tensor):
                moved[field.name] = to_device(value, device)
        return dataclasses.replace(self, **moved)


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor on a device, without waiting for what the device still computes where the tensor comes from memory."""
    return tensor.to(device, non_blocking=tensor.device.type == "cpu")


def draw_batch(
    clips: EncodedClips,
    draws: Sequence[SampleDraw],
    *,
    caption_drop: float = 0.0,
    supervision: RoutingSupervision = "segment",
    reference_source: ReferenceSource = "other",
    vit_dim: int | None = None,
    is_image: bool = False,
    num_frames: int | None = None,
    patch_size_t: int | None = None,
    noise_sharing: float = 0.0,
) -> ClipBatch:
    """Reads clips of one shape, and draws for each an order of its people and one of the references of each.

    Args:
        clips: what to read from.
        draws: B clips.
        caption_drop: share of the captions that become empty, for guidance.
        supervision: whether routing targets come from the faces' masks or their boxes.
        reference_source: where the faces come from.
        vit_dim: keeps the first channels of the hidden states only, where the recogniser's follow them.
        is_image: keeps one frame of tokens only, so that training is on images: the first, or where each latent frame
            is a picture by itself, a still clip of one that is drawn.
        num_frames: keeps so many latent frames only, which take as many copies in front as the whole clip does: a
            piece that is drawn, or where a latent frame is no picture by itself, the beginning.
        patch_size_t: latent frames of a frame of tokens; copies of the first one make them fit, in front.
        noise_sharing: the share of the noise's variance that is the same in all frames of tokens.
    """
    latents, noise, captions, prompt_embeds, routing_targets, nearest_targets = [], [], [], [], [], []
    references: list[list[ReferenceKey]] = []
    face_landmarks, phrase_tokens, padding = [], [], 0
    for draw in draws:
        entry = clips.entries[draw.index]
        order = torch.randperm(len(entry.person_ids), generator=draw.generator("order"))
        references.append([draw_reference(clips, draw, person, source=reference_source) for person in order.tolist()])
        shown, landmarks, padding, first = _read_frames(
            clips, draw, is_image=is_image, num_frames=num_frames, patch_size_t=patch_size_t
        )
        latents.append(shown)
        noise.append(
            draw_noise(
                shown.shape, sharing=noise_sharing, patch_size_t=patch_size_t, generator=draw.generator("noise")
            )
        )
        patch = patch_size_t or 1
        targets = clips.tensor(draw.index, "routing_targets" if supervision == "segment" else "box_targets")
        a_frame = len(targets) // ((entry.latent_shape[0] + padding) // patch)  # tokens
        tokens = slice(first * a_frame, (first + len(shown) // patch) * a_frame)
        routing_targets.append(_reorder(targets[tokens], order))
        nearest_targets.append(_reorder(clips.tensor(draw.index, "nearest_targets")[tokens], order))
        face_landmarks.append(landmarks[order])
        is_dropped = draw.chance("caption") < caption_drop
        captions.append("" if is_dropped else clips.caption(draw.index))
        embeds = clips.empty_prompt_embeds if is_dropped else clips.tensor(draw.index, "prompt_embeds")
        prompt_embeds.append(embeds.float())
        said = clips.optional_tensor(draw.index, "phrase_tokens")
        phrase_tokens.append(None if said is None else said[order] & (not is_dropped))
    return ClipBatch(
        draws=draws,
        latents=torch.stack(latents),
        noise=torch.stack(noise),
        levels=torch.tensor([draw.level for draw in draws]),
        captions=captions,
        prompt_embeds=torch.stack(prompt_embeds),
        routing_targets=torch.stack(routing_targets),
        nearest_targets=torch.stack(nearest_targets),
        references=references,
        people=read_people(clips, references, vit_dim=vit_dim),
        canvas_crops=[
            torch.stack([clips.reference(*key, "canvas_crop") for key in keys]).numpy() for keys in references
        ],
        face_landmarks=pad_sequence(face_landmarks, batch_first=True, padding_value=torch.nan),
        phrase_tokens=_join_phrases(phrase_tokens, references, num_tokens=prompt_embeds[0].shape[0]),
        num_padding_frames=padding,
    )


def _read_frames(
    clips: EncodedClips, draw: SampleDraw, *, is_image: bool, num_frames: int | None, patch_size_t: int | None
) -> tuple[torch.Tensor, torch.Tensor, int, int]:
    """What of a clip is trained on, as `draw_batch` says it.

    Returns:
        Latents (F, C, H, W) with the copies in front; landmarks of the first frame; how many copies there are; and the
        frame of tokens with which it begins.
    """
    latents, landmarks = clips.tensor(draw.index, "latents"), clips.tensor(draw.index, "face_landmarks")
    patch, padding = patch_size_t or 1, front_padding(len(latents), patch_size_t)
    length = len(latents) if num_frames is None or is_image else min(num_frames, len(latents))
    of_pictures = None
    if is_image or length < len(latents):
        of_pictures = clips.optional_tensor(draw.index, "frame_landmarks")
    first = 0
    if of_pictures is not None:  # each latent frame is a picture
        if is_image:
            first = int(draw.chance("frame") * len(latents))
        else:  # a piece begins where the clip could: in the middle of a frame of tokens
            first = patch * int(draw.chance("piece") * ((len(latents) - length) // patch + 1))
        landmarks = of_pictures[first]
    if is_image and of_pictures is not None:
        shown = latents[first].expand(patch, -1, -1, -1)
    else:
        piece = latents[first : first + length]
        shown = torch.cat([piece[:1].expand(padding, -1, -1, -1), piece])
        shown = shown[:patch] if is_image else shown
    return shown.float(), landmarks, padding, (padding + first) // patch


def _join_phrases(
    phrase_tokens: Sequence[torch.Tensor | None], references: Sequence[Sequence[ReferenceKey]], *, num_tokens: int
) -> torch.Tensor | None:
    """(B, N, T), padded; clips that say nothing of their people have no tokens for them beside others that do."""
    if all(said is None for said in phrase_tokens):
        return None
    rows = [
        torch.zeros(len(people), num_tokens, dtype=torch.bool) if said is None else said
        for said, people in zip(phrase_tokens, references, strict=True)
    ]
    return pad_sequence(rows, batch_first=True)


def draw_reference(clips: EncodedClips, draw: SampleDraw, person: int, *, source: ReferenceSource) -> ReferenceKey:
    """Draws one of the references of a clip's person; where the source has none, one of any other.

    What is drawn is a function of the run's seed, the epoch and the clip. For `same_frame`, the frame is drawn for all
    people together, among those that show the most of them; who is not in it has another frame.
    """
    entry = clips.entries[draw.index]
    if source == "same_frame":
        drawn = _draw_frame(clips, draw)
        if drawn is not None and drawn in entry.frames[person]:
            return draw.index, person, entry.frames[person].index(drawn)
        source = "same_clip"
    own = [(draw.index, person, number) for number in range(len(entry.kinds[person]))]
    frames = [key for key in own if entry.kinds[person][key[2]] == "frame"]
    others = [key for key in own if key not in frames]
    person_id = entry.person_ids[person]
    for clip, there in clips.by_person.get(person_id, []) if person_id is not None else []:
        if clip != draw.index:
            others += [(clip, there, number) for number in range(len(clips.entries[clip].kinds[there]))]
    candidates = {"same_clip": frames, "other": others, "any": frames + others}[source] or own
    return candidates[int(draw.chance(f"reference {person}") * len(candidates))]


def _draw_frame(clips: EncodedClips, draw: SampleDraw) -> int | None:
    """One of the clip's frames that were encoded; None if there is none."""
    shown = Counter(frame for frames in clips.entries[draw.index].frames for frame in frames if frame is not None)
    if not shown:
        return None
    fullest = sorted(frame for frame, number in shown.items() if number == max(shown.values()))
    return fullest[int(draw.chance("reference frame") * len(fullest))]


def read_people(
    clips: EncodedClips, references: Sequence[Sequence[ReferenceKey]], *, vit_dim: int | None = None
) -> IdentityBatch:
    """Features of each sample's references, padded with zeros to the most people of a sample."""
    num_identities = max(len(keys) for keys in references)
    id_mask = torch.tensor([[n < len(keys) for n in range(num_identities)] for keys in references])
    flat = [key for keys in references for key in keys]
    embeds = torch.stack([clips.reference(*key, "embeds").float() for key in flat])
    states = torch.stack([clips.reference(*key, "hidden_states")[..., :vit_dim].float() for key in flat])
    id_embeds = embeds.new_zeros(*id_mask.shape, embeds.shape[-1])
    id_embeds[id_mask] = embeds
    id_states = states.new_zeros(*id_mask.shape, *states.shape[1:])  # (B, N, 5, P, C)
    id_states[id_mask] = states
    return IdentityBatch(id_embeds=id_embeds, id_vit_hidden_states=list(id_states.unbind(dim=2)), id_mask=id_mask)


def _reorder(targets: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Renames identities: person `order[n]` of the clip becomes identity n."""
    new_index = torch.argsort(order)
    return torch.where(targets == BACKGROUND, BACKGROUND, new_index[targets.long().clamp(min=0)])
