"""Figure 7's second half: the logit threshold of masks against the recall of routers that learn from them.

    python benchmarks/mask_thresholds.py --output runs/curated --figure docs/results/figure-7-recall.png

Clips are those of `benchmarks/curated_training.py`, whose docstring says how to make them. A router stage for each
threshold would be dear, so that **routers alone** learn here: the transformer that ships is frozen, mixes people
uniformly whatever its routers say, and is run once over all clips; then routers, drawn anew, learn by the routing loss
(Eq. 5) from what came by. So kinds of masks differ in nothing but targets. Images of the clips' first frames, canvas
and photos shown, five draws of each clip; recall is balanced over people, over five timesteps and the last half of the
routed blocks, on other films and people with exact masks.
"""

import argparse
import copy
import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import MethodType

import numpy as np
import torch
from curated_training import BOX, CURATED, EXACT, encode_all_kinds, encode_held_out, fresh_routers
from torch import nn

from ingredients.core.config import load_config
from ingredients.data.batches import ClipBatch, draw_batch
from ingredients.data.encoded_clips import EncodedClips
from ingredients.data.sampling import fixed_draws
from ingredients.model_folders.transformer import load_transformer
from ingredients.models.id_router import IDRouter
from ingredients.training.runs.configuration import RouteRunConfig
from ingredients.training.runs.kinds import RUN_KINDS
from ingredients.training.runs.run import build_stage
from ingredients.training.stages.diffusion import VALIDATION_TIMESTEPS
from ingredients.training.stages.identity import IdentityStage
from ingredients.training.stages.losses import routing_cross_entropy, routing_recalls

_AT_ONCE = 12
_MOST_PEOPLE = 4
_DRAWS = 5
"""Of each clip that is learnt from: noise, noise level, references and order of the people."""

_NUM_STEPS, _BATCH_SIZE, _LEARNING_RATE = 240, 48, 2e-3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What came by the routers, of B samples."""

    hidden_states: list[torch.Tensor]
    """For each routed block (B, L, D)."""

    id_tokens: list[torch.Tensor]
    """For each routed block (B, N, K, C)."""

    id_mask: torch.Tensor
    """(B, N)."""


def main() -> None:
    """Learns and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=Path, default=Path("films"))
    parser.add_argument("--held-out-films", type=Path, default=Path("held-out-films"))
    parser.add_argument("--clips", type=Path, default=Path("clips"))
    parser.add_argument("--encoded", type=Path, default=Path("encoded"))
    parser.add_argument("--output", type=Path, default=Path("runs/curated"))
    parser.add_argument("--thresholds", type=float, nargs="*", default=[-6.0, -2.0, 2.0], help="logits beside 0")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of routers and order")
    parser.add_argument("--figure", type=Path, default=None, help="PNG of overlap and recall by threshold")
    arguments = parser.parse_args()
    by_threshold = {0.0: CURATED} | {each: f"threshold{each:+g}" for each in arguments.thresholds}
    kinds = [EXACT, *by_threshold.values(), BOX]
    overlaps = encode_all_kinds(arguments, by_threshold)
    known = arguments.output / "thresholds.json"
    found: dict[str, float] = json.loads(known.read_text()) if known.is_file() else {}
    if missing := [(kind, seed) for seed in arguments.seeds for kind in kinds if f"{kind} {seed}" not in found]:
        for (kind, seed), value in learn_all(arguments, missing):
            found[f"{kind} {seed}"] = value
            known.write_text(json.dumps(found))
            print(kind, seed, value, flush=True)
    recalls = {kind: [found[f"{kind} {seed}"] for seed in arguments.seeds] for kind in kinds}
    for kind, values in recalls.items():
        print(f"{kind}: overlap {overlaps.get(kind)}, recall {np.mean(values):.4f} ({min(values)} to {max(values)})")
    if arguments.figure is not None:
        draw_figure(arguments.figure, by_threshold, recalls, overlaps)


def learn_all(
    arguments: argparse.Namespace, wanted: Sequence[tuple[str, int]]
) -> Iterator[tuple[tuple[str, int], float]]:
    """Recalls of routers that learn from kinds of masks, each with a seed."""
    encoded = arguments.output / "encoded"
    held_out = list(batches(EncodedClips([encode_held_out(arguments)]), 1))
    stage = open_stage(fresh_routers(arguments.output / "start-0", 0), encoded / EXACT)
    seen = list(batches(EncodedClips([encoded / EXACT]), _DRAWS))
    learnt_from = pass_all(stage, seen, lambda batch: [stage.schedule.timesteps(batch.levels)])
    tried_on = pass_all(stage, held_out, lambda batch: [torch.full((len(batch),), t) for t in VALIDATION_TIMESTEPS])
    truth = torch.cat([batch.routing_targets for batch in held_out for _ in VALIDATION_TIMESTEPS])
    for kind, seed in wanted:
        routers = routers_of(fresh_routers(arguments.output / f"start-{seed}", seed))
        clips = EncodedClips([encoded / (CURATED if kind == BOX else kind)])
        learnt = learn(routers, learnt_from, targets_of(clips, kind), seed)
        yield (kind, seed), round(recall(learnt, tried_on, truth), 4)


def open_stage(start: Path, clips: Path) -> IdentityStage:
    """The frozen transformer, as the router stage runs it."""
    overrides = [f"data.train=[{clips}]", f"model.start={start}", "trainer.trackers=[]"]
    config = load_config(RouteRunConfig, overrides=overrides, defaults=RouteRunConfig())
    stage, _ = build_stage(RUN_KINDS["route"], config, device=torch.device("cpu"))
    assert isinstance(stage, IdentityStage)
    stage.transformer.eval()
    return stage


def batches(clips: EncodedClips, num_draws: int) -> Iterator[ClipBatch]:
    """Images of all clips, each drawn so many times; the same whatever the masks are."""
    clip_ids = [entry.clip_id for entry in clips.entries]
    for seed in range(num_draws):
        draws = fixed_draws(range(len(clips)), clip_ids, seed=seed)
        for first in range(0, len(draws), _AT_ONCE):
            yield draw_batch(clips, draws[first : first + _AT_ONCE], is_image=True)


def targets_of(clips: EncodedClips, kind: str) -> torch.Tensor:
    """Routing targets (B, L) of the same draws by other masks."""
    clip_ids = [entry.clip_id for entry in clips.entries]
    found = []
    for seed in range(_DRAWS):
        draws = fixed_draws(range(len(clips)), clip_ids, seed=seed)
        supervision = "box" if kind == BOX else "segment"
        found.append(draw_batch(clips, draws, is_image=True, supervision=supervision).routing_targets)
    return torch.cat(found)


@torch.no_grad()
def pass_all(
    stage: IdentityStage, all_batches: Sequence[ClipBatch], timesteps_of: Callable[[ClipBatch], list[torch.Tensor]]
) -> Passed:
    """Runs the transformer over batches, at one timestep or several each."""
    routers = routers_in(stage.transformer)
    hidden: list[list[torch.Tensor]] = [[] for _ in routers]
    tokens: list[list[torch.Tensor]] = [[] for _ in routers]
    masks: list[torch.Tensor] = []
    for block, router in enumerate(routers):

        def keep_hidden(_: nn.Module, arguments: tuple[torch.Tensor, ...], block: int = block) -> None:
            hidden[block].append(arguments[0].half())

        def keep_tokens(router: IDRouter, id_tokens: torch.Tensor, block: int = block) -> torch.Tensor:
            missing = _MOST_PEOPLE - id_tokens.shape[1]
            tokens[block].append(nn.functional.pad(id_tokens, (0, 0, 0, 0, 0, missing)).half())
            return IDRouter.project_identities(router, id_tokens)

        router.register_forward_pre_hook(keep_hidden)
        router.project_identities = MethodType(keep_tokens, router)  # type: ignore[method-assign]
    for batch in all_batches:
        canvas = stage.canvas_latents(batch)
        for timesteps in timesteps_of(batch):
            noisy, _ = stage.noisy(batch, timesteps)
            stage.predict(
                batch, noisy, timesteps, id_mask=batch.people.id_mask, image_latents=canvas, routing="uniform"
            )
            masks.append(nn.functional.pad(batch.people.id_mask, (0, _MOST_PEOPLE - batch.people.id_mask.shape[1])))
    for router in routers:
        router._forward_pre_hooks.clear()
    return Passed(
        hidden_states=[torch.cat(each) for each in hidden],
        id_tokens=[torch.cat(each) for each in tokens],
        id_mask=torch.cat(masks),
    )


def routers_in(transformer: nn.Module) -> list[IDRouter]:
    """The routers of a transformer, in the order of its blocks."""
    return [module for module in transformer.modules() if isinstance(module, IDRouter)]


def routers_of(start: Path) -> list[IDRouter]:
    """Routers drawn anew."""
    return routers_in(load_transformer(start / "transformer", dtype=torch.float32))


def learn(routers: Sequence[IDRouter], passed: Passed, targets: torch.Tensor, seed: int) -> list[IDRouter]:
    """Copies of routers that have learnt from targets (B, L)."""
    learnt = [copy.deepcopy(router).train() for router in routers]
    optimizer = torch.optim.AdamW([each for router in learnt for each in router.parameters()], lr=_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=_NUM_STEPS)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(_NUM_STEPS):
        rows = torch.randperm(len(targets), generator=generator)[:_BATCH_SIZE]
        num_tokens = float((targets[rows] >= 0).sum())
        loss = routing_cross_entropy(_logits(learnt, passed, rows), targets[rows], num_face_tokens=num_tokens)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return learnt


def _logits(routers: Sequence[IDRouter], passed: Passed, rows: torch.Tensor) -> list[torch.Tensor]:
    return [
        router(
            passed.hidden_states[block][rows].float(),
            router.project_identities(passed.id_tokens[block][rows].float()),
            passed.id_mask[rows],
        )
        for block, router in enumerate(routers)
    ]


@torch.no_grad()
def recall(routers: Sequence[IDRouter], passed: Passed, truth: torch.Tensor) -> float:
    """Balanced recall over people and the last half of the blocks."""
    logits = _logits(routers, passed, torch.arange(len(truth)))
    return float(np.mean([np.mean(routing_recalls(each, truth)) for each in logits[len(logits) // 2 :]]))


def draw_figure(
    path: Path, by_threshold: dict[float, str], recalls: dict[str, list[float]], overlaps: dict[str, float]
) -> None:
    """Figure 7 of the paper in numbers: overlap of the masks, and recall of the routers, by threshold."""
    import matplotlib.pyplot as plt

    thresholds = sorted(by_threshold)
    figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
    masks = [overlaps[by_threshold[each]] for each in thresholds]
    axes.plot(thresholds, masks, marker="s", color="tab:grey", label="overlap of the masks with the true ones")
    found = np.array([recalls[by_threshold[each]] for each in thresholds])  # (thresholds, seeds)
    spread = np.abs(np.stack([found.min(1), found.max(1)]) - found.mean(1))
    axes.errorbar(
        thresholds, found.mean(1), spread, marker="o", color="tab:blue", capsize=3, label="recall of the routers"
    )
    for kind, colour in ((EXACT, "tab:green"), (BOX, "tab:orange")):
        axes.axhline(
            float(np.mean(recalls[kind])), color=colour, linestyle="--", linewidth=1, label=f"recall from {kind} masks"
        )
    axes.axvline(-2.0, color="lightgrey", linewidth=0.8)
    axes.annotate("the paper's -2", (-2.05, 0.02), color="grey", ha="right")
    axes.set(xlabel="logit threshold of the small SAM", ylabel="overlap, recall", ylim=(0, 1))
    axes.legend(loc="lower right", fontsize="small")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
