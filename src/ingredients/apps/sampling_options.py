"""Options that every command which makes videos has.

None takes the model's own `sampling_defaults`. The last five are the speed options, which are off by default.
"""

from typing import Annotated

import typer

from ingredients.core.numbers import check_number


def finite(option: typer.CallbackParam, value: float | None) -> float | None:
    """An option's number, which must be one.

    Raises:
        UserInputError: if it is NaN or too large.
    """
    return None if value is None else check_number(f"--{(option.name or '').replace('_', '-')}", value)


NumInferenceSteps = Annotated[
    int | None, typer.Option(min=1, max=1000, help="Denoising steps. Default, here and below: the model's own.")
]
GuidanceScale = Annotated[
    float | None, typer.Option(callback=finite, help="Weight of the prompt; 1 or less does without.")
]
IdentityGuidanceScale = Annotated[
    float | None,
    typer.Option(callback=finite, help="Weight of the people against nobody in particular; 1 does without."),
]
LikenessGuidanceScale = Annotated[
    float | None,
    typer.Option(
        callback=finite,
        min=0,
        help="How far each step is led to where the recogniser sees the people of the photos; 0 does without.",
    ),
]
LayoutShare = Annotated[
    float | None,
    typer.Option(
        callback=finite,
        min=0,
        max=1,
        help="Share of the steps, at the start, in which people are placed from left to right in the order given.",
    ),
]
Compile = Annotated[
    bool, typer.Option("--compile", help="Compile the transformer's blocks first: for many videos, or long ones.")
]
AttentionBackend = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Kernel for attention, such as native, flash or sage. Default: PyTorch's choice."
    ),
]
StepCache = Annotated[
    str | None,
    typer.Option(
        metavar="first-block|mag|pab|taylor|faster",
        help="Take over in a step what earlier ones computed: faster, and a slightly other video.",
    ),
]
FuseQkv = Annotated[bool, typer.Option("--fuse-qkv", help="One matrix for query, key and value of self-attention.")]
SplitGuidance = Annotated[
    bool,
    typer.Option(
        "--split-guidance", help="Run the guidance passes one after the other instead of as one batch: less memory."
    ),
]
