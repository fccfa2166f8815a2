"""Modules that are built without weights, while another thread builds its own."""

import threading

import pytest
import torch
from torch import nn

from ingredients.model_folders.weight_files import without_weights


class _Part(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 5)
        self.scale = nn.Parameter(torch.ones(2), requires_grad=False)
        self.register_buffer("table", torch.arange(4))
        self.bias = None


def test_parameters_have_no_numbers_and_buffers_have():
    with without_weights():
        part = _Part()
        with without_weights():
            inner = _Part()
        after = _Part()
    for each in (part, inner, after):
        assert {parameter.device.type for parameter in each.parameters()} == {"meta"}
        assert (each.scale.requires_grad, each.layer.weight.requires_grad) == (False, True)
        assert each.layer.weight.shape == (5, 3)
        assert each.table.tolist() == [0, 1, 2, 3]
    assert not any(parameter.is_meta for parameter in _Part().parameters())


def test_what_other_threads_build_has_its_weights_and_no_end_of_a_block_is_lost():
    begun, built = threading.Event(), threading.Event()
    devices: dict[str, str] = {}

    def leave_out() -> None:
        with without_weights():
            begun.set()
            built.wait(60)
            devices["late"] = _Part().scale.device.type

    thread = threading.Thread(target=leave_out)
    with without_weights():
        thread.start()
        assert begun.wait(60)
    devices["meanwhile"] = _Part().scale.device.type  # this block has ended, and the other has not
    built.set()
    thread.join(60)
    devices["after"] = _Part().scale.device.type
    assert devices == {"meanwhile": "cpu", "late": "meta", "after": "cpu"}


def test_a_block_that_fails_leaves_nothing_behind():
    with pytest.raises(ValueError, match="no layer"), without_weights():
        raise ValueError("no layer")
    assert not nn.Linear(1, 1).weight.is_meta
