"""Other people's EVA02-CLIP towers with weights of ours; run as a program, it records the golden file of the first.

    pip install --no-deps consisid_eva_clip==1.0.2 timm==1.0.31 open_clip_torch==3.3.0 torchvision==0.28.0 \\
        einops ftfy wcwidth regex
    python -m tests.faces.eva_clip_references
    pytest -rP tests/faces/test_eva_clip.py -k equals     # compares, and says how near they are

All import torchvision; `tests/__init__.py` makes that work without CUDA.
"""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from ingredients.faces.eva_clip import EvaClipConfig
from tests.golden import fill

GOLDEN = Path(__file__).parents[1] / "golden" / "h_eva_clip.safetensors"
TINY = EvaClipConfig(
    image_size=30,
    patch_size=6,
    width=24,
    num_layers=9,
    head_dim=8,
    mlp_dim=64,
    embedding_dim=7,
    rope_grid=4,
    hidden_state_depths=(4, 8),
)
_INPUT_STREAM = 100_090


def pixel_values(config: EvaClipConfig, batch_size: int = 2) -> torch.Tensor:
    """Normalised pictures."""
    return torch.from_numpy(fill.tensor(_INPUT_STREAM, (batch_size, 3, config.image_size, config.image_size)))


def fill_published(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Weights for published names, `visual.` before them."""
    return {name: torch.from_numpy(values) for name, values in fill.weights(shapes).items()}


def published_tower(config: EvaClipConfig) -> Any:
    """The tower of the published code's own dependency."""
    from consisid_eva_clip.eva_vit_model import EVAVisionTransformer

    return EVAVisionTransformer(
        img_size=config.image_size,
        patch_size=config.patch_size,
        num_classes=config.embedding_dim,
        use_mean_pooling=False,
        embed_dim=config.width,
        depth=config.num_layers,
        num_heads=config.width // config.head_dim,
        mlp_ratio=(config.mlp_dim + 0.5) / config.width,
        qkv_bias=True,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        rope=True,
        pt_hw_seq_len=config.rope_grid,
        intp_freq=True,
        naiveswiglu=True,
        subln=True,
    ).eval()


def timm_tower(config: EvaClipConfig) -> Any:
    """The tower of timm, whose models of this name open_clip takes."""
    from timm.models.eva import Eva

    return Eva(
        img_size=config.image_size,
        patch_size=config.patch_size,
        num_classes=config.embedding_dim,
        global_pool="token",
        embed_dim=config.width,
        depth=config.num_layers,
        num_heads=config.width // config.head_dim,
        mlp_ratio=(config.mlp_dim + 0.5) / config.width,
        qkv_fused=False,
        swiglu_mlp=True,
        scale_mlp=True,
        scale_attn_inner=True,
        use_rot_pos_emb=True,
        ref_feat_shape=(config.rope_grid, config.rope_grid),
    ).eval()


def open_clip_model() -> Any:
    """Image and text tower of open_clip, at the published size alone: the sizes lie in its package."""
    import open_clip

    return open_clip.create_model("EVA02-L-14-336").eval()


def states_after(blocks: Any, depths: tuple[int, ...]) -> list[torch.Tensor]:
    """A list that the outputs of the blocks numbered `depths` (from 1) are put into when the tower runs."""
    states: list[torch.Tensor] = []
    for depth in depths:
        blocks[depth - 1].register_forward_hook(lambda _, __, output: states.append(output))
    return states


def published_weights(tower: Any) -> dict[str, torch.Tensor]:
    """A checkpoint of the published tower: filled weights and its own rotary tables."""
    own = {f"visual.{name}": tensor for name, tensor in tower.state_dict().items()}
    filled = fill_published({name: tuple(tensor.shape) for name, tensor in own.items() if "rope" not in name})
    return own | filled


def main() -> None:
    """Records the golden file."""
    tower = published_tower(TINY)
    weights = published_weights(tower)
    tower.load_state_dict({name.removeprefix("visual."): tensor for name, tensor in weights.items()})
    with torch.no_grad():
        embeds, hidden_states = tower(pixel_values(TINY), return_hidden=True)
    tensors = {"embeds": embeds} | {f"hidden_{index}": states for index, states in enumerate(hidden_states)}
    tensors["rope_cos"] = weights["visual.rope.freqs_cos"]
    tensors["rope_sin"] = weights["visual.rope.freqs_sin"]
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, GOLDEN)


if __name__ == "__main__":
    main()
