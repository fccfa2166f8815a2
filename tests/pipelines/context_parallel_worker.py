"""One of some processes that share a video: compares what they make together with what one makes alone.

torchrun --nproc-per-node 2 -m tests.pipelines.context_parallel_worker
"""

import itertools
from typing import Any

import torch
import torch.distributed as dist
from diffusers import ContextParallelConfig
from diffusers.models import attention_dispatch

from tests.models.tiny import NUM_TOKENS, tiny_call, tiny_identities, tiny_transformer
from tests.pipelines.stand_ins import PROMPT, WIDTH, make_people, make_photo, make_pipeline

NUM_IDENTITIES = 3


@torch.no_grad()
def compare(config: ContextParallelConfig, *, num_heads: int, num_text_tokens: int, rotary: bool = True) -> None:
    """Every form, routing and layout that the pipeline uses, each rank for itself."""
    model = tiny_transformer(
        num_attention_heads=num_heads,
        cross_attn_interval=2,
        use_rotary_positional_embeddings=rotary,
        max_text_seq_length=num_text_tokens,
    )
    call = tiny_call(2)
    call["encoder_hidden_states"] = call["encoder_hidden_states"][:, :num_text_tokens]
    if not rotary:
        call["image_rotary_emb"] = None
    forced = torch.randint(-1, NUM_IDENTITIES, (2, NUM_TOKENS), generator=torch.Generator().manual_seed(1))
    bias = torch.randn(2, NUM_TOKENS, NUM_IDENTITIES, generator=torch.Generator().manual_seed(2))
    calls = [call, call | {"perturbed": torch.tensor([False, True])}] + [
        call
        | {
            "identity_features": model.prepare_identities(*tiny_identities(2, NUM_IDENTITIES), form=form),
            "routing_indices": indices,
            "routing_bias": bias if indices is None else None,
            "routing": routing,
        }
        for form, indices, routing in itertools.product(
            ["plain", "folded"], [None, forced], ["argmax", "softmax", "uniform"]
        )
    ]
    alone = [model(**each) for each in calls]
    tokens: list[int] = []
    model.enable_parallelism(config=config)
    model.transformer_blocks[2].ff.register_forward_pre_hook(lambda _module, args: tokens.append(args[0].shape[1]))
    for each, expected in zip(calls, alone, strict=True):
        together = model(**each)
        torch.testing.assert_close(together.sample, expected.sample, rtol=1e-4, atol=1e-4)
        assert (together.routing_logits is None) == (expected.routing_logits is None)
        if expected.routing_logits is not None:
            torch.testing.assert_close(together.routing_logits, expected.routing_logits, rtol=1e-4, atol=1e-4)
    shared = torch.tensor(tokens[0])
    dist.all_reduce(shared)
    assert int(shared) == NUM_TOKENS + num_text_tokens, "the processes must share the tokens, not repeat them"


def compare_videos(config: ContextParallelConfig) -> None:
    """The whole pipeline: 60 video tokens and 7 text tokens, planned steps and routed ones, four passes.

    Gloo gathers parts of one size only, so that the video tokens must be even; the text tokens are never gathered.
    """
    pipeline = make_pipeline()
    settings: dict[str, Any] = {
        "prompt": PROMPT,
        "height": 32,
        "canvas": make_photo(6, height=32, width=WIDTH),
        "people": make_people(NUM_IDENTITIES),
        "num_inference_steps": 4,
        "guidance_scale": 3.0,
        "identity_guidance_scale": 2.0,
        "perturbed_attention_scale": 1.0,
        "layout_share": 0.5,
        "generator": 7,
        "output_type": "np",
        "output_routing_maps": True,
    }
    alone = pipeline(**settings)
    pipeline.transformer.enable_parallelism(config=config)
    together = pipeline(**settings)
    torch.testing.assert_close(together.frames, alone.frames, rtol=1e-3, atol=1e-3)
    assert torch.equal(together.routing_maps, alone.routing_maps)


def plain_attention(
    ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **__: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """What ring attention asks of a backend, and none on the CPU gives: attention, and the logarithm of its sum."""
    scores = torch.einsum("bqhe,bkhe->bqhk", query, key) * query.shape[-1] ** -0.5
    return torch.einsum("bqhk,bkhe->bqhe", scores.softmax(-1), value), scores.logsumexp(-1)


def main() -> None:
    """Runs all comparisons and says so."""
    dist.init_process_group("gloo")
    # diffusers divides by their number, and gathers on one, which a build for GPUs names also where there is none.
    torch.accelerator.device_count = lambda: 1
    torch.accelerator.current_accelerator = lambda *_: None
    world_size = dist.get_world_size()
    compare(ContextParallelConfig(ulysses_degree=world_size), num_heads=4, num_text_tokens=6)
    compare(ContextParallelConfig(ulysses_degree=world_size), num_heads=4, num_text_tokens=6, rotary=False)
    compare(ContextParallelConfig(ulysses_degree=world_size, ulysses_anything=True), num_heads=3, num_text_tokens=5)
    compare_videos(ContextParallelConfig(ulysses_degree=world_size, ulysses_anything=True))
    attention_dispatch._native_attention_forward_op = plain_attention
    compare(ContextParallelConfig(ring_degree=world_size), num_heads=3, num_text_tokens=6)
    if dist.get_rank() == 0:
        print("the same")  # noqa: T201 (the test reads it)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
