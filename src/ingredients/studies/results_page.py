"""What stands around the tables: how the numbers were made, on which hardware, and the numbers for programs."""

import platform
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingredients.core.config import config_to_dict
from ingredients.studies.comparison import ModelResult, mean_similarity
from ingredients.studies.lab import Lab

_PAGE_WIDTH = 120
_HEAD = """# The paper's tables and figures, in the drawn world

Written by `ingredients reproduce`. Models that differ in the router stage alone start from the aligned weights
inside the model that ships (digest {model}), with routers drawn anew: hours of training have aligned those, with
an identity loss that the paper lacks. Models that differ in the alignment start from a common base ({base}; the
image-to-video base goes on from it for {i2v_steps} steps) and are aligned for {align_steps} steps, without an
identity loss: minutes, after which likeness is only beginning. The router stage takes {route_steps} steps. All
learn from {num_clips} clips of the drawn world, and make videos of the benchmark's first cases of two people with
{num_inference_steps} denoising steps and a guidance of {guidance_scale:g}, as the paper does: no guidance by the
people or by likeness, no planned layout. Hardware: {hardware}.

Numbers are means over cases and seeds. The 95 % intervals in the tables are for other cases and these very seeds (the
mean of the seeds' bootstrap intervals; Wilson's for a rate at 0 or 100 %). Those of the verdicts below the tables are
for other cases and other seeds: what the seeds differ by counts as well. One seed says nothing of others.
`Face Sim` is the paper's measure in the judge's cosines, `text` the cosine in the small model's dual encoder,
`Frechet` the distance in the judge's features: other networks than the paper's, so that only the order within a column
compares with the paper's. Models that are tuned for each pair have fewer cases, the first ones."""

_KEPT = ("num_cases", "seconds_per_video", "model_fingerprint")


def page_head(lab: Lab) -> str:
    """The beginning of the page."""
    config = lab.config
    base = "taken out of the model that ships" if config.t2v_steps == 0 else f"trained for {config.t2v_steps} steps"
    text = _HEAD.format(
        model=lab.model_digest,
        base=base,
        i2v_steps=config.i2v_steps,
        align_steps=config.align_steps,
        route_steps=config.route_steps,
        num_clips=config.num_clips,
        num_inference_steps=config.num_inference_steps,
        guidance_scale=config.guidance_scale,
        hardware=hardware(),
    )
    return "\n\n".join(textwrap.fill(paragraph, width=_PAGE_WIDTH) for paragraph in text.split("\n\n"))


def results_numbers(lab: Lab, results: Mapping[str, ModelResult]) -> dict[str, Any]:
    """Every metric of every model and seed, with settings and hardware."""
    return {
        "config": config_to_dict(lab.config),
        "hardware": hardware(),
        "model": lab.model_digest,
        "models": {name: [_numbers_of(seed) for seed in result.seeds] for name, result in results.items()},
    }


def hardware() -> str:
    """The machine, in words."""
    import torch

    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # another system than Linux
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{processor}, {torch.get_num_threads()} thread(s) a process, {device}"


def _numbers_of(seed: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {key: value for key, value in seed.items() if key in _KEPT or _is_estimate(value)}
    return numbers | {"similarity_by_case": [round(mean_similarity(case), 5) for case in seed["cases"]]}


def _is_estimate(value: object) -> bool:
    return isinstance(value, dict) and {"value", "low", "high"} <= value.keys()
