"""`ingredients reproduce`: the paper's tables and figures in the drawn world."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from ingredients.apps.sampling_options import finite
from ingredients.apps.terminal import kept_when_interrupted, say, show, with_examples
from ingredients.core.errors import UserInputError
from ingredients.core.paths import parse_path

HELP = with_examples(
    "Trains the models of the paper's tables in the drawn world, measures them on the benchmark, and writes tables "
    "beside the paper's numbers, and figures. The plan with its cost comes first; a stopped run goes on. Settings are "
    "those of the studies: num_cases, align_steps and so on.",
    "ingredients reproduce table3 --dry-run",
    "ingredients reproduce table3 --minutes 60",
    "ingredients reproduce all --jobs 2",
    "ingredients reproduce all --folder runs/longer num_cases=100 align_steps=1000",
)


def reproduce(
    target: Annotated[
        Literal["table1", "table2", "table3", "lambda", "references", "scales", "figures", "all"],
        typer.Argument(help="Which table, the figures, or everything."),
    ],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings of the studies that differ.")
    ] = None,
    folder: Annotated[Path, typer.Option(parser=parse_path, help="Where clips, runs and evaluations go.")] = Path(
        "runs/studies"
    ),
    output: Annotated[
        Path | None,
        typer.Option(parser=parse_path, help="Folder of the page with tables and figures. Default: FOLDER/results."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(callback=finite, min=1, help="Begins no step that would go beyond so many minutes.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the work, one core each.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan with its cost, and stop.")] = False,
    results_only: Annotated[
        bool, typer.Option("--results-only", help="Train nothing; write the page of what is there.")
    ] = False,
    worker: Annotated[bool, typer.Option("--worker", hidden=True)] = False,
) -> None:
    """Reproduces the paper's tables and figures."""
    from ingredients.core.config import load_config
    from ingredients.core.output_folders import check_output_folder
    from ingredients.studies.lab import Lab
    from ingredients.studies.reproduce import missing_text, plan_study, run_study, write_results
    from ingredients.studies.settings import StudyConfig

    output = output or folder / "results"
    check_output_folder(output, "results of studies")
    lab = Lab(folder, load_config(StudyConfig, overrides=settings or ()), show=jobs == 1 and not worker)
    lab.claim(writes=not dry_run and not results_only)
    plan = plan_study(lab, target)
    if not worker:
        say(plan.to_text())
    if dry_run:
        return
    helpers: list[subprocess.Popen[bytes]] = []
    if not results_only:
        import torch

        if jobs > 1 or worker:
            torch.set_num_threads(1)
        arguments = [target, *(settings or ()), "--folder", str(folder), "--worker"]
        arguments += [] if minutes is None else ["--minutes", str(minutes)]
        helpers = [
            subprocess.Popen([sys.executable, "-m", "ingredients", "reproduce", *arguments]) for _ in range(jobs - 1)
        ]
        try:
            with kept_when_interrupted("what is done is", folder):
                left = run_study(lab, plan, minutes=minutes, notice=say)
                failures = sum(helper.wait() != 0 for helper in helpers)
        finally:
            for helper in helpers:
                helper.terminate()
        if failures:
            raise UserInputError(
                f"{failures} of {jobs} processes ended with an error, which stands above; what is done is kept in "
                f"{folder}, and the same command goes on."
            )
        if left and not worker:
            say(missing_text([step for step in left if not step.is_done()]))
    if not worker:
        show(write_results(lab, target, output, notice=say))
