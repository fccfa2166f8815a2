"""One command for every table and figure: `ingredients reproduce`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ingredients.core.files import atomic_path
from ingredients.core.json_yaml import finite_or_none, to_json
from ingredients.core.model_files import read_json
from ingredients.core.output_folders import fills_folder
from ingredients.core.warnings_told import Notice
from ingredients.evaluation.names import RESULT_NAME
from ingredients.studies.comparison import ModelResult, read_result
from ingredients.studies.lab import Lab
from ingredients.studies.measuring import (
    TEXT_ALONE,
    TUNED,
    evaluation_folder,
    text_step,
    tuned_step,
    variant_step,
)
from ingredients.studies.results_page import page_head, results_numbers
from ingredients.studies.steps import Step, order_steps, run_steps
from ingredients.studies.tables import TABLES, PaperTable, seeds_markdown, table_markdown
from ingredients.studies.variants import EXTRAS, VARIANTS, Variant

Target = Literal["table1", "table2", "table3", "lambda", "references", "scales", "figures", "all"]

PAGE_NAME = "README.md"
RESULTS_NAME = "results.json"

_FIGURE_MODELS = ("full", "no_loss", "mse", TEXT_ALONE, *TUNED)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """What a target needs."""

    steps: tuple[Step, ...]
    """The steps, in the order in which they can be done."""

    @property
    def waiting(self) -> list[Step]:
        """The steps that are not done."""
        return [step for step in self.steps if not step.is_done()]

    def to_text(self) -> str:
        """The steps with their cost, to read."""
        lines = [
            f"  {'done' if step.is_done() else f'{step.minutes:4.0f} min':>9}  {step.name}" for step in self.steps
        ]
        minutes = sum(step.minutes for step in self.waiting)
        return "\n".join([*lines, f"{len(self.waiting)} steps to do, about {minutes:.0f} minutes on one core"])


def plan_study(lab: Lab, target: Target) -> StudyPlan:
    """The steps of a target: one seed of every model of the paper's tables, then the others, then what goes beyond."""
    models = _models(target)
    variants = [variant for variant in VARIANTS if variant.name in models]
    steps = [*lab.data_steps(), lab.base_step("t2v"), lab.base_step("i2v")]
    wanted: list[str] = []

    def add(step: Step, *before: Step) -> None:
        known = {each.name for each in steps}
        steps.extend(each for each in (*before, step) if each.name not in known)
        wanted.append(step.name)

    if TEXT_ALONE in models:
        add(text_step(lab))
    most = lab.config.num_seeds
    runs = [(number, variant) for variant in variants for number in range(min(most, len(variant.seeds)))]
    for number, variant in sorted(runs, key=lambda run: (run[1] in EXTRAS, run[0])):
        seed = variant.seeds[number]
        align, route = lab.align_step(variant.alignment, seed), lab.route_step(variant, seed)
        clips = lab.data_steps(recognition_maps=True) if variant.alignment.recognition_maps else []
        add(variant_step(lab, variant, seed), *clips, align, route)
    for method in TUNED:
        if method in models:
            add(tuned_step(lab, method))
    return StudyPlan(steps=tuple(order_steps(steps, wanted)))


def run_study(lab: Lab, plan: StudyPlan, *, minutes: float | None = None, notice: Notice) -> list[Step]:
    """Does what a plan still needs; gives the steps for which there was no time."""
    return run_steps(plan.steps, lab.folder, minutes=minutes, notice=notice)


@fills_folder("results of studies", "output")
def write_results(lab: Lab, target: Target, output: Path, *, notice: Notice) -> Path:
    """Writes the page of results: tables beside the paper's numbers, and figures, as far as their models are there.

    Every table is written, whichever target was asked for, so that none is lost; figures are drawn again where the
    target has them, and else stay as they were.

    Returns:
        The page.
    """
    results = _read_results(lab)
    parts = [page_head(lab)]
    parts += [table_markdown(table, results) for table in TABLES.values() if _has_rows(table, results)]
    if seeds := seeds_markdown(list(results.values())):
        parts += ["## Seeds", seeds]
    is_drawn = target in ("figures", "all")
    drawn = _draw_figures(lab, output, results, notice) if is_drawn else _drawn_before(output)
    if claims := drawn.get("figure 5", {}).get("claims", []):
        parts += ["## Section 4.4", "\n".join(f"- {claim}" for claim in claims)]
    if shown := _shown(output):
        parts += ["## Figures", *(f"### {title}\n\n![{title}]({name})" for name, title in shown)]
    with atomic_path(output / PAGE_NAME) as temporary:
        temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    with atomic_path(output / RESULTS_NAME) as temporary:
        temporary.write_text(
            to_json(finite_or_none(results_numbers(lab, results) | {"figures": drawn}), indent=1) + "\n",
            encoding="utf-8",
        )
    return output / PAGE_NAME


def _drawn_before(output: Path) -> dict[str, Any]:
    """The numbers of the figures that are there."""
    if not (output / RESULTS_NAME).exists():
        return {}
    drawn: dict[str, Any] = read_json(output / RESULTS_NAME).get("figures", {})
    return drawn


_FIGURES = (
    ("figure-1-gallery.png", "Figure 1: the people kept best"),
    ("figure-3-methods.png", "Figure 3: methods side by side"),
    ("figure-4-worst.png", "Figure 4: the worst cases"),
    ("figure-4-router-error.png", "Figure 4: router error and similarity"),
    ("figure-5-routing.png", "Figure 5: routing with and without the routing loss"),
    ("figure-5-accuracy.png", "Figure 5: accuracy of the router by block and by noise"),
    ("figure-6-losses.png", "Figure 6: losses of the router stage"),
    ("figure-8-evaluation-set.png", "Figure 8: the evaluation set"),
)


def _draw_figures(lab: Lab, output: Path, results: dict[str, ModelResult], notice: Notice) -> dict[str, Any]:
    from ingredients.studies import figures  # with PyTorch, which a plan does without

    gallery, methods, worst, error, routing, accuracy, losses, evaluation_set = (output / name for name, _ in _FIGURES)
    numbers: dict[str, Any] = {}
    figures.draw_evaluation_set(evaluation_set)
    if "full" not in results:
        notice("The figures need the model `full`, which is not there yet.")
        return numbers
    figures.draw_gallery(lab, gallery)
    numbers["figure 4"] = figures.draw_worst(lab, worst, error)
    if all(name in results for name in (TEXT_ALONE, *TUNED)):
        figures.draw_methods(lab, methods)
    else:
        notice("Figure 3 needs the baselines, which are not there yet.")
    figures.draw_losses(lab, losses)
    if "no_loss" in results:
        numbers["figure 5"] = figures.draw_routing(lab, routing, accuracy)
    else:
        notice("Figure 5 needs the model `no_loss`, which is not there yet.")
    return numbers


def _shown(output: Path) -> list[tuple[str, str]]:
    return [(name, title) for name, title in _FIGURES if (output / name).exists()]


def _models(target: Target) -> set[str]:
    if target == "figures":
        return set(_FIGURE_MODELS)
    tables = TABLES.values() if target == "all" else [TABLES[target]]
    return {row.model for table in tables for row in table.rows}


def _has_rows(table: PaperTable, results: dict[str, ModelResult]) -> bool:
    return sum(row.model in results for row in table.rows) > 1  # one row compares with nothing


def _read_results(lab: Lab) -> dict[str, ModelResult]:
    results = {}
    for variant in VARIANTS:
        if folders := _seed_folders(lab, variant):
            results[variant.name] = read_result(variant.name, folders)
    for name in (TEXT_ALONE, *TUNED):
        if (evaluation_folder(lab, name) / RESULT_NAME).exists():
            results[name] = read_result(name, [evaluation_folder(lab, name)])
    return results


def _seed_folders(lab: Lab, variant: Variant) -> list[Path]:
    folders = [evaluation_folder(lab, f"{variant.name}-s{seed}") for seed in variant.seeds]
    return [folder for folder in folders if (folder / RESULT_NAME).exists()]


def missing_text(steps: Sequence[Step]) -> str:
    """What there was no time for."""
    return (
        f"No time was left for {len(steps)} steps: {', '.join(step.name for step in steps)}; the same command goes on."
    )
