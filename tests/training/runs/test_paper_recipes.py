"""The recipes of `configs/paper` against the paper's own numbers (arXiv 2501.01790), each with its section."""

from pathlib import Path
from typing import Any

import pytest

from ingredients.core.config import config_to_dict, load_config
from ingredients.data.buckets import Bucket
from ingredients.model_folders.sampling_settings import SamplingSettings
from ingredients.training.runs.configuration import RunConfig
from ingredients.training.runs.kinds import RUN_KINDS
from ingredients.training.runs.planned_stage import build_planned_stage

CONFIGS = Path(__file__).parents[3] / "configs"
THIRD = pytest.approx(1 / 3)

IN_BOTH_STAGES = (
    ("model.folder", "cogvideox-5b-i2v", "4.1: CogVideoX-5B; Table 2: image-to-video initialisation is best"),
    ("model.scale_source", "clip", "the published code; 3.2 joins the recogniser's features, which is an ablation"),
    ("stage.batch_size", 64, "4.1: the batch size is configured to 64"),
    ("stage.reference_source", "same_frame", "3.3: a random frame is selected, from which all references come"),
    ("stage.supervision", "segment", "3.3 and Table 2: boxes, then segmented with SAM"),
    ("stage.tuning", "lora", "3.3: Low-Rank Adaptation is appended to the video DiT"),
    ("stage.face_weight", 1.0, "Eq. 1: no place weighs more than another"),
    ("stage.identity_loss_weight", 0.0, "3.3: the training loss is aligned with conventional diffusion loss"),
    ("stage.identity_drop", 0.0, "3.3: global, local or completed information, never none"),
    ("stage.image_share", 0.0, "4.1: 49 sequential frames of each video"),
    ("trainer.optimizer", "adamw", "4.1: AdamW is used as optimizer"),
    ("trainer.schedule", "cosine_with_restarts", "4.1: cosine with restarts as scheduler"),
)
OF_A_STAGE = {
    "align": (
        ("trainer.num_steps", 3000, "4.1: 3k steps"),
        ("trainer.learning_rate", 2e-5, "4.1: 2e-5 at facial embedding alignment"),
        ("stage.kept_shares", [THIRD, THIRD, THIRD], "3.3: uniformly select global, local and completed"),
        (
            "stage.alignment_routing",
            "targets",
            "3.3 is silent: the router is not trained yet, so the true masks route",
        ),
    ),
    "route": (
        ("trainer.num_steps", 2000, "4.1: 2k steps"),
        ("trainer.learning_rate", 3e-5, "4.1: 3e-5 at router fine-tuning"),
        ("stage.routing_loss", "cross_entropy", "Eq. 5: a multi-label cross-entropy loss"),
        ("stage.routing_loss_weight", 0.1, "Eq. 5 gives no lambda: the middle of the sweep 0.01, 0.1, 1"),
        ("stage.background", "ignored", "3.3: indices of -1 for background class are excluded"),
        ("stage.canvas_drop", 0.0, "3.3: dropping belongs to the alignment"),
    ),
}
OF_THE_TRANSFORMER = (
    ("router_type", "mlp", "Eq. 3: f and g are two-layer MLP networks"),
    ("routing", "argmax", "Eq. 3: k* is the argmax"),
    ("canvas_placement", "before", "Table 2: faces are joined before the VAE"),
    ("route_background", False, "Eq. 3: every position has one of N identities"),
    ("cross_attn_interval", 1, "Eq. 2: in the i-th attention block, for every i"),
)


def read_recipe(recipe: str) -> RunConfig:
    kind = RUN_KINDS[recipe.rpartition("/")[2]]
    config: RunConfig = load_config(kind.config_type, CONFIGS / f"{recipe}.yaml", defaults=kind.config_type())
    return config


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) and value else {prefix + name: value}
    return found


@pytest.mark.parametrize(
    ("stage", "setting", "value", "section"),
    [(stage, *row) for stage, rows in OF_A_STAGE.items() for row in (*IN_BOTH_STAGES, *rows)],
)
def test_the_recipe_is_the_papers(stage: str, setting: str, value: object, section: str) -> None:
    assert flat(config_to_dict(read_recipe(f"paper/{stage}")))[setting] == value, section


@pytest.mark.parametrize("stage", ["align", "route"])
def test_what_a_run_without_a_recipe_takes_is_the_papers_as_far_as_it_goes(stage: str) -> None:
    """Steps, rates, shares and losses are the defaults as well."""
    config = flat(config_to_dict(RUN_KINDS[stage].config_type()))
    rows = [row for row in OF_A_STAGE[stage] if row[0] != "stage.canvas_drop"]
    assert [config[setting] for setting, *_ in rows] == [value for _, value, _ in rows]


def test_the_transformer_and_the_clips_are_the_papers() -> None:
    planned = build_planned_stage(RUN_KINDS["align"], read_recipe("paper/align"))
    config = planned.stage.transformer.config
    assert [(name, config[name]) for name, *_ in OF_THE_TRANSFORMER] == [row[:2] for row in OF_THE_TRANSFORMER]
    assert planned.clips.bucket == Bucket(num_frames=49, height=480, width=720)  # 4.1: 480x720, 49 frames


def test_videos_are_sampled_as_the_papers() -> None:
    sampling = SamplingSettings()
    assert (sampling.num_inference_steps, sampling.guidance_scale) == (50, 6.0)  # 4.1
    extras = (
        sampling.identity_guidance_scale,
        sampling.layout_share,
        sampling.likeness_guidance_scale,
        sampling.perturbed_attention_scale,
    )
    assert extras == (1.0, 0.0, 0.0, 0.0)  # none of which the paper has


@pytest.mark.parametrize(
    ("stage", "differing"),
    [
        (
            "align",
            {
                "model.drop_learned_positions", "model.transformer", "model.transformer.cross_attn_interval",
                "model.transformer.sample_frames", "stage.batch_size", "stage.lora_rank", "trainer.optimizer",
                "trainer.learning_rate", "trainer.ema_decay",
            },
        ),
        (
            "route",
            {
                "model.transformer", "model.transformer.cross_attn_interval", "model.transformer.sample_frames",
                "stage.batch_size", "stage.lora_rank", "trainer.optimizer", "trainer.learning_rate",
                "trainer.ema_decay",
            },
        ),
    ],
)  # fmt: skip
def test_the_recipe_for_one_gpu_differs_where_it_says_so(stage: str, differing: set[str]) -> None:
    paper, one = (flat(config_to_dict(read_recipe(f"{folder}/{stage}"))) for folder in ("paper", "single-gpu"))
    assert {name for name in {**paper, **one} if paper.get(name) != one.get(name)} == differing
