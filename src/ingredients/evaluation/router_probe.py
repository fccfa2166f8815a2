"""Does the router know whose face a token shows? Asked on noised latents of a real clip with true masks.

Legend: N identities, F frames, H/W pixels, f/h/w latent grid, L video tokens, J routed blocks, t timesteps,
C latent channels.
"""

from collections.abc import Sequence

import numpy as np
import torch

from ingredients.core.arrays import Int64Array
from ingredients.data.latents import encode_clips, video_to_pixels
from ingredients.data.routing_targets import BACKGROUND, decide_routing_targets, token_coverage
from ingredients.evaluation.case_record import RoutingRecord
from ingredients.faces.canvas import compose_canvas
from ingredients.faces.facial_extractor import ExtractedIdentities
from ingredients.pipelines.inputs import canvas_to_tensor
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.pipelines.video_shape import VideoShape
from ingredients.world.scenes import Scene

TIMESTEPS = (100, 300, 500)
"""Noise levels, of a thousand."""


@torch.no_grad()
def probe_router(
    pipeline: IngredientsPipeline,
    identities: ExtractedIdentities,
    scene: Scene,
    *,
    seed: int,
    timesteps: Sequence[int] = TIMESTEPS,
) -> RoutingRecord:
    """Routes the tokens of a real clip of the same people: the latents are the clip's, not the model's own.

    The people are put in an order drawn from `seed`, so that a router that goes by their order has no merit.

    Args:
        pipeline: its transformer routes.
        identities: the N people, in the order of the scene.
        scene: the clip, in a size that the model can make.
        seed: of the noise and of the order.
        timesteps: noise levels.

    Returns:
        Balanced recall by block and timestep, none if no face is large enough for a token.
    """
    device, transformer = pipeline.device, pipeline.transformer
    num_frames, height, width = scene.frames.shape[:3]
    grid = pipeline.geometry.token_grid(VideoShape(height=height, width=width, num_frames=num_frames))
    order = np.random.default_rng(seed).permutation(len(identities))
    coverage = token_coverage(
        scene.face_masks[:, order],
        grid=grid[1:],
        temporal_compression=pipeline.geometry.temporal_ratio,
        patch_size_t=pipeline.geometry.patch_size_t,
    )
    targets = decide_routing_targets(coverage)  # (L,)
    if (targets == BACKGROUND).all():
        return RoutingRecord(timesteps=tuple(timesteps), balanced_recall=())

    pixels = video_to_pixels(scene.frames[None]).to(device, pipeline.vae.dtype)
    latents = encode_clips(pipeline.vae, pixels).float()  # (1, f, C, h, w)
    latents = latents.expand(len(timesteps), *latents.shape[1:])
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(latents.shape, generator=generator).to(device)
    levels = torch.tensor(list(timesteps), device=device)
    model_input = pipeline.scheduler.add_noise(latents, noise, levels).to(transformer.dtype)
    if pipeline.takes_canvas:
        canvas = compose_canvas(identities.canvas_crops[order], height, width)
        image_latents = pipeline.prepare_image_latents(
            canvas_to_tensor(canvas, height=height, width=width), latents.shape[:1] + model_input.shape[1:],
            generator=[torch.Generator().manual_seed(seed) for _ in timesteps], device=device,
            num_people=[len(identities)],
        )  # fmt: skip
        model_input = torch.cat([model_input, image_latents], dim=2)  # (t, f, 2 C, h, w)

    selection = torch.from_numpy(order)
    features = transformer.prepare_identities(
        identities.id_embeds[selection][None].to(device),
        [states[selection][None].to(device) for states in identities.id_vit_hidden_states],
    ).repeat_interleave(len(timesteps))
    prompt_embeds, _ = pipeline.encode_prompt(scene.caption, do_classifier_free_guidance=False)
    output = transformer(
        hidden_states=model_input,
        encoder_hidden_states=prompt_embeds.expand(len(timesteps), -1, -1),
        timestep=levels,
        image_rotary_emb=transformer.backbone.positions(
            transformer.config,
            num_frames=grid[0],
            height=model_input.shape[3],
            width=model_input.shape[4],
            device=device,
        ),
        identity_features=features,
    )
    chosen = torch.stack(output.routing_logits).argmax(dim=-1).cpu().numpy()  # (J, t, L)
    return RoutingRecord(
        timesteps=tuple(timesteps),
        balanced_recall=tuple(
            tuple(balanced_recall(tokens, targets, num_identities=len(identities)) for tokens in block)
            for block in chosen
        ),
    )


def balanced_recall(chosen: Int64Array, targets: Int64Array, *, num_identities: int) -> float:
    """Share of each identity's tokens that were given to it, averaged over the identities that have tokens.

    Args:
        chosen: (L,), the identity that each token was given.
        targets: (L,), the identity that it shows, `BACKGROUND` where it shows none, which does not count; somebody
            must be shown.
        num_identities: N.
    """
    shown = [identity for identity in range(num_identities) if (targets == identity).any()]
    assert shown, "no token shows a face"
    return float(np.mean([(chosen[targets == identity] == identity).mean() for identity in shown]))
