"""The benchmark of training: it runs in miniature, and the published size is what it says."""

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest
import torch
from diffusers import AutoencoderKLCogVideoX

from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.cogvideox import COGVIDEOX
from ingredients.models.flops import training_flops
from ingredients.training.loop.stage import StepPosition
from ingredients.training.stages.alignment import AlignmentStage
from ingredients.training.stages.diffusion import FrozenParts
from ingredients.training.stages.settings import AlignmentConfig
from tests.training.conftest import TinyWorld
from tests.training.scenarios import run_python

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("training_sizes")


def test_it_runs_in_miniature() -> None:
    """Rows are right: samples a second are the batch over the seconds, and MFU the work over what the device could."""
    options = ("--size", "tiny", "--batch", "1", "3", "--rounds", "1", "--rank", "4", "--peak-tflops", "0.01")
    first, header, *rows = run_python(str(BENCHMARKS / "training.py"), *options).splitlines()
    trained, together = (int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", first)[:2])
    assert 0 < trained < together
    columns = ["batch", "seconds", "samples/s", "tokens/s", "TFLOP", "TFLOP/s", "MFU", "memory", "canvases"]
    assert header.split() == columns
    assert [row.split()[0] for row in rows] == ["1", "3"]
    for row in rows:
        batch, seconds, samples, tokens, work, rate, mfu = (float(cell.rstrip("%")) for cell in row.split()[:7])
        assert samples == pytest.approx(batch / seconds, rel=0.05)
        assert tokens == pytest.approx(samples * (3 * 4 * 6 + 5), rel=0.05)
        assert rate == pytest.approx(work / seconds, rel=0.05)
        assert mfu == pytest.approx(100 * rate / 0.01, abs=0.1)


def test_the_published_size_is_the_papers(sizes: ModuleType, tiny_world: TinyWorld) -> None:
    """CogVideoX-5B with identity modules, 480x720 pixels and 49 frames; without its weights."""
    size = sizes.RANDOM_SIZES["published"]
    with torch.device("meta"):
        transformer = IngredientsTransformer3DModel(**size.transformer).to(torch.bfloat16)
        vae = AutoencoderKLCogVideoX(**size.vae)
    parts = FrozenParts(vae=vae, clips=tiny_world.parts.clips)
    stage = AlignmentStage(transformer, parts, AlignmentConfig(lora_rank=128, train_patch_embed=False))
    trained = sum(each.numel() for group in stage.parameter_groups() for each in group.parameters.values())
    base = sum(each.numel() for name, each in transformer.base_parameters() if ".lora_" not in name)
    assert base == pytest.approx(5.57e9, rel=0.01)
    assert trained == pytest.approx(1.33e9, rel=0.01)
    frames, channels, rows, columns = size.latent_shape
    assert (frames, rows, columns) == ((49 - 1) // 4 + 1, 480 // 8, 720 // 8)
    assert channels == vae.config.latent_channels == transformer.config.out_channels
    flops = training_flops(
        COGVIDEOX,
        transformer.config,
        num_video_tokens=frames * rows * columns // 4,
        num_text_tokens=transformer.config.max_text_seq_length,
        num_identities=sizes.NUM_PEOPLE,
        is_base_frozen=stage.is_base_frozen,
    )
    assert flops == pytest.approx(0.91e15, rel=0.01)


def test_random_clips_are_read_as_any(sizes: ModuleType, tmp_path: Path) -> None:
    subject = sizes.random_subject(sizes.RANDOM_SIZES["tiny"], tmp_path, num_clips=3, device=torch.device("cpu"))
    stage = AlignmentStage(subject.make_transformer(torch.float32), subject.parts, AlignmentConfig(batch_size=3))
    (batch,) = stage.data.draw(StepPosition(step=0, progress=0.5, seed=0))
    assert batch.latents.shape == (3, 3, 3, 8, 12)
    assert batch.num_people == 3 * sizes.NUM_PEOPLE
    assert set(batch.routing_targets.unique().tolist()) == {-1, 0, 1}
    assert torch.isfinite(stage.loss(batch, stage.counts([batch])).loss)
