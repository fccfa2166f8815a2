"""Heads that read what was drawn off an embedding; they help a network to learn, and are thrown away afterwards.

Legend: B batch, C channels of the embedding.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ingredients.world import Identity, SceneSpec, sample_identity, sample_scene

FACE_NAMES = ("skin", "hair_style", "hair_colour", "hat", "hat_colour", "glasses", "beard", "nose", "brow", "iris",
              "freckles")  # fmt: skip
FACE_LENGTHS = ("face_width", "jaw", "eye_spacing", "eye_size", "eye_height", "nose_length", "mouth_width", "lip",
                "ear", "tint")  # fmt: skip
SCENE_NAMES = ("count", "action", "expression", "place", "light")

_NUM_SURVEYED = 1000
"""People and scenes whose attributes are listed to number them."""


class NamedAttributes:
    """Numbers the values of some attributes that are names."""

    def __init__(self, names: Sequence[str], examples: Sequence[object]) -> None:
        self.names = tuple(names)
        self.values = {name: sorted({str(getattr(example, name)) for example in examples}) for name in names}

    @property
    def num_logits(self) -> int:
        """Values of all the attributes together."""
        return sum(len(values) for values in self.values.values())

    def targets(self, owners: Sequence[object]) -> Tensor:
        """Numbers (B, attributes) long."""
        return torch.tensor(
            [[self.values[name].index(str(getattr(owner, name))) for name in self.names] for owner in owners]
        )

    def cross_entropy(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss over the attributes, and the share of them that is right."""
        parts = torch.split(logits, [len(self.values[name]) for name in self.names], dim=-1)
        losses = [F.cross_entropy(part, targets[:, index]) for index, part in enumerate(parts)]
        right = [(part.argmax(-1) == targets[:, index]).float().mean() for index, part in enumerate(parts)]
        return torch.stack(losses).mean(), torch.stack(right).mean()


class FaceAttributeHead(nn.Module):
    """Names and lengths of a face, linear in its embedding."""

    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        people = [sample_identity(seed) for seed in range(_NUM_SURVEYED)]
        self.named = NamedAttributes(FACE_NAMES, people)
        lengths = np.array([[getattr(person, name) for name in FACE_LENGTHS] for person in people], np.float32)
        self.length_mean, self.length_deviation = torch.from_numpy(lengths.mean(0)), torch.from_numpy(lengths.std(0))
        self.linear = nn.Linear(embedding_dim, self.named.num_logits + len(FACE_LENGTHS))

    def forward(self, embeds: Tensor, people: Sequence[Identity]) -> tuple[Tensor, Tensor]:
        """Loss of faces (B, C) of some people, and the share of the names that is right."""
        logits, lengths = torch.split(self.linear(embeds), [self.named.num_logits, len(FACE_LENGTHS)], dim=-1)
        loss, right = self.named.cross_entropy(logits, self.named.targets(people))
        wanted = torch.tensor([[getattr(person, name) for name in FACE_LENGTHS] for person in people])
        return loss + F.mse_loss(lengths, (wanted - self.length_mean) / self.length_deviation), right


class SceneAttributeHead(nn.Module):
    """What captions speak of, linear in a frame's embedding."""

    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        self.named = NamedAttributes(SCENE_NAMES, [sample_scene(seed).attributes for seed in range(_NUM_SURVEYED)])
        self.linear = nn.Linear(embedding_dim, self.named.num_logits)

    def forward(self, embeds: Tensor, scenes: Sequence[SceneSpec]) -> tuple[Tensor, Tensor]:
        """Loss of frames (B, C) of some scenes, and the share of attributes that is right."""
        targets = self.named.targets([scene.attributes for scene in scenes])
        return self.named.cross_entropy(self.linear(embeds), targets)
