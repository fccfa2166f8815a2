"""What works on this machine, what does not, and the command that changes it: what `ingredients doctor` prints.

A library is tried by a real import, for it can be installed and not work.
"""

import dataclasses
import importlib
import importlib.util
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
from packaging.requirements import Requirement
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ingredients.apps.terminal import show_rendered
from ingredients.core.errors import IngredientsError, UserInputError
from ingredients.core.memory_mode import MEMORY_LADDER, MemoryMode
from ingredients.core.usable_cores import usable_cores
from ingredients.core.version import VERSION

MODEL_CACHE = "model cache"

PUBLISHED_BYTES = 25 * 10**9
"""About what `ingredients download published` fetches."""

NEWER_DRIVER = "https://www.nvidia.com/drivers"

PACKAGE = "ingredients"

_MODULES = {"pillow": "PIL", "pyyaml": "yaml", "protobuf": "google.protobuf"}
"""Distributions whose module has another name."""

GOOD, BAD, DOUBTFUL = "[green]✓[/]", "[red]✗[/]", "[yellow]![/]"

_FITS_EVERYWHERE = 1_000_000_000
"""Bytes of a model that need no table."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """An accelerator that PyTorch can use."""

    name: str
    """The maker's name of it."""

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
    """NVIDIA's driver; None without one."""

    disks: tuple[Disk, ...]
    """Where files go."""


def look_at_machine(*, cache: Path, working_folder: Path) -> Machine:
    """Looks at this machine."""
    memory = psutil.virtual_memory()
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        num_cores=usable_cores(),
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A library that everything needs."""

    name: str
    """Its distribution."""

    version: str | None
    """What is installed; None if nothing is."""

    wanted: str
    """What to give pip, such as torch==2.13.0."""

    fits: bool
    """Whether this version is the one that is tested."""

    failure: str | None
    """Why it cannot be imported; None if it can."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """Libraries that not everybody needs."""

    name: str
    """The extra's name, as in `pip install "ingredients[name]"`."""

    purpose: str
    """What they are for."""

    failure: str | None
    """Why they cannot be used; None if they can."""

    @property
    def command(self) -> str:
        """What installs it."""
        return f'pip install "{PACKAGE}[{self.name}]"'


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Probe:
    purpose: str
    imported: tuple[str, ...]
    found: tuple[str, ...] = ()
    """Modules that are only looked for, as their owner does: they hold files."""


EXTRAS = {
    "faces": _Probe(purpose="the published model's face networks", imported=("onnxruntime",)),
    "dlib": _Probe(
        purpose="faces of photographs without a model", imported=("dlib",), found=("face_recognition_models",)
    ),
    "train": _Probe(purpose="data sets packed into shards", imported=("webdataset",)),
    "curate": _Probe(purpose="clips cut out of raw videos", imported=("scenedetect", "imagehash")),
    "ray": _Probe(purpose="the same work on several machines", imported=("ray",)),
    "segment": _Probe(purpose="masks of photographed people, by MediaPipe", imported=("ai_edge_litert",)),
    "studio": _Probe(
        purpose="a server that makes videos", imported=("fastapi", "uvicorn", "multipart", "prometheus_client")
    ),
    "plots": _Probe(purpose="curves of training", imported=("matplotlib",)),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """What is installed."""

    python: str
    """Version."""

    version: str
    """Version of this package."""

    libraries: tuple[Library, ...]
    """The libraries that everything needs."""

    extras: tuple[Extra, ...]
    """The libraries that something needs."""

    torch_cuda: str | None
    """CUDA that PyTorch was built for; None for a build without."""

    cuda_works: bool
    """Whether PyTorch finds a device."""

    onnxruntimes: tuple[str, ...]
    """Distributions of onnxruntime that are installed; there must not be two."""

    torchvision: str | None
    """Why an installed torchvision cannot be imported; None if it can, or is not there."""


def look_at_software() -> Software:
    """Looks at the libraries of this environment."""
    torch_cuda, cuda_works = _look_at_torch()
    return Software(
        python=platform.python_version(),
        version=VERSION,
        libraries=tuple(_look_at_library(requirement) for requirement in core_requirements()),
        extras=tuple(_look_at_extra(name, probe) for name, probe in EXTRAS.items()),
        torch_cuda=torch_cuda,
        cuda_works=cuda_works,
        onnxruntimes=tuple(name for name in ("onnxruntime", "onnxruntime-gpu") if _version(name) is not None),
        torchvision=_import_failure("torchvision") if _version("torchvision") is not None else None,
    )


def core_requirements() -> list[Requirement]:
    """What this package requires without extras, as installed."""
    requirements = [Requirement(text) for text in metadata.requires(PACKAGE) or []]
    return [each for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]


def _look_at_library(requirement: Requirement) -> Library:
    version = _version(requirement.name)
    return Library(
        name=requirement.name,
        version=version,
        wanted=f"{requirement.name}{requirement.specifier}",
        fits=version is not None and requirement.specifier.contains(version, prereleases=True),
        failure=_import_failure(_MODULES.get(requirement.name.lower(), requirement.name)),
    )


def _look_at_extra(name: str, probe: _Probe) -> Extra:
    failures = [_import_failure(module) for module in probe.imported]
    failures += [None if importlib.util.find_spec(module) else f"there is no {module}" for module in probe.found]
    return Extra(
        name=name,
        purpose=probe.purpose,
        failure=next((failure for failure in failures if failure is not None), None),
    )


def _look_at_torch() -> tuple[str | None, bool]:
    try:
        import torch
    except (ImportError, RuntimeError, OSError):
        return None, False
    return torch.version.cuda, torch.cuda.is_available()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _import_failure(module: str) -> str | None:
    """What an import says, its first line: libraries that do not fit each other raise whatever they run into."""
    try:
        importlib.import_module(module)
    except Exception as error:
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None


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
    """The modes on a device, from the fastest."""

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

    from ingredients.model_folders.find_model import default_model_path
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


def render_report(report: DoctorReport) -> RenderableType:
    """All sections."""
    sections: list[RenderableType] = [_section("Machine", _machine(report.machine, report.software))]
    sections.append(_section("Libraries", _libraries(report.software)))
    if report.models:
        sections.append(_section("Memory modes", _memory(report)))
    sections.append(_section("What to change" if report.gaps else "Nothing to change", _gaps(report.gaps)))
    return Group(*sections)


def print_report(report: DoctorReport) -> None:
    """Prints it on standard output."""
    show_rendered(render_report(report))


def _section(title: str, content: RenderableType) -> RenderableType:
    return Group(Text(title, style="bold"), Padding(content, (0, 0, 1, 2)))


def _pairs() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _machine(machine: Machine, software: Software) -> RenderableType:
    table = _pairs()
    for device in machine.devices:
        table.add_row("GPU", f"{GOOD} {device.name}, {_size(device.free)} free of {_size(device.total)}")
    if not machine.devices:
        table.add_row(
            "GPU",
            f"{BAD} {machine.driver.devices[0]}, which PyTorch does not use: see below"
            if machine.driver is not None
            else f"{DOUBTFUL} none: the small model runs on the processor, the published one needs a GPU",
        )
    table.add_row("Processor", f"{machine.num_cores} cores, {machine.system}")
    memory = f"{_size(machine.memory_available)} free of {_size(machine.memory_total)}"
    table.add_row("Memory", memory)
    for disk in machine.disks:
        table.add_row(disk.purpose.capitalize(), f"{_size(disk.free)} free at {escape(str(disk.folder))}")
    cuda = "without CUDA" if software.torch_cuda is None else f"for CUDA {software.torch_cuda}"
    if machine.driver is not None and machine.driver.cuda is not None:
        cuda += f"; the driver knows CUDA {machine.driver.cuda}"
    table.add_row("PyTorch", f"built {cuda}")
    return table


def _libraries(software: Software) -> RenderableType:
    table = _pairs()
    versions = [
        f"{library.name} {library.version or 'missing'}"
        for library in software.libraries
        if library.failure is None and library.fits
    ]
    table.add_row("ingredients", f"{software.version}, Python {software.python}")
    table.add_row("needed", f"{GOOD} {', '.join(versions)}")
    for library in software.libraries:
        if library.failure is not None or not library.fits:
            mark = BAD if library.failure is not None or library.version is None else DOUBTFUL
            table.add_row("", f"{mark} {library.name} {library.version or 'missing'}")
    for extra in software.extras:
        table.add_row(f"\\[{extra.name}]", f"{GOOD if extra.failure is None else DOUBTFUL} {extra.purpose}")
    return table


def _memory(report: DoctorReport) -> RenderableType:
    parts: list[RenderableType] = []
    for fit in report.models:
        parts.append(Text(f"{fit.model}, {fit.num_frames} frames of {fit.width}x{fit.height}, two people:"))
        full = fit.modes[0]
        if full.needs < _FITS_EVERYWHERE and full.fits is not False:
            needs = (
                f"Needs {_size(full.needs)} on a GPU, {_size(fit.on_processor)} on the processor: no mode is needed."
            )
        else:
            parts.append(Padding(_modes(fit), (0, 0, 0, 2)))
            needs = (
                f"All of it goes through the machine's memory: {_size(fit.read_into_memory)} while it is loaded for a "
                f"GPU, {_size(fit.on_processor)} to run without one."
            )
        parts.append(Padding(Text(needs, style="dim"), (0, 0, 1, 2)))
    parts.append(Text("`ingredients generate --memory auto` takes the fastest mode that fits.", style="dim"))
    return Group(*parts)


def _modes(fit: ModelFit) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("mode")
    table.add_column("needs on a GPU", justify="right")
    table.add_column("free with a margin", justify="right")
    table.add_column("here")
    here = {True: f"{GOOD} fits", False: f"{BAD} too much", None: "no GPU"}
    for each in fit.modes:
        table.add_row(each.mode.value, _size(each.needs), _size(each.wants_free), here[each.fits])
    return table


def _gaps(gaps: tuple[Gap, ...]) -> RenderableType:
    if not gaps:
        return Text("Everything that can be used here can be used.")
    parts: list[RenderableType] = []
    for gap in gaps:
        line = Text.from_markup(BAD if gap.essential else DOUBTFUL)
        parts.append(line.append(f" {gap.what}"))
        parts.append(Padding(Text(gap.remedy, style="cyan", overflow="fold"), (0, 0, 0, 4)))
    return Group(*parts)


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e8 else f"{num_bytes / 1e9:.2f} GB"
