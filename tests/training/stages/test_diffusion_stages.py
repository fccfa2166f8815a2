import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import CogVideoXDDIMScheduler

from ingredients.core.errors import UserInputError
from ingredients.data.encoded_clips import EncodedClips
from ingredients.data.sampling import fixed_draws
from ingredients.models.cogvideox import COGVIDEOX
from ingredients.models.noise_schedule import SampleSchedule
from ingredients.models.state_dict_adapter import load_base_weights
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.loop.stage import StepPosition
from ingredients.training.loop.trainer import Trainer
from ingredients.training.stages.alignment import (
    KEPT_BOTH,
    KEPT_GLOBAL,
    KEPT_LOCAL,
    AlignmentStage,
    draw_kept_features,
)
from ingredients.training.stages.base import BaseStage
from ingredients.training.stages.diffusion import DiffusionStage, first_frame_only
from ingredients.training.stages.lora import exported_transformer
from ingredients.training.stages.router import RouterStage
from ingredients.training.stages.settings import AlignmentConfig, BaseConfig, RouterConfig
from tests.data.encoding import WORLD, encode_world
from tests.models.tiny import tiny_cogvideox_vae
from tests.training.conftest import TinyWorld, compute_step, measured
from tests.training.scenarios import align, route
from tests.ways import come_to, named_in_order

Build = Callable[..., DiffusionStage]

FIRST = StepPosition(step=0, progress=0.0, seed=0)
TRAINER = TrainerConfig(num_steps=3, learning_rate=1e-2, num_warmup_steps=0, schedule="constant", checkpoint_every=2)


def train(stage: DiffusionStage, folder: Path, config: TrainerConfig = TRAINER, *, resume: bool = False) -> set[str]:
    """Trains, and gives the names of the parameters that changed."""
    before = {name: parameter.detach().clone() for name, parameter in stage.transformer.named_parameters()}
    Trainer(stage, folder, config).fit(resume=resume, show=False)
    return {name for name, now in stage.transformer.named_parameters() if not torch.equal(before[name], now)}


def module_parameters(stage: AlignmentStage | RouterStage) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, each) for name, each in stage.transformer.named_parameters() if name in stage.module_parameters]


def lora_names(stage: DiffusionStage) -> set[str]:
    return {name for name, _ in stage.transformer.named_parameters() if ".lora_" in name}


def test_a_clip_comes_to_the_files_that_the_page_names_in_its_order(tiny_world: TinyWorld) -> None:
    stations = named_in_order("training.md", "Then, each time that it is trained on")
    assert len(stations) == 10
    stage = AlignmentStage(tiny_world.transformer(), tiny_world.parts, AlignmentConfig(batch_size=2, lora_rank=2))
    with come_to() as files:
        compute_step(stage)
    one_object = stations[4:7]
    before, after = stations[1:4], stations[7:9]  # the loop is around all of them
    passed = [name for name in files if name in stations]
    assert [name for name in passed if name in (*before, *after)] == [*before, *after]
    assert set(passed) - {*before, *after} == set(one_object)
    assert passed.index(before[-1]) < min(passed.index(name) for name in one_object)


def test_a_base_trains_everything(tiny_world: TinyWorld, tmp_path: Path) -> None:
    transformer = tiny_world.transformer(in_channels=3, identity_modules=False)
    stage = BaseStage(transformer, tiny_world.parts, BaseConfig(batch_size=2, num_validation_batches=1), "t2v")
    assert train(stage, tmp_path) == {name for name, _ in transformer.named_parameters()}


def test_a_run_goes_on_with_the_clips_that_it_had(tiny_world: TinyWorld, tmp_path: Path) -> None:
    encode_world(tmp_path, tiny_cogvideox_vae(), number=5, first_seed=7)

    def stage(*folders: Path) -> BaseStage:
        parts = dataclasses.replace(tiny_world.parts, clips=EncodedClips(folders))
        return BaseStage(
            tiny_world.transformer(in_channels=3, identity_modules=False), parts, BaseConfig(batch_size=2), "t2v"
        )

    both = stage(tiny_world.folder, tmp_path)
    both.data.draw(FIRST)
    stage(tiny_world.folder, tmp_path).data.load_state(both.data.state())
    with pytest.raises(UserInputError, match="other clips, or on the same in another order"):
        stage(tmp_path, tiny_world.folder).data.load_state(both.data.state())
    one = stage(tiny_world.folder)
    one.data.draw(FIRST)
    with pytest.raises(UserInputError, match="trained on 5 other clips"):
        stage(tmp_path).data.load_state(one.data.state())
    with pytest.raises(UserInputError, match="trained on 5 clips, and now there are 10"):
        both.data.load_state(one.data.state())


def test_image_to_video_starts_as_its_text_to_video_base(tiny_world: TinyWorld) -> None:
    base = tiny_world.transformer(in_channels=3, identity_modules=False)
    extended = tiny_world.transformer(identity_modules=False)
    load_base_weights(extended, base.state_dict())
    config = BaseConfig(batch_size=2, caption_drop=0.0)
    stages = [BaseStage(model, tiny_world.parts, config, task) for model, task in ((base, "t2v"), (extended, "i2v"))]
    (batch,) = stages[0].data.draw(FIRST)
    losses = [stage.validation_losses(batch, torch.tensor([300, 700])) for stage in stages]
    assert losses[0]["validation_loss"] == pytest.approx(losses[1]["validation_loss"], rel=1e-5)
    assert losses[0]["validation_loss"][1] == 2
    with pytest.raises(ValueError, match="does not fit"):
        BaseStage(base, tiny_world.parts, config, "i2v")


def test_the_alignment_trains_projector_lora_and_patch_embedding_alone(tiny_world: TinyWorld, tmp_path: Path) -> None:
    transformer = tiny_world.transformer()
    projector = {name for name, _ in transformer.projector_parameters()}
    config = AlignmentConfig(batch_size=6, lora_rank=2, num_validation_batches=1)
    stage = AlignmentStage(transformer, tiny_world.parts, config)
    patch_embed = {"patch_embed.proj.weight", "patch_embed.proj.bias"}
    allowed = projector | lora_names(stage) | patch_embed
    assert {name for group in stage.parameter_groups() for name in group.parameters} == allowed
    assert {name for name, p in transformer.named_parameters() if p.requires_grad} == allowed
    changed = train(stage, tmp_path)
    assert changed <= allowed
    assert patch_embed < changed
    assert lora_names(stage) <= changed
    assert any("id_attn.to_out" in name for name in changed)


def test_full_tuning_trains_all_but_the_routers(tiny_world: TinyWorld, tmp_path: Path) -> None:
    transformer = tiny_world.transformer()
    routers = {name for name, _ in transformer.router_parameters()}
    config = AlignmentConfig(batch_size=6, tuning="full", num_validation_batches=1)
    stage = AlignmentStage(transformer, tiny_world.parts, config)
    everything_else = {name for name, _ in transformer.named_parameters()} - routers
    assert {name for group in stage.parameter_groups() for name in group.parameters} == everything_else
    assert not lora_names(stage)
    assert not train(stage, tmp_path) & routers


def test_dropped_people_are_dropped_altogether(tiny_world: TinyWorld) -> None:
    """With every identity dropped, a step's loss no longer depends on canvas, projector or router."""
    for config, stage_type in (
        (AlignmentConfig(batch_size=4, lora_rank=2, identity_drop=1.0), AlignmentStage),
        (RouterConfig(batch_size=4, lora_rank=2, identity_drop=1.0), RouterStage),
    ):
        stage = stage_type(tiny_world.transformer(), tiny_world.parts, config)
        compute_step(stage).loss.backward()
        for name, parameter in module_parameters(stage):
            if not name.startswith("patch_embed."):
                assert parameter.grad is None or not parameter.grad.any(), name
        gradient = stage.transformer.patch_embed.proj.weight.grad  # (D, C, p, p), the image's channels the last half
        if gradient is not None:
            assert gradient[:, :3].any()
            assert not gradient[:, 3:].any()


def test_the_router_stage_trains_router_and_lora_alone(tiny_world: TinyWorld, tmp_path: Path) -> None:
    transformer = tiny_world.transformer()
    routers = {name for name, _ in transformer.router_parameters()}
    for index in transformer.routed_blocks:
        torch.nn.init.normal_(transformer.transformer_blocks[index].id_attn.to_out.weight, std=0.3)
    config = RouterConfig(batch_size=6, lora_rank=2, num_validation_batches=1)
    stage = RouterStage(transformer, tiny_world.parts, config)
    assert {name for group in stage.parameter_groups() for name in group.parameters} == routers | lora_names(stage)
    changed = train(stage, tmp_path)
    assert changed == routers | lora_names(stage)


@pytest.mark.parametrize("routing_loss", ["none", "mse", "cross_entropy"])
def test_the_router_gets_a_gradient_under_every_loss(tiny_world: TinyWorld, routing_loss: str) -> None:
    transformer = tiny_world.transformer()
    for index in transformer.routed_blocks:
        torch.nn.init.normal_(transformer.transformer_blocks[index].id_attn.to_out.weight, std=0.3)
    stage = RouterStage(transformer, tiny_world.parts, RouterConfig(batch_size=6, routing_loss=routing_loss))
    output = compute_step(stage)
    output.loss.backward()
    for name, parameter in module_parameters(stage):
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name
    assert float(output.loss) == pytest.approx(
        measured(output, "diffusion_loss") + 0.1 * measured(output, "routing_loss"), rel=1e-5
    )


@pytest.mark.parametrize("routing_loss", ["mse", "cross_entropy"])
def test_lambda_is_the_weight_of_the_routing_loss(tiny_world: TinyWorld, routing_loss: str) -> None:
    """Eq. 5, for weights other than the default; without one, the routing loss is only told."""
    for weight in (0.0, 0.7, 30.0):
        stage = route(tiny_world, routing_loss=routing_loss, routing_loss_weight=weight)
        output = compute_step(stage)
        routing = measured(output, "routing_loss")
        assert routing > 0.01
        assert float(output.loss) == pytest.approx(measured(output, "diffusion_loss") + weight * routing, rel=1e-5)


@pytest.mark.parametrize("build", [align, route])
def test_supervision_by_boxes_reads_boxes(tiny_world: TinyWorld, build: Build) -> None:
    """Table 2; in the loss, in held-out recalls and in the alignment's routing alike."""
    by_mask, by_box = build(tiny_world), build(tiny_world, supervision="box")
    for held_out in (False, True):
        clip_ids = [entry.clip_id for entry in tiny_world.parts.clips.entries]
        draws = fixed_draws(range(3), clip_ids, seed=0)
        masks, boxes = (each.data.read(draws, held_out=held_out).routing_targets for each in (by_mask, by_box))
        assert not torch.equal(masks, boxes)
        for row, draw in enumerate(draws):
            order = torch.randperm(len(tiny_world.parts.clips.entries[row].kinds), generator=draw.generator("order"))
            stored = tiny_world.parts.clips.tensor(row, "box_targets")
            for identity, person in enumerate(order.tolist()):
                assert torch.equal(boxes[row] == identity, stored == person)


@pytest.mark.parametrize(("shares", "num_metrics"), [(None, 3), ((1.0, 0.0, 0.0), 1)])
def test_dropping_regularisation_is_uniform_unless_it_is_set(
    tiny_world: TinyWorld, shares: tuple[float, float, float] | None, num_metrics: int
) -> None:
    """3.3: global, local and completed features alike; by the loss's own count of what it kept."""
    stage = align(
        tiny_world, batch_size=300, micro_batch_size=None, **({} if shares is None else {"kept_shares": shares})
    )
    (batch,) = stage.data.draw(FIRST)
    kept = draw_kept_features(batch.chances("kept features"), stage.config.kept_shares)
    numbers = torch.bincount(kept, minlength=3)
    assert int((numbers > 0).sum()) == num_metrics
    if shares is None:
        assert (numbers / len(kept) - 1 / 3).abs().max() < 0.08
        assert stage.config.kept_shares == (pytest.approx(1 / 3),) * 3


def test_held_out_clips_in_which_nobody_can_be_mistaken_have_no_part_in_the_recall(tiny_world: TinyWorld) -> None:
    """One clip a batch: those of one person say nothing of the router, and the others' mean is a share."""
    num_people = [len(entry.person_ids) for entry in tiny_world.parts.clips.entries]
    assert 1 in num_people
    assert max(num_people) > 1
    config = RouterConfig(batch_size=1, lora_rank=2, num_validation_batches=len(num_people))
    stage = RouterStage(tiny_world.transformer(), tiny_world.parts, config)
    losses = stage.validate()
    assert {"recall_block0", "recall_local_only_block0_t500"} <= losses.keys()
    num_blocks = len(stage.transformer.routed_blocks)
    last = [losses[f"recall_block{block}"] for block in range(num_blocks // 2, num_blocks)]
    assert next(iter(losses.items())) == ("recall", pytest.approx(sum(last) / len(last)))
    assert all(0 <= value <= 1 for name, value in losses.items() if name.startswith("recall"))
    clip_ids = [entry.clip_id for entry in tiny_world.parts.clips.entries]
    alone = stage.data.read(fixed_draws([num_people.index(1)], clip_ids, seed=0), held_out=True)
    with torch.no_grad():
        of_one_person = stage.validation_losses(alone, torch.tensor([300]))
    counts = {name: count for name, (_, count) in of_one_person.items()}
    assert {count for name, count in counts.items() if name.startswith("recall")} == {0}
    assert counts["validation_loss"] == 1


def test_clips_of_one_person_do_not_dilute_the_routing_loss(tiny_world: TinyWorld) -> None:
    """Their cross-entropy is 0 whatever the router does; lambda would shrink with their tokens in the denominator."""
    num_people = [len(entry.person_ids) for entry in tiny_world.parts.clips.entries]
    clip_ids = [entry.clip_id for entry in tiny_world.parts.clips.entries]
    alone, several = num_people.index(1), num_people.index(2)
    stage = RouterStage(tiny_world.transformer(), tiny_world.parts, RouterConfig(batch_size=2, lora_rank=2))
    routing, tokens = [], []
    for chosen in ((several,), (several, alone)):
        batch = stage.data.read(fixed_draws(chosen, clip_ids, seed=0), held_out=True)
        counts = stage.counts([batch])
        routing.append(measured(stage.loss(batch, counts), "routing_loss"))
        tokens.append(counts["face_tokens"])
    assert tokens[0] == tokens[1] > 0
    assert routing[1] == pytest.approx(routing[0], rel=1e-5)
    class_stage = RouterStage(
        tiny_world.transformer(route_background=True),
        tiny_world.parts,
        RouterConfig(batch_size=2, lora_rank=2, background="class"),
    )
    of_one = class_stage.data.read(fixed_draws((alone,), clip_ids, seed=0), held_out=True)
    assert class_stage.counts([of_one])["face_tokens"] > 0  # here there is somebody else to choose: nobody


def test_dropping_regularisation_is_uniform_over_samples() -> None:
    chances = torch.rand(30_000, generator=torch.Generator().manual_seed(0))
    kept = draw_kept_features(chances, (1 / 3, 1 / 3, 1 / 3))
    shares = torch.bincount(kept, minlength=3) / 30_000
    assert torch.allclose(shares, torch.full((3,), 1 / 3), atol=0.01)
    only_local = draw_kept_features(chances, (0.0, 1.0, 0.0))
    assert set(only_local.tolist()) == {KEPT_LOCAL}
    with pytest.raises(ValueError, match="sum to 1"):
        AlignmentConfig(kept_shares=(0.5, 0.5, 0.5))


@pytest.mark.parametrize("kept", [KEPT_GLOBAL, KEPT_LOCAL, KEPT_BOTH])
def test_dropped_features_reach_nothing(tiny_world: TinyWorld, monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    """Global dropped means zero image latents, local dropped an id_mask without anyone (3.3)."""
    shares = tuple(float(index == kept) for index in range(3))
    config = AlignmentConfig(batch_size=4, lora_rank=2, kept_shares=shares)  # type: ignore[arg-type]
    stage = AlignmentStage(tiny_world.transformer(), tiny_world.parts, config)
    seen = {}
    predict = stage.predict

    def spy(*arguments, **conditions):
        seen.update(conditions)
        return predict(*arguments, **conditions)

    monkeypatch.setattr(stage, "predict", spy)
    compute_step(stage)
    assert bool(seen["image_latents"].any()) == (kept != KEPT_LOCAL)
    assert not seen["image_latents"][:, 1:].any()
    assert bool(seen["id_mask"].any()) == (kept != KEPT_GLOBAL)


@pytest.mark.parametrize(
    ("alignment_routing", "expected"),
    [("targets", ("argmax", True)), ("uniform", ("uniform", False)), ("router", ("softmax", False))],
)
def test_alignment_routing(tiny_world: TinyWorld, alignment_routing: str, expected: tuple[str, bool]) -> None:
    config = AlignmentConfig(batch_size=2, lora_rank=2, alignment_routing=alignment_routing)
    stage = AlignmentStage(tiny_world.transformer(), tiny_world.parts, config)
    (batch,) = stage.data.draw(FIRST)
    routing, indices = stage._routing(batch)
    assert (routing, indices is not None) == expected
    if indices is not None:
        assert int(indices.min()) >= 0
        assert torch.equal(indices[batch.routing_targets >= 0], batch.routing_targets[batch.routing_targets >= 0])


def test_merging_the_lora_changes_no_output(tiny_world: TinyWorld) -> None:
    stage = AlignmentStage(tiny_world.transformer(), tiny_world.parts, AlignmentConfig(batch_size=2, lora_rank=2))
    for name, parameter in stage.transformer.named_parameters():
        if name in stage.base_parameters:
            torch.nn.init.normal_(parameter, std=0.3)
    merged = exported_transformer(stage.transformer)
    assert merged is not None
    assert not any("lora" in name for name in merged.state_dict())
    assert set(merged.state_dict()) == set(tiny_world.transformer().state_dict())
    inputs = (torch.randn(2, 3, 6, 16, 24), torch.randn(2, 20, 8), torch.tensor([5, 900]))
    with torch.no_grad():
        positions = stage.rotary_emb(torch.zeros(2, 3, 3, 16, 24))
        expected = stage.transformer(*inputs, image_rotary_emb=positions).sample
        torch.testing.assert_close(merged(*inputs, image_rotary_emb=positions).sample, expected, atol=1e-4, rtol=1e-4)
    assert any("lora" in name for name in stage.transformer.state_dict())


def held_out(world: TinyWorld, build: Build, **settings: object) -> tuple[dict[str, float], list[int]]:
    """What a stage measures on held-out clips, and how many it computes at once."""
    stage = build(world, **settings)
    sizes: list[int] = []
    stage.transformer.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    return dict(stage.validate()), sizes


@pytest.mark.parametrize("build", [align, route])
def test_held_out_clips_are_measured_in_pieces(tiny_world: TinyWorld, build: Build) -> None:
    """Five clips in pieces of two count alike, although the last piece has only one."""
    together, all_sizes = held_out(tiny_world, build, batch_size=5, micro_batch_size=None)
    in_pieces, sizes = held_out(tiny_world, build, batch_size=5, micro_batch_size=2)
    assert set(all_sizes) == {5}
    assert set(sizes) == {1, 2}
    assert sum(sizes) == sum(all_sizes)
    assert in_pieces == pytest.approx(together, rel=1e-4)


def test_held_out_losses_are_the_batches_means(tiny_world: TinyWorld) -> None:
    settings = {"batch_size": 2, "micro_batch_size": None, "num_validation_batches": 2}
    measured, _ = held_out(tiny_world, align, **settings)
    stage = align(tiny_world, **settings)
    clip_ids = [entry.clip_id for entry in tiny_world.parts.clips.entries]
    means = []
    with torch.no_grad():
        for index, chosen in enumerate(((0, 1), (2, 3))):
            batch = stage.data.read(fixed_draws(chosen, clip_ids, seed=index), held_out=True)
            total, number = stage.validation_losses(batch, torch.tensor([300, 300]))["validation_loss_none"]
            means.append(total / number)
    assert measured["validation_loss_none_t300"] == pytest.approx(sum(means) / 2, rel=1e-12)


def test_no_held_out_clip_is_measured_twice(tiny_world: TinyWorld) -> None:
    few, sizes = held_out(tiny_world, align, batch_size=12, micro_batch_size=None, num_validation_batches=3)
    assert few == held_out(tiny_world, align, batch_size=5, micro_batch_size=None, num_validation_batches=1)[0]
    assert set(sizes) == {5}


def test_a_resumed_stage_equals_an_uninterrupted_one(tiny_world: TinyWorld, tmp_path: Path) -> None:
    def stage() -> AlignmentStage:
        config = AlignmentConfig(batch_size=2, lora_rank=2, num_validation_batches=1)
        return AlignmentStage(tiny_world.transformer(), tiny_world.parts, config)

    whole = stage()
    train(whole, tmp_path / "whole")
    train(stage(), tmp_path / "pieces", TrainerConfig(**{**_fields(TRAINER), "num_steps": 2}))
    pieces = stage()
    train(pieces, tmp_path / "pieces", resume=True)
    weights = pieces.transformer.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in whole.transformer.state_dict().items())


def _fields(config: TrainerConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in config.__dataclass_fields__}


def test_images_come_first(tiny_world: TinyWorld) -> None:
    transformer = tiny_world.transformer(in_channels=3, identity_modules=False)
    config = BaseConfig(batch_size=2, image_batch_size=5, image_share=0.5)
    stage = BaseStage(transformer, tiny_world.parts, config, "t2v")
    for progress, shape in ((0.49, (5, 1)), (0.51, (2, 3))):
        (batch,) = stage.data.draw(StepPosition(step=0, progress=progress, seed=0))
        assert batch.latents.shape[:2] == batch.noise.shape[:2] == shape


@pytest.mark.parametrize(("shift", "above_800"), [(1.0, 0.2), (3.0, 3 / 7)])
def test_a_shift_trains_on_high_noise_levels(tiny_world: TinyWorld, shift: float, above_800: float) -> None:
    stage = AlignmentStage(
        tiny_world.transformer(), tiny_world.parts, AlignmentConfig(batch_size=2, lora_rank=2, timestep_shift=shift)
    )
    (batch,) = stage.data.draw(FIRST)
    levels = torch.arange(10_000) / 10_000
    timesteps = stage.timesteps(dataclasses.replace(batch, levels=levels))
    assert float((timesteps >= 800).float().mean()) == pytest.approx(
        above_800, abs=0.001
    )  # u = 0.8 / (s - 0.8 (s - 1))
    assert (int(timesteps.min()), int(timesteps.max())) == (0, 999)


def base(world: TinyWorld, **settings: Any) -> BaseStage:
    transformer = world.transformer(in_channels=3, identity_modules=False)
    return BaseStage(transformer, world.parts, BaseConfig(batch_size=3, **settings), "t2v")


@pytest.mark.parametrize("build", [base, align, route], ids=["base", "align", "route"])
def test_a_stage_learns_at_its_shifted_levels(tiny_world: TinyWorld, build: Build) -> None:
    stage = build(tiny_world, micro_batch_size=None)
    (batch,) = batches = stage.data.draw(FIRST)
    losses = []
    for shift in (1.0, 1.0, 50.0):
        stage.config.timestep_shift = shift
        losses.append(float(stage.loss(batch, stage.counts(batches)).loss.detach()))
    assert losses[0] == losses[1] != pytest.approx(losses[2], rel=1e-3)


@pytest.mark.parametrize("build", [base, align, route], ids=["base", "align", "route"])
def test_errors_of_clean_latents_count_by_their_noise_level(
    tiny_world: TinyWorld, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = CogVideoXDDIMScheduler.from_config(COGVIDEOX.make_scheduler().config, prediction_type="sample")
    parts = dataclasses.replace(tiny_world.parts, scheduler=scheduler)
    stage = build(dataclasses.replace(tiny_world, parts=parts), micro_batch_size=None)
    stage.config.timestep_shift = 1e-3  # so little noise that all errors count as much as any may
    (batch,) = batches = stage.data.draw(FIRST)
    trained, held_out = [], []
    for most in (2.0, 4.0, 6.0):
        monkeypatch.setattr(SampleSchedule, "MOST_WEIGHT", most)
        trained.append(float(stage.loss(batch, stage.counts(batches)).loss.detach()))
        measures = stage.validation_losses(batch, stage.timesteps(batch))
        held_out.append(float(next(total for name, (total, _) in measures.items() if name.startswith("validation"))))
    assert trained[1] - trained[0] == pytest.approx(trained[2] - trained[1], rel=1e-3)
    assert trained[1] > trained[0] + 1e-3
    assert held_out == pytest.approx([held_out[0] * each for each in (1, 2, 3)], rel=1e-3)


@pytest.mark.parametrize("build", [base, align, route], ids=["base", "align", "route"])
def test_the_model_keeps_how_much_of_the_noise_frames_shared(tiny_world: TinyWorld, build: Build) -> None:
    stage = build(tiny_world, noise_sharing=1.0)
    for batch in stage.data.draw(FIRST):
        assert torch.equal(batch.noise, batch.noise[:, :1].expand_as(batch.noise))
    assert stage.transformer.config.noise_sharing == 1.0
    stage.transformer.register_to_config(noise_sharing=0.0)
    assert build(tiny_world).transformer.config.noise_sharing == 0.0  # what it began with


def test_single_pictures_are_images_and_no_clips(tiny_world: TinyWorld, tmp_path: Path) -> None:
    encode_world(tmp_path / "clips", tiny_world.parts.vae, number=3)
    still = dataclasses.replace(WORLD, num_frames=1)
    encode_world(tmp_path / "stills", tiny_world.parts.vae, number=5, first_seed=100, world=still)
    clips = EncodedClips([tmp_path / "clips", tmp_path / "stills"])
    parts = dataclasses.replace(tiny_world.parts, clips=clips, validation_clips=None)
    transformer = tiny_world.transformer(in_channels=3, identity_modules=False)
    config = BaseConfig(batch_size=1, image_batch_size=1, image_share=0.5)

    def drawn(config: BaseConfig, *, progress: float, number: int) -> list[int]:
        """Frames of the clips that come one after the other."""
        stage = BaseStage(transformer, parts, config, "t2v")
        batches = [stage.data.draw(StepPosition(step=0, progress=progress, seed=0)) for _ in range(number)]
        return [clips.entries[batch.draws[0].index].latent_shape[0] for (batch,) in batches]

    assert sorted(drawn(config, progress=0.2, number=8)) == [1] * 5 + [3] * 3
    assert drawn(config, progress=0.7, number=8) == [3] * 8
    always = dataclasses.replace(config, image_share=0.0)  # clips and pictures by turns, as a data set has them
    assert sorted(drawn(always, progress=0.7, number=8)) == [1] * 5 + [3] * 3
    clips_of = dataclasses.replace(parts, clips=EncodedClips([tmp_path / "stills"]))
    stage = BaseStage(transformer, clips_of, config, "t2v")
    assert stage.data.draw(StepPosition(step=0, progress=0.7, seed=0))[0].latents.shape[1] == 1


def test_face_weights_have_mean_one_and_favour_faces(tiny_world: TinyWorld) -> None:
    transformer = tiny_world.transformer(in_channels=3, identity_modules=False)
    stage = BaseStage(transformer, tiny_world.parts, BaseConfig(batch_size=3, face_weight=4.0), "t2v")
    (batch,) = stage.data.draw(FIRST)
    weight = stage.loss_weight(batch)
    assert weight is not None
    assert weight.shape == (3, 3, 1, 16, 24)
    torch.testing.assert_close(weight.mean(dim=(1, 2, 3, 4)), torch.ones(3))
    for tokens, targets in zip(weight[:, :, 0, ::2, ::2].flatten(1), batch.routing_targets, strict=True):
        assert float(tokens[targets >= 0][0] / tokens[targets < 0][0]) == pytest.approx(4.0)


def test_the_canvas_stands_in_the_first_latent_frame() -> None:
    latents = torch.randn(2, 1, 3, 4, 5)
    placed = first_frame_only(latents, 3)
    assert torch.equal(placed[:, :1], latents)
    assert placed.shape == (2, 3, 3, 4, 5)
    assert not placed[:, 1:].any()


def test_the_canvas_gets_noise_in_the_first_frame_alone(tiny_world: TinyWorld) -> None:
    config = AlignmentConfig(batch_size=4, lora_rank=2, image_noise=0.5)
    stage = AlignmentStage(tiny_world.transformer(), tiny_world.parts, config)
    (batch,) = stage.data.draw(FIRST)
    shows = torch.tensor([True, True, True, False])
    plain, noisy = stage.canvas_latents(batch), stage.shown_canvas(batch, shows)
    assert torch.equal(noisy, stage.shown_canvas(batch, shows))  # a function of the sample
    assert not noisy[3].any()
    assert not noisy[:, 1:].any()
    spread = (noisy - plain)[:3, 0].std(dim=(1, 2, 3))
    torch.testing.assert_close(spread, 0.5 * batch.chances("image noise")[:3], rtol=0.1, atol=0.01)


def test_only_canvases_that_are_shown_are_encoded(tiny_world: TinyWorld) -> None:
    stage = AlignmentStage(tiny_world.transformer(), tiny_world.parts, AlignmentConfig(batch_size=4, lora_rank=2))
    (batch,) = stage.data.draw(FIRST)
    everybody = stage.canvas_latents(batch)
    encoded: list[int] = []
    hook = stage.parts.vae.encoder.register_forward_hook(lambda _, given, __: encoded.append(len(given[0])))
    shows = torch.tensor([True, False, False, True])
    shown, nobody = stage.canvas_latents(batch, shows), stage.canvas_latents(batch, torch.zeros(4, dtype=torch.bool))
    hook.remove()
    assert sum(encoded) == 2
    torch.testing.assert_close(shown[shows], everybody[shows])
    assert everybody[1:3].any()
    assert not shown[1:3].any()
    assert nobody.shape == everybody.shape
    assert not nobody.any()
