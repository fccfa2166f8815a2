"""What identities cost: our forward divided by diffusers' CogVideoX forward, at the published width.

For one to four people, in the plain and the folded form, this prints the measured overhead beside the share of FLOPs
that the identity modules add, and that share at the published size of a video (49 frames of 480x720).

On a CPU it measures processor time, which other programs lengthen little, and keeps the best of several rounds.

    python benchmarks/identity_overhead.py
    python benchmarks/identity_overhead.py --device cuda --dtype bfloat16 --height 480 --width 720 --frames 49
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch
from diffusers import CogVideoXTransformer3DModel
from measuring import seconds

from ingredients.models import presets
from ingredients.models.cogvideox import COGVIDEOX
from ingredients.models.flops import identity_flops_per_token
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel

PRESETS = {"published": presets.published, "paper": presets.paper}
NUM_PEOPLE = (1, 2, 3, 4)
FORMS = ("plain", "folded")
NUM_TEXT_TOKENS = 226
PUBLISHED_VIDEO_TOKENS = 13 * 30 * 45
SPATIAL_COMPRESSION, TEMPORAL_COMPRESSION = 8, 4


def parse_arguments() -> argparse.Namespace:
    """Size, device and repetitions, with defaults that fit a laptop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=160, help="pixels, a multiple of 16 (default %(default)s)")
    parser.add_argument("--width", type=int, default=256, help="pixels, a multiple of 16 (default %(default)s)")
    parser.add_argument("--frames", type=int, default=9, help="4k + 1 frames (default %(default)s)")
    parser.add_argument("--blocks", type=int, default=2, help="transformer blocks (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each, best kept (default %(default)s)")
    parser.add_argument("--preset", choices=PRESETS, default="published", help="router and routing to measure")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    return parser.parse_args()


def build(arguments: argparse.Namespace) -> tuple[CogVideoXTransformer3DModel, IngredientsTransformer3DModel]:
    """The base and ours on the same weights; the Q-former, which no step runs, is kept short."""
    config = PRESETS[arguments.preset]() | {"num_layers": arguments.blocks, "id_qformer_depth": 5}
    ours = IngredientsTransformer3DModel(**config).eval().requires_grad_(False)
    ours = ours.to(arguments.device, getattr(torch, arguments.dtype))
    identity_fields = ("id_", "router_", "routing")
    with torch.device("meta"):
        base = CogVideoXTransformer3DModel(
            **{field: value for field, value in config.items() if not field.startswith(identity_fields)}
        ).eval()
    weights = ours.state_dict()
    base.load_state_dict({key: weights[key] for key in base.state_dict()}, assign=True)
    return base.requires_grad_(False), ours


@torch.no_grad()
def main() -> None:
    """Measure every variant in turn, round after round, and print the table."""
    arguments = parse_arguments()
    torch.manual_seed(0)
    base, ours = build(arguments)
    factory = {"device": arguments.device, "dtype": getattr(torch, arguments.dtype)}
    num_frames = (arguments.frames - 1) // TEMPORAL_COMPRESSION + 1
    height, width = arguments.height // SPATIAL_COMPRESSION, arguments.width // SPATIAL_COMPRESSION
    num_video_tokens = num_frames * (height // 2) * (width // 2)
    call = {
        "hidden_states": torch.randn(1, num_frames, ours.config.in_channels, height, width, **factory),
        "encoder_hidden_states": torch.randn(1, NUM_TEXT_TOKENS, ours.config.text_embed_dim, **factory),
        "timestep": torch.tensor([500], device=arguments.device),
        "image_rotary_emb": COGVIDEOX.positions(
            ours.config, num_frames=num_frames, height=height, width=width, device=arguments.device
        ),
    }

    variants: dict[tuple[int, str], Callable[[], Any]] = {(0, "base"): lambda: base(**call)}
    for num_people in NUM_PEOPLE:
        id_embeds = torch.randn(1, num_people, 1280, **factory)
        hidden_states = [torch.randn(1, num_people, 9, 1024, **factory) for _ in range(5)]  # few patches: not measured
        for form in FORMS:
            features = ours.prepare_identities(id_embeds, hidden_states, form=form)
            variants[num_people, form] = lambda features=features: ours(**call, identity_features=features)

    best = dict.fromkeys(variants, float("inf"))
    for _ in range(arguments.rounds):
        for variant, function in variants.items():
            best[variant] = min(best[variant], seconds(function, arguments.device))

    def share(num_people: int, form: Any, video_tokens: int) -> float:
        per_token = identity_flops_per_token(
            ours.config, video_dim=COGVIDEOX.video_dim(ours.config), num_identities=num_people, form=form
        )
        return (
            video_tokens
            * per_token
            / COGVIDEOX.block_flops(ours.config, num_video_tokens=video_tokens, num_text_tokens=NUM_TEXT_TOKENS)
        )

    baseline = best.pop((0, "base"))
    print(
        f"{arguments.preset}, {arguments.blocks} blocks of width 3072, {num_video_tokens} video tokens, "
        f"{arguments.dtype} on {arguments.device}: base forward {baseline:.3f} s"
    )
    print(f"{'N':>2} {'form':<7} {'measured':>9} {'FLOP share':>11} {'ratio':>6} {'FLOP share at 49x480x720':>25}")
    for (num_people, form), duration in best.items():
        measured, expected = duration / baseline - 1, share(num_people, form, num_video_tokens)
        published = share(num_people, form, PUBLISHED_VIDEO_TOKENS)
        ratio = measured / expected
        print(f"{num_people:>2} {form:<7} {measured:>9.1%} {expected:>11.1%} {ratio:>6.2f} {published:>25.1%}")


if __name__ == "__main__":
    main()
