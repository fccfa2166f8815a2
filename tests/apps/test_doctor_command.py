"""`ingredients doctor`: what is there, what is missing, and the command that changes it."""

import dataclasses
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from ingredients.apps.doctor import (
    EXTRAS,
    Extra,
    Library,
    Machine,
    NvidiaDriver,
    Software,
    device_gaps,
    disk_gaps,
    extra_gaps,
    find_nvidia_driver,
    library_gaps,
    look_at_machine,
    look_at_software,
)
from ingredients.model_folders.find_model import default_model_path
from ingredients.pipelines.video_shape import VideoGeometry
from tests.apps.conftest import Run

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
NVIDIA_SMI = """#!/bin/sh
if [ "$1" = --query-gpu=name ]; then echo "NVIDIA GeForce RTX 4090"; exit; fi
echo "| NVIDIA-SMI 550.54.14    Driver Version: 550.54.14    CUDA Version: 12.4     |"
"""


def plain(text: str) -> str:
    """Without line breaks and colours."""
    return re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m", "", text))


def make_software(**changes: Any) -> Software:
    fields: dict[str, Any] = {
        "python": "3.11.2",
        "version": "0.1.0",
        "libraries": (make_library(),),
        "extras": (),
        "torch_cuda": None,
        "cuda_works": False,
        "onnxruntimes": (),
        "torchvision": None,
    }
    return Software(**fields | changes)


def make_library(**changes: Any) -> Library:
    fields: dict[str, Any] = {
        "name": "torch", "version": "2.13.0", "wanted": "torch==2.13.0", "fits": True, "failure": None,
    }  # fmt: skip
    return Library(**fields | changes)


def make_machine(driver: NvidiaDriver | None) -> Machine:
    return Machine(
        system="Linux x86_64",
        num_cores=2,
        memory_total=2,
        memory_available=1,
        devices=(),
        driver=driver,
        disks=(),
    )


def fake_distribution(folder: Path, name: str, code: str) -> None:
    """A distribution of one module, as pip would have left it."""
    module = name.replace("-", "_")
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from which modules are imported first."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("PATH", "/nowhere")


@pytest.mark.usefixtures("no_gpu")
def test_a_machine_on_which_everything_works(run: Run) -> None:
    result = run("doctor")
    assert result.exit_code == 0, result.output
    said = plain(result.stdout)
    for part in ("Machine", "Libraries", "Memory modes", "cores", "free at", "torch 2.13.0"):
        assert part in said
    assert "The published model, 49 frames of 720x480" in said
    for mode in ("full 4", "balanced 19.", "low 5.", "minimal 2."):
        assert mode in said
    geometry = VideoGeometry.peek(default_model_path())
    assert geometry is not None
    own = geometry.own_shape
    assert f"The model small-world, {own.num_frames} frames of {own.width}x{own.height}" in said
    assert "no GPU" in said


@pytest.mark.usefixtures("no_gpu")
def test_json_is_alone_on_standard_output(run: Run, tiny_model: Path) -> None:
    result = run("doctor", "--json", "--model", tiny_model)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["works"] is True
    assert report["machine"]["num_cores"] >= 1
    assert report["machine"]["memory_total"] > report["machine"]["memory_available"] > 0
    assert [disk["purpose"] for disk in report["machine"]["disks"]] == ["model cache", "working folder"]
    published, tiny = report["models"]
    assert [each["mode"] for each in published["modes"]] == ["full", "balanced", "low", "minimal"]
    assert published["modes"][2]["needs"] < 10e9
    assert {each["fits"] for each in published["modes"]} == {None}
    assert tiny["model"] == "The model tiny"
    assert (tiny["height"], tiny["width"], tiny["num_frames"]) == (32, 48, 9)
    assert 0 < tiny["modes"][0]["needs"] < published["modes"][3]["needs"]


def test_a_damaged_model_is_one_sentence(run: Run, tiny_model: Path) -> None:
    (tiny_model / "vae" / "config.json").unlink()
    result = run("doctor", "--model", tiny_model)
    assert result.exit_code == 2
    assert result.stderr.strip().startswith("Error: The model folder lacks")
    assert "There is no model nowhere on this disk" in run("doctor", "--model", "nowhere").stderr


@pytest.mark.usefixtures("no_gpu")
def test_a_missing_extra_names_its_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    result = run("doctor")
    assert result.exit_code == 0, result.output
    assert 'pip install "ingredients[dlib]"' in plain(result.stdout)


@pytest.mark.usefixtures("no_gpu")
def test_a_torchvision_that_does_not_fit_is_essential(run: Run, site: Path) -> None:
    fake_distribution(site, "torchvision", "raise RuntimeError('operator torchvision::nms does not exist')")
    result = run("doctor")
    assert result.exit_code == 1, result.output
    said = plain(result.stdout)
    assert "operator torchvision::nms does not exist" in said
    assert "pip uninstall -y torchvision" in said
    assert "Memory modes" not in said  # computed with libraries that fail beside it


@pytest.mark.usefixtures("no_gpu")
def test_two_onnxruntimes_are_essential(run: Run, site: Path) -> None:
    for name in ("onnxruntime", "onnxruntime-gpu"):
        fake_distribution(site, name, "")
    result = run("doctor", "--json")
    assert result.exit_code == 1
    (gap,) = [gap for gap in json.loads(result.stdout)["gaps"] if gap["essential"]]
    assert "overwrite each other" in gap["what"]
    assert gap["remedy"].startswith("pip uninstall -y onnxruntime onnxruntime-gpu && pip install")


def test_a_gpu_that_torch_was_not_built_for(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "nvidia-smi"
    program.write_text(NVIDIA_SMI)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    driver = find_nvidia_driver()
    assert driver == NvidiaDriver(devices=("NVIDIA GeForce RTX 4090",), cuda="12.4")
    result = run("doctor")
    assert result.exit_code == 0, result.output
    said = plain(result.stdout)
    assert "NVIDIA GeForce RTX 4090, which PyTorch does not use" in said
    assert 'pip uninstall -y torch && pip install "torch==2.13.0"' in said


def test_a_driver_that_is_too_old() -> None:
    machine = make_machine(NvidiaDriver(devices=("Tesla T4",), cuda="12.4"))
    (gap,) = device_gaps(machine, make_software(torch_cuda="13.0"))
    assert "knows CUDA 12.4, but torch was built for CUDA 13.0" in gap.what
    assert "newer driver" in gap.remedy
    assert not list(device_gaps(machine, make_software(torch_cuda="13.0", cuda_works=True)))
    assert not list(device_gaps(make_machine(None), make_software()))


@pytest.mark.parametrize(
    ("changes", "essential", "remedy"),
    [
        ({"version": None, "fits": False, "failure": "No module named 'torch'"}, True, 'pip install "torch==2.13.0"'),
        ({"failure": "libgomp.so is missing"}, True, 'pip install --force-reinstall "torch==2.13.0"'),
        ({"version": "2.12.0", "fits": False}, False, 'pip install "torch==2.13.0"'),
    ],
)
def test_libraries_that_everything_needs(changes: dict[str, Any], essential: bool, remedy: str) -> None:
    (gap,) = library_gaps(make_software(libraries=(make_library(**changes),)))
    assert (gap.essential, gap.remedy) == (essential, remedy)
    assert "torch" in gap.what
    assert not list(library_gaps(make_software()))


def test_an_extra_is_a_gap_only_where_it_is_missing() -> None:
    there, missing = (Extra(name=name, purpose="x", failure=why) for name, why in (("a", None), ("b", "no b")))
    (gap,) = extra_gaps(make_software(extras=(there, missing)))
    assert (gap.remedy, gap.essential) == ('pip install "ingredients[b]"', False)


def test_every_extra_is_looked_at() -> None:
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(extras) - {"dev"}


def test_local_builds_of_the_tested_version_fit() -> None:
    torch_library = next(library for library in look_at_software().libraries if library.name == "torch")
    assert torch_library.fits
    assert torch_library.failure is None


def test_too_small_a_disk_is_a_gap() -> None:
    machine = look_at_machine(cache=Path("/"), working_folder=Path("/"))
    small = dataclasses.replace(machine.disks[0], free=20 * 10**9)
    machine = dataclasses.replace(machine, disks=(small, machine.disks[1]))
    (gap,) = disk_gaps(machine, is_downloaded=False)
    assert "20.0 GB free" in gap.what
    assert "HF_HOME" in gap.remedy
    assert not gap.essential
    assert not list(disk_gaps(machine, is_downloaded=True))
