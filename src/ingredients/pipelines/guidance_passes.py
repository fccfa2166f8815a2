"""Which predictions a denoising step needs, by the scales of its guidance; nothing here needs PyTorch.

What they are combined to is in `guidance.py`. A step costs about as much as it has passes.
"""

import dataclasses

from ingredients.model_folders.sampling_settings import SamplingSettings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GuidancePass:
    """One of the predictions of a step."""

    has_prompt: bool
    """Whether it sees the prompt, or the negative prompt."""

    has_people: bool
    """Whether it sees canvas and identities."""

    is_perturbed: bool = False
    """Whether the video tokens of the middle block see themselves alone."""

    @property
    def name(self) -> str:
        """What a step cache calls the memory of this pass."""
        return f"prompt {self.has_prompt}, people {self.has_people}, perturbed {self.is_perturbed}"


NOBODY = GuidancePass(has_prompt=False, has_people=False)
PEOPLE = GuidancePass(has_prompt=False, has_people=True)
PERTURBED = GuidancePass(has_prompt=True, has_people=True, is_perturbed=True)
EVERYTHING = GuidancePass(has_prompt=True, has_people=True)


def plan_passes(sampling: SamplingSettings, *, varies: bool = False) -> tuple[GuidancePass, ...]:
    """The passes that the scales of these settings need; the last one sees everything.

    Args:
        sampling: the settings, with s, 1 or less of which does without the negative prompt, as in diffusers; i, 1 of
            which does without the pass that sees nobody; and p.
        varies: whether the prompt's scale changes from step to step, so that no pass can be left out; without
            guidance it has nothing to vary.
    """
    prompt_scale, identity_scale = sampling.guidance_scale, sampling.identity_guidance_scale
    passes = [EVERYTHING]
    if sampling.perturbed_attention_scale > 0:
        passes.insert(0, PERTURBED)
    if (varies and prompt_scale > 1) or identity_scale != max(prompt_scale, 1.0):
        passes.insert(0, PEOPLE)
    if identity_scale != 1:
        passes.insert(0, NOBODY)
    return tuple(passes)
