"""The published image tower: against what its own code computes, and against others' of today where they are there."""

import importlib.util
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ingredients.core.errors import ModelFolderError
from ingredients.faces.eva_clip import EvaClipConfig, EvaClipTower, load_eva_clip, rotary_tables
from ingredients.faces.image_encoder import preprocess
from tests.faces.eva_clip_references import (
    GOLDEN,
    TINY,
    fill_published,
    open_clip_model,
    pixel_values,
    published_tower,
    published_weights,
    states_after,
    timm_tower,
)


def published_checkpoint(config: EvaClipConfig = TINY) -> dict[str, torch.Tensor]:
    """Weights by their published names, with the rotary tables and a text tower that nobody reads."""
    names = {
        "visual." + name.replace("q_proj.bias", "q_bias").replace("v_proj.bias", "v_bias"): tuple(tensor.shape)
        for name, tensor in EvaClipTower(config).state_dict().items()
    }
    cosines, sines = rotary_tables(config)
    tables = {"visual.rope.freqs_cos": cosines, "visual.blocks.3.attn.rope.freqs_sin": sines}
    return (
        fill_published(names)
        | tables
        | {"text.token_embedding.weight": torch.ones(3, 4), "logit_scale": torch.ones(())}
    )


def write(weights: dict[str, torch.Tensor], path: Path) -> Path:
    save_file({name: tensor.clone().contiguous() for name, tensor in weights.items()}, path)
    return path


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Within 1e-4 of the root mean square, as all golden modules."""
    rms = float(theirs.square().mean().sqrt())
    assert float((ours - theirs).abs().max()) <= 1e-4 * rms


def test_it_computes_what_the_published_code_computes(tmp_path: Path) -> None:
    golden = load_file(GOLDEN)
    encoder = load_eva_clip(write(published_checkpoint(), tmp_path / "eva.safetensors"), TINY)
    embeds, hidden_states = encoder.tower(pixel_values(TINY))
    assert_same(embeds, golden["embeds"])
    assert len(hidden_states) == 2
    for index, states in enumerate(hidden_states):
        assert_same(states, golden[f"hidden_{index}"])
    for ours, name in zip(rotary_tables(TINY), ("rope_cos", "rope_sin"), strict=True):
        torch.testing.assert_close(ours, golden[name])


def test_the_published_sizes_have_the_published_shapes() -> None:
    with torch.device("meta"):
        tower = EvaClipTower(EvaClipConfig())
        embeds, hidden_states = tower(torch.empty(2, 3, 336, 336))
    assert embeds.shape == (2, 768)
    assert [tuple(states.shape) for states in hidden_states] == [(2, 577, 1024)] * 5


def test_crops_of_any_size_are_read_as_the_published_code_reads_them(tmp_path: Path) -> None:
    encoder = load_eva_clip(write(published_checkpoint(), tmp_path / "eva.safetensors"), TINY)
    crops = np.random.default_rng(0).integers(0, 256, (2, 50, 50, 3), dtype=np.uint8)
    features = encoder.encode(crops)
    embeds, hidden_states = encoder.tower(preprocess(crops, crop_size=30))
    assert torch.equal(features.embeds, embeds)
    assert all(torch.equal(ours, states) for ours, states in zip(features.hidden_states, hidden_states, strict=True))
    assert encoder.crop_size == 30
    assert encoder.embedding_dim == 7


def timm_names(names: Iterable[str]) -> dict[str, str]:
    """The names of this module's parameters in timm, by their names here."""
    renamed = {}
    for name in names:
        theirs = name.replace("inner_attn_ln", "norm").replace("ffn_ln", "norm")
        for ours, timms in (("mlp.w1", "mlp.fc1_g"), ("mlp.w2", "mlp.fc1_x"), ("mlp.w3", "mlp.fc2")):
            theirs = theirs.replace(ours, timms)
        renamed[name] = theirs
    return renamed


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("naming", ["published", "tower alone", "timm", "open_clip"])
def test_every_naming_loads(tmp_path: Path, naming: str, suffix: str) -> None:
    published = published_checkpoint()
    alone = {name.removeprefix("visual."): tensor for name, tensor in published.items() if "visual." in name}
    own = {
        name.replace("q_bias", "q_proj.bias").replace("v_bias", "v_proj.bias"): tensor
        for name, tensor in alone.items()
        if "rope" not in name
    }
    timm = {theirs: own[ours] for ours, theirs in timm_names(own).items()}
    weights = {
        "published": published,
        "tower alone": alone,
        "timm": timm,
        "open_clip": {f"visual.trunk.{name}": tensor for name, tensor in timm.items()}
        | {"logit_scale": torch.ones(1)},
    }[naming]
    path = tmp_path / f"eva{suffix}"
    if suffix == ".pt":
        torch.save({"state_dict": weights}, path)
    else:
        write(weights, path)
    encoder = load_eva_clip(path, TINY)
    assert_same(encoder.tower(pixel_values(TINY))[0], load_file(GOLDEN)["embeds"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"visual.head.bias": None}, r"lack tensor head\.bias"),
        ({"visual.strange": torch.ones(1)}, "hold the unknown tensor strange"),
        ({"visual.head.bias": torch.ones(8)}, r"head\.bias in .* has shape \(8,\), but the model needs \(7,\)"),
        ({"visual.cls_token": None}, "hold no image tower"),
        ({"visual.rope.freqs_cos": torch.zeros(25, 8)}, "are not those of this network"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    tmp_path: Path, change: dict[str, torch.Tensor | None], message: str
) -> None:
    weights = {name: tensor for name, tensor in (published_checkpoint() | change).items() if tensor is not None}
    with pytest.raises(ModelFolderError, match=message):
        load_eva_clip(write(weights, tmp_path / "eva.safetensors"), TINY)


def test_nothing_unpickles_a_strangers_file(tmp_path: Path) -> None:
    path = tmp_path / "eva.pt"
    torch.save({"visual.cls_token": Path("/")}, path)
    with pytest.raises(ModelFolderError, match="damaged"):
        load_eva_clip(path, TINY)
    torch.save({"visual.cls_token": 3}, path)
    with pytest.raises(ModelFolderError, match="something else than tensors"):
        load_eva_clip(path, TINY)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ModelFolderError, match="damaged"):
        load_eva_clip(path, TINY)
    with pytest.raises(ModelFolderError, match="lacks"):
        load_eva_clip(tmp_path / "gone.pt", TINY)


def is_installed(*modules: str) -> bool:
    return all(importlib.util.find_spec(module) is not None for module in modules)


NOT_INSTALLED = "not installed; tests/faces/eva_clip_references.py says how"
needs_consisid = pytest.mark.skipif(
    not is_installed("consisid_eva_clip"), reason=f"consisid_eva_clip is {NOT_INSTALLED}"
)
needs_timm = pytest.mark.skipif(not is_installed("timm"), reason=f"timm is {NOT_INSTALLED}")
needs_open_clip = pytest.mark.skipif(not is_installed("open_clip", "timm"), reason=f"open_clip is {NOT_INSTALLED}")

both_sizes = pytest.mark.parametrize("config", [TINY, EvaClipConfig()], ids=["tiny", "published size"])


def compare(
    ours: tuple[torch.Tensor, Sequence[torch.Tensor]], embeds: torch.Tensor, hidden_states: Sequence[torch.Tensor]
) -> None:
    """Compares an embedding and the hidden states, and says (`pytest -rP`) how near they are."""
    names = ["embedding", *(f"hidden state {index}" for index in range(len(hidden_states)))]
    for name, our_states, their_states in zip(names, [ours[0], *ours[1]], [embeds, *hidden_states], strict=True):
        rms = float(their_states.square().mean().sqrt())
        difference = float((our_states - their_states).abs().max())
        sys.stdout.write(f"{name}: {difference / rms:.1e} of the root mean square\n")
        assert_same(our_states, their_states)


@needs_consisid
@pytest.mark.slow
@both_sizes
@torch.inference_mode()
def test_it_equals_the_published_codes_own(tmp_path: Path, config: EvaClipConfig) -> None:
    theirs = published_tower(config)
    weights = published_weights(theirs)
    theirs.load_state_dict({name.removeprefix("visual."): tensor for name, tensor in weights.items()})
    inputs = pixel_values(config)
    encoder = load_eva_clip(write(weights, tmp_path / "eva.safetensors"), config)
    compare(encoder.tower(inputs), *theirs(inputs, return_hidden=True))


@needs_timm
@pytest.mark.slow
@both_sizes
@torch.inference_mode()
def test_it_equals_timm(tmp_path: Path, config: EvaClipConfig) -> None:
    encoder = load_eva_clip(write(published_checkpoint(config), tmp_path / "eva.safetensors"), config)
    own, timm = encoder.tower.state_dict(), timm_tower(config)
    timm.load_state_dict({theirs: own[ours] for ours, theirs in timm_names(own).items()})
    encoder = load_eva_clip(write(timm.state_dict(), tmp_path / "timm.safetensors"), config)
    states, inputs = states_after(timm.blocks, config.hidden_state_depths), pixel_values(config)
    compare(encoder.tower(inputs), timm(inputs), states)


@needs_open_clip
@pytest.mark.slow
@torch.inference_mode()
def test_it_equals_open_clip(tmp_path: Path) -> None:
    """Its whole checkpoint is read, text tower included, and what its own `encode_image` says is compared."""
    config, theirs = EvaClipConfig(), open_clip_model()
    own = load_eva_clip(write(published_checkpoint(config), tmp_path / "eva.safetensors"), config).tower.state_dict()
    theirs.visual.trunk.load_state_dict({name: own[ours] for ours, name in timm_names(own).items()})
    assert any(name.startswith("text.") for name in theirs.state_dict())
    encoder = load_eva_clip(write(theirs.state_dict(), tmp_path / "open_clip.safetensors"), config)
    states, inputs = states_after(theirs.visual.trunk.blocks, config.hidden_state_depths), pixel_values(config)
    compare(encoder.tower(inputs), theirs.encode_image(inputs), states)
