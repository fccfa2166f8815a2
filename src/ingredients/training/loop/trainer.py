"""The one training loop. What is trained, on what and by which loss is a `Stage`."""

import concurrent.futures
import contextlib
import json
import math
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ingredients.core.errors import UserInputError
from ingredients.core.files import append_line, atomic_path, remove_leftovers
from ingredients.core.json_yaml import NotPlainError, iterate_lines, parse_json, write_json
from ingredients.core.protocols import ValidationCallback
from ingredients.core.training_log import LOG_NAME, METRICS_NAME, STEP
from ingredients.core.warnings_told import TrainingWarning
from ingredients.models.mixed_precision import (
    fast_attention,
    mixed_precision,
    precision_of_weights,
    resolve_precision,
)
from ingredients.training.loop.checkpoints import Checkpoints, RunPosition, TrainedState, read_checkpoint
from ingredients.training.loop.ema import ExponentialMovingAverage
from ingredients.training.loop.interruptions import StopRequest, TrainingInterruptedError
from ingredients.training.loop.loss_watch import LossWatch, TrainingDivergedError
from ingredients.training.loop.optimizers import build_optimizers, learning_rate_factor, scale_learning_rates
from ingredients.training.loop.processes import Processes, local, whole
from ingredients.training.loop.progress_report import ProgressReport, reporting
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.loop.stage import Measured, Stage, StepPosition, WholeStepStage
from ingredients.training.loop.throughput import Throughput, peak_flops

EVENTS_NAME = "events.jsonl"

_STEPS_OF_THE_LOSS_SHOWN = 20


class LeftOutStepWarning(TrainingWarning):
    """A step could not be used."""


class Trainer:
    """Trains a stage in pieces that can be interrupted at any moment.

    Args:
        stage: what is trained.
        folder: the folder of the run.
        config: the settings of the loop.
        processes: that train together; this one alone, without it.
        sampler: looks at what the model makes, every `sample_every` steps, with the averaged weights.
    """

    def __init__(
        self,
        stage: Stage,
        folder: Path,
        config: TrainerConfig,
        *,
        processes: Processes | None = None,
        sampler: ValidationCallback | None = None,
    ) -> None:
        self.stage = stage
        self.folder = folder
        self.config = config
        self.processes = processes or Processes(trackers=config.trackers, folder=folder)
        self.sampler = sampler
        if isinstance(stage, WholeStepStage):
            stage.to(self.processes.device)
        self.precision = resolve_precision(config.precision, stage.device, stage.dtype)
        self.checkpoints = Checkpoints(folder, keep=config.keep_checkpoints)
        self._loss = self.processes.prepare(stage, config.parallel)
        groups = stage.parameter_groups()
        self.parameters = {name: parameter for group in groups for name, parameter in group.parameters.items()}
        self.optimizers = build_optimizers(
            config.optimizer,
            groups,
            learning_rate=config.learning_rate,
            muon_learning_rate=config.muon_learning_rate,
            weight_decay=config.weight_decay,
            betas=config.betas,
            muon_dtype=torch.bfloat16 if self.precision == "bfloat16" else torch.float32,
        )
        self.ema = ExponentialMovingAverage(self.parameters, config.ema_decay)
        self.position = RunPosition(seed=config.seed, optimizer=config.optimizer)
        self.watch = LossWatch(spike_factor=config.spike_factor, max_skipped=config.max_skipped_steps)
        self._averages = _Averages()
        self._measured: dict[str, float] | None = None
        self._num_broken = torch.zeros((), device=stage.device)
        """Tensors that the last step that counted has made no numbers of; read with the next step's loss."""
        self._last_used: tuple[int, Sequence[Any]] = (0, ())
        """That step's number, and its batches."""
        self._learning_rate_factor = 0.0
        self._report = ProgressReport(stage.name, num_steps=config.num_steps, progress=0.0)

    @property
    def state(self) -> TrainedState:
        """All tensors that the run changes."""
        return TrainedState(parameters=self.parameters, optimizers=self.optimizers, ema=self.ema)

    def fit(
        self, *, resume: bool = False, show: bool = True, on_begin: Callable[[], None] | None = None
    ) -> dict[str, float]:
        """Runs the loop to its end, then validates and exports the averaged weights.

        Args:
            resume: go on from the folder's last checkpoint, if there is one.
            show: tell standard error how it goes on: by a bar on a terminal, in lines elsewhere.
            on_begin: called by the main process once it is certain that the run can begin or go on.

        Returns:
            The stage's final metrics, which are also written to `metrics.json`.

        Raises:
            TrainingDivergedError: if too many steps in a row could not be used, or weights are no numbers any more.
            TrainingInterruptedError: for Ctrl-C or SIGTERM, after a checkpoint of the step in which it came.
            UserInputError: if the checkpoint is of another run.
            OutputError: if the folder cannot be written to; older checkpoints stay.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        show = show and self.processes.is_main
        stop = StopRequest(says=show)
        with stop.listening():
            try:
                self._begin(resume=resume)
                if on_begin is not None and self.processes.is_main:
                    on_begin()
                self._train(stop, show=show)
                return self._end()
            except KeyboardInterrupt as error:
                number = signal.SIGINT if stop.number is None else stop.number
                raise self._interruption(number) from error

    def _train(self, stop: StopRequest, *, show: bool) -> None:
        """All steps that are left.

        Raises:
            KeyboardInterrupt: after the step in which it was asked for, which is kept.
        """
        throughput = Throughput(peak=peak_flops(self.stage.device), num_processes=self.processes.count)
        progress = self._progress()
        with (
            reporting(
                self.stage.name, num_steps=self.config.num_steps, progress=progress, enabled=show
            ) as self._report,
            self._drawing() as next_batches,
        ):
            if self.position.step == 0 and progress < 1 and self.stage.measures_first:
                self._log(self._measure(), is_measured=True)
            with stop.deferring():
                while progress < 1:
                    started = time.monotonic()
                    batches, self.position.stage = next_batches(progress)
                    waited = time.monotonic() - started
                    self._averages.add(self.step(batches, progress=progress))
                    self.position.step += 1
                    seconds = time.monotonic() - started
                    self.position.seconds += seconds
                    throughput.add(self.stage.work(batches), seconds, waited=waited)
                    progress = self._progress()
                    self._tell(progress)
                    is_stopped = self.processes.sum({"stop": float(stop.number is not None)})["stop"] > 0
                    self._after_step(throughput, is_last=progress >= 1, is_stopped=is_stopped)
                    if is_stopped:
                        self.processes.wait()  # for the file: `torchrun` ends the others with the first that ends
                        raise KeyboardInterrupt
            if stop.number is not None:
                raise KeyboardInterrupt

    def _tell(self, progress: float) -> None:
        recent = self.watch.recent[-_STEPS_OF_THE_LOSS_SHOWN:]
        self._report.step(
            self.position.step,
            progress=progress,
            loss=sum(recent) / len(recent) if recent else None,
            learning_rate=self.config.learning_rate * self._learning_rate_factor,
        )

    def _end(self) -> dict[str, float]:
        if not self.watch.recent:
            raise TrainingDivergedError(
                f"Nothing was learnt: none of the {self.position.step} steps could be used, as "
                f"{self.folder / EVENTS_NAME} says. Start again with other clips or a lower learning rate."
            )
        metrics = self._finish()
        self.processes.close_trackers()
        return metrics

    def _interruption(self, number: int) -> TrainingInterruptedError:
        """What an interrupted run leaves: what is on the disk, not what should be."""
        done, paths = self.position.step, self.checkpoints.paths()
        if not paths:
            message = f"Interrupted before a step was finished, so nothing of the run in {self.folder} is kept yet"
            return TrainingInterruptedError(message, number)
        kept = int(paths[-1].stem.removeprefix("step-"))
        when = f"after step {done}" if done >= kept else "before another step"
        num_lost = done - kept
        lost = f", {num_lost} step{'s' if num_lost > 1 else ''} before," if num_lost > 0 else ""
        message = f"Interrupted {when}; the checkpoint of step {kept}{lost} is kept in {self.folder}"
        return TrainingInterruptedError(message, number, can_go_on=True)

    def _begin(self, *, resume: bool) -> None:
        paths = self.checkpoints.paths() if resume else []
        if paths:
            self._go_on_from(paths[-1])
        self.processes.wait()
        if self.processes.is_main:
            remove_leftovers(self.folder)
            if paths:
                self.checkpoints.tidy(self.position)
            else:
                self.checkpoints.clear()
            for name in (LOG_NAME, EVENTS_NAME):
                _forget_lines(self.folder / name, after=self.position.step)
        self.processes.open_trackers(self.stage.name, step=self.position.step)

    def _go_on_from(self, path: Path) -> None:
        checkpoint = read_checkpoint(path)
        position = checkpoint.position
        check_goes_on(position, self.config, path)
        checkpoint.restore(self.state)
        self.position = position
        self.stage.data.load_state(position.stage)
        self.watch.recent, self.watch.num_skipped = position.recent_losses, position.num_skipped
        if self.processes.is_main:
            self._averages = _Averages(position.sums)

    def _after_step(self, throughput: Throughput, *, is_last: bool, is_stopped: bool) -> None:
        """Lines of the log come before the checkpoint: a run goes on behind it, and would not write them again."""
        self._measured = None
        rhythms = (getattr(self.config, f"{each}_every") for each in ("log", "validate", "sample", "checkpoint"))
        if is_last or is_stopped or any(self._is_time(every) for every in rhythms):
            self._check_weights()
        if is_last or self._is_time(self.config.log_every):
            self._log(self._averages.take(self.processes) | throughput.take(self.stage.device))
        if is_last or self._is_time(self.config.validate_every):
            self._measured = self._measure()
            self._log(self._measured, is_measured=True)
        if self.sampler is not None and self._is_time(self.config.sample_every):
            precision = precision_of_weights(self.stage.dtype)
            with self.ema.applied(), mixed_precision(precision, self.stage.device):
                seen = self.sampler(step=self.position.step, model=self.stage.model)
            self._log(seen, is_measured=True)
        if is_last or is_stopped or self._is_time(self.config.checkpoint_every):
            self._save()

    @contextlib.contextmanager
    def _drawing(self) -> Iterator[Callable[[float], tuple[Sequence[Any], dict[str, Any]]]]:
        """Draws a step's batches while the step before it is computed, so that reading never holds up a device."""
        with concurrent.futures.ThreadPoolExecutor(max_workers=1) as reader:
            waiting: list[concurrent.futures.Future[tuple[Sequence[Any], dict[str, Any]]]] = []

            def draw(position: StepPosition) -> tuple[Sequence[Any], dict[str, Any]]:
                return self.stage.data.draw(position), self.stage.data.state()

            def submit(step: int, progress: float) -> None:
                position = StepPosition(
                    step=step,
                    progress=progress,
                    seed=self.config.seed,
                    process_index=self.processes.index,
                    num_processes=self.processes.count,
                )
                waiting.append(reader.submit(draw, position))

            def next_batches(progress: float) -> tuple[Sequence[Any], dict[str, Any]]:
                if not waiting:
                    submit(self.position.step, progress)
                batches = waiting.pop().result()
                if (next_progress := self._progress(steps_ahead=1)) < 1:
                    submit(self.position.step + 1, next_progress)
                return batches

            yield next_batches

    def _is_time(self, every: int | None) -> bool:
        return every is not None and self.position.step % every == 0

    def _progress(self, *, steps_ahead: int = 0) -> float:
        by_steps = (self.position.step + steps_ahead) / self.config.num_steps
        if self.config.minutes is None:
            return by_steps
        return self.processes.agree(max(by_steps, self.position.seconds / (60 * self.config.minutes)))

    def step(self, batches: Sequence[Any], *, progress: float) -> list[Mapping[str, Measured]]:
        """The losses of a step's batches, and what follows from them for the weights; what was measured, if it counts.

        Raises:
            TrainingDivergedError: if too many steps in a row could not be used.
        """
        factor = learning_rate_factor(
            self.config.schedule,
            step=self.position.step,
            progress=progress,
            num_warmup_steps=self.config.num_warmup_steps,
            num_cycles=self.config.num_cycles,
        )
        scale_learning_rates(self.optimizers, factor)
        self._learning_rate_factor = factor
        counts = self.processes.sum(self.stage.counts(batches))
        measured: list[Mapping[str, Measured]] = []
        total = torch.zeros((), dtype=torch.float64, device=self.stage.device)
        for index, batch in enumerate(batches):
            with (
                self.processes.accumulating(self._loss, is_last=index == len(batches) - 1),
                fast_attention(self.precision, self.stage.device),
            ):
                with mixed_precision(self.precision, self.stage.device):
                    output = self._loss(batch, counts)
                loss_share = output.loss * self.processes.count  # gradients are averaged over the processes
                loss_share.backward()  # type: ignore[no-untyped-call]
            total += output.loss.detach()
            measured.append(output.metrics)
        gradient_norm = whole(torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.config.max_grad_norm))
        loss, num_broken, norm = self.processes.read(summed=[total, self._num_broken], alike=[gradient_norm])
        self._check_weights(num_broken)
        problem = self.watch.judge(loss, norm)
        if problem is None:
            self.watch.record(loss)
            for optimizer in self.optimizers:
                optimizer.step()
            self._num_broken, self._last_used = self._broken_weights(), (self.position.step + 1, batches)
            self.ema.update(self.position.step)
            measured.append({"loss": loss, "gradient_norm": norm, "learning_rate_factor": factor})
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        if problem is not None:
            self._skip(problem, batches)
            return []
        return measured

    @torch.no_grad()
    def _broken_weights(self) -> torch.Tensor:
        """How many of this process's tensors hold what is no number, on the device."""
        parts = [part for each in self.parameters.values() if (part := local(each)).numel()]
        if not parts:
            return torch.zeros((), device=self.stage.device)
        return (~torch.stack(torch._foreach_norm(parts, torch.inf)).isfinite()).sum()

    def _check_weights(self, num_broken: float | None = None) -> None:
        """Stops before the weights that the last step made are measured or kept, if they are no numbers.

        Args:
            num_broken: tensors that are not, where that was read with other numbers; None reads it.

        Raises:
            TrainingDivergedError: if there are some.
        """
        if num_broken is None:
            (num_broken,) = self.processes.read(summed=[self._num_broken])
        if num_broken:
            step, batches = self._last_used
            samples = self.processes.gather(self.stage.data.describe(batches))
            raise TrainingDivergedError(
                f"Training has diverged: step {step} made weights that are no numbers "
                f"({', '.join(samples)}). {self._what_is_kept()}"
            )

    def _what_is_kept(self) -> str:
        """A sentence on the last checkpoint, and how to go on from it."""
        paths = self.checkpoints.paths()
        if not paths:
            return "No checkpoint was written yet, so start again with a lower learning rate."
        return f"{paths[-1]} is kept; go on from it with --resume and a lower learning rate."

    def _skip(self, problem: str, batches: Sequence[Any]) -> None:
        step = self.position.step + 1  # as the log counts them
        samples = ", ".join(self.processes.gather(self.stage.data.describe(batches)))
        if self.processes.is_main:
            event = {"step": step, "left_out": problem, "samples": samples}
            append_line(self.folder / EVENTS_NAME, json.dumps(event, allow_nan=False))
            warnings.warn(
                f"Step {step} was left out, because {problem} ({samples}).", LeftOutStepWarning, stacklevel=2
            )
        self.watch.skip(problem, step=step, samples=samples)

    def _log(self, metrics: Mapping[str, float], *, is_measured: bool = False) -> None:
        if not self.processes.is_main or not metrics:
            return
        line: dict[str, float | None] = {
            "step": self.position.step,
            "seconds": round(self.position.seconds, 2),
        }
        line |= {name: None if value is None else round(value, 6) for name, value in _storable(metrics).items()}
        append_line(self.folder / LOG_NAME, json.dumps(line, allow_nan=False))
        (self._report.measured if is_measured else self._report.logged)(self.position.step, metrics)
        self.processes.track(metrics, step=self.position.step)

    def _save(self) -> None:
        self.position.recent_losses, self.position.num_skipped = self.watch.recent, self.watch.num_skipped
        self.position.measured = None if self._measured is None else _storable(self._measured)
        self.position.sums = self._averages.together(self.processes)
        self.checkpoints.save(self.position, self.state, is_main=self.processes.is_main)

    def _measure(self) -> dict[str, float]:
        """What held-out data say about the averaged weights."""
        with self.ema.applied():
            return {name: float(value) for name, value in self.stage.validate().items()}

    def _finish(self) -> dict[str, float]:
        metrics = self._measure() if self._measured is None else self._measured
        with self.ema.applied():
            self.stage.export(self.folder)
        record = _storable(metrics) | {
            "steps": self.position.step,
            "minutes": round(self.position.seconds / 60, 2),
            "num_threads": torch.get_num_threads(),
            "precision": self.precision,
            "seed": self.config.seed,
            "num_parameters": sum(parameter.numel() for parameter in self.parameters.values()),
        }
        if self.processes.is_main:
            write_json(self.folder / METRICS_NAME, record, indent=2)
        return metrics


def check_goes_on(position: RunPosition, config: TrainerConfig, path: Path) -> None:
    """Refuses to go on from a checkpoint with another seed or optimiser than it was trained with.

    Raises:
        UserInputError: if one differs; it names the setting.
    """
    for name, now in (("seed", config.seed), ("optimizer", config.optimizer)):
        if (before := getattr(position, name)) != now:
            raise UserInputError(
                f"{path} was trained with {name}={before}, not {now}; set trainer.{name}={before}, or start "
                "without --resume."
            )


def _storable(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Metrics as JSON can hold them: None for what is no number."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


_Sum = torch.Tensor | float


class _Averages:
    """Sums of what steps measured, and of how many they are the sums; what was measured on a device stays there."""

    def __init__(self, sums: Mapping[str, tuple[float, float]] | None = None) -> None:
        self._sums: dict[str, tuple[_Sum, _Sum]] = dict(sums or {})

    def add(self, measured: Sequence[Mapping[str, Measured]]) -> None:
        for metrics in measured:
            for name, value in metrics.items():
                total, weight = value if isinstance(value, tuple) else (value, 1.0)
                before = self._sums.get(name, (0.0, 0.0))
                self._sums[name] = (before[0] + _double(total), before[1] + _double(weight))

    def read(self) -> dict[str, tuple[float, float]]:
        """The sums of this process, for which it waits once."""
        on_device = [each for pair in self._sums.values() for each in pair if isinstance(each, torch.Tensor)]
        numbers = iter(torch.stack(on_device).tolist() if on_device else ())

        def number(each: _Sum) -> float:
            return float(next(numbers)) if isinstance(each, torch.Tensor) else each

        return {name: (number(total), number(weight)) for name, (total, weight) in self._sums.items()}

    def together(self, processes: Processes) -> dict[str, tuple[float, float]]:
        """The sums over all processes."""
        together = _Averages()
        together.add(processes.gather(self.read()))
        return together.read()

    def take(self, processes: Processes) -> dict[str, float]:
        """The averages over all processes; then starts again."""
        together = self.together(processes)
        self._sums = {}
        return {name: total / weight for name, (total, weight) in together.items() if weight > 0}


def _double(value: _Sum) -> _Sum:
    """A number in double precision, where it is."""
    return value.double() if isinstance(value, torch.Tensor) else float(value)


def _forget_lines(path: Path, *, after: int) -> None:
    """Drops what a run wrote after its last checkpoint, for it will write that again, and what is no line of a log.

    The last line of a run that was killed may be half a line.

    Raises:
        BadFileError: if it cannot be read.
    """
    if not path.exists():
        return
    lines = [line for _, line in iterate_lines(path, remedy="move it away")]
    kept = [line for line in lines if (step := _step_of(line)) is not None and step <= after]
    if not after:
        path.unlink()
    elif kept != lines:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"".join(kept))


def _step_of(line: bytes) -> int | None:
    """The step that a line of a log is about; None for what is none."""
    try:
        values = parse_json(line)
    except NotPlainError:
        return None
    step = values.get(STEP) if isinstance(values, dict) else None
    return step if isinstance(step, int) else None
