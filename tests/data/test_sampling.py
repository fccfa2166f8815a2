import pytest
import torch

from ingredients.core.errors import UserInputError
from ingredients.data.sampling import SampleOrder, share

IDS = [f"clip-{index}" for index in range(9)]
BUCKETS = [[0, 1, 2, 3, 4, 5], [6, 7, 8]]


def test_an_epoch_holds_every_clip_once_in_an_order_of_its_own() -> None:
    order = SampleOrder([list(range(9))], IDS, seed=3)
    epochs = [[draw.index for draw in order.draw(9)] for _ in range(3)]
    assert all(sorted(epoch) == list(range(9)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_the_size_of_the_batches_changes_nothing() -> None:
    small, large = SampleOrder([list(range(9))], IDS, seed=3), SampleOrder([list(range(9))], IDS, seed=3)
    assert [draw for _ in range(7) for draw in small.draw(4)] == [draw for _ in range(4) for draw in large.draw(7)]


def test_a_batch_is_of_one_bucket_and_buckets_take_turns_by_their_size() -> None:
    order = SampleOrder(BUCKETS, IDS, seed=0)
    counts = [0, 0]
    for _ in range(300):
        buckets = {next(i for i, bucket in enumerate(BUCKETS) if draw.index in bucket) for draw in order.draw(4)}
        assert len(buckets) == 1
        counts[buckets.pop()] += 1
    assert counts == [200, 100]


def test_buckets_that_have_no_turn_wait_for_theirs() -> None:
    order, alone = SampleOrder([*BUCKETS, [9, 10]], [*IDS, "a", "b"], seed=0), SampleOrder(BUCKETS, IDS, seed=0)
    drawn = [order.draw(2, among=[0, 1]) for _ in range(30)]
    assert [[draw.index for draw in draws] for draws in drawn] == [
        [draw.index for draw in alone.draw(2)] for _ in range(30)
    ]
    assert order.cursors == [40, 20, 0]
    assert {draw.index for draw in order.draw(2, among=[2])} == {9, 10}


def test_an_order_goes_on_from_its_cursors() -> None:
    order = SampleOrder(BUCKETS, IDS, seed=5)
    for _ in range(5):
        order.draw(4)
    resumed = SampleOrder(BUCKETS, IDS, seed=5, cursors=order.cursors)
    assert [order.draw(4) for _ in range(6)] == [resumed.draw(4) for _ in range(6)]


def test_levels_are_uniform_and_spread_within_any_batch() -> None:
    order = SampleOrder([list(range(1000))], [str(index) for index in range(1000)], seed=1)
    for _ in range(40):
        levels = torch.tensor([draw.level for draw in order.draw(10)]).sort().values
        assert float(levels.diff().max()) < 0.25
        assert float(levels.min()) >= 0
        assert float(levels.max()) < 1
    epochs = [next(draw.level for draw in SampleOrder([[0]], ["a"], seed=seed).draw(1)) for seed in range(400)]
    assert abs(sum(epochs) / 400 - 0.5) < 0.05


def test_purposes_do_not_disturb_each_other() -> None:
    (draw,) = SampleOrder([[0]], ["a"], seed=1).draw(1)
    assert draw.chance("canvas") == draw.chance("canvas") != draw.chance("caption")
    first = torch.rand(3, generator=draw.generator("noise"))
    assert torch.equal(first, torch.rand(3, generator=draw.generator("noise")))
    chances = [SampleOrder([[0]], ["a"], seed=seed).draw(1)[0].chance("x") for seed in range(2000)]
    assert abs(sum(chances) / 2000 - 0.5) < 0.03


def test_processes_share_a_batch_equally() -> None:
    draws = SampleOrder([list(range(9))], IDS, seed=3).draw(6)
    assert share(draws, index=0, count=2) + share(draws, index=1, count=2) == draws
    with pytest.raises(UserInputError, match=r"6 clips of a step cannot be parted among 4.*a multiple of 4"):
        share(draws, index=0, count=4)
