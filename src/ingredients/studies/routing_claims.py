"""Section 4.4: what the paper sees in its routing maps, put as numbers on noised latents of real clips.

Legend: K cases, J routed blocks, t timesteps.
"""

import numpy as np
from numpy.typing import NDArray

from ingredients.casebook.drawn import drawn_cases
from ingredients.evaluation.pipeline_source import probe_router
from ingredients.evaluation.statistics import Estimate, bootstrap_mean
from ingredients.pipelines import IngredientsPipeline
from ingredients.world.scenes import render_scene

TIMESTEPS = (50, 150, 300, 500, 700, 850, 950)
"""Noise levels, of a thousand."""

_NUM_CASES = 12
_EARLY = 700
"""The timestep from which on a denoising step is an early one."""

Recalls = NDArray[np.float64]
"""Balanced recall of the router, (K, J, t)."""


def probe_cases(pipeline: IngredientsPipeline) -> Recalls:
    """The router's recall in the benchmark's first cases (K, J, t)."""
    tables = []
    for case in drawn_cases(_NUM_CASES):
        identities = pipeline.extract_identities(case.photos(), allow_photographs=True)
        scene = render_scene(case.scene())
        tables.append(probe_router(pipeline, identities, scene, seed=case.seed, timesteps=TIMESTEPS).balanced_recall)
    return np.array(tables)


def claims_of_section_4_4(with_loss: Recalls, without: Recalls) -> list[str]:
    """What the two observations of 4.4 come to here, in sentences, each by the difference case by case.

    Args:
        with_loss: recall (K, J, t) of the router trained with the routing loss.
        without: the same of the router trained without, on the same cases.
    """
    early = [index for index, timestep in enumerate(TIMESTEPS) if timestep >= _EARLY]
    routed, unrouted = (recalls[:, :, early].mean(axis=(1, 2)) for recalls in (with_loss, without))
    gained = bootstrap_mean(routed - unrouted)
    first, last = (with_loss[:, block].mean(axis=1) for block in (0, -1))
    known = f"{len(routed)} cases, 1 seed"
    return [
        f"(i) With the routing loss people are told apart at earlier steps: at timesteps from {_EARLY} on recall is "
        f"{routed.mean():.2f} with it and {unrouted.mean():.2f} without, {_verdict(gained)} ({known}).",
        f"(ii) Shallow blocks route at random, deep ones by person: recall is {first.mean():.2f} in the first block "
        f"and {last.mean():.2f} in the last, {_verdict(bootstrap_mean(last - first))}; by chance it would be 0.50 "
        f"({known}).",
    ]


def _verdict(difference: Estimate) -> str:
    interval = f"{difference.value:+.2f} ({difference.low:+.2f} to {difference.high:+.2f})"
    if difference.low > 0:
        return f"{interval}: so here"
    return f"{interval}: {'the other way round here' if difference.high < 0 else 'undecided'}"
