import math

import pytest
import torch

from ingredients.training.stages.losses import (
    diffusion_losses,
    routing_cross_entropy,
    routing_mse,
    routing_recalls,
)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


LOGITS = tuple(draw(2, 5, 3, seed=seed) for seed in (1, 2))
TARGETS = torch.tensor([[0, 2, -1, 1, 1], [-1, -1, 0, -1, 2]])
NUM_FACE_TOKENS = 6


def test_diffusion_losses_are_the_samples_mean_squares_in_float32() -> None:
    prediction, velocity = draw(2, 3, 4, 6, 8), draw(2, 3, 4, 6, 8, seed=1)
    squares = (prediction - velocity).pow(2)
    torch.testing.assert_close(
        diffusion_losses(prediction, velocity), torch.stack([squares[0].mean(), squares[1].mean()])
    )
    assert diffusion_losses(prediction.bfloat16(), velocity.bfloat16()).dtype == torch.float32
    weight = torch.rand(2, 3, 1, 6, 8)
    torch.testing.assert_close(
        diffusion_losses(prediction, velocity, weight), (weight * squares).mean(dim=(1, 2, 3, 4))
    )


def test_routing_cross_entropy_is_the_formula_token_by_token() -> None:
    per_block = []
    for logits in LOGITS:
        total = 0.0
        for row, targets in zip(logits, TARGETS, strict=True):
            tokens = [
                math.log(sum(math.exp(value) for value in token.tolist())) - float(token[target])
                for token, target in zip(row, targets.tolist(), strict=True)
                if target != -1
            ]
            total += sum(tokens)
        per_block.append(total / NUM_FACE_TOKENS)
    assert float(routing_cross_entropy(LOGITS, TARGETS, num_face_tokens=NUM_FACE_TOKENS)) == pytest.approx(
        sum(per_block) / 2, rel=1e-5
    )


def test_routing_mse_is_the_squared_distance_to_one_hot() -> None:
    per_block = []
    for logits in LOGITS:
        total = 0.0
        for row, targets in zip(logits.softmax(-1), TARGETS, strict=True):
            tokens = [
                sum((float(p) - (n == target)) ** 2 for n, p in enumerate(token))
                for token, target in zip(row, targets.tolist(), strict=True)
                if target != -1
            ]
            total += sum(tokens)
        per_block.append(total / NUM_FACE_TOKENS)
    assert float(routing_mse(LOGITS, TARGETS, num_face_tokens=NUM_FACE_TOKENS)) == pytest.approx(
        sum(per_block) / 2, rel=1e-5
    )


@pytest.mark.parametrize("loss", [routing_cross_entropy, routing_mse])
def test_an_all_background_sample_contributes_zero_and_no_gradient(loss) -> None:
    logits = draw(2, 4, 3).requires_grad_()
    targets = torch.tensor([[-1, -1, -1, -1], [0, 1, -1, 2]])
    total = loss([logits], targets, num_face_tokens=3)
    total.backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad[0], torch.zeros(4, 3))
    alone = loss([logits[1:].detach()], targets[1:], num_face_tokens=3)
    assert float(total) == pytest.approx(float(alone))
    assert float(loss([logits[:1].detach()], targets[:1], num_face_tokens=0)) == 0.0


@pytest.mark.parametrize("loss", [routing_cross_entropy, routing_mse])
def test_parts_of_a_batch_sum_to_the_whole(loss) -> None:
    parts = [
        loss([logits[row : row + 1] for logits in LOGITS], TARGETS[row : row + 1], num_face_tokens=NUM_FACE_TOKENS)
        for row in range(2)
    ]
    torch.testing.assert_close(sum(parts), loss(LOGITS, TARGETS, num_face_tokens=NUM_FACE_TOKENS))


@pytest.mark.parametrize("loss", [routing_cross_entropy, routing_mse])
def test_a_padded_identity_changes_nothing(loss) -> None:
    padded = [torch.cat([logits, torch.full((2, 5, 1), torch.finfo(torch.float32).min)], dim=-1) for logits in LOGITS]
    torch.testing.assert_close(
        loss(padded, TARGETS, num_face_tokens=NUM_FACE_TOKENS), loss(LOGITS, TARGETS, num_face_tokens=NUM_FACE_TOKENS)
    )


@pytest.mark.parametrize("loss", [routing_cross_entropy, routing_mse])
def test_permuting_identities_permutes_targets_and_changes_nothing(loss) -> None:
    order = torch.tensor([2, 0, 1])
    permuted = [logits[..., order] for logits in LOGITS]
    renamed = torch.where(TARGETS == -1, -1, order.argsort()[TARGETS.clamp(min=0)])
    torch.testing.assert_close(
        loss(permuted, renamed, num_face_tokens=NUM_FACE_TOKENS),
        loss(LOGITS, TARGETS, num_face_tokens=NUM_FACE_TOKENS),
    )


def test_recall_counts_each_person_alike() -> None:
    targets = torch.tensor([[0, 0, 0, 1, -1]])
    logits = torch.zeros(1, 5, 2)
    logits[..., 0] = 1.0
    assert routing_recalls(logits, targets) == [1.0, 0.0]
    assert routing_recalls(logits, torch.tensor([[0, 0, -1, -1, -1]])) == []
