"""Guidance: what a step predicts with and without the prompt and the people, and how the predictions are combined.

With prompt scale s and identity scale i, for a prompt T, people I and nothing 0 in their place:

    v = v(0, 0) + i (v(0, I) - v(0, 0)) + s (v(T, I) - v(0, I))

i = 1 is the published guidance, in which both passes see the people (two conditions as in Brooks et al. 2023,
"InstructPix2Pix", Eq. 3). Larger values lead away from people in general, towards these. i = s needs no v(0, I) and
costs no more than the published one.

Legend: B videos, P passes, f/h/w grid of latents, C channels.
"""

import dataclasses
from collections.abc import Sequence

import torch


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GuidancePass:
    """One of the predictions of a step."""

    has_prompt: bool
    """Whether it sees the prompt, or the negative prompt."""

    has_people: bool
    """Whether it sees canvas and identities."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Guidance:
    """The passes of each step. The last one sees everything."""

    identity_scale: float
    """Weight of the people against nobody in particular; 1 does without."""

    passes: tuple[GuidancePass, ...]
    """In the order of the batch."""

    @property
    def uses_negative_prompt(self) -> bool:
        """Whether any pass goes without the prompt."""
        return len(self.passes) > 1

    @property
    def shows_people(self) -> list[bool]:
        """For each pass, whether it sees the people."""
        return [each.has_people for each in self.passes]

    def coefficients(self, prompt_scale: float) -> list[float]:
        """Weights (P) of the passes' predictions, which sum to 1."""
        prompt_scale = max(prompt_scale, 1.0)
        weights = {
            (False, False): 1 - self.identity_scale,
            (False, True): self.identity_scale - prompt_scale,
            (True, True): prompt_scale,
        }
        return [weights[each.has_prompt, each.has_people] for each in self.passes]

    def combine(self, predictions: torch.Tensor, prompt_scale: float) -> torch.Tensor:
        """The guided prediction (B, f, C, h, w) of the passes' (P B, f, C, h, w)."""
        parts = predictions.chunk(len(self.passes))
        if len(parts) == 1:
            return predictions
        if self.identity_scale == 1 and len(parts) == 2:
            negative, positive = parts  # the published order of operations, to the last bit
            return negative + prompt_scale * (positive - negative)
        combined = torch.zeros_like(parts[0])
        for weight, part in zip(self.coefficients(prompt_scale), parts, strict=True):
            combined = combined + weight * part
        return combined


def plan_guidance(prompt_scale: float, identity_scale: float, *, varies: bool = False) -> Guidance:
    """The passes that these scales need.

    Args:
        prompt_scale: s; 1 or less does without the negative prompt, as in diffusers.
        identity_scale: i; 1 does without the pass that sees nobody.
        varies: whether the prompt's scale changes from step to step, so that no pass can be left out; without
            guidance it has nothing to vary.
    """
    nobody = GuidancePass(has_prompt=False, has_people=False)
    people = GuidancePass(has_prompt=False, has_people=True)
    everything = GuidancePass(has_prompt=True, has_people=True)
    passes = [everything]
    if (varies and prompt_scale > 1) or identity_scale != max(prompt_scale, 1.0):
        passes.insert(0, people)
    if identity_scale != 1:
        passes.insert(0, nobody)
    return Guidance(identity_scale=identity_scale, passes=tuple(passes))


def for_passes(shown: torch.Tensor, shows: Sequence[bool]) -> torch.Tensor:
    """What is seen (B, ...) in some passes, zeros in the others: (P B, ...)."""
    return torch.cat([shown if is_shown else torch.zeros_like(shown) for is_shown in shows])
