"""What works on this machine, what does not, and the command that changes it: what `ingredients doctor` prints."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingredients.apps.doctor_machine import MODEL_CACHE, Machine, look_at_machine
from ingredients.apps.doctor_software import Software, look_at_software
from ingredients.core.errors import UserInputError
from ingredients.core.memory_mode import MEMORY_LADDER, MemoryMode

PUBLISHED_BYTES = 25 * 10**9
"""About what `ingredients download published` fetches."""

NEWER_DRIVER = "https://www.nvidia.com/drivers"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something that is missing or does not work."""

    what: str
    """A sentence."""

    remedy: str
    """A command where there is one, or where to go."""

    essential: bool
    """Whether nothing works without it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModeFit:
    """A memory mode of one model."""

    mode: MemoryMode
    """One of `MEMORY_LADDER`."""

    needs: int
    """Bytes on the device at its busiest."""

    wants_free: int
    """Bytes that should be free for it: with a margin."""

    fits: bool | None
    """Whether that many are free on the best device; None without one."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelFit:
    """What a model needs for a video of two people, as it was trained."""

    model: str
    """What it is called."""

    height: int
    """Pixels."""

    width: int
    """Pixels."""

    num_frames: int
    """Length."""

    modes: tuple[ModeFit, ...]
    """On a device, from the fastest."""

    read_into_memory: int
    """Bytes of the processor's memory that its weights take while it is loaded for a device."""

    on_processor: int
    """Bytes that it takes on the processor alone, in full precision."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport:
    """Everything that was found."""

    machine: Machine
    """Hardware."""

    software: Software
    """Libraries."""

    models: tuple[ModelFit, ...]
    """What models need; none where libraries are broken."""

    gaps: tuple[Gap, ...]
    """What to change, the essential first."""

    @property
    def works(self) -> bool:
        """Whether nothing essential is broken."""
        return not any(gap.essential for gap in self.gaps)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON object."""
        return {"works": self.works, **dataclasses.asdict(self)}


def examine(*, model: Path | None = None) -> DoctorReport:
    """Looks at the machine, the libraries, and what the published model and another one need.

    Args:
        model: folder of the other one; None takes the model that ships.

    Raises:
        ModelFolderError: if its configuration cannot be read.
    """
    software = look_at_software()
    machine = look_at_machine(cache=_model_cache(), working_folder=Path.cwd())
    broken = any(library.failure is not None for library in software.libraries) or software.torchvision is not None
    free = max((device.free for device in machine.devices), default=None)
    models = () if broken else tuple(_fit_models(model, free))
    gaps = [
        *library_gaps(software),
        *device_gaps(machine, software),
        *disk_gaps(machine, is_downloaded=not broken and _has_published_model()),
        *extra_gaps(software),
    ]
    return DoctorReport(
        machine=machine,
        software=software,
        models=models,
        gaps=tuple(sorted(gaps, key=lambda gap: not gap.essential)),
    )


def library_gaps(software: Software) -> Iterator[Gap]:
    """Libraries that everything needs, and those that break others."""
    for library in software.libraries:
        command = f'pip install "{library.wanted}"'
        if library.version is None:
            yield Gap(what=f"{library.name} is not installed.", remedy=command, essential=True)
        elif library.failure is not None:
            what = f"{library.name} {library.version} cannot be imported: {library.failure}."
            yield Gap(what=what, remedy=f'pip install --force-reinstall "{library.wanted}"', essential=True)
        elif not library.fits:
            what = f"{library.name} is {library.version}; what is tested is {library.wanted}."
            yield Gap(what=what, remedy=command, essential=False)
    if software.torchvision is not None:
        yield Gap(
            what=f"torchvision is installed but does not fit this torch ({software.torchvision}), and libraries that "
            "find it fail with it; nothing here needs it.",
            remedy="pip uninstall -y torchvision",
            essential=True,
        )
    if len(software.onnxruntimes) > 1:
        yield Gap(
            what="onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files.",
            remedy='pip uninstall -y onnxruntime onnxruntime-gpu && pip install "ingredients[faces]"',
            essential=True,
        )


def device_gaps(machine: Machine, software: Software) -> Iterator[Gap]:
    """GPUs that PyTorch does not use."""
    if machine.driver is None or software.cuda_works:
        return
    device, torch = machine.driver.devices[0], next(each for each in software.libraries if each.name == "torch")
    if software.torch_cuda is None:
        yield Gap(
            what=f"There is a GPU, {device}, but this torch is a build without CUDA, so everything runs on the "
            "processor.",
            remedy=f'pip uninstall -y torch && pip install "{torch.wanted}"',
            essential=False,
        )
        return
    knows = f" knows CUDA {machine.driver.cuda}, but" if machine.driver.cuda else " does not work with"
    yield Gap(
        what=f"There is a GPU, {device}, but PyTorch cannot use it: its driver{knows} torch was built for CUDA "
        f"{software.torch_cuda}.",
        remedy=f"install a newer driver from {NEWER_DRIVER}",
        essential=False,
    )


def disk_gaps(machine: Machine, *, is_downloaded: bool) -> Iterator[Gap]:
    """Too little room for the published model, where it is still to be downloaded."""
    cache = next(disk for disk in machine.disks if disk.purpose == MODEL_CACHE)
    if not is_downloaded and cache.free < PUBLISHED_BYTES:
        yield Gap(
            what=f"The disk of the model cache {cache.folder} has {cache.free / 1e9:.1f} GB free, and the published "
            f"model needs {PUBLISHED_BYTES / 1e9:.0f} GB.",
            remedy="export HF_HOME=/a/folder/on/a/larger/disk",
            essential=False,
        )


def extra_gaps(software: Software) -> Iterator[Gap]:
    """Libraries that something needs."""
    for extra in software.extras:
        if extra.failure is not None:
            what = f"Without the extra {extra.name} there is no support for {extra.purpose} ({extra.failure})."
            yield Gap(what=what, remedy=extra.command, essential=False)


def _has_published_model() -> bool:
    from ingredients.model_folders.hub import find_downloaded
    from ingredients.model_folders.known_models import find_known_model

    published = find_known_model("published")
    assert published is not None
    assert published.source is not None
    return find_downloaded(published.source) is not None


def _model_cache() -> Path:
    try:
        from huggingface_hub.constants import HF_HUB_CACHE
    except (ImportError, RuntimeError):
        return Path.home() / ".cache"
    return Path(HF_HUB_CACHE)


def _fit_models(model: Path | None, free: int | None) -> Iterator[ModelFit]:
    import torch

    from ingredients.model_folders.places import default_model_path
    from ingredients.pipelines.execution.memory_estimate import VideoDemand, estimate_needs, with_margin
    from ingredients.pipelines.execution.model_weights import ModelWeights, folder_weights, published_weights

    def fit(name: str, half: ModelWeights, single: ModelWeights) -> ModelFit:
        demand = VideoDemand()
        height, width, num_frames = demand.shape(half)
        needs = estimate_needs(half, demand)
        return ModelFit(
            model=name,
            height=height,
            width=width,
            num_frames=num_frames,
            modes=tuple(
                ModeFit(
                    mode=mode,
                    needs=needs[mode],
                    wants_free=with_margin(needs[mode]),
                    fits=None if free is None else with_margin(needs[mode]) <= free,
                )
                for mode in MEMORY_LADDER
            ),
            read_into_memory=half.total,
            on_processor=estimate_needs(single, demand)[MemoryMode.FULL],
        )

    yield fit("The published model", published_weights(torch.bfloat16), published_weights(torch.float32))
    try:
        folder = default_model_path() if model is None else model
    except UserInputError:
        return  # a checkout without the small model
    yield fit(
        f"The model {folder.name}", folder_weights(folder, torch.bfloat16), folder_weights(folder, torch.float32)
    )
