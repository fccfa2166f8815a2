"""The one training loop. What is trained, on what and by which loss is a `Stage`."""

import dataclasses
import json
import time
from pathlib import Path

import torch

from ingredients.core.progress import show_progress
from ingredients.training.checkpoints import RunPosition, load_checkpoint, save_checkpoint
from ingredients.training.ema import ExponentialMovingAverage
from ingredients.training.mixed_precision import Precision, mixed_precision, resolve_precision
from ingredients.training.optimizers import OptimizerName, build_optimizers
from ingredients.training.schedules import ScheduleName, learning_rate_factor
from ingredients.training.stage import Stage

CHECKPOINT_NAME = "checkpoint.safetensors"
LOG_NAME = "log.jsonl"
METRICS_NAME = "metrics.json"


@dataclasses.dataclass(slots=True, kw_only=True)
class TrainerConfig:
    """Settings of the loop that every stage shares."""

    num_steps: int = 1000
    """Optimiser steps of the whole run."""

    minutes: float | None = None
    """Training time of the whole run, over all its pieces; the run ends, its schedule run down, at whichever of
    `num_steps` and `minutes` comes first."""

    seed: int = 0
    """Everything random in step s is drawn from a generator seeded by (seed, s)."""

    learning_rate: float = 1e-3
    """Peak learning rate."""

    optimizer: OptimizerName = "adamw"
    """`muon` updates the matrices of transformer blocks by Muon."""

    muon_learning_rate: float = 3e-3
    """Peak learning rate of those matrices."""

    weight_decay: float = 0.01
    """Decoupled decay of matrices; vectors are never decayed."""

    schedule: ScheduleName = "cosine"
    """Shape of the learning rate over the run."""

    num_warmup_steps: int = 50
    """Steps over which the learning rate rises."""

    num_cycles: int = 1
    """Cycles of `cosine_with_restarts`."""

    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm."""

    ema_decay: float = 0.995
    """Decay of the moving average of the weights, which is what is validated and exported."""

    log_every: int = 20
    """Steps between two lines of the log."""

    checkpoint_every: int = 200
    """Steps between two checkpoints."""

    precision: Precision = "float32"
    """Arithmetic of the forward and backward passes; weights, losses and optimisers stay in float32. `auto` takes
    bfloat16 on processors that have instructions for it; what that gains says `benchmarks/training_precision.py`."""

    def __post_init__(self) -> None:
        if self.num_steps < 1:
            raise ValueError(f"num_steps must be at least 1, not {self.num_steps}.")
        if self.minutes is not None and self.minutes <= 0:
            raise ValueError(f"minutes must be positive, not {self.minutes}.")


def step_generator(seed: int, step: int) -> torch.Generator:
    """The generator of one step: a function of the seed and the step alone."""
    return torch.Generator().manual_seed((seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + 1) % 2**63)


class Trainer:
    """Trains a stage in pieces that can be interrupted at any moment."""

    def __init__(self, stage: Stage, folder: Path, config: TrainerConfig) -> None:
        self.stage = stage
        self.folder = folder
        self.config = config
        self.precision = resolve_precision(config.precision)
        groups = stage.parameter_groups()
        self.parameters = {name: parameter for group in groups for name, parameter in group.parameters.items()}
        self.optimizers = build_optimizers(
            config.optimizer,
            groups,
            learning_rate=config.learning_rate,
            muon_learning_rate=config.muon_learning_rate,
            weight_decay=config.weight_decay,
            muon_dtype=torch.bfloat16 if self.precision == "bfloat16" else torch.float32,
        )
        self.ema = ExponentialMovingAverage(self.parameters, config.ema_decay)
        self.position = RunPosition(seed=config.seed)

    def fit(self, *, resume: bool = False, show: bool = True) -> dict[str, float]:
        """Runs the loop to its end, then validates and exports the averaged weights.

        Args:
            resume: go on from the folder's checkpoint, if there is one.
            show: show a progress bar on standard error.

        Returns:
            The stage's final metrics, which are also written to `metrics.json`.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        checkpoint_path = self.folder / CHECKPOINT_NAME
        if resume and checkpoint_path.exists():
            self.position = load_checkpoint(
                checkpoint_path, parameters=self.parameters, optimizers=self.optimizers, ema=self.ema
            )
        else:
            (self.folder / LOG_NAME).unlink(missing_ok=True)
        totals: dict[str, float] = {}
        num_logged = 0
        with show_progress(self.stage.name, enabled=show) as report:
            while (progress := self._progress()) < 1:
                started = time.monotonic()
                metrics = self._step(progress)
                self.position.step += 1
                self.position.seconds += time.monotonic() - started
                num_logged += 1
                for name, value in metrics.items():
                    totals[name] = totals.get(name, 0.0) + value
                if self.position.step % self.config.log_every == 0:
                    self._log({name: total / num_logged for name, total in totals.items()})
                    totals, num_logged = {}, 0
                if self.position.step % self.config.checkpoint_every == 0:
                    self._save(checkpoint_path)
                report(int(1000 * self._progress()), 1000)
        self._save(checkpoint_path)
        with self.ema.applied():
            metrics = {name: float(value) for name, value in self.stage.validate().items()}
            self.stage.export(self.folder)
        record = metrics | {
            "steps": self.position.step,
            "minutes": round(self.position.seconds / 60, 2),
            "num_threads": torch.get_num_threads(),
            "precision": self.precision,
            "seed": self.config.seed,
            "num_parameters": sum(parameter.numel() for parameter in self.parameters.values()),
        }
        (self.folder / METRICS_NAME).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        return metrics

    def _progress(self) -> float:
        by_steps = self.position.step / self.config.num_steps
        if self.config.minutes is None:
            return by_steps
        return max(by_steps, self.position.seconds / (60 * self.config.minutes))

    def _step(self, progress: float) -> dict[str, float]:
        factor = learning_rate_factor(
            self.config.schedule,
            step=self.position.step,
            progress=progress,
            num_warmup_steps=self.config.num_warmup_steps,
            num_cycles=self.config.num_cycles,
        )
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * factor
        with mixed_precision(self.precision):
            output = self.stage.training_step(step_generator(self.config.seed, self.position.step), progress=progress)
        output.loss.backward()  # type: ignore[no-untyped-call]
        gradient_norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.config.max_grad_norm)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.ema.update(self.position.step)
        metrics: dict[str, torch.Tensor | float] = {
            "loss": output.loss.detach(),
            "gradient_norm": gradient_norm,
            "learning_rate_factor": factor,
        }
        return {name: float(value) for name, value in (metrics | output.metrics).items()}

    def _log(self, metrics: dict[str, float]) -> None:
        line = {"step": self.position.step, "seconds": round(self.position.seconds, 2)}
        with (self.folder / LOG_NAME).open("a", encoding="utf-8") as log:
            log.write(json.dumps(line | {name: round(value, 6) for name, value in metrics.items()}) + "\n")

    def _save(self, path: Path) -> None:
        save_checkpoint(
            path, position=self.position, parameters=self.parameters, optimizers=self.optimizers, ema=self.ema
        )
