"""The image tower of EVA02-CLIP-L-14-336, which tells the published model what a face looks like.

A vision transformer with rotary positions in two dimensions, SwiGLU, and normalisation inside attention and
feed-forward (Sun et al. 2023, "EVA-CLIP", arXiv 2303.15389; Fang et al. 2023, "EVA-02", arXiv 2303.11331). It reads
the published checkpoint of the whole dual encoder, of the image tower alone, and timm's and open_clip's of the same
network.

Legend: B batch, S side of the input, G patches a side, P = 1 + G^2 tokens (class token first), C width, A heads,
D embedding.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import ModelFolderError
from ingredients.core.protocols import ImageFeatures
from ingredients.faces.image_encoder import preprocess
from ingredients.faces.weights import fill_network, read_tensors

_NORM_EPS = 1e-6
_ROPE_BASE = 10_000.0
_ROPE_TOLERANCE = 2e-3
"""Difference from rotary tables that a checkpoint holds, which may be in half precision."""

_PREFIXES = ("visual.trunk.", "visual.", "")
_OTHER_TOWER = ("text.", "logit_scale", "logit_bias", "token_embedding.", "positional_embedding", "ln_final.",
                "text_projection", "transformer.")  # fmt: skip
_ROPE_BUFFER = re.compile(r"(?:blocks\.\d+\.attn\.)?rope\.freqs_(cos|sin)")
_RENAMED = (
    (r"\.attn\.q_bias$", ".attn.q_proj.bias"),
    (r"\.attn\.v_bias$", ".attn.v_proj.bias"),
    (r"\.attn\.norm\.", ".attn.inner_attn_ln."),  # timm's names from here on
    (r"\.mlp\.fc1_g\.", ".mlp.w1."),
    (r"\.mlp\.fc1_x\.", ".mlp.w2."),
    (r"\.mlp\.norm\.", ".mlp.ffn_ln."),
    (r"\.mlp\.fc2\.", ".mlp.w3."),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EvaClipConfig:
    """Sizes of the tower; the defaults are the published ones."""

    image_size: int = 336
    """S, in pixels."""

    patch_size: int = 14
    """Side of a patch in pixels."""

    width: int = 1024
    """C."""

    num_layers: int = 24
    """Blocks."""

    head_dim: int = 64
    """Width of an attention head, a multiple of 4."""

    mlp_dim: int = 2730
    """Hidden width of the feed-forward layers."""

    embedding_dim: int = 768
    """D."""

    rope_grid: int = 16
    """Patches a side when the rotary positions were trained; others are stretched to it."""

    hidden_state_depths: tuple[int, ...] = (4, 8, 12, 16, 20)
    """After how many blocks a hidden state is taken."""

    def __post_init__(self) -> None:
        if self.image_size % self.patch_size:
            raise ValueError(f"patch_size {self.patch_size} does not divide image_size {self.image_size}")
        if self.width % self.head_dim or self.head_dim % 4:
            raise ValueError(f"head_dim {self.head_dim} must divide width {self.width} and be a multiple of 4")
        if not all(0 < depth <= self.num_layers for depth in self.hidden_state_depths):
            raise ValueError(f"hidden_state_depths {self.hidden_state_depths} must lie in 1..{self.num_layers}")

    @property
    def grid(self) -> int:
        """G."""
        return self.image_size // self.patch_size


class EvaClipTower(nn.Module):
    """Patches, a class token, learned positions, blocks, and a linear head on the class token."""

    rope_cos: Tensor
    rope_sin: Tensor

    def __init__(self, config: EvaClipConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = nn.ModuleDict(
            {"proj": nn.Conv2d(3, config.width, config.patch_size, stride=config.patch_size)}
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.grid**2, config.width))
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.width, eps=_NORM_EPS)
        self.head = nn.Linear(config.width, config.embedding_dim)
        cosines, sines = rotary_tables(config)
        self.register_buffer("rope_cos", cosines, persistent=False)
        self.register_buffer("rope_sin", sines, persistent=False)

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Embeds pictures (B, 3, S, S), normalised with CLIP's statistics.

        Returns:
            The embedding (B, D), and the hidden states (B, P, C) at `hidden_state_depths`.
        """
        patches = self.patch_embed["proj"](pixel_values).flatten(2).transpose(1, 2)  # (B, G^2, C)
        hidden_states = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1) + self.pos_embed
        kept = []
        for depth, block in enumerate(self.blocks, start=1):
            hidden_states = block(hidden_states, self.rope_cos, self.rope_sin)
            if depth in self.config.hidden_state_depths:
                kept.append(hidden_states)
        return self.head(self.norm(hidden_states)[:, 0]), tuple(kept)


class _Block(nn.Module):
    def __init__(self, config: EvaClipConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=_NORM_EPS)
        self.attn = _Attention(config)
        self.norm2 = nn.LayerNorm(config.width, eps=_NORM_EPS)
        self.mlp = _SwiGLU(config)

    def forward(self, hidden_states: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        hidden_states = hidden_states + self.attn(self.norm1(hidden_states), cosines, sines)
        output: Tensor = hidden_states + self.mlp(self.norm2(hidden_states))
        return output


class _Attention(nn.Module):
    """Self-attention whose keys have no bias; the class token is not rotated; what the heads give is normalised."""

    def __init__(self, config: EvaClipConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        self.q_proj = nn.Linear(config.width, config.width)
        self.k_proj = nn.Linear(config.width, config.width, bias=False)
        self.v_proj = nn.Linear(config.width, config.width)
        self.inner_attn_ln = nn.LayerNorm(config.width, eps=_NORM_EPS)
        self.proj = nn.Linear(config.width, config.width)

    def forward(self, hidden_states: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        query, key, value = (
            projection(hidden_states).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)  # (B, A, P, C / A)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = (_rotate_patches(states, cosines, sines) for states in (query, key))
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        output: Tensor = self.proj(self.inner_attn_ln(attended))
        return output


class _SwiGLU(nn.Module):
    def __init__(self, config: EvaClipConfig) -> None:
        super().__init__()
        self.w1 = nn.Linear(config.width, config.mlp_dim)
        self.w2 = nn.Linear(config.width, config.mlp_dim)
        self.ffn_ln = nn.LayerNorm(config.mlp_dim, eps=_NORM_EPS)
        self.w3 = nn.Linear(config.mlp_dim, config.width)

    def forward(self, hidden_states: Tensor) -> Tensor:
        gated = F.silu(self.w1(hidden_states)) * self.w2(hidden_states)
        output: Tensor = self.w3(self.ffn_ln(gated))
        return output


def rotary_tables(config: EvaClipConfig) -> tuple[Tensor, Tensor]:
    """Cosines and sines (G^2, C / A) of the patches' positions: half of a head for rows, half for columns.

    The grid is stretched to the one of the training, so a larger picture has finer positions, not further ones.
    """
    half = config.head_dim // 2
    frequencies = _ROPE_BASE ** (-torch.arange(0, half, 2).float() / half)
    positions = torch.arange(config.grid) / config.grid * config.rope_grid
    angles = (positions[:, None] * frequencies).repeat_interleave(2, dim=-1)  # (G, half)
    rows = angles[:, None].expand(-1, config.grid, -1)
    columns = angles[None].expand(config.grid, -1, -1)
    table = torch.cat([rows, columns], dim=-1).flatten(0, 1)
    return table.cos(), table.sin()


def _rotate_patches(states: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotates neighbouring pairs of channels of the patches in (B, A, P, C / A), and leaves the class token."""
    class_token, patches = states[:, :, :1], states[:, :, 1:]
    real, imaginary = torch.unflatten(patches, -1, (-1, 2)).unbind(dim=-1)
    turned = torch.stack([-imaginary, real], dim=-1).flatten(-2)
    return torch.cat([class_token, (patches * cosines + turned * sines).to(states.dtype)], dim=2)


class EvaClipImageEncoder:
    """An `ImageEncoder` of `ingredients.core.protocols`, around the tower."""

    def __init__(self, tower: EvaClipTower) -> None:
        self.tower = tower.eval().requires_grad_(False)

    @property
    def crop_size(self) -> int:
        """Side S of the crops in pixels."""
        return self.tower.config.image_size

    @property
    def embedding_dim(self) -> int:
        """Width D of the embedding."""
        return self.tower.config.embedding_dim

    @torch.no_grad()
    def encode(self, crops: UInt8Array) -> ImageFeatures:
        """Encodes RGB crops (B, H, W, 3), resized to S x S as the published code does."""
        weight = self.tower.head.weight
        pixel_values = preprocess(crops, crop_size=self.crop_size).to(weight.device, weight.dtype)
        embeds, hidden_states = self.tower(pixel_values)
        return ImageFeatures(embeds=embeds.float(), hidden_states=tuple(each.float() for each in hidden_states))


def load_eva_clip(
    path: Path, config: EvaClipConfig | None = None, *, dtype: torch.dtype = torch.float32
) -> EvaClipImageEncoder:
    """Reads the image tower from a `.safetensors`, `.pt` or `.bin` file of any of the known namings.

    Raises:
        ModelFolderError: if the file is missing or damaged, or a tensor is missing, unknown or of another shape.
    """
    config = config or EvaClipConfig()
    with torch.device("meta"):
        tower = EvaClipTower(config)
    weights = tower_weights(read_tensors(path), config, path)
    fill_network(tower, {name: tensor.to(dtype) for name, tensor in weights.items()}, path)
    tower.rope_cos, tower.rope_sin = rotary_tables(config)
    return EvaClipImageEncoder(tower)


def tower_weights(stored: Mapping[str, Tensor], config: EvaClipConfig, path: Path) -> dict[str, Tensor]:
    """The image tower's tensors of a checkpoint, by this module's names.

    The text tower is left out; rotary tables, which follow from the sizes, are compared and dropped.

    Raises:
        ModelFolderError: if there is no image tower in the checkpoint, or its rotary positions are others.
    """
    prefix = next((each for each in _PREFIXES if f"{each}cls_token" in stored), None)
    if prefix is None:
        raise ModelFolderError(f"The weights {path} hold no image tower of EVA-CLIP; name another file.")
    tables = dict(zip(("cos", "sin"), rotary_tables(config), strict=True))
    weights = {}
    for name, tensor in stored.items():
        if prefix and name.startswith(_OTHER_TOWER):
            continue
        inner = name.removeprefix(prefix)
        if buffer := _ROPE_BUFFER.fullmatch(inner):
            _check_rope(tensor, tables[buffer[1]], f"{name} in {path}")
            continue
        weights[_renamed(inner)] = tensor
    return weights


def _renamed(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def _check_rope(stored: Tensor, expected: Tensor, label: str) -> None:
    if stored.shape != expected.shape or not torch.allclose(stored.float(), expected, atol=_ROPE_TOLERANCE):
        raise ModelFolderError(f"The rotary positions {label} are not those of this network; name another file.")
