"""The base that is taken out of an aligned model."""

import dataclasses
import warnings
from pathlib import Path

import pytest
import torch

from ingredients.core.errors import UserInputError
from ingredients.core.warnings_told import TrainingWarning
from ingredients.models import IngredientsTransformer3DModel
from ingredients.training.runs.configuration import ModelConfig
from ingredients.training.runs.start import base_within, draw_routers_anew, load_base_start, load_start
from ingredients.training.stages.alignment import AlignmentStage
from ingredients.training.stages.router import RouterStage
from ingredients.training.stages.settings import AlignmentConfig, RouterConfig
from tests.training.conftest import TinyWorld, compute_step

WIDTHS = {"id_recognition_dim": 6, "id_semantic_dim": 3, "id_vit_dim": 5}


def aligned(world: TinyWorld) -> IngredientsTransformer3DModel:
    """A transformer whose image channels and identity modules would show if they were still asked."""
    transformer = world.transformer().eval()
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in transformer.named_parameters():
            if "id_attn" in name or name == "patch_embed.proj.weight":
                parameter.normal_(std=0.2)
    return transformer


def predict(transformer: IngredientsTransformer3DModel, latents: torch.Tensor, **people: object) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    sample: torch.Tensor = transformer(
        latents,
        torch.randn(1, 20, 8, generator=generator),
        torch.tensor([300]),
        image_rotary_emb=transformer.backbone.positions(
            transformer.config, num_frames=3, height=16, width=24, device=torch.device("cpu")
        ),
        **people,
    ).sample
    return sample


def test_routers_alone_are_drawn_anew_by_their_seed(tiny_world: TinyWorld) -> None:
    transformer = aligned(tiny_world)
    before = {name: parameter.clone() for name, parameter in transformer.named_parameters()}
    routers = {name for name, _ in transformer.router_parameters()}
    draw_routers_anew(transformer, 1)
    first = {name: parameter.clone() for name, parameter in transformer.named_parameters()}
    assert {name for name in before if not torch.equal(before[name], first[name])} <= routers
    matrices = {name for name in routers if first[name].ndim > 1 and first[name].std() > 0}
    assert matrices
    assert not any(torch.equal(before[name], first[name]) for name in matrices)
    draw_routers_anew(transformer, 2)
    assert not any(
        torch.equal(parameter, first[name]) for name, parameter in transformer.named_parameters() if name in matrices
    )
    draw_routers_anew(transformer, 1)
    assert all(torch.equal(parameter, first[name]) for name, parameter in transformer.named_parameters())


def test_the_base_within_a_model_makes_of_nobody_what_the_model_makes(tiny_world: TinyWorld) -> None:
    transformer = aligned(tiny_world)
    base = base_within(transformer).eval()
    assert not base.config.identity_modules
    assert base.config.in_channels == 3
    latents = torch.randn(1, 3, 3, 16, 24, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        features = transformer.prepare_identities(
            torch.randn(1, 2, 9, generator=generator),
            [torch.randn(1, 2, 4, 3, generator=generator) for _ in range(5)],
            torch.zeros(1, 2, dtype=torch.bool),
        )
        of_nobody = predict(
            transformer, torch.cat([latents, torch.zeros_like(latents)], dim=2), identity_features=features
        )
        torch.testing.assert_close(predict(base, latents), of_nobody)


def test_a_base_without_image_channels_must_train_them(tiny_world: TinyWorld, tmp_path: Path) -> None:
    """They begin at zero: frozen, no canvas would have an effect, and nothing would say so."""
    text_to_video = base_within(aligned(tiny_world))
    text_to_video.save_pretrained(tmp_path / "transformer")
    config = ModelConfig(start=tmp_path)
    for empty in (False, True):
        with pytest.raises(UserInputError, match=r"has no image channels yet.*stage\.train_patch_embed=true"):
            load_start(config, tmp_path, WIDTHS, trains_patch_embed=False, empty=empty)
    started = load_start(config, tmp_path, WIDTHS | {"id_vit_dim": 3})
    with pytest.raises(UserInputError, match="no canvas has an effect"):
        AlignmentStage(started, tiny_world.parts, AlignmentConfig(train_patch_embed=False, lora_rank=2))
    for settings in ({"train_patch_embed": True}, {"train_patch_embed": False, "tuning": "full"}):
        stage = AlignmentStage(
            load_start(config, tmp_path, WIDTHS | {"id_vit_dim": 3}),
            tiny_world.parts,
            AlignmentConfig(batch_size=2, lora_rank=2, **settings),  # type: ignore[arg-type]
        )
        compute_step(stage).loss.backward()
        gradient = stage.transformer.patch_embed.proj.weight.grad
        assert gradient[:, 3:].abs().max() > 0
    AlignmentStage(aligned(tiny_world), tiny_world.parts, AlignmentConfig(train_patch_embed=False, lora_rank=2))


def test_a_router_stage_says_that_its_alignment_never_saw_a_canvas(tiny_world: TinyWorld) -> None:
    transformer = aligned(tiny_world)
    transformer.patch_embed.proj.weight.data[:, 3:] = 0
    with pytest.warns(TrainingWarning, match="The canvas has no effect in this model"):
        RouterStage(transformer, tiny_world.parts, RouterConfig(lora_rank=2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RouterStage(aligned(tiny_world), tiny_world.parts, RouterConfig(lora_rank=2))


def test_an_alignment_of_another_kind_begins_with_it(tiny_world: TinyWorld, tmp_path: Path) -> None:
    transformer = aligned(tiny_world)
    base_within(transformer).save_pretrained(tmp_path / "transformer")
    config = ModelConfig(start=tmp_path, transformer={"canvas_placement": "after", "route_background": True})
    started = load_start(config, tmp_path / "no model is asked for", WIDTHS)
    assert started.config.canvas_placement == "after"
    assert started.config.id_vit_dim == 5
    weight, before = started.patch_embed.proj.weight, transformer.patch_embed.proj.weight
    assert torch.equal(weight[:, :3], before[:, :3])
    assert not weight[:, 3:].any()
    assert started.config.route_background
    plain = load_start(dataclasses.replace(config, transformer={}), tmp_path, WIDTHS)
    assert plain.config.canvas_placement == "before"


def test_a_base_begins_with_nothing_or_with_the_one_before_it(tiny_world: TinyWorld, tmp_path: Path) -> None:
    fields = {name: value for name, value in tiny_world.transformer().config.items() if not name.startswith("_")}
    drawn = load_base_start(ModelConfig(transformer=fields), "t2v", seed=7)
    torch.manual_seed(7)
    expected = IngredientsTransformer3DModel(**fields | {"identity_modules": False, "in_channels": 3})
    assert drawn.config.in_channels == 3
    assert not drawn.config.identity_modules
    assert all(torch.equal(tensor, expected.state_dict()[name]) for name, tensor in drawn.state_dict().items())
    drawn.save_pretrained(tmp_path / "transformer")
    further = load_base_start(ModelConfig(start=tmp_path), "i2v")
    weights, before = further.state_dict(), drawn.state_dict()
    patches = weights.pop("patch_embed.proj.weight")
    assert patches.shape[1] == 6
    assert torch.equal(patches[:, :3], before.pop("patch_embed.proj.weight"))
    assert not patches[:, 3:].any()
    assert weights.keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights.items())
    with pytest.raises(UserInputError, match="no transformer/ to start from"):
        load_base_start(ModelConfig(start=tmp_path / "elsewhere"), "i2v")


def test_with_a_seed_new_weights_do_not_depend_on_what_was_drawn_before(tiny_world: TinyWorld, tmp_path: Path) -> None:
    base_within(aligned(tiny_world)).save_pretrained(tmp_path / "transformer")
    config = ModelConfig(start=tmp_path)

    def router(*, num_drawn: int, seed: int | None) -> torch.Tensor:
        torch.manual_seed(1)
        torch.rand(num_drawn)
        started = load_start(config, None, WIDTHS, seed=seed)
        return torch.cat([parameter.flatten() for _, parameter in started.router_parameters()])

    assert torch.equal(router(num_drawn=0, seed=4), router(num_drawn=9, seed=4))
    assert not torch.equal(router(num_drawn=0, seed=4), router(num_drawn=0, seed=5))
    assert not torch.equal(router(num_drawn=0, seed=None), router(num_drawn=9, seed=None))


@pytest.fixture
def learnt(tiny_world: TinyWorld, tmp_path: Path) -> tuple[IngredientsTransformer3DModel, ModelConfig]:
    """An aligned model, and the settings of a run that adds identity modules to a base and begins with its faces."""
    other = aligned(tiny_world)
    other.save_pretrained(tmp_path / "other" / "transformer")
    base_within(aligned(tiny_world)).save_pretrained(tmp_path / "base" / "transformer")
    return other, ModelConfig(start=tmp_path / "base", identity_start=tmp_path / "other")


def test_an_alignment_begins_with_what_another_model_has_learnt_of_faces(
    learnt: tuple[IngredientsTransformer3DModel, ModelConfig],
) -> None:
    other, config = learnt
    widths = WIDTHS | {"id_vit_dim": other.config.id_vit_dim}
    started = load_start(config, None, widths, seed=7)
    drawn = load_start(dataclasses.replace(config, identity_start=None), None, widths, seed=7)
    taken = dict(other.people_parameters())
    assert {name.rpartition("id_attn.")[2].partition(".")[0] for name in taken if "id_attn" in name} == {
        "norm_identity",
        "to_kv",
    }
    assert any(name.startswith("multi_scale_projector.") for name in taken)
    for name, parameter in started.named_parameters():
        assert torch.equal(parameter, taken.get(name, drawn.get_parameter(name)))
    assert any(not torch.equal(drawn.get_parameter(name), parameter) for name, parameter in taken.items())


@pytest.mark.parametrize(
    ("widths", "fields", "message"),
    [
        ({"id_vit_dim": 5}, {}, r"have id_vit_dim=3, and those of this run 5; name another identity_start"),
        ({}, {"id_token_dim": 15}, r"have id_token_dim=9, and those of this run 15"),
        ({}, {"cross_attn_interval": 9}, r"has \d+ identity attentions in \d+ blocks, and that of this run 1 in"),
    ],
)
def test_faces_of_other_widths_and_blocks_are_refused(
    learnt: tuple[IngredientsTransformer3DModel, ModelConfig],
    widths: dict[str, int],
    fields: dict[str, int],
    message: str,
) -> None:
    other, config = learnt
    config = dataclasses.replace(config, transformer=fields)
    for empty in (False, True):  # a plan says so as well
        with pytest.raises(UserInputError, match=message):
            load_start(config, None, WIDTHS | {"id_vit_dim": other.config.id_vit_dim} | widths, empty=empty)


def test_faces_to_begin_with_are_those_of_an_aligned_model_and_for_a_base(
    learnt: tuple[IngredientsTransformer3DModel, ModelConfig],
) -> None:
    other, config = learnt
    widths = WIDTHS | {"id_vit_dim": other.config.id_vit_dim}
    with pytest.raises(UserInputError, match="has no identity modules that others could begin with"):
        load_start(dataclasses.replace(config, identity_start=config.start), None, widths)
    with pytest.raises(UserInputError, match=r"has identity modules of its own.*leave it out"):
        load_start(dataclasses.replace(config, start=config.identity_start), None, widths)
    with pytest.raises(UserInputError, match=r"leave model\.identity_start to the alignment"):
        load_base_start(config, "t2v")
