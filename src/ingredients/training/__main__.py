"""`python -m ingredients.training`: training where the command line's own libraries are missing.

A machine with a GPU often has a PyTorch of its own and no package registry. What trains needs neither typer nor rich,
nor PyAV, and this door needs nothing else: `ingredients train` and `ingredients world train` have more options, speak
more nicely and make sample videos on the way.

    python -m ingredients.training align --data encoded/clips --output runs/align trainer.num_steps=100
    python -m ingredients.training world recogniser --output runs/small-world --resume
"""

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ingredients.core.config import load_config
from ingredients.core.errors import UserInputError
from ingredients.core.warnings_told import TrainingWarning, warnings_told
from ingredients.training.loop.interruptions import StopRequest, TrainingInterruptedError
from ingredients.training.runs.kinds import RUN_KINDS
from ingredients.training.runs.run import train_run
from ingredients.training.small_world import PART_NAMES

_USER_MISTAKE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains what the arguments say; returns the exit code."""
    parser = _parser()
    parsed, settings = parser.parse_known_args(arguments)  # which takes settings at one place only
    if wrong := [each for each in settings if each.startswith("-") or "=" not in each]:
        parser.error(f"unrecognized arguments: {' '.join(wrong)}")
    parsed.settings += settings
    is_main = os.environ.get("RANK", "0") == "0"  # under torchrun, one process speaks for all
    stop = StopRequest(says=False)
    try:
        with stop.listening(), warnings.catch_warnings(), warnings_told(_say, TrainingWarning):
            result = parsed.train(parsed)
    except UserInputError as error:
        _say(f"Error: {error}")
        return _USER_MISTAKE
    except TrainingInterruptedError as interruption:
        if is_main:
            _say(str(interruption))
        return interruption.exit_code
    except KeyboardInterrupt:
        if is_main:
            _say("Interrupted before the training began; checkpoints that were there are kept.")
        return stop.exit_code
    if is_main:
        measured = result.items() if isinstance(result, Mapping) else ()
        sys.stdout.writelines(f"{name}: {value:.4g}\n" for name, value in measured)
    return 0


def _parser() -> argparse.ArgumentParser:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m ingredients.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(required=True, metavar="align|route|world")
    for name in RUN_KINDS:
        run = kinds.add_parser(name, help=f"the stage {name}, on encoded clips")
        run.add_argument("--data", type=Path, action="append", default=[], help="folder of encoded clips")
        run.add_argument("--validation-data", type=Path, action="append", default=[], help="held-out encoded clips")
        run.add_argument("--config", type=Path, action="append", default=[], help="YAML file of settings")
        _add_common(run, _train_stage, output=Path("runs") / name)
        run.set_defaults(kind=name)
    world = kinds.add_parser("world", help="a part of the small model")
    world.add_argument("part", choices=PART_NAMES)
    world.add_argument("--config", type=Path, help="YAML file of settings")
    _add_common(world, _train_part, output=Path("runs/small-world"))
    return parser


def _add_common(parser: argparse.ArgumentParser, train: Callable[[Any], Any], *, output: Path) -> None:
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="settings that differ")
    parser.add_argument("--output", type=Path, default=output)
    parser.add_argument("--minutes", type=float, help="ends the training after so many")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.set_defaults(train=train)


def _train_stage(parsed: argparse.Namespace) -> Any:
    kind = RUN_KINDS[parsed.kind]
    given = {"data.train": parsed.data, "data.validation": parsed.validation_data}
    overrides = [
        *(
            f"{key}={json.dumps([str(path) for path in paths], allow_nan=False)}"
            for key, paths in given.items()
            if paths
        ),
        *([] if parsed.minutes is None else [f"trainer.minutes={parsed.minutes}"]),
        *parsed.settings,
    ]
    config = load_config(kind.config_type, parsed.config, overrides=overrides, defaults=kind.config_type())
    return train_run(kind, config, parsed.output, resume=parsed.resume, notice=_say)


def _train_part(parsed: argparse.Namespace) -> Any:
    from ingredients.training.small_world.parts import PARTS

    part = PARTS[parsed.part]
    config = part.settings.load(parsed.config, parsed.settings, parsed.minutes)
    return part.run(parsed.output, config, resume=parsed.resume)


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")


if __name__ == "__main__":
    sys.exit(main())
