"""What the class of nobody (`route_background`) does to the small model that ships: its routers with it and without.

    ingredients world train unpack --output runs/more
    ingredients world train latents --output runs/more num_clips=4000
    python benchmarks/background_class.py runs/more/latents/train --steps 40 --batch-size 16 --cases 8

Both go on from the shipped model, with the same clips, seed and number of steps, on images. Printed is, on held-out
real clips of three people of whom two have photos (noise levels 100, 300 and 500, the routed blocks' second half, no
canvas): how many tokens of a face that has a photo are given to that person, how many of the third person's face go to
the two, and how many of those off all faces; then, on generated videos by the paper's method, similarity and others.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from ingredients.casebook.cases import Case, make_case, make_cases, style_for
from ingredients.data.encoded_clips import EncodedClips
from ingredients.data.latents import encode_clips, video_to_pixels
from ingredients.data.routing_targets import BACKGROUND, decide_routing_targets, token_coverage
from ingredients.evaluation.evaluate import evaluate
from ingredients.evaluation.judges import load_judges
from ingredients.evaluation.parts import BOTH
from ingredients.evaluation.pipeline_source import TIMESTEPS, PipelineSource
from ingredients.faces.facial_extractor import ExtractedIdentities
from ingredients.model_folders.find_model import default_model_path
from ingredients.models.identity_layer import IdentityLayer
from ingredients.pipelines.loading import load_pipeline
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.training.loop.stage import StepPosition
from ingredients.training.stages.diffusion import FrozenParts
from ingredients.training.stages.lora import exported_transformer
from ingredients.training.stages.router import RouterStage
from ingredients.training.stages.settings import RouterConfig
from ingredients.world import render_scene

_FIRST_STRANGER = 700_000
"""Number of the first case with a stranger: no other case has its people."""


def main() -> None:
    """Trains both, and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="encoded clips, by the parts of the model that ships")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=24)
    parser.add_argument("--cases", type=int, default=8)
    parser.add_argument("--strangers", type=int, default=24, help="real clips of three people")
    parser.add_argument("--output", type=Path, default=Path("outputs/background"))
    arguments = parser.parse_args()
    for has_class in (False, True):
        started = time.process_time()
        pipeline = load_pipeline(default_model_path())
        pipeline.transformer.register_to_config(route_background=has_class)
        for module in pipeline.transformer.modules():
            if isinstance(module, IdentityLayer):
                module.route_background = has_class
        loss = train(pipeline, EncodedClips([arguments.clips]), arguments)
        name = "with the class of nobody" if has_class else "without"
        print(f"{name}: loss {loss:.3f}, {time.process_time() - started:.0f} CPU s of training", flush=True)
        own, strangers, ground = route(pipeline, arguments.strangers)
        print(
            f"  own face's tokens {own:.3f}, stranger's to the cast {strangers:.3f}, off faces {ground:.3f}",
            flush=True,
        )
        if arguments.cases:
            cases = make_cases(arguments.cases, style=style_for(pipeline.transformer.config))
            source = PipelineSource(pipeline, cases, parts=BOTH)
            judges = load_judges(default_model_path(), own_videos=True)
            names = ["normalised_similarity", "right_person_rate", "attributes_right"]
            result = evaluate(source, judges, arguments.output / name.replace(" ", "-"), metrics=names)
            print(
                "  "
                + "; ".join(
                    f"{each} {result.metrics[each].value:.3f} ({result.metrics[each].low:.2f} to "
                    f"{result.metrics[each].high:.2f})"
                    for each in names
                ),
                flush=True,
            )


def train(pipeline: IngredientsPipeline, clips: EncodedClips, arguments: argparse.Namespace) -> float:
    """Goes on with the router stage on images; the mean loss of the last ten steps."""
    has_class = pipeline.transformer.config.route_background
    config = RouterConfig(
        background="class" if has_class else "ignored",
        image_batch_size=arguments.batch_size, image_share=1.0, routing_loss_weight=0.1,
    )  # fmt: skip
    torch.manual_seed(0)
    stage = RouterStage(pipeline.transformer.float(), FrozenParts(vae=pipeline.vae.float(), clips=clips), config)
    stage.model.train()
    groups = stage.parameter_groups()
    optimizer = torch.optim.AdamW([{"params": list(group.parameters.values())} for group in groups], lr=1e-3)
    losses = []
    for step in range(arguments.steps):
        optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = 1e-3 * (1 - step / arguments.steps)
        batches = stage.data.draw(StepPosition(step=step, progress=0.0, seed=0))
        counts = stage.counts(batches)
        with torch.autocast("cpu", torch.bfloat16):
            loss = stage.loss(batches[0], counts).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    merged = exported_transformer(stage.transformer)
    assert merged is not None
    pipeline.register_modules(transformer=merged.eval())
    return float(np.mean(losses[-10:]))


@torch.no_grad()
def route(pipeline: IngredientsPipeline, num_clips: int) -> tuple[float, float, float]:
    """Shares of tokens: own face's to the own person, the stranger's and those off all faces to anybody."""
    transformer, source = pipeline.transformer, PipelineSource(pipeline, make_cases(1))
    geometry = pipeline.geometry
    shape = geometry.own_shape
    own, stranger, ground = [], [], []
    for index in range(num_clips):
        case: Case = make_case(_FIRST_STRANGER + index, num_people=3, style=style_for(transformer.config))
        scene = render_scene(case.scene(), height=shape.height, width=shape.width, num_frames=shape.num_frames)
        people = source.identities(case.people[:2])
        if not isinstance(people, ExtractedIdentities):
            continue
        coverage = token_coverage(
            scene.face_masks,
            grid=geometry.token_grid(shape)[1:],
            temporal_compression=geometry.temporal_ratio,
            patch_size_t=geometry.patch_size_t,
        )
        targets = torch.from_numpy(decide_routing_targets(coverage))
        latents = encode_clips(pipeline.vae, video_to_pixels(scene.frames[None])).float()
        latents = torch.cat([latents[:, :1]] * geometry.front_padding(shape) + [latents], dim=1)
        latents = latents.expand(len(TIMESTEPS), *latents.shape[1:])
        generator = torch.Generator().manual_seed(index)
        noise = transformer.draw_noise(latents.shape, generator=generator)
        levels = torch.tensor(TIMESTEPS)
        noisy = pipeline.scheduler.add_noise(latents, noise, levels)
        features = transformer.prepare_identities(
            people.id_embeds[None].float(), [states[None].float() for states in people.id_vit_hidden_states]
        ).repeat_interleave(len(TIMESTEPS))
        prompt, _ = pipeline.encode_prompt(scene.caption, do_classifier_free_guidance=False)
        logits = transformer(
            hidden_states=torch.cat([noisy, torch.zeros_like(noisy)], dim=2),
            encoder_hidden_states=prompt.float().expand(len(TIMESTEPS), -1, -1),
            timestep=levels,
            image_rotary_emb=transformer.backbone.positions(
                transformer.config, num_frames=latents.shape[1], height=latents.shape[3], width=latents.shape[4]
            ),
            identity_features=features,
        ).routing_logits
        logits = torch.stack(logits[len(logits) // 2 :])  # (J, t, L, 2)
        chosen = logits.argmax(-1)
        if transformer.config.route_background:
            chosen = torch.where(logits.amax(-1) > 0, chosen, -1)
        own += [(chosen[..., targets == person] == person).float().mean().item() for person in (0, 1)
                if (targets == person).any()]  # fmt: skip
        if (targets == 2).any():
            stranger.append((chosen[..., targets == 2] >= 0).float().mean().item())
        ground.append((chosen[..., targets == BACKGROUND] >= 0).float().mean().item())
    return float(np.mean(own)), float(np.mean(stranger)), float(np.mean(ground))


if __name__ == "__main__":
    main()
