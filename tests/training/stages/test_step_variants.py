"""What saves memory or time changes no loss, or as little as its arithmetic must."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ingredients.core.errors import UserInputError
from ingredients.data.sampling import fixed_draws
from ingredients.training.loop.trainer import Trainer
from ingredients.training.stages.diffusion import DiffusionStage
from tests.training.conftest import TinyWorld
from tests.training.scenarios import Scenario, align, read_log, route

Build = Callable[..., DiffusionStage]


def losses(
    world: TinyWorld, folder: Path, build: Build, *, precision: str = "float32", **settings: Any
) -> list[float]:
    """The losses of four steps."""
    Scenario(build=lambda world: build(world, **settings)).train(world, folder, precision=precision)
    return [line["loss"] for line in read_log(folder) if "loss" in line]


@pytest.mark.parametrize("build", [align, route])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_checkpointing_computes_the_same_again(
    tiny_world: TinyWorld, tmp_path: Path, build: Build, precision: str
) -> None:
    """Bit for bit: the second forward pass does what the first did."""
    plain = losses(tiny_world, tmp_path / "plain", build, precision=precision)
    checkpointing = {"gradient_checkpointing": True, "precision": precision}
    assert losses(tiny_world, tmp_path / "checkpointing", build, **checkpointing) == plain


@pytest.mark.parametrize("build", [align, route])
@pytest.mark.parametrize("micro_batch_size", [1, 3, 4, 5])
def test_a_step_in_several_passes_is_one_step(
    tiny_world: TinyWorld, tmp_path: Path, build: Build, micro_batch_size: int
) -> None:
    """But for the order of its sums, and that of the padding: a pass is padded to the most people of its own clips."""
    whole = losses(tiny_world, tmp_path / "whole", build, batch_size=6, micro_batch_size=None)
    parts = losses(tiny_world, tmp_path / "parts", build, batch_size=6, micro_batch_size=micro_batch_size)
    assert parts == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("lora_rank", [2, 16])
def test_a_base_in_bfloat16_trains_as_its_arithmetic_allows(
    tiny_world: TinyWorld, tmp_path: Path, lora_rank: int
) -> None:
    """Its weights are rounded to eight bits once, and every product's inputs are in either case."""
    exact = losses(tiny_world, tmp_path / "exact", align, lora_rank=lora_rank)
    half = {"precision": "bfloat16", "lora_rank": lora_rank}
    mixed = losses(tiny_world, tmp_path / "mixed", align, **half)
    frozen = losses(tiny_world, tmp_path / "frozen", align, **half, dtype=torch.bfloat16)
    assert mixed == pytest.approx(exact, rel=1e-2)
    assert frozen == pytest.approx(exact, rel=1e-2)
    assert mixed != exact


def test_only_matrices_that_stay_frozen_are_in_bfloat16(tiny_world: TinyWorld, tmp_path: Path) -> None:
    stage = align(tiny_world, dtype=torch.bfloat16)
    for name, parameter in stage.transformer.named_parameters():
        is_half = not parameter.requires_grad and parameter.ndim > 1
        assert parameter.dtype == (torch.bfloat16 if is_half else torch.float32), name
    trainer = Trainer(stage, tmp_path, Scenario(build=align).config(precision="auto"))
    assert trainer.precision == "bfloat16"
    assert {average.dtype for average in trainer.ema.averages.values()} == {torch.float32}
    with pytest.raises(UserInputError, match=r"in bfloat16.*trainer\.precision=float32.*load the weights in float32"):
        Trainer(stage, tmp_path, Scenario(build=align).config(precision="float32"))


@pytest.mark.slow
@pytest.mark.parametrize(("build", "precision"), [(align, "float32"), (route, "bfloat16")])
def test_compiled_blocks_train_alike(tiny_world: TinyWorld, tmp_path: Path, build: Build, precision: str) -> None:
    """But for the order of sums in fused loops, and for what they no longer round to bfloat16 in between."""
    torch._dynamo.reset()
    settings = {"batch_size": 6, "micro_batch_size": None, "precision": precision}
    plain = losses(tiny_world, tmp_path / "plain", build, **settings)
    compiled = losses(tiny_world, tmp_path / "compiled", build, **settings, compile=True)
    assert compiled == pytest.approx(plain, rel=1e-5 if precision == "float32" else 1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_who_looks_at_the_model_meanwhile_need_not_know_of_its_arithmetic(
    tiny_world: TinyWorld, tmp_path: Path, dtype: torch.dtype
) -> None:
    stage = align(tiny_world, dtype=dtype)
    clip_ids = [entry.clip_id for entry in tiny_world.parts.clips.entries]
    batch = stage.data.read(fixed_draws([0, 3], clip_ids, seed=0), held_out=True)

    @torch.no_grad()
    def look(*, step: int, model: torch.nn.Module) -> dict[str, float]:
        assert model is stage.transformer
        assert not torch.equal(trainer.ema.averages["patch_embed.proj.bias"], model.patch_embed.proj.bias)
        losses = stage.validation_losses(batch, torch.tensor([300, 700]))
        return {name: total / number for name, (total, number) in losses.items()} | {"looked_at": float(step)}

    trainer = Trainer(stage, tmp_path, Scenario(build=align).config(precision="auto", sample_every=2), sampler=look)
    trainer.fit(show=False)
    looks = [line for line in read_log(tmp_path) if "looked_at" in line]
    assert [line["step"] for line in looks] == [line["looked_at"] for line in looks] == [2, 4]
    assert all("validation_loss_both" in line for line in looks)
