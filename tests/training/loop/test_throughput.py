"""How fast a run is, and how much of a GPU it uses."""

import pytest
import torch

from ingredients.models.cogvideox import COGVIDEOX
from ingredients.models.flops import training_flops
from ingredients.training.loop.stage import Work
from ingredients.training.loop.throughput import Throughput, peak_flops
from tests.training.conftest import TinyWorld
from tests.training.scenarios import align, draw_steps

CPU = torch.device("cpu")


def test_numbers_of_several_steps_and_processes() -> None:
    throughput = Throughput(peak=4e12, num_processes=3)
    throughput.add(Work(num_samples=2, num_tokens=100, flops=10**12), 0.5, waited=0.1)
    throughput.add(Work(num_samples=4, num_tokens=200, flops=2 * 10**12), 1.0, waited=0.2)
    numbers = throughput.take(CPU)
    assert numbers.pop("memory_gb") > 0.1
    assert numbers == pytest.approx(
        {
            "seconds_per_step": 0.75,
            "waiting_share": 0.2,
            "samples_per_second": 3 * 6 / 1.5,
            "tokens_per_second": 3 * 300 / 1.5,
            "tflops": 3 * 3 / 1.5,
            "mfu": 3e12 / 1.5 / 4e12,
        }
    )
    throughput.add(None, 2.0, waited=0.0)
    assert throughput.take(CPU).keys() == {"seconds_per_step", "waiting_share", "memory_gb"}


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_the_work_of_a_step_is_that_of_its_tokens(tiny_world: TinyWorld, tuning: str) -> None:
    stage = align(tiny_world, tuning=tuning, batch_size=3, micro_batch_size=2)
    ((batches,), *_) = draw_steps(stage, 1)
    work = stage.work(batches)
    assert work is not None
    assert work.num_samples == 3
    assert work.num_tokens == 3 * (3 * 8 * 12 + 20)  # frames, rows, columns, text
    assert work.flops == sum(
        len(batch)
        * training_flops(
            COGVIDEOX,
            stage.transformer.config,
            num_video_tokens=3 * 8 * 12,
            num_text_tokens=20,
            num_identities=max(map(len, batch.references)),
            is_base_frozen=tuning == "lora",
        )
        for batch in batches
    )


def test_a_processor_has_no_peak() -> None:
    assert peak_flops(CPU) is None
