"""Tests.

Where torchvision lies beside a PyTorch for the CPU, as the references need it, the operators that its import asks for
are declared first and left empty: transformers would fail to import beside it, and nothing calls them.
"""

import contextlib
import importlib.util

import torch

if importlib.util.find_spec("torchvision") is not None and torch.version.cuda is None:
    _torchvision = torch.library.Library("torchvision", "FRAGMENT")
    for _name in ("nms", "qnms"):
        with contextlib.suppress(RuntimeError):  # declared already
            _torchvision.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
