"""A model in ComfyUI's memory management: ComfyUI says when it comes to the device, and when it has to leave it.

ComfyUI runs nodes within `torch.inference_mode`. Weights that are loaded or moved there could not be differentiated
any more, which likeness guidance does, so both are done outside of it.
"""

import dataclasses
from typing import Any

import comfy.model_management
import comfy.model_patcher
import torch

from ingredients.core.memory_mode import MemoryMode
from ingredients.faces.face_stack_names import FaceStackName
from ingredients.generation import Studio, StudioRequest
from ingredients.pipelines.loading import default_dtype

from .values import MANAGED

EVERYTHING = 1e30
"""Bytes: as much as there is."""


class ModelParts(torch.nn.Module):
    """The parts of a model that are moved."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self.text_encoder = studio.pipeline.text_encoder
        self.transformer = studio.pipeline.transformer
        self.vae = studio.pipeline.vae
        self.device: torch.device | None = None  # ComfyUI notes here where they are


class ModelMover(comfy.model_patcher.ModelPatcher):
    """What ComfyUI asks to bring the parts to the device or to take them away; they go as a whole."""

    def partially_load(
        self, device_to: torch.device, extra_memory: float = 0, force_patch_weights: bool = False
    ) -> int:
        """Brings all parts to the device, for a part of a transformer is of no use to us.

        Returns:
            Bytes that came.
        """
        before: int = self.loaded_size()
        with torch.inference_mode(False):
            self.model.to(device_to)
        self.model.device = device_to
        self.model.model_loaded_weight_memory = self.model_size()
        return int(self.model_size()) - before

    def partially_unload(
        self, device_to: torch.device, memory_to_free: float = 0, force_patch_weights: bool = False
    ) -> int:
        """Frees nothing, so that ComfyUI calls `detach`, which takes all parts away."""
        return 0

    def detach(self, unpatch_all: bool = True) -> Any:
        """Takes the parts to the processor's memory."""
        with torch.inference_mode(False):
            return super().detach(unpatch_all)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedModel:
    """A model, and who moves it."""

    studio: Studio
    """The service that makes videos with it."""

    patcher: ModelMover | None
    """ComfyUI's handle; None where the model moves its weights by itself."""

    def bring_to_device(self, request: StudioRequest, *, num_people: int) -> None:
        """Has ComfyUI make room for a video, and bring the model where it runs."""
        if self.patcher is None:
            comfy.model_management.free_memory(EVERYTHING, comfy.model_management.get_torch_device())
            return
        work = self.studio.needed_bytes(request, num_people=num_people) - self.patcher.model_size()
        comfy.model_management.load_models_gpu([self.patcher], memory_required=max(0, work))


def load_model(
    model: str, *, identity: str, face_stack: FaceStackName, memory: str, drop_learned_positions: bool
) -> LoadedModel:
    """Loads a model, which then waits in the processor's memory until a video is made.

    Args:
        model: as `Studio.load` takes it; empty means the one that ships.
        identity: folder of identity weights for a base; empty means none.
        face_stack: who reads the photos.
        memory: one of `MEMORY_CHOICES`.
        drop_learned_positions: whether to leave out a base's learned positions.

    Raises:
        UserInputError: as `Studio.load`.
    """
    device = comfy.model_management.get_torch_device()
    is_managed = memory == MANAGED
    with torch.inference_mode(False):
        if not is_managed:
            comfy.model_management.free_memory(EVERYTHING, device)
        studio = Studio.load(
            model or None,
            identity=identity or None,
            face_stack=face_stack,
            memory=MemoryMode.FULL if is_managed else memory,
            drop_learned_positions=drop_learned_positions,
            device="cpu" if is_managed else device,
            dtype=default_dtype(device),
        )
        patcher = None
        if is_managed:
            patcher = ModelMover(ModelParts(studio), device, comfy.model_management.unet_offload_device())
    return LoadedModel(studio=studio, patcher=patcher)
