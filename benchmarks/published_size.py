"""What a video costs at the published size: width 48 x 64, 42 blocks, 17,550 + 226 tokens, guidance, random weights.

Prints, for diffusers' CogVideoX-5B, for the identity path as the published code runs it (recomputed in every step, the
features of batch element 0 given to all) and for ours, plain and folded: seconds a step, overhead over the base, peak
memory, FLOP/s, and the share of a roofline (matrix products at the measured rate of a large product, attention at the
measured rate of attention alone). Then whole denoising loops with each speed option, the text encoder and the VAE's
decoder.

    python benchmarks/published_size.py                      # on a GPU of 80 GB or more
    python benchmarks/published_size.py --size laptop        # two blocks and a small video, on a CPU
    python benchmarks/published_size.py --loops exact first-block --steps 50 --people 2
"""

import argparse
import dataclasses
import gc
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDPMScheduler, CogVideoXTransformer3DModel
from measuring import attention_rate, best_seconds, matrix_rate, seconds
from torch import nn
from transformers import T5Config, T5EncoderModel

from ingredients.models import presets
from ingredients.models.block_ingredients import IngredientsBlock
from ingredients.models.cogvideox import COGVIDEOX
from ingredients.models.flops import identity_flops_per_token
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from ingredients.pipelines.execution.model_weights import T5_XXL
from ingredients.pipelines.execution.speed_options import SpeedOptions
from ingredients.pipelines.inputs import Branches
from ingredients.pipelines.people import PeopleEmbeds
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline

NUM_TEXT_TOKENS, NUM_PATCHES = 226, 577
FORMS = ("plain", "folded")
PEAK_UNKNOWN = "-"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """The sizes of the model and the video."""

    blocks: int
    height: int
    width: int
    frames: int
    text_layers: int
    qformer_depth: int
    steps: int
    device: str
    dtype: torch.dtype

    @property
    def grid(self) -> tuple[int, int, int]:
        """Latent frames, rows and columns."""
        return (self.frames - 1) // 4 + 1, self.height // 8, self.width // 8

    @property
    def num_tokens(self) -> int:
        """Video tokens."""
        frames, rows, columns = self.grid
        return frames * (rows // 2) * (columns // 2)


SIZES = {
    "published": Size(
        blocks=42, height=480, width=720, frames=49, text_layers=24, qformer_depth=10, steps=50,
        device="cuda", dtype=torch.bfloat16,
    ),
    "laptop": Size(
        blocks=2, height=160, width=240, frames=9, text_layers=1, qformer_depth=5, steps=6,
        device="cpu", dtype=torch.float32,
    ),
}  # fmt: skip

LOOPS: dict[str, SpeedOptions] = {
    "exact": SpeedOptions(),
    "fuse-qkv": SpeedOptions(fuse_qkv=True),
    "split-guidance": SpeedOptions(split_guidance=True),
    "compile": SpeedOptions(compile=True),
    "first-block": SpeedOptions(step_cache="first-block"),
    "pab": SpeedOptions(step_cache="pab"),
    "faster": SpeedOptions(step_cache="faster"),
    "taylor": SpeedOptions(step_cache="taylor"),
}
"""MagCache is left out: it needs residuals measured on trained weights."""


class AsPublished(nn.Module):
    """A block as the published code runs it: a whole cross-attention for each identity, for batch element 0 alone."""

    def __init__(self, block: IngredientsBlock, id_tokens: torch.Tensor) -> None:
        super().__init__()
        self.block = block
        self.id_tokens = id_tokens

    def forward(self, hidden_states: torch.Tensor, *arguments: Any) -> tuple[torch.Tensor, torch.Tensor, None]:
        """Denoise, then add the mixture."""
        hidden_states, encoder_hidden_states = self.block(hidden_states, *arguments[:4])[:2]
        attention, router, id_tokens = self.block.id_attn, self.block.id_router, self.id_tokens
        first = hidden_states[:1]
        is_real = torch.ones(id_tokens.shape[:2], dtype=torch.bool, device=id_tokens.device)
        shares = router(first, router.project_identities(id_tokens), is_real).softmax(dim=-1).to(first.dtype)
        mixture = torch.zeros_like(first)
        for n in range(id_tokens.shape[1]):
            key, value = attention.project_identities(id_tokens[:, n : n + 1])
            query = attention.to_q(attention.norm_video(first)).unflatten(-1, (attention.num_heads, -1))
            attended = attention.to_out(attention.processor(query, key[:, 0], value[:, 0]).flatten(2))
            mixture = mixture + shares[..., n : n + 1] * attended
        return hidden_states + mixture, encoder_hidden_states, None


def step_as_published(
    model: IngredientsTransformer3DModel, call: dict[str, Any], embeds: torch.Tensor, states: list[torch.Tensor]
) -> None:
    """A guided step with everything about the people computed in it."""
    blocks = model.transformer_blocks
    id_tokens = model.multi_scale_projector(embeds[0], [each[0] for each in states])[None]
    model.transformer_blocks = nn.ModuleList([AsPublished(block, id_tokens) for block in blocks])
    model(**call)
    model.transformer_blocks = blocks


def parse_arguments() -> tuple[argparse.Namespace, Size]:
    """What to measure, and at which size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="published")
    for field in ("blocks", "height", "width", "frames", "steps"):
        parser.add_argument(f"--{field}", type=int, help="instead of the size's own")
    parser.add_argument("--device", help="instead of the size's own")
    parser.add_argument("--people", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--loops", nargs="*", choices=LOOPS, default=list(LOOPS), help="denoising loops to time")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each step, best kept")
    parser.add_argument("--no-parts", action="store_true", help="leave out text encoder and VAE")
    arguments = parser.parse_args()
    given = {name: getattr(arguments, name) for name in ("blocks", "height", "width", "frames", "steps", "device")}
    return arguments, dataclasses.replace(
        SIZES[arguments.size], **{name: value for name, value in given.items() if value is not None}
    )


def build(size: Size) -> tuple[CogVideoXTransformer3DModel, IngredientsTransformer3DModel]:
    """The base and ours on the same random weights."""
    config = presets.published() | {"num_layers": size.blocks, "id_qformer_depth": size.qformer_depth}
    torch.set_default_dtype(size.dtype)
    with torch.device(size.device):
        ours = IngredientsTransformer3DModel(**config).eval().requires_grad_(False)
        for index in ours.routed_blocks:
            nn.init.normal_(ours.transformer_blocks[index].id_attn.to_out.weight, std=0.02)
    torch.set_default_dtype(torch.float32)
    with torch.device("meta"):
        base = CogVideoXTransformer3DModel(
            **{field: value for field, value in config.items() if not field.startswith(("id_", "router_", "routing"))}
        )
    weights = ours.state_dict()
    base.load_state_dict({name: weights[name] for name in base.state_dict()}, assign=True)
    return base.eval().requires_grad_(False), ours


def identities(size: Size, num_people: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Random people."""
    factory = {"device": size.device, "dtype": size.dtype}
    states = [torch.randn(1, num_people, NUM_PATCHES, 1024, **factory) for _ in range(5)]
    return torch.randn(1, num_people, 1280, **factory), states


def guided_call(size: Size, config: Any) -> dict[str, Any]:
    """Arguments of a step with guidance: two samples."""
    factory = {"device": size.device, "dtype": size.dtype}
    frames, rows, columns = size.grid
    return {
        "hidden_states": torch.randn(2, frames, config.in_channels, rows, columns, **factory),
        "encoder_hidden_states": torch.randn(2, NUM_TEXT_TOKENS, config.text_embed_dim, **factory),
        "timestep": torch.tensor([500, 500], device=size.device),
        "image_rotary_emb": COGVIDEOX.positions(
            config, num_frames=frames, height=rows, width=columns, device=size.device
        ),
    }


def base_flops(size: Size, config: Any) -> tuple[float, float]:
    """Of a guided step: matrix products with weights, and attention."""
    whole = COGVIDEOX.block_flops(config, num_video_tokens=size.num_tokens, num_text_tokens=NUM_TEXT_TOKENS)
    num_tokens = size.num_tokens + NUM_TEXT_TOKENS
    attention = 4 * num_tokens**2 * config.num_attention_heads * config.attention_head_dim
    return 2.0 * size.blocks * (whole - attention), 2.0 * size.blocks * attention


def published_identity_flops(size: Size, config: Any, num_people: int) -> float:
    """Of a step as published: each identity its own projections, one sample."""
    dim = config.num_attention_heads * config.attention_head_dim
    inner = config.id_attn_num_heads * config.id_attn_head_dim
    attention = num_people * (4 * dim * inner + 4 * config.id_num_queries * inner)
    router = 2 * dim * config.router_inner_dim + 2 * config.router_inner_dim * num_people
    return float(size.blocks * size.num_tokens * (attention + router))


def peak_memory(size: Size, function: Callable[[], Any]) -> str:
    """Largest memory of a call on a GPU, weights included."""
    if not size.device.startswith("cuda"):
        return PEAK_UNKNOWN
    torch.cuda.reset_peak_memory_stats()
    function()
    return f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB"


def time_steps(size: Size, people: Sequence[int], rounds: int) -> IngredientsTransformer3DModel:
    """Prints the table of single steps."""
    base, ours = build(size)
    config, call = ours.config, guided_call(size, ours.config)
    matrices, attention = base_flops(size, config)
    num_tokens = size.num_tokens + NUM_TEXT_TOKENS
    rates = (
        matrix_rate(size.device, size.dtype),
        attention_rate(size.device, size.dtype, num_tokens=num_tokens, num_heads=config.num_attention_heads),
    )
    print(f"{size.blocks} blocks, {size.num_tokens} + {NUM_TEXT_TOKENS} tokens, two samples, {size.dtype}")
    print(f"on {name_device(size)}")
    print(f"alone: matrix products {rates[0] / 1e12:.2f} TFLOP/s, attention {rates[1] / 1e12:.2f} TFLOP/s\n")
    print(
        f"{'step':<22} {'seconds':>8} {'over base':>9} {'memory':>8} {'TFLOP/s':>8} {'of matrix rate':>14} "
        f"{'roofline':>8}"
    )

    steps: dict[str, tuple[Callable[[], Any], float]] = {"base": (lambda: base(**call), 0.0)}
    for num_people in people:
        embeds, states = identities(size, num_people)
        for form in FORMS:
            features = ours.prepare_identities(embeds, states, form=form).repeat_for_guidance()
            per_token = identity_flops_per_token(
                config, video_dim=COGVIDEOX.video_dim(config), num_identities=num_people, form=form
            )
            steps[f"ours, {form}, N = {num_people}"] = (
                partial(ours, **call, identity_features=features),
                2.0 * size.blocks * size.num_tokens * per_token,
            )
        steps[f"as published, N = {num_people}"] = (
            partial(step_as_published, ours, call, embeds, states),
            published_identity_flops(size, config, num_people),
        )

    best = dict.fromkeys(steps, float("inf"))
    for is_warm in [False] + [True] * rounds:
        for name, (step, _) in steps.items():
            duration = seconds(step, size.device)
            best[name] = min(best[name], duration) if is_warm else best[name]
    for name, (step, identity_flops) in steps.items():
        duration, flops = best[name], matrices + attention + identity_flops
        roofline = (matrices + identity_flops) / rates[0] + attention / rates[1]
        print(
            f"{name:<22} {duration:>8.3f} {duration / best['base'] - 1:>9.1%} {peak_memory(size, step):>8} "
            f"{flops / duration / 1e12:>8.2f} {flops / duration / rates[0]:>14.0%} {roofline / duration:>8.0%}",
            flush=True,
        )
    return ours


def time_loops(size: Size, transformer: IngredientsTransformer3DModel, people: int, names: Sequence[str]) -> None:
    """Prints the table of whole denoising loops."""
    with torch.device("meta"):
        vae = AutoencoderKLCogVideoX(latent_channels=16)
    scheduler = CogVideoXDPMScheduler(
        prediction_type="v_prediction", timestep_spacing="trailing", rescale_betas_zero_snr=True, snr_shift_scale=1.0
    )
    pipeline = IngredientsPipeline(None, None, vae, transformer, scheduler)
    pipeline.set_progress_bar_config(disable=True)
    embeds, states = identities(size, people)
    embedded = PeopleEmbeds(id_embeds=embeds, id_vit_hidden_states=states)
    texts = torch.randn(2, 1, NUM_TEXT_TOKENS, transformer.config.text_embed_dim).to(size.device, size.dtype)
    title = f"loop of {size.steps} steps, N = {people}"
    print(f"\n{title:<28} {'seconds':>8} {'of exact':>8} {'memory':>8}")

    def loop() -> None:
        pipeline(
            embedded, prompt_embeds=texts[0], negative_prompt_embeds=texts[1], branches=Branches(use_canvas=False),
            height=size.height, width=size.width, num_frames=size.frames,
            num_inference_steps=size.steps, generator=0, output_type="latent",
        )  # fmt: skip

    exact = 0.0
    for name in names:
        pipeline.apply_speed_options(LOOPS[name])
        if LOOPS[name].compile:
            loop()
        duration = seconds(loop, size.device)
        exact = exact or duration
        print(f"{name:<28} {duration:>8.2f} {duration / exact:>8.0%} {peak_memory(size, loop):>8}", flush=True)
    pipeline.apply_speed_options(SpeedOptions())


def time_parts(size: Size) -> None:
    """Prints text encoder and VAE decoder."""
    print(f"\n{'once a video':<28} {'seconds':>8} {'memory':>8}")

    def report(name: str, function: Callable[[], Any]) -> None:
        print(
            f"{name:<28} {best_seconds(function, size.device, rounds=1):>8.2f} {peak_memory(size, function):>8}",
            flush=True,
        )

    text = T5Config(**T5_XXL | {"num_layers": size.text_layers})
    torch.set_default_dtype(size.dtype)
    with torch.device(size.device):
        text_encoder = T5EncoderModel(text).eval().requires_grad_(False)
        vae = AutoencoderKLCogVideoX(latent_channels=16).eval().requires_grad_(False)
    torch.set_default_dtype(torch.float32)
    tokens = torch.zeros(2, NUM_TEXT_TOKENS, dtype=torch.long, device=size.device)
    report(f"T5-XXL, {size.text_layers} layers", lambda: text_encoder(tokens))
    frames, rows, columns = size.grid
    latents = torch.randn(1, 16, frames, rows, columns, device=size.device, dtype=size.dtype)
    report("VAE decode", lambda: vae.decode(latents))
    vae.enable_tiling()
    report("VAE decode, tiled", lambda: vae.decode(latents))


def name_device(size: Size) -> str:
    """For the record."""
    if size.device.startswith("cuda"):
        return torch.cuda.get_device_name()
    return f"a CPU with {torch.get_num_threads()} threads"


@torch.inference_mode()
def main() -> None:
    """Measure and print."""
    arguments, size = parse_arguments()
    torch.manual_seed(0)
    transformer = time_steps(size, arguments.people, arguments.rounds)
    if arguments.loops:
        people = 2 if 2 in arguments.people else arguments.people[0]
        time_loops(size, transformer, people, arguments.loops)
    del transformer
    gc.collect()
    if not arguments.no_parts:
        time_parts(size)


if __name__ == "__main__":
    main()
