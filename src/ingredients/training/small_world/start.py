"""What the larger model of the drawn world begins with: what the smaller one has learnt, laid over a finer grid.

The larger model's pictures are twice as high and wide, and so are its patches: a token of one covers what a token of
the other covers, and the blocks can go on as they are. Only what reads patches and sentences, and what writes patches,
is another; each is one linear layer, fitted by least squares to drawn clips and captions as both models have them:

- patches of latents, and of canvases, to what the smaller model's patch embedding makes of its own;
- words as the new text encoder has them, to what the smaller model's text projection makes of its own encoder's;
- what comes out of the last block, to the patch's clean latents, which is what the larger model predicts.

A patch embedding so fitted takes means over many more numbers, and noise goes with them: `noise_shift` says by how
much, and the larger model's scheduler (`snr_shift_scale`) adds as much more.

Legend: B clips or captions, f frames of tokens, C channels, h/w token grid, L tokens, T words, D width.
"""

import dataclasses
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLCogVideoX

from ingredients.core.errors import ModelFolderError, OutputError
from ingredients.core.files import atomic_folder, make_folder
from ingredients.core.json_yaml import write_json
from ingredients.core.progress import show_progress
from ingredients.core.token_time import front_padding
from ingredients.core.training_log import METRICS_NAME
from ingredients.data.clip_encoder import EncodePrompts
from ingredients.data.latents import encode_clips, video_to_pixels
from ingredients.model_folders.components import load_text_encoder, load_tokenizer, load_vae
from ingredients.model_folders.find_model import default_model_path
from ingredients.model_folders.transformer import load_transformer
from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.cogvideox import COGVIDEOX
from ingredients.models.cogvideox_vae import on_single_frames
from ingredients.models.presets import SMALL_WORLDS
from ingredients.pipelines.encoding_model import caption_encoder
from ingredients.training.runs.configuration import CONFIG_NAME
from ingredients.training.small_world.folders import make_scheduler, part_folder
from ingredients.training.small_world.settings import StartConfig, VaeConfig
from ingredients.training.small_world.vae import draw_canvases
from ingredients.world import EACH_OWN, TOGETHER, render_scene, sample_scene

PART = "start"

_CANVAS_SEED = 10_000_000
_CAPTION_SEED = 20_000_000
_RIDGE, _TEXT_RIDGE, _HEAD_RIDGE = 0.1, 1e-3, 1e-4
_LEVELS_OF_A_CLIP = 4
_CAPTIONS_AT_ONCE = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """A fitted linear layer."""

    weight: torch.Tensor
    """(out, in)."""

    bias: torch.Tensor
    """(out,)."""

    explained: float
    """The share of the targets' variance that it explains, of those it was fitted to."""


def fit_linear(
    inputs: torch.Tensor, targets: torch.Tensor, *, ridge: float, weights: torch.Tensor | None = None
) -> Linear:
    """The linear layer of least squares, in float64.

    Args:
        inputs: (n, in).
        targets: (n, out).
        ridge: what is added to the inputs' variances, in parts of their mean.
        weights: (n,), what each row counts for; None: the same.
    """
    weights = torch.ones(len(inputs)) if weights is None else weights
    share = (weights / weights.sum()).double()[:, None]
    inputs, targets = inputs.double(), targets.double()
    input_mean, target_mean = (share * inputs).sum(dim=0), (share * targets).sum(dim=0)
    inputs, targets = inputs - input_mean, targets - target_mean
    covariance = inputs.T @ (share * inputs)
    covariance += ridge * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=covariance.dtype)
    weight = torch.linalg.solve(covariance, inputs.T @ (share * targets))
    left = (share * (inputs @ weight - targets).square()).sum()
    explained = 1 - float(left / (share * targets.square()).sum())
    return Linear(weight=weight.T.float(), bias=(target_mean - input_mean @ weight).float(), explained=explained)


def noise_shift(small: torch.Tensor, large: torch.Tensor) -> float:
    """By how much the noise's variance may grow until the larger patch embedding passes on as much as the smaller.

    Args:
        small: the weights of the smaller model's patch embedding on latents, (D, ...).
        large: the weights of the larger one's.
    """
    return float(small.detach().square().sum() / large.detach().square().sum())


def make_start(config: StartConfig, output: Path, show: bool = False) -> Path:
    """Writes `vae/vae` and `start/transformer` into the folder of all runs; returns the folder `start`.

    Args:
        config: which smaller model, and how much is drawn.
        output: the folder of all runs, with the new text encoder.
        show: show a progress bar.

    Raises:
        ModelFolderError: if the text encoder is not trained yet, or the grids do not fit.
        OutputError: if a VAE was trained where this one's VAE would go.
    """
    if (output / "vae" / CONFIG_NAME).exists():  # which this part never writes
        raise OutputError(
            f"{output / 'vae'} holds a VAE that was trained there, whose place this one would take; choose another "
            "--output, or move it away."
        )
    torch.manual_seed(config.seed)
    source = config.folder or default_model_path()
    small, large = _transformers(source, SMALL_WORLDS[config.model]())
    small_vae: AutoencoderKLCogVideoX = load_vae(source / "vae", dtype=torch.float32).eval()
    large_vae = on_single_frames(small_vae).eval()
    ratio = COGVIDEOX.spatial_ratio(small_vae.config)
    height, width = large.config.sample_height * ratio, large.config.sample_width * ratio
    large_vae.register_to_config(sample_height=height, sample_width=width)
    with torch.no_grad(), show_progress(PART, enabled=show) as progress:
        text_layer, encode_words = _fit_text(config, small, source, output, large.config.max_text_seq_length)
        latents, embedded, captions = [], [], []
        for index in range(config.num_clips):
            # The smaller model knows the one style, and the larger is to learn the other.
            scene = sample_scene(config.first_seed + index, style=(TOGETHER, EACH_OWN)[index % 2])
            drawn = render_scene(scene, height=height, width=width, num_frames=large.config.sample_frames)
            pixels = video_to_pixels(drawn.frames[None])
            latents.append(_padded(encode_clips(large_vae, pixels), large))
            embedded.append(_embedded(small, small_vae, F.avg_pool3d(pixels, (1, 2, 2))))
            captions.append(scene.caption)
            progress(index + 1, config.num_clips)
        layers = {
            "latents": fit_linear(
                patches_of(torch.cat(latents), large).flatten(0, -2), torch.cat(embedded).flatten(0, -2), ridge=_RIDGE
            ),
            "canvases": _fit_canvases(config, small, small_vae, large, large_vae),
            "words": text_layer,
        }
        _set_embedding(large, small, layers)
        layers["clean_latents"] = _fit_head(config, large, torch.cat(latents), encode_words(captions))
        large.proj_out.weight.copy_(layers["clean_latents"].weight)
        large.proj_out.bias.copy_(layers["clean_latents"].bias)
    for part in ("vae", PART):
        make_folder(output / part)
    with atomic_folder(output / "vae" / "vae") as temporary:
        large_vae.save_pretrained(temporary)
    folder = output / PART
    with atomic_folder(folder / "transformer") as temporary:
        large.save_pretrained(temporary)
    measured = {f"explained_{name}": layer.explained for name, layer in layers.items()}
    measured["noise_shift"] = noise_shift(_latents_weight(small), layers["latents"].weight)
    write_json(folder / METRICS_NAME, measured)
    return folder


def _transformers(
    source: Path, preset: dict[str, Any]
) -> tuple[IngredientsTransformer3DModel, IngredientsTransformer3DModel]:
    """The smaller model's, and the larger one with all of it that fits.

    Raises:
        ModelFolderError: if a token of the larger one does not cover what one of the smaller covers.
    """
    small = load_transformer(source / "transformer", dtype=torch.float32).eval()
    large = IngredientsTransformer3DModel(**preset).eval()
    doubled = {
        "sample_height": 2 * small.config.sample_height,
        "sample_width": 2 * small.config.sample_width,
        "patch_size": 2 * small.config.patch_size,
        "patch_size_t": small.config.temporal_compression_ratio,
    }
    if differing := [name for name, value in doubled.items() if large.config[name] != value]:
        raise ModelFolderError(
            f"The model in {source} is not half as fine as the one to begin: its {', '.join(differing)} would have to "
            f"be another; name one that `ingredients world train pack` made of the parts of small_world, with folder=."
        )
    learnt, own = small.state_dict(), large.state_dict()
    fitting = {name: learnt[name] for name in own if name in learnt and learnt[name].shape == own[name].shape}
    large.load_state_dict(fitting, strict=False)
    return small, large


def _latents_weight(small: IngredientsTransformer3DModel) -> torch.Tensor:
    """The weights (D, C, p, p) of the smaller model's patch embedding on latents; those on canvases follow them."""
    weight: torch.Tensor = small.patch_embed.proj.weight[:, : small.config.out_channels]
    return weight


def _padded(latents: torch.Tensor, large: IngredientsTransformer3DModel) -> torch.Tensor:
    """Latents (B, F, C, H, W) with the copies of the first frame that make patches in time whole."""
    padding = front_padding(latents.shape[1], large.config.patch_size_t)
    return torch.cat([latents[:, :1].expand(-1, padding, -1, -1, -1), latents], dim=1)


def patches_of(latents: torch.Tensor, large: IngredientsTransformer3DModel) -> torch.Tensor:
    """Patches (B, f, h, w, C P p p) of padded latents, in the order of the patch embedding and of the output layer."""
    patch, patch_t = large.config.patch_size, large.config.patch_size_t
    num_clips, num_frames, channels, height, width = latents.shape
    split = latents.reshape(
        num_clips, num_frames // patch_t, patch_t, channels, height // patch, patch, width // patch, patch
    )
    return split.permute(0, 1, 4, 6, 3, 2, 5, 7).flatten(4)


def _embedded(small: IngredientsTransformer3DModel, vae: AutoencoderKLCogVideoX, pixels: torch.Tensor) -> torch.Tensor:
    """What the smaller patch embedding makes of a longer clip (1, 3, F, H, W): (1, f, h, w, D); no bias.

    The clip is encoded in pieces of the model's own length, each beginning with the last frame of the one before.
    """
    length = small.config.sample_frames
    pieces = [
        encode_clips(vae, pixels[:, :, first : first + length]) for first in range(0, pixels.shape[2] - 1, length - 1)
    ]
    latents = torch.cat([pieces[0], *(piece[:, 1:] for piece in pieces[1:])], dim=1)
    embedded = F.conv2d(latents[0], _latents_weight(small), stride=small.config.patch_size)
    return embedded.permute(0, 2, 3, 1)[None]


def _fit_canvases(
    config: StartConfig,
    small: IngredientsTransformer3DModel,
    small_vae: AutoencoderKLCogVideoX,
    large: IngredientsTransformer3DModel,
    large_vae: AutoencoderKLCogVideoX,
) -> Linear:
    """The half of the patch embedding that reads canvases, which fill the first frame of tokens."""
    drawn = VaeConfig(height=large_vae.config.sample_height, width=large_vae.config.sample_width)
    canvases = draw_canvases(drawn, config.num_clips, first_seed=_CANVAS_SEED, split="train")
    pixels = video_to_pixels(canvases.frames)
    ours = encode_clips(large_vae, pixels).repeat(1, large.config.patch_size_t, 1, 1, 1)
    theirs = encode_clips(small_vae, F.avg_pool3d(pixels, (1, 2, 2)))[:, 0]
    weight = small.patch_embed.proj.weight[:, small.config.out_channels :]
    embedded = F.conv2d(theirs, weight, stride=small.config.patch_size).permute(0, 2, 3, 1)
    return fit_linear(patches_of(ours, large).flatten(0, -2), embedded.flatten(0, -2), ridge=_RIDGE)


def _fit_text(
    config: StartConfig, small: IngredientsTransformer3DModel, source: Path, output: Path, max_length: int
) -> tuple[Linear, EncodePrompts]:
    """The text projection, and what encodes captions for it, by captions of as many words in both."""
    lengths = small.config.max_text_seq_length, max_length
    folders = (
        (source / "tokenizer", source / "text_encoder"),
        (part_folder(output, "text-encoder", "tokenizer"), part_folder(output, "text-encoder", "text_encoder")),
    )
    tokenizers = [load_tokenizer(tokenizer) for tokenizer, _ in folders]
    encoders = [
        caption_encoder(tokenizer, load_text_encoder(encoder, dtype=torch.float32), max_text_seq_length=length)
        for tokenizer, (_, encoder), length in zip(tokenizers, folders, lengths, strict=True)
    ]
    captions = [sample_scene(_CAPTION_SEED + index, style=TOGETHER).caption for index in range(config.num_captions)]
    theirs, ours = [], []
    for first in range(0, len(captions), _CAPTIONS_AT_ONCE):
        some = captions[first : first + _CAPTIONS_AT_ONCE]
        for caption, their_states, our_states in zip(some, *(encode(some) for encode in encoders), strict=True):
            num_words = [len(tokenizer(caption).input_ids) for tokenizer in tokenizers]
            if num_words[0] == num_words[1] <= min(lengths):
                theirs.append(their_states[: num_words[0]])
                ours.append(our_states[: num_words[0]])
    targets = small.patch_embed.text_proj(torch.cat(theirs))
    return fit_linear(torch.cat(ours), targets, ridge=_TEXT_RIDGE), encoders[1]


def _set_embedding(
    large: IngredientsTransformer3DModel, small: IngredientsTransformer3DModel, layers: dict[str, Linear]
) -> None:
    """Puts the fitted layers where patches and words come in."""
    halves = [
        torch.unflatten(layers[name].weight, 1, (large.config.out_channels, -1)) for name in ("latents", "canvases")
    ]
    large.patch_embed.proj.weight.copy_(torch.cat(halves, dim=1).flatten(1))
    # The canvases' own bias is left out: most tokens have no canvas, and get nothing of it from the smaller model.
    large.patch_embed.proj.bias.copy_(small.patch_embed.proj.bias + layers["latents"].bias)
    large.patch_embed.text_proj.weight.copy_(layers["words"].weight)
    large.patch_embed.text_proj.bias.copy_(layers["words"].bias)


def _fit_head(
    config: StartConfig, large: IngredientsTransformer3DModel, latents: torch.Tensor, words: torch.Tensor
) -> Linear:
    """The output layer, from what comes out of the last block at noise levels of all kinds, with nobody shown."""
    schedule = COGVIDEOX.noise_schedule(make_scheduler(config.model))
    positions = COGVIDEOX.positions(
        large.config, num_frames=latents.shape[1], height=latents.shape[3], width=latents.shape[4]
    )
    states: list[torch.Tensor] = []
    hook = large.norm_out.register_forward_hook(lambda _module, _inputs, output: states.append(output.flatten(0, 1)))
    targets, weights = [], []
    try:
        for clip, caption in zip(torch.split(latents, 1), torch.split(words, 1), strict=True):
            levels = torch.rand(_LEVELS_OF_A_CLIP)
            timesteps = schedule.timesteps(levels)
            clips = clip.expand(len(levels), -1, -1, -1, -1)
            noisy = schedule.add_noise(clips, torch.randn(clips.shape), timesteps)
            canvas = torch.zeros_like(noisy)
            large(
                torch.cat([noisy, canvas], dim=2),
                caption.expand(len(levels), -1, -1),
                timesteps,
                image_rotary_emb=positions,
            )
            patches = patches_of(clips, large).flatten(1, 3)  # (B, L, C P p p)
            targets.append(patches.flatten(0, 1))
            weights.append(schedule.loss_weight(timesteps).repeat_interleave(patches.shape[1]))
    finally:
        hook.remove()
    return fit_linear(torch.cat(states), torch.cat(targets), ridge=_HEAD_RIDGE, weights=torch.cat(weights))
