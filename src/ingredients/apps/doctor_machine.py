"""What a machine has: devices, processor, memory and disks."""

import dataclasses
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import psutil

from ingredients.core.errors import IngredientsError

MODEL_CACHE = "model cache"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """An accelerator that PyTorch can use."""

    name: str
    """As its maker calls it."""

    total: int
    """Bytes."""

    free: int
    """Bytes that no program holds."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Room in a folder."""

    purpose: str
    """What goes there."""

    folder: str
    """The folder; it need not be there yet."""

    free: int
    """Bytes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NvidiaDriver:
    """What `nvidia-smi` says."""

    devices: tuple[str, ...]
    """Names."""

    cuda: str | None
    """The newest CUDA that the driver runs, such as 12.4."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What there is to compute with."""

    system: str
    """Operating system and architecture."""

    num_cores: int
    """Processor cores that this process may use."""

    memory_total: int
    """Bytes of the processor's memory."""

    memory_available: int
    """Bytes of it that are not in use."""

    devices: tuple[Device, ...]
    """Accelerators."""

    driver: NvidiaDriver | None
    """None without an NVIDIA driver."""

    disks: tuple[Disk, ...]
    """Where files go."""


def look_at_machine(*, cache: Path, working_folder: Path) -> Machine:
    """Looks at this machine.

    Args:
        cache: where downloaded models are kept.
        working_folder: where results go.
    """
    memory = psutil.virtual_memory()
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        num_cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_total=memory.total,
        memory_available=memory.available,
        devices=_find_devices(),
        driver=find_nvidia_driver(),
        disks=(
            Disk(purpose=MODEL_CACHE, folder=str(cache), free=_free_space(cache)),
            Disk(purpose="working folder", folder=str(working_folder), free=_free_space(working_folder)),
        ),
    )


def find_nvidia_driver() -> NvidiaDriver | None:
    """Asks `nvidia-smi`, which comes with the driver; None if there is none, or it finds no device."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    names = _run(program, "--query-gpu=name", "--format=csv,noheader")
    devices = tuple(line.strip() for line in (names or "").splitlines() if line.strip())
    if not devices:
        return None
    cuda = re.search(r"CUDA[^:|]*Version:\s*([\d.]+)", _run(program) or "")
    return NvidiaDriver(devices=devices, cuda=cuda.group(1) if cuda else None)


def _run(*command: str) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def _find_devices() -> tuple[Device, ...]:
    try:
        import torch

        from ingredients.pipelines.execution.memory_plan import free_device_memory
    except (ImportError, RuntimeError, OSError, IngredientsError):
        return ()  # a broken library is told of elsewhere
    devices = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        device = torch.device("cuda", index)
        properties = torch.cuda.get_device_properties(device)
        free = free_device_memory(device) or 0
        devices.append(Device(name=properties.name, total=properties.total_memory, free=free))
    return tuple(devices)


def _free_space(folder: Path) -> int:
    present = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(present).free
