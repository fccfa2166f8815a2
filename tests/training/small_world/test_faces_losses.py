import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ingredients.faces.detector import decode_geometry
from ingredients.training.small_world.faces.attributes import FaceAttributeHead
from ingredients.training.small_world.faces.augmentation import disturb, draw_framing
from ingredients.training.small_world.faces.detector import focal_loss, make_targets
from ingredients.training.small_world.faces.image_encoder import contrastive_loss, rank_share
from ingredients.training.small_world.faces.part_run import recalibrate_batch_norm
from ingredients.training.small_world.faces.recognition import ArcFaceHead, draw_people
from ingredients.training.small_world.faces.settings import AugmentationConfig
from ingredients.world.scenes import ABSENT, HIDDEN, VISIBLE


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_pictures_and_points_are_framed_alike() -> None:
    pixel_values = torch.full((6, 3, 60, 90), -1.0)
    pixel_values[:, :, 20:24, 50:54] = 1.0  # a square about (52, 22)
    framing = draw_framing(6, _generator(), zoom=(0.8, 1.4), turn=0.3, shift=6.0)
    moved = framing.points(torch.tensor([[52.0, 22.0]]).expand(6, 1, 2), (60, 90))
    pictures = framing.pictures(pixel_values)
    weights = pictures.mean(1) + 1.0  # (6, 60, 90)
    rows, columns = torch.meshgrid(torch.arange(60) + 0.5, torch.arange(90) + 0.5, indexing="ij")
    seen = torch.stack([(weights * part).sum((1, 2)) / weights.sum((1, 2)) for part in (columns, rows)], dim=-1)
    torch.testing.assert_close(seen, moved[:, 0], atol=0.35, rtol=0.0)


def test_disturbing_is_a_function_of_the_generator() -> None:
    pixel_values = torch.rand(4, 3, 20, 28, generator=_generator()) * 2 - 1
    config = AugmentationConfig()
    first, again, other = (disturb(pixel_values, _generator(seed), config) for seed in (1, 1, 2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.equal(first, other)
    assert first.abs().max() <= 1.0


def test_targets_mark_visible_faces_and_leave_hidden_ones_out() -> None:
    boxes = torch.tensor([[[10.0, 8, 34, 40], [50, 20, 70, 44], [0, 0, 0, 0]]])
    landmarks = torch.rand(1, 3, 5, 2) * 60
    states = torch.tensor([[VISIBLE, HIDDEN, ABSENT]])
    heatmap, geometry, owned, counted = make_targets(boxes, landmarks, states, (16, 24))
    assert heatmap.shape == (1, 16, 24)
    assert (heatmap == 1.0).sum() == 1
    row, column = (heatmap[0] == 1.0).nonzero()[0].tolist()
    assert (column, row) == (5, 6)  # (22, 24) lies on the border of cells 4 | 5 and 5 | 6; ties go to the even number
    assert heatmap[0, 8, 15] < 0.01
    assert not counted[0, 8, 14]
    assert counted[0, 0, 0]
    rows, columns = owned[0].nonzero(as_tuple=True)
    cells = torch.stack([columns, rows], -1).float()
    decoded_boxes, decoded_landmarks = decode_geometry(geometry[0, rows, columns], cells)
    torch.testing.assert_close(decoded_boxes, boxes[0, :1].expand(len(rows), -1))
    torch.testing.assert_close(decoded_landmarks, landmarks[0, :1].expand(len(rows), -1, -1))


def test_focal_loss_follows_its_formula() -> None:
    logits = torch.tensor([[[0.3, -2.0, 1.5]]])
    target = torch.tensor([[[1.0, 0.0, 0.6]]])
    p = [1 / (1 + math.exp(-value)) for value in (0.3, -2.0, 1.5)]
    expected = [-((1 - p[0]) ** 2) * math.log(p[0]), -(p[1] ** 2) * math.log(1 - p[1])]
    expected.append(-((1 - 0.6) ** 4) * p[2] ** 2 * math.log(1 - p[2]))
    torch.testing.assert_close(focal_loss(logits, target), torch.tensor([[expected]]))


def test_arcface_follows_its_formula() -> None:
    torch.manual_seed(0)
    head = ArcFaceHead(5, 4, scale=7.0)
    embeds, classes = torch.randn(3, 5), torch.tensor([2, 0, 3])
    loss, _ = head(embeds, classes, margin=0.3)
    total = 0.0
    for row, own in enumerate(classes.tolist()):
        cosines = [float(F.cosine_similarity(embeds[row], direction, dim=0)) for direction in head.directions.detach()]
        logits = [7.0 * (math.cos(math.acos(c) + 0.3) if k == own else c) for k, c in enumerate(cosines)]
        total -= logits[own] - math.log(sum(map(math.exp, logits)))
    assert loss.item() == pytest.approx(total / 3, rel=1e-4)


def test_arcface_without_margin_is_a_softmax_and_the_margin_costs() -> None:
    torch.manual_seed(0)
    head = ArcFaceHead(5, 4, scale=7.0)
    embeds, classes = torch.randn(6, 5), torch.tensor([2, 0, 3, 1, 1, 0])
    plain = F.cross_entropy(7.0 * F.normalize(embeds) @ F.normalize(head.directions).T, classes)
    loss, correct = head(embeds, classes, margin=0.0)
    torch.testing.assert_close(loss, plain, rtol=1e-4, atol=1e-5)
    assert head(embeds, classes, margin=0.4)[0] > loss
    aligned_loss, aligned_correct = head(head.directions[classes] * 9.0, classes, margin=0.0)
    assert aligned_correct == 1.0
    assert aligned_loss < loss
    assert 0.0 <= correct <= 1.0


def test_contrastive_loss_at_its_extremes() -> None:
    embeds = torch.eye(4, 6)
    assert contrastive_loss(embeds, embeds * 3, torch.tensor(50.0)) < 1e-6
    assert float(contrastive_loss(torch.ones(4, 6), embeds, torch.tensor(0.0))) == pytest.approx(math.log(4))
    order = torch.tensor([1, 0, 3, 2])
    first = torch.randn(4, 6, generator=_generator())
    second = torch.randn(4, 6, generator=_generator(1))
    torch.testing.assert_close(
        contrastive_loss(first, second, torch.tensor(3.0)),
        contrastive_loss(first[order], second[order], torch.tensor(3.0)),
    )


def test_rank_share_counts_the_diagonal() -> None:
    similarities = torch.tensor([[0.9, 0.1, 0.2], [0.8, 0.5, 0.1], [0.3, 0.2, 0.1]])
    assert rank_share(similarities, 1) == pytest.approx(1 / 3)
    assert rank_share(similarities, 2) == pytest.approx(2 / 3)
    assert rank_share(similarities, 3) == 1.0


def test_recalibration_measures_the_batches_it_is_given() -> None:
    norm = nn.Sequential(nn.BatchNorm2d(3)).eval()
    batches = [torch.randn(4, 3, 5, 6, generator=_generator(seed)) * 2 + 1 for seed in range(3)]
    recalibrate_batch_norm(norm, batches)
    expected = torch.stack([batch.mean((0, 2, 3)) for batch in batches]).mean(0)
    torch.testing.assert_close(norm[0].running_mean, expected)
    assert norm[0].momentum == 0.1
    assert not norm.training


def test_people_come_in_families() -> None:
    people = draw_people(16, first_seed=3, split="judge")
    assert {person.split for person in people} == {"judge"}
    assert len(set(people)) == 16
    for first in range(0, 16, 4):
        family = people[first : first + 4]
        assert len({(person.skin, person.hair_colour, person.hat) for person in family}) == 1
    assert len({(person.skin, person.hair_colour, person.hat) for person in people}) > 2
    for one, two in zip(people[::4], people[3::4], strict=True):
        assert (one.hair_style, one.glasses, one.beard) == (two.hair_style, two.glasses, two.beard)
    assert people == draw_people(16, first_seed=3, split="judge")


def test_attributes_are_read_off_an_embedding_that_holds_them() -> None:
    people = draw_people(8, first_seed=0, split="train")
    torch.manual_seed(0)
    head = FaceAttributeHead(8)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.3)
    embeds = torch.eye(8)
    first_loss, _ = head(embeds, people)
    for _ in range(60):
        optimizer.zero_grad()
        loss, right = head(embeds, people)
        loss.backward()
        optimizer.step()
    assert right == 1.0
    assert loss < 0.2 * first_loss
