"""Photos of people and a sentence become a video in which each of them appears (3.2; inference as in 4.1).

Legend: B videos, N identities, P image-encoder tokens, T text tokens, D text width, F frames, H/W pixels, f/h/w grid
of latents or of video tokens, L video tokens (ordered frame, row, column), C latent channels, J routed blocks,
S steps.
"""

import contextlib
import dataclasses
import functools
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Self, cast, get_args

import diffusers
import torch
from diffusers import DiffusionPipeline
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from diffusers.loaders import CogVideoXLoraLoaderMixin
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from diffusers.utils.torch_utils import get_device, randn_tensor
from diffusers.video_processor import VideoProcessor
from transformers import PreTrainedTokenizerBase, T5EncoderModel

from ingredients.core.errors import ArgumentError, ModelFolderError, ShapeError
from ingredients.core.finite import check_given, check_made
from ingredients.core.json_yaml import to_json
from ingredients.core.out_of_memory import explained_out_of_memory
from ingredients.core.protocols import DifferentiableRecogniser
from ingredients.core.ranges import check_number, whole_number
from ingredients.core.warnings_told import PhotoWarning
from ingredients.data.latents import decode_clips, encode_slots
from ingredients.faces.canvas import compose_canvas
from ingredients.faces.face_stack import FaceStack
from ingredients.faces.face_stack_names import FaceStackName
from ingredients.faces.facial_extractor import ExtractedIdentities, FacialExtractor
from ingredients.model_folders.components import load_components, max_text_length
from ingredients.model_folders.folder_names import FACE_ENCODER
from ingredients.model_folders.lora_files import normalise_lora, read_header
from ingredients.model_folders.sampling_settings import (
    SamplingSettings,
    load_sampling_defaults,
    save_sampling_defaults,
)
from ingredients.model_folders.speed_defaults import SpeedDefaults, load_speed_defaults, save_speed_defaults
from ingredients.model_folders.weight_files import WeightChoice, in_one_sentence
from ingredients.models.backbones import VideoScheduler, VideoVae, backbone_of_vae
from ingredients.models.identity_features import IdentityFeatures
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from ingredients.pipelines.diffusers_arguments import (
    check_call_arguments,
    check_dtype,
    model_folder,
    without_diffusers_arguments,
)
from ingredients.pipelines.execution.execution import Execution
from ingredients.pipelines.execution.memory_modes import TILE, decoding_in_tiles, fit_tiles
from ingredients.pipelines.execution.memory_plan import MemoryPlan
from ingredients.pipelines.execution.residual_magnitudes import (
    ResidualMagnitudes,
    load_residual_magnitudes,
    save_residual_magnitudes,
)
from ingredients.pipelines.execution.speed_options import SpeedOptions, VideoOptions
from ingredients.pipelines.execution.step_caches import running_step_cache
from ingredients.pipelines.guidance import dynamic_guidance, for_passes, plan_guidance, run_passes
from ingredients.pipelines.inputs import (
    Branches,
    CanvasInput,
    GeneratorInput,
    as_list,
    canvas_to_tensor,
    check_inputs,
    count_people,
    make_generators,
    names_of_prompts,
    per_video_indices,
)
from ingredients.pipelines.likeness import LikenessGuidance
from ingredients.pipelines.names import NamedPrompt, read_with_notes
from ingredients.pipelines.people import PeopleEmbeds, PeopleInput, identity_photos
from ingredients.pipelines.pipeline_output import Frames, IngredientsPipelineOutput
from ingredients.pipelines.places import (
    PlacesInput,
    check_frames,
    left_to_right,
    parse_places,
    place_bias,
    place_people,
)
from ingredients.pipelines.planned_layout import PLANNED_SHARE, planned_indices
from ingredients.pipelines.prompts import (
    PromptWarning,
    encode_prompts,
    find_phrases,
)
from ingredients.pipelines.schedulers import (
    SchedulerSteps,
    check_scheduler,
    set_timesteps,
    spell_out,
    without_own_noise,
)
from ingredients.pipelines.shared_parts import CARRIED, alone_on, carried_attributes, carry_attribute, one_at_a_time
from ingredients.pipelines.video_shape import VideoGeometry, warn_about_shape

OutputType = Literal["pil", "np", "pt", "latent"]
OUTPUT_TYPES = get_args(OutputType)
CALLBACK_TENSOR_INPUTS = ("latents", "prompt_embeds", "negative_prompt_embeds", "clean_latents", "routing_maps")

StepCallback = Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]
"""Called with the pipeline, the step's index, its timestep and the tensors asked for; returns those it changed."""


class IngredientsPipeline(DiffusionPipeline, CogVideoXLoraLoaderMixin):
    """Makes videos of several people from their photos and a prompt.

    A folder written by `save_pretrained` has the published layout: `transformer/`, `vae/`, `text_encoder/`,
    `tokenizer/`, `scheduler/` and `model_index.json` as diffusers writes them, and `face_encoder/` beside them.

    Parts may be None, for a pipeline that does without what they do: `encode_prompt` needs tokenizer and text encoder
    alone.

    Args:
        tokenizer: The text encoder's.
        text_encoder: T5, without an attention mask, as in CogVideoX.
        vae: 3D causal VAE.
        transformer: Denoises; with image latents (twice the VAE's channels in) or without (a text-to-video base).
        scheduler: CogVideoX's DPM or DDIM; another of diffusers' may be set later (`pipelines/schedulers.py`). For a
            transformer whose frames share noise, DDIM takes the place of DPM.
        face_encoder: Detector, recogniser and image encoder. None for a pipeline that is never given photos.
    """

    model_cpu_offload_seq = "text_encoder->transformer->vae"
    _callback_tensor_inputs = CALLBACK_TENSOR_INPUTS

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase | None,
        text_encoder: T5EncoderModel | None,
        vae: VideoVae | None,
        transformer: IngredientsTransformer3DModel | None,
        scheduler: VideoScheduler | None,
        face_encoder: FaceStack | None = None,
    ) -> None:
        super().__init__()
        _check_parts_fit(vae, transformer)
        spell_out(scheduler)
        if transformer is not None and transformer.config.noise_sharing > 0:
            scheduler = without_own_noise(scheduler)
        self.register_modules(
            tokenizer=tokenizer, text_encoder=text_encoder, vae=vae, transformer=transformer, scheduler=scheduler
        )
        self._set_face_encoder(face_encoder)
        self.video_processor = VideoProcessor(vae_scale_factor=self.vae_scale_factor_spatial)
        carried = carried_attributes(transformer)
        self.sampling_defaults: SamplingSettings = carried.get("sampling_defaults", SamplingSettings())
        self.speed_defaults: SpeedDefaults = carried.get("speed_defaults", SpeedDefaults())
        self.residual_magnitudes: ResidualMagnitudes | None = carried.get("residual_magnitudes")
        self.execution: Execution = carried.get("execution", Execution())
        self._trained_scheduler = scheduler
        self._max_text_length: int | None = None
        self._interrupt = False
        self._guidance_scale = 1.0
        self._num_timesteps = 0
        self._current_timestep: torch.Tensor | None = None
        self._attention_kwargs: dict[str, Any] | None = None

    def _set_face_encoder(self, face_encoder: FaceStack | None) -> None:
        self.face_encoder = face_encoder
        self.facial_extractor: FacialExtractor | None = None
        if face_encoder is not None:
            self.facial_extractor = face_encoder.facial_extractor()

    def __setattr__(self, name: str, value: Any) -> None:
        """As in diffusers; what belongs to the transformer is noted for other pipelines on it."""
        super().__setattr__(name, value)
        if name in CARRIED:
            carry_attribute(self.transformer, name, value)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        dtype: torch.dtype | Mapping[str, torch.dtype] | None = None,
        torch_dtype: torch.dtype | Mapping[str, torch.dtype] | None = None,
        variant: str | None = None,
        use_safetensors: bool | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        identity: str | Path | None = None,
        drop_learned_positions: bool = False,
        face_stack: FaceStackName = "model",
        **components: Any,
    ) -> Self:
        """Loads a model folder, strictly: every tensor is accounted for.

        Args:
            pretrained_model_name_or_path: The folder, or `owner/name` on the hub.
            dtype: Type of the weights, float32 by default; or types by the part's name, with `default` for the rest.
            torch_dtype: The same by its older name.
            variant: Word in the names of weight files, such as `fp16`; parts without such files are read without it.
            use_safetensors: True passes `.bin` files over; otherwise they are read where there is nothing else.
            revision: Commit, tag or branch on the hub; a folder has none.
            local_files_only: Whether the hub may not be asked.
            identity: Folder of identity weights for a base; by default `identity/` in the folder, if it is there.
            drop_learned_positions: Leave out a base's learned positions, which fix the size of the video.
            face_stack: `dlib` has dlib find the faces of the photos; see `load_face_stack`.
            **components: Parts to use instead of the folder's, by name; None does without one.

        Raises:
            ModelFolderError: If a part is missing or damaged, or a tensor is missing, unknown or of another shape.
            NotFiniteError: If a tensor holds a value that is no number.
            HubError: If the model cannot be downloaded.
            ArgumentError: For an argument of diffusers' that cannot be followed; it says what to do instead.
        """
        parts = without_diffusers_arguments(components)
        folder = model_folder(pretrained_model_name_or_path, revision=revision, local_files_only=local_files_only)
        pipeline = cls(
            **load_components(
                folder,
                dtype=check_dtype(dtype or torch_dtype or torch.float32),
                given=parts,
                identity=None if identity is None else Path(identity),
                drop_learned_positions=drop_learned_positions,
                face_stack=face_stack,
                choice=WeightChoice(variant=variant, safetensors_only=bool(use_safetensors)),
            )
        )
        pipeline._read_own_settings(folder)
        if pipeline.transformer is None:
            pipeline._max_text_length = max_text_length(folder)
        return pipeline

    @classmethod
    def from_pipe(
        cls,
        pipeline: DiffusionPipeline,
        *,
        dtype: torch.dtype | None = None,
        torch_dtype: torch.dtype | None = None,
        **components: Any,
    ) -> Self:
        """A second pipeline on the parts of another one.

        Unlike diffusers' own, it leaves weights in their type unless another one is asked for: they are shared.

        Args:
            pipeline: Whose parts are taken; those that this class does not know are left.
            dtype: Type to convert all weights to, also the other pipeline's.
            torch_dtype: The same by its older name.
            **components: Parts to use instead, by name.

        Raises:
            ArgumentError: If the transformer is another class's, or there is no part of a name.
        """
        names = list(inspect.signature(cls.__init__).parameters)[1:]
        if unknown := sorted(set(components) - set(names)):
            raise ArgumentError(
                f"A pipeline has no part named {', '.join(unknown)}; its parts are {', '.join(names)}."
            )
        parts = {name: part for name, part in pipeline.components.items() if name in names} | components
        made = cls(**dict.fromkeys(names) | parts)
        if isinstance(pipeline, IngredientsPipeline):
            for name in CARRIED:  # also where another transformer was given
                setattr(made, name, getattr(pipeline, name))
            made._trained_scheduler = pipeline._trained_scheduler
            made._max_text_length = pipeline._max_text_length
        if (wanted := dtype or torch_dtype) is not None:
            made.to(dtype=wanted)
        return made

    def register_to_config(self, **kwargs: Any) -> None:
        """As in diffusers, whose `DiffusionPipeline.from_pretrained` calls this last: what it does not know is read.

        Face encoder, defaults and magnitudes lie beside the parts of `model_index.json`.

        Raises:
            ModelFolderError: If the model is one of the hub's, of which diffusers downloads no face encoder; or as
                `from_pretrained`.
        """
        super().register_to_config(**kwargs)
        if "_name_or_path" in kwargs:
            self._read_beside_parts(Path(kwargs["_name_or_path"]))

    def _read_beside_parts(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ModelFolderError(
                f"DiffusionPipeline downloads {folder} without its face encoder; load it with "
                "IngredientsPipeline.from_pretrained, or load_pipeline."
            )
        if self.face_encoder is None:
            parts = {name: part for name, part in self.components.items() if name != FACE_ENCODER}
            self._set_face_encoder(load_components(folder, dtype=torch.float32, given=parts)[FACE_ENCODER])
        self._read_own_settings(folder)
        types = {parameter.dtype for parameter in self.text_encoder.parameters()}
        if len(types) > 1 and self.transformer.dtype != torch.float16:  # as stored: no type was asked for
            self.text_encoder.float()
        for name in ("transformer", "vae", "text_encoder"):
            check_given(f"The weights of {name}", getattr(self, name).parameters())

    def _read_own_settings(self, folder: Path) -> None:
        """Takes over what a model's folder says of how the model is sampled and run."""
        self.sampling_defaults = load_sampling_defaults(folder)
        self.speed_defaults = load_speed_defaults(folder)
        self.residual_magnitudes = load_residual_magnitudes(folder)
        self.execution = dataclasses.replace(
            self.execution, speed=self.execution.speed.completed_by(self.speed_defaults)
        )

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Writes the model folder that `from_pretrained` reads; `kwargs` go to diffusers' method.

        Raises:
            ValueError: If weights would be pickled, a part is missing, or the transformer is not as it was loaded:
                with fused matrices, a LoRA beside the weights, or 8-bit weights.
        """
        if not kwargs.get("safe_serialization", True) or kwargs.get("use_flashpack"):
            raise ArgumentError(
                "Weights are written as safetensors only; leave safe_serialization and use_flashpack out."
            )
        if missing := [name for name, part in self.components.items() if part is None and name != FACE_ENCODER]:
            raise ArgumentError(
                f"The pipeline was made without {' and '.join(missing)}, so it is no whole model to be written."
            )
        weights = self.transformer.state_dict()
        if any(".to_qkv." in name for name in weights):
            raise ArgumentError("The transformer has fused projections; apply SpeedOptions() before it is written.")
        if any(".lora_" in name for name in weights):
            raise ArgumentError("The transformer has a LoRA; fuse and unload it, or use save_identity_folder.")
        if any(tensor.dtype.itemsize == 1 for tensor in weights.values()):
            raise ArgumentError("The transformer's weights are in 8 bit; load the model in another memory mode.")
        super().save_pretrained(str(save_directory), **kwargs)
        save_sampling_defaults(self.sampling_defaults, Path(save_directory))
        save_speed_defaults(self.speed_defaults, Path(save_directory))
        save_residual_magnitudes(self.residual_magnitudes, Path(save_directory))
        if self.face_encoder is not None:
            self.face_encoder.save(Path(save_directory) / FACE_ENCODER)

    @classmethod
    def lora_state_dict(
        cls, pretrained_model_name_or_path_or_dict: str | Path | dict[str, torch.Tensor], **kwargs: Any
    ) -> Any:
        """As in diffusers; names of other trainers and scales in tensors or in the header are understood, too."""
        given, wants_metadata = pretrained_model_name_or_path_or_dict, kwargs.pop("return_lora_metadata", False)
        where, header = "given", dict[str, str]()
        if not isinstance(given, dict):
            path = Path(given) / (kwargs.get("weight_name") or "")
            where = str(path if path.is_file() else given)
        with in_one_sentence(f"The LoRA {where} cannot be read", "check its name, or copy the file again"):
            if not isinstance(given, dict) and path.is_file() and path.suffix == ".safetensors":
                header = read_header(path)
            normalise_lora({}, header, where=where)  # else diffusers fails on a damaged header
            tensors, metadata = super().lora_state_dict(given, **kwargs, return_lora_metadata=True)
            if metadata is not None:
                header |= {LORA_ADAPTER_METADATA_KEY: to_json(metadata)}
            weights, config = normalise_lora(tensors, header, where=where)
        weights = {f"{cls.transformer_name}.{name}": tensor for name, tensor in weights.items()}
        config = {f"{cls.transformer_name}.{name}": value for name, value in config.items()}
        return (weights, config) if wants_metadata else weights

    @property
    def components(self) -> dict[str, Any]:
        """Everything that the pipeline was built from, by name."""
        return {**super().components, FACE_ENCODER: self.face_encoder}

    @property
    def vae_scale_factor_spatial(self) -> int:
        """Pixels along one side of a latent cell, by diffusers' name."""
        return 8 if self.vae is None else backbone_of_vae(self.vae).spatial_ratio(self.vae.config)

    @property
    def vae_scale_factor_temporal(self) -> int:
        """Frames in a latent frame, by diffusers' name."""
        return 4 if self.vae is None else backbone_of_vae(self.vae).temporal_ratio(self.vae.config)

    @property
    def vae_scaling_factor_image(self) -> float:
        """What latents are multiplied by, by diffusers' name."""
        return 0.7 if self.vae is None else float(self.vae.config.scaling_factor)

    def apply_speed_options(self, options: SpeedOptions, *, device: torch.device | None = None) -> None:
        """Makes its videos with these speed options and no others; arguments and errors as `Execution` has them.

        What they leave to the model is as its folder says.
        """
        self.execution = self.execution.apply_speed_options(
            options.completed_by(self.speed_defaults),
            self.transformer,
            magnitudes=self.residual_magnitudes,
            device=device,
        )

    def apply_memory_plan(self, plan: MemoryPlan, device: torch.device) -> None:
        """Puts its parts, freshly loaded, where a plan wants them; arguments as `Execution` has them."""
        self.execution = self.execution.apply_memory_plan(plan, self, device)

    @contextlib.contextmanager
    def running_with(self, options: VideoOptions) -> Iterator[None]:
        """Makes the videos of a block another way; arguments and errors as `Execution.for_video` has them.

        Videos of other threads wait until the block ends: they are made as the pipeline was loaded.
        """
        with alone_on(self.transformer):
            before = self.execution
            self.execution = before.for_video(options, self.transformer, magnitudes=self.residual_magnitudes)
            in_tiles = bool(options.decode_in_tiles) and not self.vae.use_tiling
            try:
                with decoding_in_tiles(self.vae, TILE) if in_tiles else contextlib.nullcontext():
                    yield
            finally:
                self.execution = before

    def explained_out_of_memory(self) -> AbstractContextManager[None]:
        """Turns running out of memory within a block into one sentence that says what to try.

        Raises:
            OutOfMemoryError: Instead of what the library raised.
        """
        return explained_out_of_memory(self.execution.memory.mode, on_processor=self.device.type == "cpu")

    def fuse_qkv_projections(self) -> None:
        """Makes query, key and value of self-attention one matrix: the speed option `fuse_qkv`."""
        self.apply_speed_options(dataclasses.replace(self.execution.speed, fuse_qkv=True))

    def unfuse_qkv_projections(self) -> None:
        """Makes them three matrices again."""
        self.apply_speed_options(dataclasses.replace(self.execution.speed, fuse_qkv=False))

    def enable_model_cpu_offload(self, gpu_id: int | None = None, device: torch.device | str | None = None) -> None:
        """As in diffusers: each part is on the accelerator while it works.

        Raises:
            ArgumentError: If there is no accelerator.
        """
        _check_accelerator("enable_model_cpu_offload", device)
        super().enable_model_cpu_offload(gpu_id, device)

    def enable_sequential_cpu_offload(
        self, gpu_id: int | None = None, device: torch.device | str | None = None
    ) -> None:
        """As in diffusers: each layer is on the accelerator while it works.

        Raises:
            ArgumentError: If there is no accelerator.
        """
        _check_accelerator("enable_sequential_cpu_offload", device)
        super().enable_sequential_cpu_offload(gpu_id, device)

    @property
    def geometry(self) -> VideoGeometry:
        """Which sizes and lengths the model can make."""
        return VideoGeometry.of(
            self.transformer.backbone, self.transformer.config, self.vae.config, heeds_positions=True
        )

    @property
    def takes_canvas(self) -> bool:
        """Whether the transformer reads image latents; a text-to-video base does not."""
        return bool(self.transformer.config.in_channels == 2 * self.vae.config.latent_channels)

    @property
    def guidance_scale(self) -> float:
        """Guidance of the current step."""
        return self._guidance_scale

    @property
    def num_timesteps(self) -> int:
        """Steps of the current call."""
        return self._num_timesteps

    @property
    def current_timestep(self) -> torch.Tensor | None:
        """Timestep of the current step; None outside the loop."""
        return self._current_timestep

    @property
    def attention_kwargs(self) -> dict[str, Any] | None:
        """The arguments of the current call."""
        return self._attention_kwargs

    @property
    def interrupt(self) -> bool:
        """Whether the steps that are left are skipped; a callback sets `_interrupt`, as in diffusers."""
        return self._interrupt

    def extract_identities(self, people: PeopleInput, *, allow_photographs: bool = False) -> ExtractedIdentities:
        """Finds, aligns, recognises and encodes the face of each person.

        Warns with `PhotoWarning` of photos that are usable but doubtful.

        Args:
            people: Photos by name, one or several for each person.
            allow_photographs: Whether a model that knows drawn people only takes photographs, with a warning.

        Raises:
            PhotoError: If there is nobody, or a photo cannot be read; `NoFaceError` if it shows no face;
                `PhotographError` if it is a photograph, the model knows drawn people only, and it is not allowed.
            ModelFolderError: If the pipeline has no face encoder.
        """
        if self.facial_extractor is None:
            raise ModelFolderError(
                "This model has no face encoder, so it cannot read photos; load a model folder that has face_encoder/."
            )
        identities = self.facial_extractor.extract(identity_photos(people), allow_photographs=allow_photographs)
        for doubt in identities.warnings:
            warnings.warn(doubt, PhotoWarning, stacklevel=2)
        return identities

    def read_prompt(
        self,
        prompt: str,
        names: Sequence[str] = (),
        *,
        order: Sequence[int] | None = None,
        is_planned: bool = True,
        max_sequence_length: int | None = None,
    ) -> tuple[NamedPrompt, list[str]]:
        """A prompt as the text encoder is to read it, and what a user should know of it; nothing is computed.

        Args:
            prompt: As written.
            names: Of the people; none where they have none.
            order: The people, by index, from left to right; None where they stand in the order of their names.
            is_planned: Whether a layout puts them there.
            max_sequence_length: How many tokens are read; None takes the transformer's.

        Raises:
            PromptError: If an @ stands before a name that nobody has.
        """
        config = self.transformer.config
        return read_with_notes(
            self.tokenizer,
            prompt,
            names,
            left_to_right=range(len(names)) if order is None else order,
            binds_words=config.identity_modules and config.id_phrases,
            is_planned=is_planned,
            max_sequence_length=max_sequence_length or config.max_text_seq_length,
        )

    @torch.no_grad()
    def encode_prompt(
        self,
        prompt: str | Sequence[str] | None,
        negative_prompt: str | Sequence[str] | None = None,
        *,
        do_classifier_free_guidance: bool = True,
        num_videos_per_prompt: int = 1,
        prompt_embeds: torch.Tensor | None = None,
        negative_prompt_embeds: torch.Tensor | None = None,
        max_sequence_length: int | None = None,
        device: torch.device | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Encodes prompts, or takes embeddings as they are, and repeats them for several videos of each.

        Returns:
            Embeddings (B, T, D) of the prompts, and of the negative prompts if guidance needs them.
        """
        device = device or self._execution_device
        max_sequence_length = max_sequence_length or self._text_length()

        def encode(texts: Sequence[str]) -> torch.Tensor:
            if self.tokenizer is None or self.text_encoder is None:
                raise ArgumentError(
                    "The pipeline was made without tokenizer and text encoder; give prompt_embeds, and with guidance "
                    "negative_prompt_embeds."
                )
            if max_sequence_length is None:
                raise ArgumentError(
                    "The pipeline was made without the transformer, which says how many text tokens it reads; give "
                    "max_sequence_length (226 for CogVideoX)."
                )
            return encode_prompts(
                self.tokenizer, self.text_encoder, texts, max_sequence_length=max_sequence_length, device=device
            )

        if prompt_embeds is None:
            assert prompt is not None
            prompt_embeds = encode(as_list(prompt))
        num_prompts = prompt_embeds.shape[0]
        if not do_classifier_free_guidance:
            negative_prompt_embeds = None
        elif negative_prompt_embeds is None:
            negatives = as_list(negative_prompt or "")
            negatives = negatives * num_prompts if len(negatives) == 1 else negatives
            if len(negatives) != num_prompts:
                raise ValueError(f"{len(negatives)} negative prompts were given for {num_prompts} prompts.")
            negative_prompt_embeds = encode(negatives)

        def repeat(embeds: torch.Tensor) -> torch.Tensor:
            dtype = embeds.dtype if self.transformer is None else self.transformer.dtype
            return embeds.to(device, dtype).repeat_interleave(num_videos_per_prompt, dim=0)

        return repeat(prompt_embeds), None if negative_prompt_embeds is None else repeat(negative_prompt_embeds)

    def _text_length(self) -> int | None:
        """Text tokens that the transformer reads, if that is known."""
        return self._max_text_length if self.transformer is None else self.transformer.config.max_text_seq_length

    def prepare_image_latents(
        self,
        canvas: torch.Tensor | None,
        latent_shape: Sequence[int],
        *,
        generator: torch.Generator | list[torch.Generator] | None,
        device: torch.device,
        num_people: Sequence[int] | None = None,
        num_padding_frames: int = 0,
    ) -> torch.Tensor:
        """Latents of the canvas in the first latent frame and its copies in front, zeros in the others.

        The VAE's posterior is sampled, once for each video, and normalised, as published. Without
        a canvas everything is zero, and the draw is made all the same: a seed gives the same initial noise with the
        canvas and without.

        Args:
            canvas: (1, 3, H, W) or (B, 3, H, W) in [-1, 1].
            latent_shape: (B, f, C, h, w) of the noise latents.
            generator: One for all videos, or one for each.
            device: Where the latents go.
            num_people: Faces on each canvas, for a model whose faces are joined after the VAE: one number for all
                videos, or one for each prompt, whose videos follow each other.
            num_padding_frames: How many of the f frames are copies of the first one, so that temporal patches fit.

        Returns:
            (B, f, C, h, w).

        Raises:
            ValueError: If there are neither one nor B canvases, or such a model is not told how many faces there are.
        """
        batch_size, _, channels, height, width = latent_shape
        generators = generator if isinstance(generator, list) else [generator] * batch_size
        image_latents = torch.zeros(*latent_shape, device=device, dtype=self.transformer.dtype)
        if canvas is None:
            for each in generators:
                randn_tensor((1, channels, 1, height, width), generator=each, device=device, dtype=self.vae.dtype)
            return image_latents
        if len(canvas) not in (1, batch_size):
            raise ValueError(f"{len(canvas)} canvases were given for {batch_size} videos.")
        if self.transformer.config.canvas_placement == "after":
            if num_people is None:
                raise ValueError("This model joins the faces after the VAE, and must be told how many there are.")
            videos_each = batch_size // len(num_people)
            for row, each in enumerate(generators):
                faces = num_people[row // videos_each]
                encoded = self._encode_faces(canvas[row % len(canvas)], faces, each, device=device)
                image_latents[row, : 1 + num_padding_frames] = encoded
            return image_latents
        posteriors = [
            self.vae.encode(image[None, :, None].to(device, self.vae.dtype)).latent_dist  # of (1, 3, 1, H, W)
            for image in canvas
        ]
        samples = [posteriors[row % len(posteriors)].sample(each) for row, each in enumerate(generators)]
        encoded = backbone_of_vae(self.vae).normalise_image(self.vae, torch.cat(samples)).transpose(1, 2)
        image_latents[:, : 1 + num_padding_frames] = encoded  # (B, 1, C, h, w)
        return image_latents

    def _encode_faces(
        self, canvas: torch.Tensor, num_people: int, generator: torch.Generator | None, *, device: torch.device
    ) -> torch.Tensor:
        """Latents (C, h, w) of a canvas (3, H, W) whose faces are encoded one by one (Table 2, after the VAE)."""

        def encode(pictures: torch.Tensor) -> torch.Tensor:
            posterior = self.vae.encode(pictures.unsqueeze(2).to(device, self.vae.dtype)).latent_dist
            return backbone_of_vae(self.vae).normalise_image(self.vae, posterior.sample(generator))[:, :, 0]

        return encode_slots(encode, canvas, num_people, ratio=self.geometry.spatial_ratio)

    def decode_latents(self, latents: torch.Tensor) -> torch.Tensor:
        """Frames (B, 3, F, H, W) in [-1, 1] of latents (B, f, C, h, w)."""
        with self.execution.arithmetic(latents.device, self.vae.dtype):
            frames = decode_clips(self.vae, latents)
        return frames.to(self.vae.dtype)

    @torch.no_grad()
    @one_at_a_time
    def __call__(
        self,
        people: PeopleInput | ExtractedIdentities | PeopleEmbeds | None = None,
        prompt: str | Sequence[str] | None = None,
        negative_prompt: str | Sequence[str] | None = None,
        *,
        height: int | None = None,
        width: int | None = None,
        num_frames: int | None = None,
        num_inference_steps: int | None = None,
        timesteps: Sequence[int] | None = None,
        guidance_scale: float | None = None,
        sampling: SamplingSettings | None = None,
        use_dynamic_cfg: bool = False,
        num_videos_per_prompt: int = 1,
        eta: float = 0.0,
        generator: GeneratorInput | None = None,
        latents: torch.Tensor | None = None,
        prompt_embeds: torch.Tensor | None = None,
        negative_prompt_embeds: torch.Tensor | None = None,
        canvas: CanvasInput | None = None,
        places: PlacesInput | None = None,
        branches: Branches | None = None,
        output_routing_maps: bool = False,
        output_type: OutputType = "pil",
        return_dict: bool = True,
        attention_kwargs: dict[str, Any] | None = None,
        callback_on_step_end: StepCallback | PipelineCallback | MultiPipelineCallbacks | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        max_sequence_length: int | None = None,
        **sampling_overrides: float | None,
    ) -> IngredientsPipelineOutput | tuple[Frames, torch.Tensor | None]:
        """Makes videos. The same people appear in all of them.

        Calls from several threads wait for each other.

        Args:
            people: Photos by name, one or several for each person; a list of photos, one for each person; what
                `extract_identities` gave; or their embeddings, which come without a canvas. None makes a video from
                the prompt, and from `canvas` if it is given.
            prompt: What happens, one sentence or one for each video. People are called by the names of their photos,
                as "@ana", or as "Ana"; as the module `names` has it.
            negative_prompt: What the video is led away from; empty by default.
            height: Of the video, in pixels; by default that of the model's training, as for the next two.
            width: Of the video, in pixels.
            num_frames: Of the video.
            num_inference_steps: Denoising steps S; by default those of `sampling`, as for the guidance.
            timesteps: Those to take instead, from noisy to clean, for a scheduler that can; CogVideoX's own cannot.
            guidance_scale: Weight of the prompt against the negative prompt; 1 or less does without. Both halves get
                the same canvas and the same identities.
            sampling: How the videos are sampled; by default the model's own `sampling_defaults`.
            use_dynamic_cfg: Let the guidance vary over the steps, by CogVideoX's formula.
            num_videos_per_prompt: Videos of each prompt.
            eta: Noise of the DDIM scheduler; others ignore it.
            generator: A seed (every integer is one) or a generator, for all videos or one for each.
            latents: Initial noise (B, f, C, h, w), instead of a draw.
            prompt_embeds: (prompts, T, D), instead of `prompt`.
            negative_prompt_embeds: (prompts, T, D), instead of `negative_prompt`.
            canvas: Instead of the one composed from the photos: an image, or RGB pixels (H, W, 3), uint8 or in
                [0, 1]; a list of them; or a tensor (1 or B, 3, H, W), uint8 or in [-1, 1].
            places: Where people are to stand, by name, such as {"ana": "left", "ben": (0.55, 0.2, 0.95, 0.9)}; as the
                module `places` has it. The planned steps are then 0.3 of all where nobody says how many.
            branches: What canvas and identities do, switched off, weakened or forced; by default both work, and the
                router decides.
            output_routing_maps: Keep what the router chose in each step and block.
            output_type: "pil", "np", "pt", or "latent" to leave the VAE's decoder out.
            return_dict: False returns a tuple of the output's fields.
            attention_kwargs: Passed to the transformer; `scale` is the LoRA scale.
            callback_on_step_end: Called after each step.
            callback_on_step_end_tensor_inputs: Tensors it gets: `latents`, `prompt_embeds`, `negative_prompt_embeds`;
                `clean_latents` (B, f, C, h, w), those that the step predicts, before likeness guidance; and
                `routing_maps` (B, J, f, h, w) of the step, None unless `output_routing_maps`. Changes of the last two
                have no effect.
            max_sequence_length: Text tokens that are read; by default the model's own number.
            **sampling_overrides: Fields of `SamplingSettings` by name, in place of those of `sampling`:
                `identity_guidance_scale`, as the module `guidance` has it, needs a model that was trained with
                `identity_drop`; `layout_share`, as the module `planned_layout`, is without effect where `branches`
                give `routing` or `routing_indices`; `likeness_guidance_scale`, as the module `likeness`, without
                people; `perturbed_attention_scale` as the module `guidance` has it.

        Returns:
            Videos, and routing maps if asked for.

        Raises:
            ShapeError: If the model cannot make this size or number of frames, or so many faces do not fit on it.
            PromptError: If a prompt is empty, or has an @ before a name that nobody has.
            PhotoError: If a photo cannot be read, shows no face, or is a photograph that the model cannot use.
            ModelFolderError: If the model cannot do what is asked for: read photos, or be led by likeness.
            SpeedOptionError: If a speed option cannot work with this model or this guidance.
            NotFiniteError: If something given holds values that are no numbers, or the video would.
            ArgumentError: If a number is out of range, or the scheduler cannot sample this model.
            ValueError: If arguments contradict each other.
        """
        # 1. Check, and say what will not be read
        check_call_arguments(sampling_overrides, [field.name for field in dataclasses.fields(SamplingSettings)])
        self._check_is_whole(has_prompt=prompt is not None)
        is_likeness_asked_for = (sampling or sampling_overrides.get("likeness_guidance_scale")) is not None
        is_layout_asked_for = (sampling or sampling_overrides.get("layout_share")) is not None
        sampling = (sampling or self.sampling_defaults).override(
            num_inference_steps=num_inference_steps, guidance_scale=guidance_scale, **sampling_overrides
        )
        config, geometry = self.transformer.config, self.geometry
        shape = geometry.shape(height=height, width=width, num_frames=num_frames)
        geometry.check(shape)
        warn_about_shape(geometry, shape)
        if isinstance(callback_on_step_end, PipelineCallback | MultiPipelineCallbacks):
            callback_on_step_end_tensor_inputs = callback_on_step_end.tensor_inputs
        check_inputs(
            people=people,
            prompt=prompt,
            prompt_embeds=prompt_embeds,
            negative_prompt=negative_prompt,
            negative_prompt_embeds=negative_prompt_embeds,
            latents=latents,
        )
        if canvas is not None and not self.takes_canvas:
            raise ValueError("This is a text-to-video model, which takes no canvas.")
        if output_type not in OUTPUT_TYPES:
            raise ValueError(f"output_type must be one of {OUTPUT_TYPES}, got {output_type!r}.")
        known_tensors = self._callback_tensor_inputs
        if unknown := [name for name in callback_on_step_end_tensor_inputs if name not in known_tensors]:
            raise ValueError(f"callback_on_step_end_tensor_inputs must be in {known_tensors}, got {unknown}.")
        check_number("eta", eta)
        num_videos_per_prompt = whole_number("num_videos_per_prompt", num_videos_per_prompt, least=1)
        branches = Branches() if branches is None else branches
        if not isinstance(branches, Branches):
            raise ArgumentError(f"branches must be a Branches, such as Branches(face_scale=0.8), not {branches!r}.")
        if places and branches.routing_indices is not None:
            raise ValueError("Give either places or routing_indices.")
        device = self._execution_device
        if sampling.identity_guidance_scale != 1 and config.published_guidance_fault:
            raise ValueError(
                "identity_guidance_scale must be 1 with published_guidance_fault, which sees one row only."
            )
        check_scheduler(self.scheduler, self._trained_scheduler)
        if sampling.perturbed_attention_scale > 0 and config.published_guidance_fault:
            raise ValueError(
                "perturbed_attention_scale must be 0 with published_guidance_fault, which goes by the first row alone."
            )
        if sampling.perturbed_attention_scale > 0 and not self.transformer.can_be_perturbed:
            raise ArgumentError(
                "perturbed_attention_scale needs the attention processor that a model comes with, and another one is "
                "set; set JointAttnProcessor again, or make the scale 0."
            )
        guidance = plan_guidance(sampling, varies=use_dynamic_cfg)
        self.execution.check_guidance(guidance, self.transformer, magnitudes=self.residual_magnitudes)
        self._guidance_scale, self._attention_kwargs, self._interrupt = (
            sampling.guidance_scale,
            attention_kwargs,
            False,
        )

        # 2. People, where they are to stand, and what prompts call them
        if people is not None and not isinstance(people, PeopleEmbeds):
            if not isinstance(people, ExtractedIdentities):
                people = self.extract_identities(people)
            if canvas is None and branches.use_canvas and self.takes_canvas:
                canvas = compose_canvas(people.canvas_crops, shape.height, shape.width)
            people = PeopleEmbeds(
                id_embeds=people.id_embeds, id_vit_hidden_states=people.id_vit_hidden_states, names=people.names
            )
        prompts = as_list(prompt or [])
        names_by_prompt = names_of_prompts(people, len(prompts))
        names = next(iter(names_by_prompt or names_of_prompts(people, 1)))
        people = None if people is None else people.by_prompt()
        if places and any(others != names for others in names_by_prompt):
            raise ValueError("places need the same people in all videos.")
        token_grid, token_frames = geometry.token_grid(shape), geometry.token_frames(shape.num_frames)
        paths = parse_places(places or {}, names)
        check_frames(paths, names, shape.num_frames)
        placed = torch.from_numpy(place_people(paths, token_grid, token_frames)) if places else None
        routing_indices = branches.routing_indices
        is_drawn = routing_indices is not None and tuple(routing_indices.shape) == token_grid
        drawn = routing_indices if is_drawn else placed  # (f, h, w), where people are known to be
        texts = self._read_prompts(
            prompts,
            names_by_prompt,
            order=range(len(names)) if drawn is None else left_to_right(drawn.cpu().numpy(), len(names)),
            is_planned=is_drawn
            or (branches.can_be_planned and (sampling.layout_share > 0 or not is_layout_asked_for)),
            max_sequence_length=max_sequence_length,
        )
        layout_share = sampling.layout_share
        if not (is_layout_asked_for or layout_share) and (places or any(text.needs_layout for text in texts)):
            layout_share = PLANNED_SHARE

        # 3. Text
        prompt_embeds, negative_prompt_embeds = self.encode_prompt(
            [text.text for text in texts] or None,
            negative_prompt,
            do_classifier_free_guidance=guidance.uses_negative_prompt,
            num_videos_per_prompt=num_videos_per_prompt,
            prompt_embeds=prompt_embeds,
            negative_prompt_embeds=negative_prompt_embeds,
            max_sequence_length=max_sequence_length,
            device=device,
        )
        batch_size = prompt_embeds.shape[0]
        if len(guidance.passes) > 1:
            without_prompt = prompt_embeds if negative_prompt_embeds is None else negative_prompt_embeds  # if any is
            prompt_embeds = torch.cat(
                [prompt_embeds if each.has_prompt else without_prompt for each in guidance.passes]
            )  # (P B, T, D)

        # 4. People: the local branch, computed once, and the global one
        identity_features, layout, routing_bias = None, None, None
        if branches.use_identities and people is not None:
            identity_features = self._prepare_identities(
                people,
                batch_size=batch_size,
                device=device,
                attention_kwargs=attention_kwargs,
                phrase_tokens=self._phrase_tokens(texts, max_sequence_length),
            )
            if branches.can_be_planned:
                layout = torch.cat(
                    [planned_indices(token_grid, identity_features.id_mask, placed)] * len(guidance.passes)
                )
            if places:
                bias = torch.from_numpy(place_bias(paths, token_grid, token_frames)).to(device)
                routing_bias = bias.expand(batch_size * len(guidance.passes), -1, -1)
            if len(guidance.passes) > 1:
                identity_features = identity_features.repeat_for_guidance(
                    guidance.shows_people, prompted=[each.has_prompt for each in guidance.passes]
                )
        likeness_guidance = None
        if sampling.likeness_guidance_scale > 0 and people is not None:
            likeness_guidance = self._likeness_guidance(
                sampling.likeness_guidance_scale, people, batch_size=batch_size
            )
            if likeness_guidance is None and is_likeness_asked_for:  # a default is a wish only
                raise ModelFolderError(
                    "This model has no face encoder whose recogniser has gradients, so its steps cannot be led by "
                    "likeness; set the likeness guidance scale to 0."
                )
        if routing_indices is not None:
            routing_indices = per_video_indices(routing_indices, token_grid, batch_size).to(device)
            routing_indices = torch.cat([routing_indices] * len(guidance.passes))

        # 5. Latents
        generators = make_generators(generator, batch_size)
        fit_tiles(self.vae)
        latent_frames, latent_height, latent_width = geometry.latent_shape(shape)
        padding = geometry.front_padding(shape)
        latent_frames += padding
        latent_shape = (batch_size, latent_frames, self.vae.config.latent_channels, latent_height, latent_width)
        image_latents = None
        if self.takes_canvas:
            shown = canvas is not None and branches.use_canvas
            image_latents = self.prepare_image_latents(
                canvas_to_tensor(cast(CanvasInput, canvas), height=shape.height, width=shape.width) if shown else None,
                latent_shape,
                generator=generators,
                device=device,
                num_people=None if people is None else count_people(people),
                num_padding_frames=padding,
            )
            image_latents = for_passes(image_latents, guidance.shows_people)
        perturbed = guidance.perturbed_rows(batch_size, device)
        latents = self._prepare_noise(latents, latent_shape, generator=generators, device=device)
        image_rotary_emb = self.transformer.backbone.positions(
            config, num_frames=latent_frames, height=latent_height, width=latent_width, device=device
        )

        # 6. Denoise
        timesteps_taken = set_timesteps(self.scheduler, sampling.num_inference_steps, timesteps, device=device)
        num_steps = self._num_timesteps = len(timesteps_taken)
        scheduler_steps = SchedulerSteps(self.scheduler, eta=eta, generator=generators)
        schedule = self.transformer.backbone.noise_schedule(self.scheduler)
        routing_maps: list[torch.Tensor] = []
        timestep_values = timesteps_taken.tolist()  # asking the device for each would wait for it
        step_cache = running_step_cache(
            self.transformer,
            self.execution.speed.step_cache,
            timesteps=timestep_values,
            current_timestep=lambda: timestep_values[step],
            magnitudes=self.residual_magnitudes,
        )
        with step_cache, self.progress_bar(total=num_steps) as progress_bar:
            for step, timestep in enumerate(timesteps_taken):
                if self.interrupt:
                    continue
                self._current_timestep = timestep
                scaled_latents = self.scheduler.scale_model_input(latents, timestep)
                model_input = torch.cat([scaled_latents] * len(guidance.passes))
                if image_latents is not None:
                    model_input = torch.cat([model_input, image_latents], dim=2)  # (P B, f, 2 C, h, w)
                is_planned = layout is not None and step < layout_share * num_steps
                with self.execution.arithmetic(device, self.transformer.dtype):
                    output = run_passes(
                        self.transformer,
                        guidance,
                        split=self.execution.splits_guidance,
                        hidden_states=model_input,
                        encoder_hidden_states=prompt_embeds,
                        timestep=timestep.expand(model_input.shape[0]),
                        identity_features=identity_features,
                        routing_indices=layout if is_planned else routing_indices,
                        routing_bias=routing_bias,
                        perturbed=perturbed,
                        image_rotary_emb=image_rotary_emb,
                        attention_kwargs=attention_kwargs,
                        face_scale=branches.face_scale,
                        routing=branches.routing,
                    )
                if use_dynamic_cfg:
                    self._guidance_scale = dynamic_guidance(sampling.guidance_scale, timestep.item(), num_steps)
                prediction = own_prediction = guidance.combine(output.sample.float(), self.guidance_scale)
                if likeness_guidance is not None:
                    prediction = likeness_guidance(
                        prediction, scaled_latents, int(timestep), schedule, step=step, num_steps=num_steps
                    )
                if output_routing_maps and output.routing_logits is not None:
                    routing_maps.append(_routing_map(output.routing_logits, batch_size, token_grid))
                elif routing_maps:  # a step cache added what was routed before
                    routing_maps.append(routing_maps[-1])

                latents = scheduler_steps.step(prediction, timestep, latents)
                latents = latents.to(prompt_embeds.dtype)
                if step == 0:  # later ones would wait for the device; the last is looked at below
                    check_made(latents, "The latents of the first step")

                if callback_on_step_end is not None:
                    tensors = {
                        "latents": latents,
                        "prompt_embeds": prompt_embeds,
                        "negative_prompt_embeds": negative_prompt_embeds,
                        "routing_maps": routing_maps[-1] if routing_maps else None,
                    }
                    if "clean_latents" in callback_on_step_end_tensor_inputs:
                        steps = timestep.expand(batch_size)
                        clean = schedule.clean_latents(scaled_latents.float(), own_prediction, steps)
                        tensors["clean_latents"] = clean[:, padding:]
                    asked = {name: tensors[name] for name in callback_on_step_end_tensor_inputs}
                    changed = callback_on_step_end(self, step, timestep, asked)
                    latents = changed.pop("latents", latents)
                    prompt_embeds = changed.pop("prompt_embeds", prompt_embeds)
                    negative_prompt_embeds = changed.pop("negative_prompt_embeds", negative_prompt_embeds)
                progress_bar.update()
        self._current_timestep = None

        # 7. Frames
        check_made(latents, "The denoised latents")
        latents = latents[:, padding:]
        frames: Frames = latents
        if output_type != "latent":
            decoded = self.decode_latents(latents)
            check_made(decoded, "The decoded frames")
            frames = self.video_processor.postprocess_video(decoded, output_type=output_type)
        self.maybe_free_model_hooks()
        result = IngredientsPipelineOutput(
            frames=frames, routing_maps=torch.stack(routing_maps, dim=1) if routing_maps else None
        )
        return result if return_dict else (result.frames, result.routing_maps)

    def _check_is_whole(self, *, has_prompt: bool) -> None:
        needed = {"vae": self.vae, "transformer": self.transformer, "scheduler": self.scheduler}
        if missing := [name for name, part in needed.items() if part is None]:
            raise ArgumentError(f"The pipeline was made without {' and '.join(missing)}, so it can make no video.")
        if has_prompt and (self.tokenizer is None or self.text_encoder is None):
            raise ArgumentError("The pipeline was made without tokenizer and text encoder; give prompt_embeds.")

    def _read_prompts(
        self,
        prompts: Sequence[str],
        names_by_prompt: Sequence[Sequence[str]],
        *,
        order: Sequence[int],
        is_planned: bool,
        max_sequence_length: int | None,
    ) -> list[NamedPrompt]:
        """The prompts as the text encoder is to read them; warns of what it will not read.

        Args:
            prompts: As written.
            names_by_prompt: Of the people of each; none where they have no names.
            order: The people, by index, from left to right.
            is_planned: Whether a layout puts them there.
            max_sequence_length: As of the call.
        """
        texts = []
        for prompt, names in zip(prompts, names_by_prompt, strict=True):
            text, notes = self.read_prompt(
                prompt, names, order=order, is_planned=is_planned, max_sequence_length=max_sequence_length
            )
            for note in notes:
                warnings.warn(note, PromptWarning, stacklevel=2)
            texts.append(text)
        return texts

    def _phrase_tokens(self, texts: Sequence[NamedPrompt], max_sequence_length: int | None) -> torch.Tensor | None:
        """(prompts, N, T) bool, the text tokens that stand for each person; None where none do."""
        if not any(any(text.phrases) for text in texts):
            return None
        length = max_sequence_length or self.transformer.config.max_text_seq_length
        return torch.stack(
            [find_phrases(self.tokenizer, text.text, text.phrases, max_sequence_length=length) for text in texts]
        )

    def _prepare_identities(
        self,
        people: PeopleEmbeds,
        *,
        batch_size: int,
        device: torch.device,
        attention_kwargs: dict[str, Any] | None,
        phrase_tokens: torch.Tensor | None,
    ) -> IdentityFeatures:
        id_embeds, id_vit_hidden_states = people.id_embeds, people.id_vit_hidden_states
        if phrase_tokens is not None:  # each prompt has words of its own, for the same people
            num_prompts = len(phrase_tokens)
            id_embeds = id_embeds.expand(num_prompts, -1, -1)
            id_vit_hidden_states = [states.expand(num_prompts, -1, -1, -1) for states in id_vit_hidden_states]
            phrase_tokens = phrase_tokens.to(device)
        features: IdentityFeatures = self.transformer.prepare_identities(
            id_embeds.to(device),
            [states.to(device) for states in id_vit_hidden_states],
            None if people.id_mask is None else people.id_mask.to(device),
            phrase_tokens=phrase_tokens,
            attention_kwargs=attention_kwargs,
        )
        if batch_size % features.batch_size:
            raise ValueError(f"Identities were given for {features.batch_size} videos, but there are {batch_size}.")
        return features.repeat_interleave(batch_size // features.batch_size)

    def _likeness_guidance(self, scale: float, people: PeopleEmbeds, *, batch_size: int) -> LikenessGuidance | None:
        """Guidance by the face encoder's recogniser, if there is one with gradients."""
        if self.face_encoder is None or not isinstance(self.face_encoder.recogniser, DifferentiableRecogniser):
            return None
        embeds = people.id_embeds[..., : self.transformer.config.id_recognition_dim]
        is_real = torch.ones(embeds.shape[:-1], dtype=torch.bool) if people.id_mask is None else people.id_mask
        copies = batch_size // len(embeds)
        return LikenessGuidance(
            vae=self.vae,
            detector=self.face_encoder.detector,
            recogniser=self.face_encoder.recogniser,
            embeds=embeds.repeat_interleave(copies, dim=0),
            id_mask=is_real.expand(embeds.shape[:2]).repeat_interleave(copies, dim=0),
            scale=scale,
            arithmetic=functools.partial(self.execution.arithmetic, self.vae.device, self.vae.dtype),
        )

    def _prepare_noise(
        self,
        latents: torch.Tensor | None,
        latent_shape: tuple[int, ...],
        *,
        generator: torch.Generator | list[torch.Generator] | None,
        device: torch.device,
    ) -> torch.Tensor:
        dtype = self.transformer.dtype
        if latents is None:
            latents = self.transformer.draw_noise(latent_shape, generator=generator, device=device, dtype=dtype)
        elif tuple(latents.shape) != latent_shape:
            raise ShapeError(f"latents have shape {tuple(latents.shape)}, but these videos need {latent_shape}.")
        return cast(torch.Tensor, latents.to(device, dtype) * self.scheduler.init_noise_sigma)


setattr(
    diffusers, IngredientsPipeline.__name__, IngredientsPipeline
)  # where DiffusionPipeline looks for a folder's class


def _check_parts_fit(vae: Any, transformer: Any) -> None:
    if transformer is None:
        return
    if not isinstance(transformer, IngredientsTransformer3DModel):
        raise ArgumentError(
            f"The transformer is a {type(transformer).__name__}, and must be an IngredientsTransformer3DModel; load a "
            "base of diffusers' from its folder, with IngredientsPipeline.from_pretrained."
        )
    if vae is None:
        return
    latent_channels, in_channels = vae.config.latent_channels, transformer.config.in_channels
    if in_channels not in (latent_channels, 2 * latent_channels):
        raise ArgumentError(
            f"The transformer reads {in_channels} channels, but the VAE makes {latent_channels}: it must read "
            "as many (text to video) or twice as many (with image latents)."
        )


def _check_accelerator(method: str, device: torch.device | str | None) -> None:
    if device is None and get_device() == "cpu":
        raise ArgumentError(
            f"{method} moves parts between the processor and an accelerator, and there is none; leave it out."
        )


def _routing_map(
    routing_logits: Sequence[torch.Tensor], batch_size: int, token_grid: tuple[int, int, int]
) -> torch.Tensor:
    """(B, J, f, h, w): the identity with the largest logit, in the half of the batch that has the prompt."""
    chosen = [logits[-batch_size:].argmax(dim=-1) for logits in routing_logits]  # (B, L) each
    return torch.stack(chosen, dim=1).reshape(batch_size, len(chosen), *token_grid).cpu()
