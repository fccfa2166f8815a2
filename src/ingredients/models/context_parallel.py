"""How diffusers' context parallelism splits the tokens of one video between processes.

Each process has its part of the video tokens and its part of the text tokens, from the first block to the last layer;
attention exchanges heads or keys between them, in which the order of the tokens does not matter. Rotary positions,
forced identities and what is added to routing logits are split as the video tokens are. Identities are whole
everywhere: a video token needs nothing of another one to be routed. Prediction and routing logits are put together at
the end.

    torchrun --nproc-per-node 2 ...
    transformer.enable_parallelism(config=ContextParallelConfig(ulysses_degree=2))

Both numbers of tokens must be multiples of the number of processes, and so must the attention heads with Ulysses;
`ulysses_anything` and `ring_anything` do without. Ring attention needs a backend that returns the logarithm of the
softmax's sum, which PyTorch's own on a CPU does not.
"""

from diffusers.models._modeling_parallel import (
    ContextParallelInput,
    ContextParallelModelPlan,
    ContextParallelOutput,
)

_TOKENS = ContextParallelInput(split_dim=1, expected_dims=3)
_POSITIONS = ContextParallelInput(split_dim=0, expected_dims=2)

CONTEXT_PARALLEL_PLAN: ContextParallelModelPlan = {
    "transformer_blocks.0": {"hidden_states": _TOKENS, "encoder_hidden_states": _TOKENS},
    "transformer_blocks.*": {
        "image_rotary_emb": [_POSITIONS, _POSITIONS],
        "routing_indices": ContextParallelInput(split_dim=1, expected_dims=2),
        "routing_bias": _TOKENS,
    },
    "whole_routing": ContextParallelOutput(gather_dim=1, expected_dims=3),
    "proj_out": ContextParallelOutput(gather_dim=1, expected_dims=3),
}
