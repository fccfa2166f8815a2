"""`ingredients train ...`: the two stages of the paper on encoded clips."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingredients.apps import export_command
from ingredients.apps.options import Model, check_folders
from ingredients.apps.sampling_options import finite
from ingredients.apps.terminal import IngredientsGroup, note, say, show, with_examples
from ingredients.core.paths import parse_path

if TYPE_CHECKING:
    from ingredients.training.runs.configuration import IdentityRunConfig
    from ingredients.training.runs.kinds import RunKind

app = typer.Typer(
    cls=IngredientsGroup,
    no_args_is_help=True,
    help=with_examples(
        "Trains the two stages of the paper: `align`, the multi-scale projector and a LoRA, then `route`, the router "
        "and another LoRA. Both read clips that `ingredients data encode` made; several processes share the work "
        "under torchrun.",
        "ingredients train align --config configs/paper/align.yaml --data encoded/clips --output runs/align",
        "ingredients train route --config configs/paper/route.yaml --data encoded/clips --output runs/route \\",
        "  model.start=runs/align",
        "torchrun --nproc-per-node 8 -m ingredients train align --data encoded/clips --output runs/align",
        "ingredients train export runs/route --output models/mine",
    ),
)

_ALIGN = with_examples(
    "First stage (3.3): the multi-scale projector and a LoRA learn by the diffusion loss, with global features, local "
    "features or both. A stopped run goes on with --resume, bit for bit.",
    "ingredients train align --data encoded/clips --validation-data encoded/held-out --output runs/align",
    "ingredients train align --data encoded/clips --output runs/align --resume",
    "ingredients train align --config configs/single-gpu/align.yaml --data encoded/clips --dry-run",
    "ingredients train align --data encoded/clips trainer.learning_rate=1e-4 stage.kept_shares=[0.3,0.3,0.4]",
)
_ROUTE = with_examples(
    "Second stage (3.3): router and a LoRA learn by the diffusion loss and lambda times the routing loss (Eq. 5), "
    "everything else frozen.",
    "ingredients train route --data encoded/clips --output runs/route model.start=runs/align",
    "ingredients train route --data encoded/clips --output runs/route model.start=runs/align \\",
    "  stage.routing_loss=mse stage.supervision=box stage.routing_loss_weight=1",
)


def _command(kind_name: str) -> Callable[..., None]:
    def train(
        settings: Annotated[
            list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings that differ, after those of files.")
        ] = None,
        config: Annotated[
            list[Path] | None,
            typer.Option(
                parser=parse_path,
                metavar="FILE.yaml",
                help="Settings; of several files, each changes those before it.",
            ),
        ] = None,
        data: Annotated[
            list[Path] | None, typer.Option(parser=parse_path, help="Folder of encoded clips; several may be given.")
        ] = None,
        validation_data: Annotated[
            list[Path] | None, typer.Option(parser=parse_path, help="Folder of held-out encoded clips.")
        ] = None,
        model: Model = None,
        output: Annotated[
            Path | None, typer.Option(parser=parse_path, help="Folder of the run. Default: runs/STAGE.")
        ] = None,
        minutes: Annotated[
            float | None,
            typer.Option(
                callback=finite, min=0.01, help="Ends the run, its schedule run down, after so many minutes."
            ),
        ] = None,
        resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
        dry_run: Annotated[
            bool,
            typer.Option(
                "--dry-run",
                help="Print what would be trained, the memory and the time, and stop. Needs neither weights nor "
                "clips; under torchrun, plans for its processes.",
            ),
        ] = False,
    ) -> None:
        """Trains a stage."""
        from ingredients.core.config import load_config
        from ingredients.core.output_folders import check_output_folder
        from ingredients.data.encoding_settings import check_encoded_folder
        from ingredients.training.runs.configuration import RUN_CONFIGS

        config_type = RUN_CONFIGS[kind_name]
        overrides = list(settings or ())
        for key, value in (
            ("data.train", _listed(data)),
            ("data.validation", _listed(validation_data)),
            ("model.folder", None if model is None else json.dumps(model, ensure_ascii=False, allow_nan=False)),
            ("trainer.minutes", minutes),
        ):
            if value is not None:
                overrides.insert(0, f"{key}={value}")
        loaded = load_config(config_type, config, overrides=overrides, defaults=config_type())
        check_folders([*(data or ()), *(validation_data or ())], "folder of encoded clips")
        folder = output or Path("runs") / kind_name
        if not dry_run:
            for each in (*loaded.data.train, *loaded.data.validation):
                check_folders([each], "folder of encoded clips")
                check_encoded_folder(each)
            if not folder.is_dir():  # what is in a folder is judged by the run, which knows its inputs
                check_output_folder(folder, "a training run")

        from ingredients.training.runs.kinds import RUN_KINDS
        from ingredients.training.runs.run import check_run, train_run  # with PyTorch

        kind = RUN_KINDS[kind_name]
        is_main = os.environ.get("RANK", "0") == "0"  # under torchrun, one process speaks for all
        if dry_run:
            if is_main:
                check_run(kind, loaded, folder, resume=resume)
                _print_plan(kind, loaded)
            return
        from ingredients.apps.train_samples import training_sampler
        from ingredients.core.warnings_told import TrainingWarning, warnings_told
        from ingredients.training.loop.interruptions import StopRequest, TrainingInterruptedError

        stop = StopRequest(says=False)
        try:
            with stop.listening(), warnings_told(note, TrainingWarning):
                metrics = train_run(kind, loaded, folder, resume=resume, sampler_factory=training_sampler, notice=say)
        except TrainingInterruptedError as interruption:
            if is_main:
                say(interruption.sentence("the same command with --resume"))
            raise typer.Exit(interruption.exit_code) from interruption
        except KeyboardInterrupt as interruption:
            if is_main:
                say("Interrupted before the run began; checkpoints that were there are kept.")
            raise typer.Exit(stop.exit_code) from interruption
        if not is_main:
            return
        summary = {name: value for name, value in metrics.items() if not re.search(r"_t\d+$", name)}
        show("\n".join([*(f"{name}: {value:.4g}" for name, value in summary.items()), str(folder)]))

    return train


def _print_plan(kind: "RunKind", config: "IdentityRunConfig") -> None:
    import torch

    from ingredients.training.runs.plan import plan_run

    plan = plan_run(kind, config, num_processes=int(os.environ.get("WORLD_SIZE", "1")), notice=say)
    show(plan.to_text(has_gpu=torch.cuda.is_available()))


def _listed(paths: list[Path] | None) -> str | None:
    return json.dumps([str(path) for path in paths], ensure_ascii=False, allow_nan=False) if paths else None


app.command("align", help=_ALIGN)(_command("align"))
app.command("route", help=_ROUTE)(_command("route"))
app.command("export", help=export_command.HELP)(export_command.export)
