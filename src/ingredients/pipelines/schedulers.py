"""Schedulers: CogVideoX's own two, and those of diffusers' that follow the noise which the model was trained with.

Legend: B videos, f/h/w grid of latents, C channels.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler

from ingredients.core.errors import ArgumentError
from ingredients.models.backbones import BACKBONES

_OWN = tuple(each for backbone in BACKBONES for each in backbone.scheduler_classes)
_CLIPS = ("clip_sample", "thresholding")
_ENDS_IN_PURE_NOISE = "rescale_betas_zero_snr"
_ROUNDING = 1e-4  # schedulers of other classes multiply in single precision


def spell_out(scheduler: Any) -> None:
    """Lets `from_config(pipeline.scheduler.config)` of any class give the model's own noise.

    Of a value that a scheduler was not given but has by default, diffusers takes the default of the other class, whose
    noise is another one.
    """
    if isinstance(scheduler, _OWN):
        scheduler.register_to_config(_use_default_values=[])


def without_own_noise(scheduler: Any) -> Any:
    """DDIM in the place of CogVideoX's DPM, whose steps add noise that differs from frame to frame; others as given.

    A model that was trained on frames that share noise would see frames there that share less and less of it.
    """
    if not isinstance(scheduler, CogVideoXDPMScheduler):
        return scheduler
    without = CogVideoXDDIMScheduler.from_config(scheduler.config)
    spell_out(without)
    return without


def check_scheduler(scheduler: Any, trained: Any) -> None:
    """Says whether a scheduler can sample the model.

    Args:
        scheduler: which is set.
        trained: the one that the pipeline was made with.

    Raises:
        ArgumentError: if its noise or its prediction is not the model's, or it would clip the latents.
    """
    is_own = isinstance(scheduler, _OWN)  # knows each field that the model's own has, and never clips
    name = type(scheduler).__name__
    alphas, known = getattr(scheduler, "alphas_cumprod", None), getattr(trained, "alphas_cumprod", None)
    if alphas is None:
        raise ArgumentError(
            f"The scheduler {name} is for another kind of model, without alphas_cumprod; take one such as "
            "CogVideoXDPMScheduler, DPMSolverMultistepScheduler or UniPCMultistepScheduler."
        )
    known_fields = inspect.signature(inspect.unwrap(type(scheduler).__init__)).parameters
    remedy = f"make it with {name}.from_config(pipeline.scheduler.config)"
    ends_in_pure_noise = trained is not None and trained.config.get(_ENDS_IN_PURE_NOISE)
    if not is_own and ends_in_pure_noise and _ENDS_IN_PURE_NOISE not in known_fields:
        raise ArgumentError(
            f"The scheduler {name} adds another noise than the model was trained with, and cannot be told its "
            f"({_ENDS_IN_PURE_NOISE}); take one such as DPMSolverMultistepScheduler or UniPCMultistepScheduler."
        )
    if known is not None and not (
        alphas.shape == known.shape and torch.allclose(alphas, known.to(alphas), atol=_ROUNDING)
    ):
        raise ArgumentError(
            f"The scheduler {name} adds another noise than the model was trained with; {remedy}, of the scheduler "
            "that the model came with, or keep that one where the noise is shifted (snr_shift_scale)."
        )
    prediction, trained_prediction = (each.config.get("prediction_type") for each in (scheduler, trained))
    if prediction != trained_prediction:
        raise ArgumentError(
            f"The scheduler {name} reads predictions of type {prediction}, and the model makes {trained_prediction}; "
            f"{remedy}."
        )
    if is_own:
        return
    if clips := [field for field in _CLIPS if field in known_fields and scheduler.config.get(field)]:
        raise ArgumentError(
            f"The scheduler {name} would clip the latents; make it with "
            f"{name}.from_config(pipeline.scheduler.config, {clips[0]}=False)."
        )


def set_timesteps(
    scheduler: Any, num_inference_steps: int, timesteps: Sequence[int] | None, *, device: torch.device
) -> torch.Tensor:
    """Sets a scheduler's steps, or the timesteps given, and returns these.

    Raises:
        ArgumentError: if the scheduler takes no timesteps, or cannot do so many steps.
    """
    num_trained = int(scheduler.config.num_train_timesteps)
    if timesteps is None:
        if num_inference_steps > num_trained:
            raise ArgumentError(
                f"num_inference_steps must be at most {num_trained}, the timesteps that the model was trained on, not "
                f"{num_inference_steps}."
            )
        scheduler.set_timesteps(num_inference_steps, device=device)
    else:
        steps = [int(timestep) for timestep in timesteps]
        if "timesteps" not in inspect.signature(scheduler.set_timesteps).parameters:
            raise ArgumentError(
                f"The scheduler {type(scheduler).__name__} takes no timesteps of one's own; give num_inference_steps, "
                "or set another one, such as DPMSolverMultistepScheduler."
            )
        if not steps or steps != sorted(set(steps), reverse=True) or not 0 <= steps[-1] <= steps[0] < num_trained:
            raise ArgumentError(
                f"timesteps must fall from one to the next and lie in 0..{num_trained - 1}, got {steps}."
            )
        scheduler.set_timesteps(timesteps=steps, device=device)
    chosen: torch.Tensor = scheduler.timesteps
    if len(chosen) == 0 or not 0 <= float(chosen.min()) <= float(chosen.max()) < num_trained:
        raise ArgumentError(
            f"The scheduler {type(scheduler).__name__} has timesteps outside of 0..{num_trained - 1}; look at "
            "timestep_spacing and steps_offset of its config."
        )
    return chosen


class SchedulerSteps:
    """A scheduler's steps of one call, one after the other."""

    def __init__(
        self, scheduler: Any, *, eta: float, generator: torch.Generator | list[torch.Generator] | None
    ) -> None:
        """Notes what the steps share.

        Args:
            scheduler: whose timesteps are set.
            eta: noise of DDIM; others ignore it.
            generator: the generator of the noise, for all videos or one for each.
        """
        self._scheduler = scheduler
        self._is_dpm = isinstance(scheduler, CogVideoXDPMScheduler)
        self._previous: tuple[torch.Tensor, torch.Tensor] | None = None  # predicted clean latents and their timestep
        taken = inspect.signature(scheduler.step).parameters
        self._shared = {name: value for name, value in {"eta": eta, "generator": generator}.items() if name in taken}

    def step(self, prediction: torch.Tensor, timestep: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """The next latents (B, f, C, h, w)."""
        if not self._is_dpm:
            stepped: torch.Tensor = self._scheduler.step(
                prediction, timestep, latents, return_dict=False, **self._shared
            )[0]
            return stepped
        clean, before = (None, None) if self._previous is None else self._previous
        latents, clean = self._scheduler.step(
            prediction, clean, timestep, before, latents, return_dict=False, **self._shared
        )
        self._previous = (clean, timestep)
        return latents
