"""What `--dry-run` says of a run, with and without a model and clips on this machine."""

import dataclasses
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from ingredients.core.config import load_config
from ingredients.core.errors import HubError, ModelFolderError, UserInputError
from ingredients.model_folders.find_model import default_model_path
from ingredients.models.cogvideox import COGVIDEOX
from ingredients.models.flops import training_flops
from ingredients.pipelines.video_shape import VideoGeometry
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.loop.throughput import PROCESSOR_CORE_FLOPS
from ingredients.training.runs.configuration import AlignRunConfig, ModelConfig, RouteRunConfig
from ingredients.training.runs.kinds import RUN_KINDS
from ingredients.training.runs.plan import RunPlan, plan_run
from ingredients.training.runs.planned_stage import build_planned_stage
from ingredients.training.stages.settings import AlignmentConfig, RouterConfig

RECIPES = Path(__file__).parents[3] / "configs"
ALIGN, ROUTE = RUN_KINDS["align"], RUN_KINDS["route"]
BLOCKS, WIDTH = 42, 3072
"""Blocks and width of the published size."""


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model of the hub is on the disk, and none can be fetched."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def plan_recipe(name: str, *overrides: str, num_processes: int = 1) -> RunPlan:
    kind = RUN_KINDS[Path(name).name]
    config = load_config(kind.config_type, RECIPES / f"{name}.yaml", overrides=overrides, defaults=kind.config_type())
    return plan_run(kind, config, num_processes=num_processes)


def small_run(**stage: object) -> AlignRunConfig:
    """A run of the model that ships."""
    return AlignRunConfig(stage=AlignmentConfig(**stage), trainer=TrainerConfig(num_steps=5))  # type: ignore[arg-type]


def test_a_plan_has_a_part_on_images_and_one_on_clips() -> None:
    plan = plan_run(ALIGN, small_run(image_share=0.5, image_batch_size=7, batch_size=3))
    images, clips = plan.phases
    stage = build_planned_stage(ALIGN, small_run()).stage
    geometry, words = VideoGeometry.peek(default_model_path()), stage.transformer.config.max_text_seq_length
    assert geometry is not None
    own, patch = geometry.own_shape, geometry.patch_size_t or 1
    frames, rows, columns = geometry.token_grid(own)
    picture, two_frames = rows * columns, 2 * patch - geometry.front_padding(own)
    # progress is 0, 0.2, 0.4 in the first three of five steps
    assert (images.samples, images.num_steps, images.batch_size, images.num_tokens) == (
        "images",
        3,
        7,
        picture + words,
    )
    assert (clips.samples, clips.num_steps, clips.batch_size) == ("clips", 2, 3)
    assert clips.num_tokens == frames * picture + words
    piece = plan_run(ALIGN, small_run(image_share=0.5, clip_frames=two_frames)).phases[1]
    assert piece.num_tokens == 2 * picture + words
    for phase, num_video_tokens in ((images, picture), (clips, frames * picture)):
        assert phase.step_flops == phase.batch_size * training_flops(
            COGVIDEOX,
            stage.transformer.config,
            num_video_tokens=num_video_tokens,
            num_text_tokens=words,
            num_identities=2,
            is_base_frozen=True,
        )
    assert plan.flops == 3 * images.step_flops + 2 * clips.step_flops


@pytest.mark.parametrize(("image_share", "samples"), [(0.0, ["clips"]), (1.0, ["images"])])
def test_a_part_without_steps_is_left_out(image_share: float, samples: list[str]) -> None:
    assert [phase.samples for phase in plan_run(ALIGN, small_run(image_share=image_share)).phases] == samples


def test_what_is_here_comes_first_and_short_times_are_in_seconds() -> None:
    plan = plan_run(ALIGN, small_run(batch_size=2))
    seconds = plan.flops / PROCESSOR_CORE_FLOPS
    assert seconds < 60
    without_gpu, with_gpu = (
        [" ".join(line.split()) for line in plan.to_text(has_gpu=has_gpu).splitlines()] for has_gpu in (False, True)
    )
    processor = f"one core of an Intel Xeon {seconds:.0f} seconds"
    assert sorted(without_gpu) == sorted(with_gpu)
    for lines, is_first in ((without_gpu, True), (with_gpu, False)):
        gpu = next(index for index, line in enumerate(lines) if line.startswith("one H200 "))
        assert (lines.index(processor) < gpu) == is_first


def test_a_plan_of_the_published_size_needs_neither_weights_nor_clips() -> None:
    plan = plan_recipe("paper/align")
    assert plan.notes == (
        "cogvideox-5b-i2v is not on this machine; the plan takes its published size.",
        "No clips are named (--data); the plan takes 49 frames of 480x720, and 2 people in each.",
    )
    pairs_of_widths = 4 * (WIDTH + WIDTH) + 2 * (WIDTH + 4 * WIDTH)  # attention's four layers, the feed-forward's two
    assert plan.trained.keys() == {"LoRA", "multi-scale projector", "identity cross-attentions", "patch embedding"}
    assert plan.trained["LoRA"] == BLOCKS * 128 * pairs_of_widths
    (clips,) = plan.phases
    assert clips.num_tokens == 13 * 30 * 45 + 226
    assert plan.num_clips is None
    assert "epochs" not in plan.to_text(has_gpu=False)


def test_a_router_stage_is_planned_as_after_its_alignment() -> None:
    plan = plan_recipe("single-gpu/route")
    assert "model.start names no run; the plan takes the model as aligned already." in plan.notes
    assert plan.trained.keys() == {"LoRA", "routers"}
    assert plan.phases[0].num_tokens == 5 * 30 * 45 + 226  # 17 frames


@pytest.mark.parametrize("name", ["single-gpu/align", "single-gpu/route"])
def test_the_recipes_for_24_gigabytes_fit_them(name: str) -> None:
    assert plan_recipe(name).num_bytes < 23.5e9


def test_a_plan_reads_no_weights_of_a_model_that_is_here(tmp_path: Path) -> None:
    for path in default_model_path().rglob("*.json"):
        target = tmp_path / "configs" / path.relative_to(default_model_path())
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    config = small_run()
    config.model.folder = str(tmp_path / "configs")
    plan = plan_run(ALIGN, config)
    assert plan == plan_run(ALIGN, small_run())


def test_a_planned_stage_takes_no_memory() -> None:
    stage = build_planned_stage(ALIGN, small_run()).stage
    for module in (stage.transformer, stage.parts.vae):
        assert {parameter.device.type for parameter in module.parameters()} == {"meta"}


def test_shards_are_divided_and_copies_are_not() -> None:
    one = plan_recipe("paper/align")
    copies = plan_recipe("paper/align", num_processes=8)
    shards = plan_recipe("paper/align", "trainer.parallel=fsdp", num_processes=8)
    alone = plan_recipe("paper/align", "trainer.parallel=fsdp")
    for name in ("frozen weights", "what is trained"):
        assert copies.held[name] == one.held[name]
        assert shards.held[name] == one.held[name] / 8
    assert shards.held["VAE"] == one.held["VAE"]
    assert copies.held["gradients to be averaged"] == 4 * sum(one.trained.values())
    assert 0 < shards.held["units put together"] < one.held["frozen weights"] / 4
    assert alone.held == one.held  # one process has all there is
    assert copies.flops == one.flops
    assert "8 x H200" in shards.to_text(has_gpu=False)


def test_what_is_computed_at_once_counts() -> None:
    def in_turns(*, num_processes: int = 1, **stage: object) -> dict[str, float]:
        return plan_run(ALIGN, small_run(**stage), num_processes=num_processes).in_turns

    twelve, four = in_turns(batch_size=12), in_turns(batch_size=12, micro_batch_size=4)
    assert four["a step"] == twelve["a step"] / 3
    assert four["held-out clips"] == twelve["held-out clips"] / 3
    shared = in_turns(batch_size=12, num_processes=3)
    assert shared["a step"] == four["a step"]
    assert shared["held-out clips"] == twelve["held-out clips"]  # which every process looks at
    assert four["canvases"] == twelve["canvases"] / 3
    with_faces = in_turns(batch_size=12, identity_loss_weight=1.0)
    assert with_faces["a step"] > twelve["a step"]
    assert "a sample" not in twelve


def test_samples_count_where_some_are_made() -> None:
    config = dataclasses.replace(small_run(batch_size=1), trainer=TrainerConfig(num_steps=5, sample_every=2))
    plan = plan_run(ALIGN, config)
    assert plan.in_turns["a sample"] > 2 * plan.in_turns["held-out clips"]  # two passes, and what stays of the people
    assert plan.num_bytes == sum(plan.held.values()) + max(plan.in_turns.values())


def test_a_text_to_video_base_whose_canvas_would_never_be_seen_is_refused_in_a_plan() -> None:
    frozen = ("model.folder=cogvideox-5b", "stage.train_patch_embed=false")
    with pytest.raises(UserInputError, match=r"cogvideox-5b has no image channels yet.*train_patch_embed=true"):
        plan_recipe("paper/align", *frozen)
    assert "patch embedding" in plan_recipe("paper/align", frozen[0]).trained  # the recipe as it stands
    assert "patch embedding" not in plan_recipe("paper/align", frozen[1]).trained  # image-to-video has some


def test_what_cannot_be_planned_is_said() -> None:
    for folder, error, problem in (
        ("nowhere", ModelFolderError, "no model folder nowhere"),
        ("someone/people", HubError, "There is no folder someone/people here, and the hub was asked"),
    ):
        with pytest.raises(error, match=problem):
            plan_run(ALIGN, AlignRunConfig(model=ModelConfig(folder=folder)))
    with pytest.raises(UserInputError, match="known of encoded clips alone"):
        plan_run(ALIGN, AlignRunConfig(model=ModelConfig(scale_source="recognition_and_clip")))
    with pytest.raises(UserInputError, match=r"model\.transformer has no setting 'rows'"):
        plan_recipe("paper/align", "model.transformer.rows=3")
    with pytest.raises(UserInputError, match="route_background=False"):
        plan_run(ROUTE, RouteRunConfig(stage=RouterConfig(background="class")))
