"""What the canvas says, and whether the small model that ships listens (docs/measured.md).

    python benchmarks/canvas.py --portraits 1600 --cases 40

First, what of a photo's looks linear probes read from the canvas's latents and from all that the local branch gets:
three quarters of the portraits teach, people of the evaluation split report. Then the loss on face tokens of noised
real clips of two people, by what the canvas shows, alone and beside local features that are routed to the true places.
About 3 and 2.5 minutes of one core.
"""

import argparse
from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional as F

from ingredients.casebook.cases import Case, make_case, style_for
from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.data.latents import encode_canvases, encode_clips, video_to_pixels
from ingredients.data.routing_targets import decide_routing_targets, token_coverage
from ingredients.evaluation.pipeline_source import PipelineSource
from ingredients.faces.alignment import crop_ffhq
from ingredients.faces.facial_extractor import ExtractedIdentities
from ingredients.model_folders.find_model import default_model_path
from ingredients.pipelines.loading import load_pipeline
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.training.stages.diffusion import first_frame_only
from ingredients.world.identity import ATTRIBUTES, sample_identity
from ingredients.world.portraits import render_portrait
from ingredients.world.scenes import render_scene

_TIMESTEPS = (500, 700, 900, 980)
_FIRST_PERSON, _FIRST_CASE, _OTHER_PEOPLE = 7_000_000_000, 3000, 500_000
_STRENGTHS = (10.0, 100.0, 1000.0, 10_000.0)
"""Ridge penalties, of which each probe takes the best by a part of its own portraits."""


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portraits", type=int, default=1600)
    parser.add_argument("--cases", type=int, default=40)
    arguments = parser.parse_args()
    pipeline = load_pipeline(default_model_path())
    pipeline.transformer.float()
    if arguments.portraits:
        probe(pipeline, arguments.portraits)
    if arguments.cases:
        compare_losses(pipeline, arguments.cases)


@torch.no_grad()
def probe(pipeline: IngredientsPipeline, number: int) -> None:
    """Share of the people of whom each attribute is told right, by what it is read from."""
    extractor = pipeline.facial_extractor
    assert extractor is not None
    num_taught = number * 3 // 4
    rows: dict[str, list[torch.Tensor]] = {}
    looks: list[Mapping[str, str]] = []
    for index in range(number):
        person = sample_identity(_FIRST_PERSON + index, "train" if index < num_taught else "eval")
        photo = render_portrait(person, index, size=128)
        looks.append(person.visible_attributes)
        features = extractor.image_encoder.encode(
            crop_ffhq(photo.image, photo.landmarks, size=extractor.image_encoder.crop_size)[None]
        )
        embedding = extractor.recogniser.embed(extractor.recogniser.align(photo.image, photo.landmarks)[None])
        both = torch.cat([embedding, F.normalize(features.embeds, dim=-1)], dim=-1)
        crop = crop_ffhq(photo.image, photo.landmarks, size=extractor.canvas_crop_size)
        own = pipeline.geometry.own_shape
        canvas = encode_canvases(pipeline.vae, [np.stack([crop, crop])], height=own.height, width=own.width)
        identity = pipeline.transformer.prepare_identities(
            both[:, None].float(), [states[:, None].float() for states in features.hidden_states], form="plain"
        )
        for name, value in {
            "canvas": canvas[..., canvas.shape[-2] // 8 : -canvas.shape[-2] // 8, : canvas.shape[-1] // 2],  # slot 1
            "recognition": embedding,
            "image encoder": features.embeds,
            "its states": torch.stack([states.mean(dim=1) for states in features.hidden_states]),
            "identity tokens": identity.id_tokens,
        }.items():
            rows.setdefault(name, []).append(value.float().flatten())
    print("attribute:", ", ".join(rows))
    for attribute, values in ATTRIBUTES.items():
        known = [index for index, look in enumerate(looks) if attribute in look]
        truth = np.array([values.index(looks[index][attribute]) for index in known])
        num_before = sum(index < num_taught for index in known)
        told = [
            ridge_accuracy(torch.stack([read[index] for index in known]).numpy(), truth, num_before, len(values))
            for read in rows.values()
        ]
        print(f"{attribute}: {', '.join(f'{share:.2f}' for share in told)}; chance {1 / len(values):.2f}", flush=True)


def ridge_accuracy(features: Float32Array, truth: np.ndarray, num_taught: int, num_values: int) -> float:
    """Share told right, of those after the first `num_taught`, by a ridge regression on one-hot values."""
    first = features[:num_taught]
    scaled = (features - first.mean(axis=0)) / (first.std(axis=0) + 1e-6)
    wanted = np.eye(num_values)[truth]

    def accuracy(strength: float, end: int, tested: slice) -> float:
        taught, mean = scaled[:end], wanted[:end].mean(axis=0)
        weights = taught.T @ np.linalg.solve(taught @ taught.T + strength * np.eye(end), wanted[:end] - mean)
        return float(((scaled[tested] @ weights + mean).argmax(axis=1) == truth[tested]).mean())

    end = int(num_taught * 0.85)
    best = max(_STRENGTHS, key=lambda strength: accuracy(strength, end, slice(end, num_taught)))
    return accuracy(best, num_taught, slice(num_taught, None))


@torch.no_grad()
def compare_losses(pipeline: IngredientsPipeline, number: int) -> None:
    """Mean loss on face tokens and its change against no canvas, with the standard error over cases."""
    style = style_for(pipeline.transformer.config)
    cases = [make_case(_FIRST_CASE + index, style=style) for index in range(number)]
    source = PipelineSource(pipeline, cases)
    losses: dict[tuple[str, int, str], list[float]] = {}
    for case in cases:
        for key, loss in losses_of(pipeline, source, case).items():
            losses.setdefault(key, []).append(loss)
    for (branch, timestep, shown), each in losses.items():
        change = np.array(each) - losses[branch, timestep, "nothing"]
        print(
            f"{branch}, t={timestep}, canvas of {shown}: {np.mean(each):.4f}, {change.mean():+.4f} "
            f"(standard error {change.std() / len(change) ** 0.5:.4f})"
        )


def losses_of(pipeline: IngredientsPipeline, source: PipelineSource, case: Case) -> dict[tuple[str, int, str], float]:
    """Loss on face tokens by branch, noise level and what the canvas shows."""
    transformer, geometry = pipeline.transformer, pipeline.geometry
    own, padding = geometry.own_shape, geometry.front_padding(geometry.own_shape)
    scene = render_scene(case.scene(), height=own.height, width=own.width, num_frames=own.num_frames)
    grid = geometry.token_grid(own)
    people = source.identities(case.people)
    others = source.identities(make_case(case.index + _OTHER_PEOPLE).people)
    assert isinstance(people, ExtractedIdentities)
    assert isinstance(others, ExtractedIdentities)
    order = np.random.default_rng(case.index).permutation(2)  # as in training, it says nothing of places
    targets = torch.from_numpy(
        decide_routing_targets(
            token_coverage(
                scene.face_masks[:, order],
                grid=grid[1:],
                temporal_compression=geometry.temporal_ratio,
                patch_size_t=geometry.patch_size_t,
            )
        )
    )
    middles = (scene.boxes[..., :2] + scene.boxes[..., 2:])[:, order] / 2 / (own.height / grid[1])  # in tokens
    middles = np.nanmean(middles, axis=0)  # (N, 2)
    rows, columns = np.mgrid[: grid[1], : grid[2]] + 0.5
    distances = [(columns - across) ** 2 + (rows - down) ** 2 for across, down in middles]
    nearest = torch.from_numpy(np.stack(distances).argmin(axis=0)).flatten().repeat(len(targets) // rows.size)
    routing = torch.where(targets >= 0, targets, nearest)[None]
    selection = torch.from_numpy(order)
    features = transformer.prepare_identities(
        people.id_embeds[selection][None].float(),
        [states[selection][None].float() for states in people.id_vit_hidden_states],
    )
    latents = encode_clips(pipeline.vae, video_to_pixels(scene.frames[None]).to(pipeline.vae.dtype)).float()
    latents = torch.cat([latents[:, :1]] * padding + [latents], dim=1)

    def canvas(crops: UInt8Array) -> torch.Tensor:
        encoded = encode_canvases(pipeline.vae, [crops], height=own.height, width=own.width)
        return first_frame_only(encoded.float(), latents.shape[1], num_padding_frames=padding)

    crops = people.canvas_crops[order]
    shown = {
        "nothing": torch.zeros_like(latents),
        "the two": canvas(crops),
        "the two, exchanged": canvas(crops[::-1]),
        "two others": canvas(others.canvas_crops),
    }
    generator = torch.Generator().manual_seed(case.seed)
    noise = transformer.draw_noise(latents.shape, generator=generator)
    prompt, _ = pipeline.encode_prompt(scene.caption, do_classifier_free_guidance=False)
    num_frames, _, height, width = latents.shape[1:]
    positions = transformer.backbone.positions(transformer.config, num_frames=num_frames, height=height, width=width)
    is_face = (targets >= 0).reshape(grid)
    schedule = transformer.backbone.noise_schedule(pipeline.scheduler)
    losses = {}
    for timestep in _TIMESTEPS:
        level = torch.tensor([timestep])
        target, noisy = schedule.target(latents, noise, level), schedule.add_noise(latents, noise, level)
        for branch in ("alone", "beside local features"):
            for name, image_latents in shown.items():
                predicted = transformer(
                    hidden_states=torch.cat([noisy, image_latents], dim=2),
                    encoder_hidden_states=prompt.float(),
                    timestep=level,
                    image_rotary_emb=positions,
                    identity_features=None if branch == "alone" else features,
                    routing_indices=None if branch == "alone" else routing,
                ).sample
                error = (predicted - target).square().mean(dim=2)[0]  # (f, h, w)
                tokens = F.avg_pool3d(error[None], (len(error) // grid[0], *[geometry.patch_size] * 2))[0]
                losses[branch, timestep, name] = tokens[is_face].mean().item()
    return losses


if __name__ == "__main__":
    main()
