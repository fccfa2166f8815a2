"""Which libraries are there, tried by a real import: a library can be installed and not work."""

import dataclasses
import importlib
import importlib.util
import platform
from importlib import metadata

from packaging.requirements import Requirement

from ingredients.core.version import VERSION

PACKAGE = "ingredients"

_MODULES = {"pillow": "PIL", "pyyaml": "yaml", "protobuf": "google.protobuf"}
"""Distributions whose module has another name."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A library that everything needs."""

    name: str
    """Its distribution."""

    version: str | None
    """None if it is not installed."""

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
    """As in `pip install "ingredients[name]"`."""

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
    "plots": _Probe(purpose="curves of training", imported=("matplotlib",)),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """What is installed."""

    python: str
    """Version."""

    version: str
    """Of this package."""

    libraries: tuple[Library, ...]
    """Those that everything needs."""

    extras: tuple[Extra, ...]
    """Those that something needs."""

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
