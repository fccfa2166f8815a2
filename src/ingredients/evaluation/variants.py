"""The model whole, with parts switched off, swapped or forced: what each part does."""

import dataclasses
from typing import Literal

from ingredients.models.id_router import Routing

TokenAssignment = Literal["left_right", "right_left", "random"]
"""Identities forced on the tokens: the first person left and the second right, mirrored, or by lot for each token."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way of running the model."""

    name: str
    """Key in the results."""

    description: str
    """One line for the report."""

    use_canvas: bool = True
    """Whether the global branch sees the faces; otherwise the image latents are zero."""

    use_identities: bool = True
    """Whether the local branch adds identity features; otherwise nothing is routed."""

    routing: Routing | None = None
    """How identities are mixed; None leaves it to the model."""

    assignment: TokenAssignment | None = None
    """Identities forced on the tokens, instead of the router's."""

    use_likeness_guidance: bool = False
    """Whether the steps are led by the recogniser, where the settings ask for it. It knows the people by itself, so it
    must be silent where the parts of the model are measured."""

    other_people_locally: bool = False
    """Whether the local branch gets two other people than the canvas shows."""


BOTH = Variant(name="both", description="global and local branch, routed by the router")
WHOLE = Variant(
    name="whole", description="as videos are made: both, and likeness guidance", use_likeness_guidance=True
)
TEXT_ONLY = Variant(name="text_only", description="no photos at all", use_canvas=False, use_identities=False)
GLOBAL_ONLY = Variant(name="global_only", description="canvas alone", use_identities=False)
LOCAL_ONLY = Variant(name="local_only", description="local branch alone, canvas latents zero", use_canvas=False)
UNIFORM = Variant(name="both_uniform", description="both branches, identities mixed evenly", routing="uniform")
RANDOM = Variant(
    name="both_random", description="both branches, an identity by lot for each token", assignment="random"
)
CONFLICT = Variant(
    name="conflict", description="canvas of the case's people, local branch of others", other_people_locally=True
)
FORCED_LEFT_RIGHT = Variant(
    name="forced_left_right",
    description="local branch alone, the first person forced left",
    use_canvas=False,
    assignment="left_right",
)
FORCED_RIGHT_LEFT = Variant(
    name="forced_right_left",
    description="local branch alone, the first person forced right",
    use_canvas=False,
    assignment="right_left",
)

MODULE_VARIANTS: tuple[Variant, ...] = (
    TEXT_ONLY,
    GLOBAL_ONLY,
    LOCAL_ONLY,
    BOTH,
    WHOLE,
    UNIFORM,
    RANDOM,
    CONFLICT,
    FORCED_LEFT_RIGHT,
    FORCED_RIGHT_LEFT,
)
"""What `--modules` runs."""
