"""What the runs of all face networks share: the folder of a part, pools, batch-norm statistics.

Pools are rendered pictures to train on: drawn once a run, kept beside its checkpoint.
"""

import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ingredients.core.errors import ModelFolderError
from ingredients.core.files import atomic_path
from ingredients.world import WORLD_VERSION


def trained_part(output: Path, part: str, weights_name: str) -> Path:
    """The folder of a part that is trained.

    Raises:
        ModelFolderError: if it is not; the message names the command that trains it.
    """
    if not (output / part / weights_name).is_file():
        raise ModelFolderError(
            f"The part {part} is not trained in {output}; run: ingredients world train {part} --output {output}"
        )
    return output / part


Pool = dict[str, NDArray[Any]]

_KEY_NAME = "key"


def cached_pool(path: Path, key: Mapping[str, Any], render: Callable[[], Pool]) -> Pool:
    """Reads the pool at `path` if it was rendered for the same key and world, and renders it otherwise."""
    text = json.dumps({"world": WORLD_VERSION, **key}, sort_keys=True, allow_nan=False)
    try:
        with np.load(path) as stored:
            if str(stored[_KEY_NAME]) == text:
                return {name: stored[name] for name in stored.files if name != _KEY_NAME}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        pass  # not there yet, or half of a file from elsewhere
    pool = render()
    with atomic_path(path) as temporary:
        np.savez(temporary, allow_pickle=False, **{_KEY_NAME: np.array(text), **pool})
    return pool


@torch.no_grad()
def recalibrate_batch_norm(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Measures the running statistics afresh over some batches, for the weights that are loaded now.

    The trainer averages parameters, not statistics, and the statistics of another set of weights do not fit.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
    was_training = network.training
    network.train()
    for batch in batches:
        network(batch)
    network.train(was_training)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
