"""The model whole, with parts switched off, swapped or forced: what each part does.

Four things that the paper does not have lead a video beside router and local branch: the planned layout of the first
steps, guidance by the identities, by the recogniser, and by perturbed attention. Each would lend its merit to whatever
part is measured with it, so all are off unless a variant names them.
"""

import dataclasses
from typing import Literal, get_args

from ingredients.pipelines.inputs import Branches

TokenAssignment = Literal["left_right", "right_left", "random"]
"""Identities forced on the tokens: the first person left and the second right, mirrored, or by lot for each token."""

Addition = Literal["layout", "identity_guidance", "likeness_guidance", "perturbed_attention"]
"""What leads a video and is not the paper's: identities planned in columns for the first steps, guidance by what the
identities change, guidance by the recogniser, which knows the people by itself, and away from perturbed attention."""

ADDITIONS: tuple[Addition, ...] = get_args(Addition)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """One way of running the model."""

    name: str
    """Key in the results."""

    description: str
    """One line for the report."""

    branches: Branches = dataclasses.field(default_factory=Branches)
    """What canvas and identities do."""

    assignment: TokenAssignment | None = None
    """Identities forced on the tokens, instead of the router's."""

    additions: frozenset[Addition] = frozenset()
    """Which of the things that the paper does not have take part, where the settings ask for them."""

    other_people_locally: bool = False
    """Whether the local branch gets two other people than the canvas shows."""


_LOCAL = Branches(use_canvas=False)

BOTH = Parts(name="both", description="the paper's method: global and local branch, routed by the router")
WHOLE = Parts(name="whole", description="as videos are made: both, and every addition", additions=frozenset(ADDITIONS))
WITH_ADDITION: dict[Addition, Parts] = {
    "layout": Parts(
        name="with_layout",
        description="both, and people planned in columns for the first steps",
        additions=frozenset({"layout"}),
    ),
    "identity_guidance": Parts(
        name="with_identity_guidance",
        description="both, and guidance by what the identities change",
        additions=frozenset({"identity_guidance"}),
    ),
    "likeness_guidance": Parts(
        name="with_likeness_guidance",
        description="both, and steps corrected by the recogniser",
        additions=frozenset({"likeness_guidance"}),
    ),
    "perturbed_attention": Parts(
        name="with_perturbed_attention",
        description="both, and steps led away from what tokens draw that cannot see each other",
        additions=frozenset({"perturbed_attention"}),
    ),
}
TEXT_ONLY = Parts(
    name="text_only", description="no photos at all", branches=Branches(use_canvas=False, use_identities=False)
)
GLOBAL_ONLY = Parts(name="global_only", description="canvas alone", branches=Branches(use_identities=False))
LOCAL_ONLY = Parts(name="local_only", description="local branch alone, canvas latents zero", branches=_LOCAL)
UNIFORM = Parts(
    name="both_uniform", description="both branches, identities mixed evenly", branches=Branches(routing="uniform")
)
RANDOM = Parts(name="both_random", description="both branches, an identity by lot for each token", assignment="random")
CONFLICT = Parts(
    name="conflict", description="canvas of the case's people, local branch of others", other_people_locally=True
)
FORCED_LEFT_RIGHT = Parts(
    name="forced_left_right",
    description="local branch alone, the first person forced left",
    branches=_LOCAL,
    assignment="left_right",
)
FORCED_RIGHT_LEFT = Parts(
    name="forced_right_left",
    description="local branch alone, the first person forced right",
    branches=_LOCAL,
    assignment="right_left",
)

MODULE_VARIANTS: tuple[Parts, ...] = (
    TEXT_ONLY,
    GLOBAL_ONLY,
    LOCAL_ONLY,
    BOTH,
    *WITH_ADDITION.values(),
    WHOLE,
    UNIFORM,
    RANDOM,
    CONFLICT,
    FORCED_LEFT_RIGHT,
    FORCED_RIGHT_LEFT,
)
"""What `--modules` runs, where the settings have every addition."""
