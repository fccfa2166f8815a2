"""What is known about the people of a video before denoising starts, computed once and handed to every step.

Legend: B batch, N identities, K query tokens per identity, C identity token width, D video width, H heads,
E head width, I router width, T text tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import torch

IdentityForm = Literal["plain", "folded"]
_TensorMap = Callable[[torch.Tensor], torch.Tensor]


@dataclass(kw_only=True, slots=True)
class _BlockFeatures:
    """Fields that both forms share; shapes as documented there."""

    key: torch.Tensor
    value: torch.Tensor
    router_key: torch.Tensor
    id_mask: torch.Tensor
    every_row_has_identity: bool

    @property
    def num_identities(self) -> int:
        """N, padding included."""
        return self.key.shape[1]

    def map(self, function: _TensorMap) -> Self:
        """The same features with `function` applied to every tensor."""
        return replace(
            self,
            key=function(self.key),
            value=function(self.value),
            router_key=function(self.router_key),
            id_mask=function(self.id_mask),
        )

    def to(self, device: torch.device | str | int | None = None, *, non_blocking: bool = False) -> Self:
        """Move to a device: offload hooks do this with the arguments of a block."""
        return self.map(lambda tensor: tensor.to(device=device, non_blocking=non_blocking))


@dataclass(kw_only=True, slots=True)
class PlainBlockFeatures(_BlockFeatures):
    """One block's keys and values as Eq. 2 has them.

    Attributes:
        key: (B, N, K, H, E).
        value: (B, N, K, H, E).
        router_key: g(W_aggr F~) of Eq. 3, (B, N, I).
        id_mask: (B, N) bool, True = a real identity.
        every_row_has_identity: Whether no row of `id_mask` is empty; such a row must stay untouched bit for bit.
    """


@dataclass(kw_only=True, slots=True)
class FoldedBlockFeatures(_BlockFeatures):
    """One block's keys and values with the video side's projections folded in.

    Attributes:
        key: W_q^T K for each head, scaled, (B, N, H * K, D).
        value: V W_o for each head, (B, N, H * K, D).
        router_key: Router keys with the last layer of f folded in, (B, N, D), or (B, N, I) behind its hidden layer.
        id_mask: (B, N) bool, True = a real identity.
        every_row_has_identity: Whether no row of `id_mask` is empty; such a row must stay untouched bit for bit.
    """


BlockIdentityFeatures = PlainBlockFeatures | FoldedBlockFeatures


@dataclass(kw_only=True, slots=True)
class IdentityFeatures:
    """Everything about the identities that does not change during denoising.

    Attributes:
        id_tokens: Q-former output, (B, N, K, C).
        id_mask: (B, N) bool, True = a real identity.
        blocks: Keys and values of each block that has identity modules, in order.
        phrases: What the words that stand for a person know of that person's photos, to be added to the text tokens
            (B, T, D); None where no words do.
    """

    id_tokens: torch.Tensor
    id_mask: torch.Tensor
    blocks: tuple[BlockIdentityFeatures, ...]
    phrases: torch.Tensor | None = None

    @property
    def form(self) -> IdentityForm:
        """Whether the video side's projections are folded in."""
        return "folded" if isinstance(self.blocks[0], FoldedBlockFeatures) else "plain"

    @property
    def batch_size(self) -> int:
        """B."""
        return self.id_mask.shape[0]

    @property
    def num_identities(self) -> int:
        """N, padding included."""
        return self.id_mask.shape[1]

    def repeat_for_guidance(
        self, shown: Sequence[bool] = (True, True), *, prompted: Sequence[bool] | None = None
    ) -> "IdentityFeatures":
        """The people for each pass of a guided batch: B becomes B times the passes.

        Args:
            shown: For each pass, whether it sees the people; by default both of [negative, positive] do.
            prompted: For each pass, whether it reads the prompt whose words stand for the people, and not another
                one; None where all do.
        """
        num_passes = len(shown)
        if self.batch_size == 1:
            repeated = self._map(lambda tensor: tensor.expand(num_passes, *tensor.shape[1:]))
        else:
            repeated = self._map(lambda tensor: torch.cat([tensor] * num_passes))
        if repeated.phrases is not None:
            reads = [seen and said for seen, said in zip(shown, prompted or [True] * num_passes, strict=True)]
            kept = torch.tensor(reads, device=repeated.phrases.device).repeat_interleave(self.batch_size)
            repeated = replace(repeated, phrases=repeated.phrases * kept[:, None, None])
        if all(shown):
            return repeated
        is_shown = torch.tensor(shown, device=self.id_mask.device).repeat_interleave(self.batch_size)
        id_mask = repeated.id_mask & is_shown[:, None]
        blocks = tuple(replace(block, id_mask=id_mask, every_row_has_identity=False) for block in repeated.blocks)
        return replace(repeated, id_mask=id_mask, blocks=blocks)

    def repeat_interleave(self, num_repeats: int) -> "IdentityFeatures":
        """Each row `num_repeats` times in a row, for several videos of one prompt: B becomes B * num_repeats."""
        return self._map(lambda tensor: tensor.repeat_interleave(num_repeats, dim=0))

    def rows(self, selection: slice) -> "IdentityFeatures":
        """The people of some batch elements alone."""
        return self._map(lambda tensor: tensor[selection])

    def first_row(self) -> "IdentityFeatures":
        """The people of batch element 0 alone: what the published batch fault gives to every element."""
        return self.rows(slice(1))

    def to(
        self,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        non_blocking: bool = False,
    ) -> "IdentityFeatures":
        """Move to a device or a floating-point type; masks keep theirs."""
        return self._map(
            lambda tensor: tensor.to(
                device=device, dtype=dtype if tensor.is_floating_point() else None, non_blocking=non_blocking
            )
        )

    def _map(self, function: _TensorMap) -> "IdentityFeatures":
        return IdentityFeatures(
            id_tokens=function(self.id_tokens),
            id_mask=function(self.id_mask),
            blocks=tuple(block.map(function) for block in self.blocks),
            phrases=None if self.phrases is None else function(self.phrases),
        )
