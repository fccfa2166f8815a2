"""Pictures for the paper's figures: 9 frames of 20 x 30 pixels, 4 steps, 5 blocks, a grid of 3 x 2 x 6 tokens."""

import math

import numpy as np
import pytest

from ingredients.visualisation.distribution import evaluation_set_figure
from ingredients.visualisation.failures import Failure, correlation_plot, failures_sheet, pearson
from ingredients.visualisation.layout import identity_colour
from ingredients.visualisation.people_sheets import (
    GalleryExample,
    MethodsCase,
    frame_strip,
    gallery,
    methods_sheet,
    photo_block,
)
from ingredients.visualisation.routing_grid import RoutedVideo, routing_accuracy_plot, routing_grid

RNG = np.random.default_rng(0)
FRAMES = np.repeat(np.arange(10, 100, 10, dtype=np.uint8), 20 * 30 * 3).reshape(9, 20, 30, 3)
"""Frame i is of the one grey 10 * (i + 1)."""


def flat(height: int, width: int, value: int) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


PHOTOS = {"Zoë": flat(40, 30, 210), "Ben": flat(50, 60, 220)}


def share(picture: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float((picture == colour).all(axis=-1).mean())


def test_photos_keep_their_proportions_and_are_framed_in_the_identities_colours():
    block = photo_block(PHOTOS, height=160)
    assert abs(block.shape[0] - 160) <= 1
    for index, value in enumerate((210, 220)):
        assert share(block, identity_colour(index)) > 0
        rows, columns = np.nonzero((block == value).all(axis=-1))
        extent = (np.ptp(rows) + 1) / (np.ptp(columns) + 1)
        assert extent == pytest.approx((4 / 3, 5 / 6)[index], rel=0.15)
    in_one_row = photo_block(PHOTOS, height=160, rows=1)
    assert in_one_row.shape[1] > 1.8 * block.shape[1]
    assert photo_block({"Ana": flat(10, 10, 5)}, height=160).shape[0] == 160


def test_frames_are_spread_over_the_video():
    strip = frame_strip(FRAMES, num_frames=3, height=40)
    assert strip.shape == (40, 3 * 60 + 2 * 4, 3)
    assert [int(strip[20, column, 0]) for column in (30, 94, 158)] == [10, 50, 90]


def test_a_gallery_lines_its_frames_up():
    two = GalleryExample(prompt="Two people wave", photos=PHOTOS, frames=FRAMES)
    four = GalleryExample(
        prompt="Four people wave", photos={str(index): flat(30, 30, 200) for index in range(4)}, frames=FRAMES
    )
    sheet = gallery([two, four], num_frames=3, frame_height=60)
    first_frames = np.argwhere((sheet == 10).all(axis=-1))
    lefts = {int(left) for _, left in first_frames} & {int(first_frames[:, 1].min())}
    rows = first_frames[first_frames[:, 1] == lefts.pop()][:, 0]
    assert len(rows) == 2 * 60  # both begin in the same column
    assert gallery([two], num_frames=3, frame_height=60).shape[0] < sheet.shape[0]
    with pytest.raises(ValueError, match="at least one example"):
        gallery([])


def test_long_prompts_are_broken_into_lines():
    short = GalleryExample(prompt="wave", photos=PHOTOS, frames=FRAMES)
    long = GalleryExample(prompt="Two people wave in the park " * 9, photos=PHOTOS, frames=FRAMES)
    one, other = (gallery([example], num_frames=2, frame_height=60) for example in (short, long))
    assert one.shape[1] == other.shape[1]
    assert other.shape[0] > one.shape[0] + 30


def test_methods_stand_below_each_other_on_the_same_case():
    case = MethodsCase(
        prompt="Two people wave",
        photos=PHOTOS,
        videos={"text only": FRAMES, "Ingredients": FRAMES[::-1]},
        notes={"Ingredients": "similarity 0.87"},
    )
    sheet = methods_sheet([case], num_frames=3, frame_height=60)
    above, below = (np.argwhere((sheet == value).all(axis=-1)) for value in (10, 90))
    assert above[:, 1].min() == below[below[:, 0] > above[:, 0].min() + 62][:, 1].min()  # rows begin together
    first_row, second_row = sheet[above[:, 0].min() + 30], sheet[above[:, 0].min() + 94]
    assert list(dict.fromkeys(first_row[:, 0][np.isin(first_row[:, 0], (10, 50, 90))])) == [10, 50, 90]
    assert list(dict.fromkeys(second_row[:, 0][np.isin(second_row[:, 0], (10, 50, 90))])) == [90, 50, 10]
    assert methods_sheet([case, case], num_frames=3, frame_height=60).shape[0] > 1.8 * sheet.shape[0]
    with pytest.raises(ValueError, match="at least one case"):
        methods_sheet([])


def test_failures_show_label_numbers_and_evidence():
    failure = Failure(label="copied", prompt="Two people wave", photos=PHOTOS, frames=FRAMES)
    plain = failures_sheet([failure], num_frames=2, frame_height=80)
    more = Failure(
        label="copied",
        prompt="Two people wave",
        photos=PHOTOS,
        frames=FRAMES,
        numbers={"similarity": 0.12, "router error": 0.5},
        evidence={"the canvas": flat(40, 60, 77)},
    )
    sheet = failures_sheet([more], num_frames=2, frame_height=80)
    assert share(sheet, (77, 77, 77)) > 0
    assert sheet.shape[1] > plain.shape[1]
    assert sheet.shape[0] == plain.shape[0]
    with pytest.raises(ValueError, match="at least one"):
        failures_sheet([])


def test_pearson_is_the_definition_and_its_interval_narrows():
    first = RNG.normal(size=40)
    second = -0.7 * first + RNG.normal(size=40)
    centred = first - first.mean(), second - second.mean()
    expected = (centred[0] * centred[1]).sum() / math.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum())
    value, low, high = pearson(first, second)
    assert value == pytest.approx(expected)
    assert low < value < high
    _, longer_low, longer_high = pearson(np.tile(first, 9), np.tile(second, 9))
    assert longer_high - longer_low < (high - low) / 2.5
    assert pearson(first, 3 * first + 1)[0] == pytest.approx(1)
    assert pearson(first, np.ones(40)) is None


def test_the_correlation_is_drawn_for_any_cases():
    pytest.importorskip("matplotlib")
    errors, similarities = RNG.random(12), RNG.random(12)
    assert correlation_plot(errors, similarities, labels=["right"] * 6 + ["wrong"] * 6).shape == (450, 600, 3)
    assert correlation_plot([0.0, 1.0], [1.0, 0.0]).shape == (450, 600, 3)
    assert correlation_plot([0.5] * 5, similarities[:5]).shape == (450, 600, 3)
    with pytest.raises(ValueError, match="not 2 errors, 3 similarities"):
        correlation_plot([0.0, 1.0], [1.0, 0.0, 2.0])


def routed(maps: np.ndarray) -> RoutedVideo:
    return RoutedVideo(frames=FRAMES, routing_maps=maps)


def test_routing_maps_are_chosen_by_stride_and_scaled_with_hard_edges():
    maps = np.zeros((4, 5, 3, 2, 6), dtype=np.int64)
    maps[:, 2, 2] = 1  # the last latent frame of block 2
    options = {"frame_stride": 2, "block_stride": 2, "over_frames": False, "cell_height": 20}
    sheet = routing_grid({"ours": routed(maps)}, PHOTOS, steps=[0, 3], **options)
    frame_of_photo = share(
        routing_grid({"ours": routed(maps * 0)}, PHOTOS, steps=[0, 3], **options), identity_colour(1)
    )
    ones = (share(sheet, identity_colour(1)) - frame_of_photo) * sheet.shape[0] * sheet.shape[1]
    assert ones == pytest.approx(2 * 20 * 30, rel=0.01)  # 2 steps; 1 of 3 blocks, 1 of 2 frames
    fewer = routing_grid({"ours": routed(maps)}, PHOTOS, steps=[0], **options)
    assert fewer.shape[1] < sheet.shape[1]
    two = routing_grid({"with": routed(maps), "without": routed(maps)}, PHOTOS, prompt="wave", **options)
    assert two.shape[0] > 1.5 * sheet.shape[0]


def test_maps_over_frames_leave_the_frames_to_be_seen():
    maps = np.zeros((1, 1, 3, 2, 6), dtype=np.int64)
    sheet = routing_grid({"ours": routed(maps)}, PHOTOS, frame_stride=1, block_stride=1, cell_height=20)
    mixed = np.round(0.4 * 10 + 0.6 * np.array(identity_colour(0))).astype(int)
    assert share(sheet, tuple(mixed.tolist())) > 0


def test_routing_grids_that_cannot_be_drawn_are_refused():
    with pytest.raises(ValueError, match="at least one model"):
        routing_grid({}, PHOTOS)
    with pytest.raises(ValueError, match="hold identity 2, but there are 2 names"):
        routing_grid({"ours": routed(np.full((1, 1, 3, 2, 6), 2))}, PHOTOS)


def test_routing_accuracy_by_block_and_step():
    pytest.importorskip("matplotlib")
    lines = {"with": [(0, 0.6), (1, 0.9)], "without": [(0, 0.5), (1, 0.5)]}
    picture = routing_accuracy_plot(lines, {"with": [(100, 0.9), (500, 0.8)]}, chance=0.5)
    assert picture.shape == (360, 900, 3)


def test_the_distribution_of_an_evaluation_set():
    pytest.importorskip("matplotlib")
    people = [{"domain": domain, "region": region} for domain in ("film", "sport") for region in ("Asia", "Africa")]
    prompts = [{"expression": "smile", "action": f"act {index}", "background": "park"} for index in range(20)]
    without = evaluation_set_figure(people, prompts, title="mine")
    assert without.shape == (660, 1200, 3)
    with_pairs = evaluation_set_figure([*people, {}], prompts, held_out_pairs=[("act 3", "park")])
    assert with_pairs.shape == (660, 1700, 3)
    assert evaluation_set_figure([{}], prompts).shape == (660, 1200, 3)  # people without attributes
    with pytest.raises(ValueError, match="needs people and prompts, not 0 and 20"):
        evaluation_set_figure([], prompts)
