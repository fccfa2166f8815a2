"""What each memory mode needs on the device, for one model and one video.

Weights are counted exactly. Activations are estimated at their largest, which is at the following places; the
factors are those that a count of all allocations gives (`tests/pipelines/execution/test_memory_estimate.py`):

    transformer    14 P B (T + L) D b            rotary positions of queries and keys, computed in float32
                   or P B L (5 D b + 10 N H K)   shares of the identities' tokens, where there are many people
    encoder        5 C B H W b                   the first resolution, of B canvases that are encoded together
    decoder        20 C 9 h w b                  the last resolution, of the first nine frames of a tile
    video          3 F H W b                     the frames themselves
    identities     2 N H K D b J                 folded keys and values of each routed block
    step caches    S P B (L + T) D b             S activations: one or two of each block, or a few in all

Legend: P guidance passes, B videos, T text tokens, L video tokens, D video width, b bytes of a number, N identities,
H heads and K query tokens of the identity attention, J routed blocks, C channels of the VAE's last resolution, F
frames, H/W pixels, h/w pixels of a tile.
"""

import dataclasses

from ingredients.core.memory_mode import MEMORY_LADDER, MemoryMode
from ingredients.model_folders.sampling_settings import SamplingOverrides
from ingredients.models.flops import cheaper_form
from ingredients.pipelines.execution.memory_modes import SMALL_TILE, TILE
from ingredients.pipelines.execution.model_weights import ModelWeights
from ingredients.pipelines.execution.speed_options import SpeedOptions
from ingredients.pipelines.guidance_passes import plan_passes
from ingredients.pipelines.video_shape import VideoShape

CONVOLUTION_WORKSPACE = 1.15
"""What a GPU's convolutions take beside their inputs and outputs; not counted, for it depends on the GPU."""

_MARGIN, _FIXED_MARGIN = 1.1, 500_000_000
"""What fits must fit with this to spare: memory is given out in pieces, and kernels take some."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VideoDemand:
    """The video that memory is needed for; None takes the model's own default."""

    height: int | None = None
    """Pixels."""

    width: int | None = None
    """Pixels."""

    num_frames: int | None = None
    """Length."""

    num_people: int = 2
    """People whose photos are given."""

    sampling: SamplingOverrides = dataclasses.field(default_factory=dict)
    """How it is sampled: each scale of guidance may need another pass."""

    speed: SpeedOptions = dataclasses.field(default_factory=SpeedOptions)
    """How the model runs: step caches keep activations, fused matrices are copies, split guidance needs less."""

    decode_in_tiles: bool = False
    """Whether the VAE works in tiles even where the memory mode would not have it so."""

    def shape(self, model: ModelWeights) -> VideoShape:
        """The shape of the video, in which a model's own stands for what is not asked for."""
        return model.geometry.shape(height=self.height, width=self.width, num_frames=self.num_frames)


def estimate_needs(model: ModelWeights, demand: VideoDemand) -> dict[MemoryMode, int]:
    """Bytes that each mode needs on the device at its busiest, without the margin."""
    identities = identity_bytes(model, demand)
    needs = {}
    for mode in MEMORY_LADDER:
        is_minimal = mode is MemoryMode.MINIMAL
        denoising = denoising_bytes(model, demand, passes_at_once=1 if is_minimal else None)
        denoising += step_cache_bytes(model, demand)
        decoding = decoding_bytes(model, demand, mode)
        text, transformer = model.text_encoder, model.transformer
        fused = fused_bytes(model, demand)
        if mode is MemoryMode.FULL:
            stages = [text.total + transformer.total + fused + max(denoising, decoding)]
        elif mode is MemoryMode.BALANCED:
            stages = [text.total, transformer.total + fused + max(denoising, decoding)]
        elif mode is MemoryMode.LOW:  # the next block comes while the present one works
            fused_block = fused // model.transformer_config["num_layers"]
            present = transformer.outside + 2 * (transformer.largest_block + fused_block)
            stages = [text.outside + 2 * text.largest_block, present + denoising, decoding]
        else:  # a layer in full precision while it works, and it and the next in 8 bit
            present = 2 * transformer.largest_layer
            stages = [text.outside + 2 * text.largest_block, present + denoising, decoding]
        needs[mode] = model.vae + identities + max(stages)
    return needs


def with_margin(num_bytes: int) -> int:
    """What must be free for an estimate of `num_bytes` to be trusted."""
    return round(_MARGIN * num_bytes) + _FIXED_MARGIN


def identity_bytes(model: ModelWeights, demand: VideoDemand) -> int:
    """Bytes of what is computed once about the people."""
    config, people = model.transformer_config, demand.num_people
    if not config["identity_modules"] or not people:
        return 0
    num_blocks = len(range(0, config["num_layers"], config["cross_attn_interval"]))
    width: int = config["id_attn_num_heads"] * config["id_attn_head_dim"]
    if cheaper_form(config, video_dim=model.backbone.video_dim(config), num_identities=people) == "folded":
        width = config["id_attn_num_heads"] * model.backbone.video_dim(config)
    num_queries: int = config["id_num_queries"]
    return 2 * people * num_queries * width * num_blocks * model.element_size


def step_cache_bytes(model: ModelWeights, demand: VideoDemand) -> int:
    """Bytes of the activations that a step cache keeps from step to step."""
    if demand.speed.step_cache is None:
        return 0
    num_blocks: int = model.transformer_config["num_layers"]
    num_kept = {"first-block": 3, "mag": 2, "pab": num_blocks, "taylor": 2 * num_blocks, "faster": 2 * num_blocks}
    activation = _num_tokens(model, demand) * model.backbone.video_dim(model.transformer_config) * model.element_size
    return num_kept[demand.speed.step_cache] * _num_passes(model, demand) * activation


def fused_bytes(model: ModelWeights, demand: VideoDemand) -> int:
    """Bytes of fused query, key and value matrices, which are kept beside the three."""
    if not demand.speed.fuse_qkv:
        return 0
    num_blocks: int = model.transformer_config["num_layers"]
    return num_blocks * 3 * model.backbone.video_dim(model.transformer_config) ** 2 * model.element_size


def denoising_bytes(model: ModelWeights, demand: VideoDemand, *, passes_at_once: int | None = None) -> int:
    """Bytes of the transformer's activations at their largest.

    Args:
        model: that denoises.
        demand: the video.
        passes_at_once: guidance passes in one batch; None for all of them.
    """
    config, size = model.transformer_config, model.element_size
    passes = _num_passes(model, demand)
    if demand.speed.split_guidance:
        passes_at_once = 1
    if passes_at_once is not None and not config["published_guidance_fault"]:
        passes = min(passes, passes_at_once)
    num_tokens, dim = _num_tokens(model, demand), model.backbone.video_dim(config)
    rotary = model.backbone.memory.block * num_tokens * dim * size
    shares: int = demand.num_people * config["id_attn_num_heads"] * config["id_num_queries"]
    num_video_tokens = num_tokens - config["max_text_seq_length"]
    mixing = num_video_tokens * (5 * dim * size + 10 * shares) if config["identity_modules"] else 0
    return passes * max(rotary, mixing)


def _num_passes(model: ModelWeights, demand: VideoDemand) -> int:
    sampling = model.sampling.override(**demand.sampling)
    return len(plan_passes(sampling))


def _num_tokens(model: ModelWeights, demand: VideoDemand) -> int:
    """The number of tokens of video and text."""
    frames, rows, columns = model.geometry.token_grid(demand.shape(model))
    num_text_tokens: int = model.transformer_config["max_text_seq_length"]
    return frames * rows * columns + num_text_tokens


def decoding_bytes(model: ModelWeights, demand: VideoDemand, mode: MemoryMode) -> int:
    """Bytes of the VAE's activations at their largest, in the tiles of `mode`."""
    height, width, num_frames = demand.shape(model)
    tile_height, tile_width = height, width
    if mode is not MemoryMode.FULL or demand.decode_in_tiles:
        tile = SMALL_TILE if mode is MemoryMode.MINIMAL else TILE
        tile_height = min(height, tile[0] * model.geometry.spatial_ratio)
        tile_width = min(width, tile[1] * model.geometry.spatial_ratio)
    pixels = min(num_frames, model.backbone.memory.frames_at_once) * tile_height * tile_width
    channels: int = model.vae_config["block_out_channels"][0]
    convolutions = model.backbone.memory.decoder * channels * pixels * CONVOLUTION_WORKSPACE
    return round((convolutions + 2 * 3 * num_frames * height * width) * model.element_size)


def encoding_bytes(model: ModelWeights, *, num_pictures: int, height: int, width: int) -> int:
    """Bytes of the VAE's activations at their largest while it encodes canvases together."""
    return round(
        model.backbone.memory.encoder * _first_resolution(model, num_pictures * height * width) * CONVOLUTION_WORKSPACE
    )


def differentiated_decoding_bytes(model: ModelWeights, *, num_pictures: int, height: int, width: int) -> int:
    """Bytes of what the VAE's decoder keeps of single frames for a backward pass: at most, for the published depth."""
    return round(
        model.backbone.memory.kept_by_decoder
        * _first_resolution(model, num_pictures * height * width)
        * CONVOLUTION_WORKSPACE
    )


def _first_resolution(model: ModelWeights, num_pixels: int) -> int:
    """Bytes of one activation of the VAE at the size of the pictures."""
    channels: int = model.vae_config["block_out_channels"][0]
    return channels * num_pixels * model.element_size
