"""The doctor's report for a person to read."""

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ingredients.apps.doctor import DoctorReport, Gap, ModelFit
from ingredients.apps.doctor_machine import Machine
from ingredients.apps.doctor_software import Software
from ingredients.apps.terminal import show_rendered

GOOD, BAD, DOUBTFUL = "[green]✓[/]", "[red]✗[/]", "[yellow]![/]"

_FITS_EVERYWHERE = 1_000_000_000
"""Bytes of a model that need no table."""


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
