"""The identity loss, on a real tiny VAE and a real tiny recogniser."""

import dataclasses

import pytest
import torch

from ingredients.core.errors import UserInputError
from ingredients.data.latents import decode_pictures
from ingredients.faces.face_cutting import cut_faces
from ingredients.faces.network_settings import RecogniserConfig
from ingredients.faces.recogniser import ArcFaceRecogniser, ResidualFaceNetwork
from ingredients.training.loop.stage import StepOutput, StepPosition
from ingredients.training.stages.alignment import AlignmentStage
from ingredients.training.stages.identity_loss import IdentityLoss
from ingredients.training.stages.router import RouterStage
from ingredients.training.stages.settings import AlignmentConfig, RouterConfig
from tests.training.conftest import TinyWorld, compute_step, measured


@pytest.fixture(scope="module")
def recogniser() -> ArcFaceRecogniser:
    torch.manual_seed(0)
    network = ResidualFaceNetwork(RecogniserConfig(crop_size=16, embedding_dim=6, widths=(4, 5, 6, 7)))
    return ArcFaceRecogniser(network, crop_size=16, embedding_dim=6)


@pytest.fixture
def faces(tiny_world: TinyWorld, recogniser: ArcFaceRecogniser) -> dict[str, torch.Tensor]:
    """Two samples: latents, landmarks of two people and of one, and embeddings of some photos."""
    generator = torch.Generator().manual_seed(0)
    landmarks = torch.tensor([[20.0, 25], [38, 24], [30, 34], [22, 43], [37, 42]]) + torch.tensor(
        [[[[0.0, 0]], [[35, 3]]], [[[11, 8]], [[0, 0]]]]
    )  # (2, 2, 5, 2)
    landmarks[1, 1] = torch.nan
    return {
        "latents": torch.randn(2, 1, 3, 16, 24, generator=generator),
        "landmarks": landmarks,
        "embeds": torch.randn(2, 2, 6, generator=generator),
    }


def test_the_loss_is_the_weighted_cosine_distance(
    tiny_world: TinyWorld, recogniser: ArcFaceRecogniser, faces: dict[str, torch.Tensor]
) -> None:
    loss = IdentityLoss(tiny_world.parts.vae, recogniser, max_timestep=600)
    value, cosines = loss(
        **faces,
        timesteps=torch.tensor([600, 10]),
        weight=torch.tensor([0.5, 2.0]),
        counts=torch.tensor([True, True]),
        num_people=3,
    )
    frames = decode_pictures(tiny_world.parts.vae, faces["latents"])[:, 0]
    expected = []
    for sample, person in ((0, 0), (0, 1), (1, 0)):
        crop = cut_faces(frames[sample : sample + 1], faces["landmarks"][sample, person][None], size=16)
        embed, target = recogniser.embed_pixel_values(crop)[0].detach(), faces["embeds"][sample, person]
        expected.append(float(embed @ target / (embed.norm() * target.norm())))
    torch.testing.assert_close(cosines, torch.tensor(expected), rtol=1e-4, atol=1e-5)
    distances = 0.5 * (1 - expected[0]) + 0.5 * (1 - expected[1]) + 2 * (1 - expected[2])
    assert value.item() == pytest.approx(distances / 3, rel=1e-4)


def test_noisy_samples_hidden_faces_and_dropped_people_do_not_count(
    tiny_world: TinyWorld, recogniser: ArcFaceRecogniser, faces: dict[str, torch.Tensor]
) -> None:
    loss = IdentityLoss(tiny_world.parts.vae, recogniser, max_timestep=600)
    latents = faces["latents"].clone().requires_grad_()
    weight = torch.ones(2)
    for timesteps, counts in (([601, 10], [True, True]), ([10, 10], [False, True])):
        value, cosines = loss(
            **(faces | {"latents": latents}),
            timesteps=torch.tensor(timesteps),
            weight=weight,
            counts=torch.tensor(counts),
            num_people=3,
        )
        assert len(cosines) == 1
        (gradient,) = torch.autograd.grad(value, latents)
        assert not gradient[0].any()
        assert gradient[1].any()
    value, cosines = loss(
        **faces, timesteps=torch.tensor([900, 900]), weight=weight, counts=torch.tensor([True, True]), num_people=3
    )
    assert float(value) == 0
    assert len(cosines) == 0


@pytest.mark.parametrize("stage_type", [AlignmentStage, RouterStage])
def test_stages_add_it_to_their_loss(
    tiny_world: TinyWorld, recogniser: ArcFaceRecogniser, stage_type: type[AlignmentStage] | type[RouterStage]
) -> None:
    parts = dataclasses.replace(tiny_world.parts, recogniser=recogniser)
    config_type = AlignmentConfig if stage_type is AlignmentStage else RouterConfig

    def step(weight: float) -> tuple[float, dict[str, float]]:
        config = config_type(batch_size=6, lora_rank=2, identity_loss_weight=weight)
        output = compute_step(stage_type(tiny_world.transformer(), parts, config))
        return float(output.loss.detach()), {name: measured(output, name) for name in output.metrics}

    plain, metrics = step(0.0)
    assert "identity_cosine" not in metrics
    loss, metrics = step(3.0)
    assert -1 <= metrics["identity_cosine"] <= 1
    assert loss > plain
    assert step(6.0)[0] - plain == pytest.approx(2 * (loss - plain), rel=1e-4)
    with pytest.raises(UserInputError, match="needs a recogniser"):
        stage_type(tiny_world.transformer(), tiny_world.parts, config_type(identity_loss_weight=1.0))


def test_a_share_of_the_samples_stands_for_all(tiny_world: TinyWorld, recogniser: ArcFaceRecogniser) -> None:
    parts = dataclasses.replace(tiny_world.parts, recogniser=recogniser)
    config = AlignmentConfig(batch_size=6, lora_rank=2, identity_loss_weight=3.0, identity_loss_share=0.4)
    stage = AlignmentStage(tiny_world.transformer(), parts, config)
    (batch,) = stage.data.draw(StepPosition(step=0, progress=0.0, seed=0))
    velocity = torch.randn(batch.latents.shape, generator=torch.Generator().manual_seed(1))

    def loss(is_shown: torch.Tensor, **share: float) -> float:
        step = StepOutput(loss=torch.zeros(()))
        timesteps = torch.full((len(batch),), 10)
        return float(
            stage.add_identity_loss(step, batch, velocity, timesteps, is_shown=is_shown, num_people=5, **share).loss
        )

    alone = torch.tensor([loss(row, share=1.0) for row in torch.eye(len(batch)).bool()])
    is_drawn = batch.chances("identity loss") < 0.4
    assert 0 < int(is_drawn.sum()) < len(batch)
    assert bool((alone > 0).all())
    everybody = torch.ones(len(batch), dtype=torch.bool)
    assert loss(everybody) == pytest.approx(float(alone[is_drawn].sum()) / 0.4, rel=1e-4)
    assert loss(everybody, share=1.0) == pytest.approx(float(alone.sum()), rel=1e-4)
    measured_losses = stage.validation_losses(batch, torch.full((len(batch),), 10))
    num_seen = int(batch.face_landmarks.isfinite().all(dim=-1).all(dim=-1).sum())
    assert measured_losses["validation_identity_cosine_both"][1] == num_seen


def test_clean_latents_are_what_noise_and_velocity_came_from(tiny_world: TinyWorld) -> None:
    stage = AlignmentStage(tiny_world.transformer(), tiny_world.parts, AlignmentConfig(batch_size=2, lora_rank=2))
    latents, noise = torch.randn(2, 3, 1, 3, 4, 5)
    timesteps = torch.tensor([40, 700, 999])
    noisy = stage.schedule.add_noise(latents, noise, timesteps)
    velocity = stage.schedule.target(latents, noise, timesteps)
    torch.testing.assert_close(stage.schedule.clean_latents(noisy, velocity, timesteps), latents)
