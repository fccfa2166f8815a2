"""The background as a class of its own: nobody, whose routing logit is 0."""

import torch

from ingredients.models.id_router import assign_identities, with_nobody

LOGITS = torch.tensor([[[2.0, -1.0, 5.0], [-3.0, -0.5, 9.0], [0.4, 0.1, -2.0], [-2.0, -9.0, 1.0]]])  # (1, 4, 3)
MASK = torch.tensor([[True, True, False]])


def masked() -> torch.Tensor:
    return LOGITS.masked_fill(~MASK[:, None], torch.finfo(torch.float32).min)


def test_tokens_whose_logits_are_all_below_zero_belong_to_nobody() -> None:
    shares, indices = assign_identities(masked(), MASK, "argmax", route_background=True)
    assert indices is not None
    assert indices.tolist() == [[0, -1, 0, -1]]
    assert shares.sum(dim=-1).tolist() == [[1.0, 0.0, 1.0, 0.0]]
    _, without = assign_identities(masked(), MASK, "argmax")
    assert without is not None
    assert without.tolist() == [[0, 1, 0, 0]]


def test_in_the_mixture_nobody_takes_a_share() -> None:
    shares, _ = assign_identities(masked(), MASK, "softmax", route_background=True)
    exponentials = LOGITS[..., :2].exp()
    expected = exponentials / (1 + exponentials.sum(dim=-1, keepdim=True))
    torch.testing.assert_close(shares[..., :2], expected)
    assert not shares[..., 2].any()


def test_forced_identities_and_even_mixtures_are_as_before() -> None:
    forced = torch.tensor([[1, 1, -1, 0]])
    for routing, indices in (("argmax", forced), ("uniform", None)):
        first, second = (
            assign_identities(masked(), MASK, routing, indices, route_background=background)[0]  # type: ignore[arg-type]
            for background in (False, True)
        )
        assert torch.equal(first, second)


def test_nobody_stands_behind_the_identities() -> None:
    logits = with_nobody(LOGITS)
    assert torch.equal(logits[..., :3], LOGITS)
    assert not logits[..., 3].any()
