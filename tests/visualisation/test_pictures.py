"""Every axis another size: 9 frames of 20 x 30 pixels, 3 identities, 4 steps, 5 blocks, a grid of 3 x 2 x 6 tokens."""

import time

import numpy as np
import pytest

from ingredients.core.errors import UserInputError
from ingredients.core.protocols import Face
from ingredients.core.token_time import token_frames
from ingredients.visualisation.clip_sheet import FRAME_HEIGHT, clip_row
from ingredients.visualisation.contact_sheet import contact_sheet, evenly_spread, mark_reference
from ingredients.visualisation.faces_sheet import MAX_WIDTH, PHOTO_HEIGHT, faces_sheet, mark_faces, photo_row
from ingredients.visualisation.layout import (
    fit_height,
    identity_colour,
    in_column,
    in_grid,
    in_row,
    load_font,
    path_line,
    text_block,
    text_line,
    text_width,
)
from ingredients.visualisation.routing_maps import majority, middle_frames, overlay_map, paint_map, routing_map_sheet

RNG = np.random.default_rng(0)
FRAMES = RNG.integers(0, 256, size=(9, 20, 30, 3), dtype=np.uint8)


def flat(height: int, width: int, value: int) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def test_rows_columns_and_grids_keep_the_pictures_and_their_order():
    row = in_row([flat(2, 3, 10), flat(4, 5, 20)], gap=1)
    assert row.shape == (4, 9, 3)
    assert (row[:2, :3] == 10).all()
    assert (row[:, 4:] == 20).all()
    assert (row[:, 3] == 255).all()
    column = in_column([flat(2, 3, 10), flat(4, 5, 20)], gap=1)
    assert column.shape == (7, 5, 3)
    assert (column[3:] == 20).all()
    assert in_grid([flat(2, 3, value) for value in range(5)], columns=2, gap=0).shape == (6, 6, 3)


def test_text_that_does_not_fit_is_cut():
    assert text_line("a" * 200, width=50).shape[1] == 50
    assert (text_line("", width=50) == 255).all()


def test_as_much_of_a_text_is_written_as_fits():
    font = load_font(15)
    for text in ("Two people wave on a beach. " * 4, "WWWWWWWWWWWW", "iiiiiiiiiiiiii", "a b", "ïïï.i"):
        for width in range(1, 260, 7):
            kept = next(
                each
                for each in (text, *(text[:number] + "…" for number in range(len(text) - 1, -1, -1)))
                if font.getlength(each) <= width or each == "…"
            )
            np.testing.assert_array_equal(
                text_line(text, width=width, size=15), text_line(kept, width=10_000, size=15)[:, :width]
            )


@pytest.mark.parametrize("write", [text_line, text_block])
@pytest.mark.parametrize("text", ["Two people wave on a beach. " * 3000, "a" * 84_000, "漢" * 84_000])
def test_a_long_text_takes_no_time(write, text):
    started = time.process_time()
    picture = write(text, width=500, size=15)
    assert time.process_time() - started < 1
    assert picture.shape[0] <= 12 * 21
    np.testing.assert_array_equal(picture, write(text[:20_000], width=500, size=15))


def test_a_block_that_is_cut_ends_in_an_ellipsis():
    words = "one two three four five six"
    whole, cut = text_block(words, width=70), text_block(words, width=70, most_lines=2)
    line = text_line("", width=70).shape[0]
    assert whole.shape[0] > 2 * line == cut.shape[0]
    np.testing.assert_array_equal(cut[:line], whole[:line])
    np.testing.assert_array_equal(cut[line:], text_line("three four five", width=70))


def test_ends_of_lines_and_halves_of_letters_are_no_obstacle():
    np.testing.assert_array_equal(text_line("a\nb\tc", width=90), text_line("a b c", width=90))
    np.testing.assert_array_equal(text_line("a\ud800\0", width=90), text_line("a??", width=90))


def test_a_very_wide_photo_makes_no_wide_sheet():
    for size, most in (((1, 20_000), 2 * 8 * 40), ((20_000, 1), 200)):
        photo = flat(*size, 90)
        assert fit_height(photo, 40).shape[0] <= 40
        for sheet in (photo_row("ana.png", photo, [], height=40), contact_sheet(FRAMES, {"ana": [photo]})):
            assert sheet.shape[1] <= max(most, 3 * 240 + 24 + 8 * 160)


def test_a_long_name_makes_no_wide_sheet():
    photos = [flat(20, 20, 50)]
    assert contact_sheet(FRAMES, {"a" * 5000: photos}).shape == contact_sheet(FRAMES, {"a": photos}).shape


def test_evenly_spread_keeps_the_ends():
    assert evenly_spread(4, 9) == [0, 1, 2, 3]
    assert evenly_spread(49, 4) == [0, 16, 32, 48]
    assert evenly_spread(49, 1) == [0]


def test_contact_sheet_shows_photos_of_any_size_above_all_frames():
    references = {"ana": [flat(64, 64, 100), flat(40, 80, 120)], "ben": [flat(30, 20, 50)]}
    sheet = contact_sheet(FRAMES, references, prompt="Two people wave", captions={"ana": "0.87"}, frame_height=40)
    without = contact_sheet(FRAMES, {}, frame_height=40)
    assert sheet.dtype == np.uint8
    assert sheet.shape[0] > without.shape[0] > 3 * 40
    assert without.shape[1] == 3 * 60 + 2 * 4 + 16


def test_a_verdict_longer_than_the_photo_is_wide_is_not_cut():
    verdict = "same person (distance 0.41, below dlib's 0.6)"
    sheet = contact_sheet(FRAMES, {"ana": [flat(40, 30, 100)]}, captions={"ana": verdict}, columns=1, frame_height=40)
    assert sheet.shape[1] - 16 == text_width(f"ana: {verdict}") > 200


def test_who_is_meant_in_a_group_photo_is_framed_and_cut_out():
    photo = flat(80, 200, 100)
    left, right = (
        Face(
            box=np.array([x - 20, 20, x + 20, 60], np.float32),
            score=0.9,
            landmarks=np.array([[x - 8, 32], [x + 8, 32], [x, 40], [x - 6, 48], [x + 6, 48]], np.float32),
        )
        for x in (50, 150)
    )
    photo[20:60, 30:70] = (0, 250, 0)
    photo[20:60, 130:170] = (0, 0, 250)
    colour = identity_colour(1)
    marked = mark_reference(photo, [left, right], right, colour=colour, height=40)
    assert marked.shape == (40, 100 + 4 + 40, 3)
    framed = (marked == colour).all(axis=-1)
    assert framed[10:30, 62:88].any()
    assert not framed[:, :50].any()
    assert tuple(marked[20, 104 + 20]) == (0, 0, 250)
    alone = mark_reference(photo, [right], right, colour=colour, height=40)
    np.testing.assert_array_equal(alone, fit_height(photo, 40))


def test_contact_sheet_without_frames_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        contact_sheet(FRAMES[:0], {})


def test_a_map_is_painted_in_the_identities_colours():
    routing_map = np.array([[0, 1, 2], [-1, 0, 1]])
    picture = paint_map(routing_map)
    assert tuple(picture[0, 2]) == identity_colour(2)
    assert tuple(picture[1, 0]) == (255, 255, 255)


def test_overlay_leaves_nobodys_tokens_as_they_are():
    frame = flat(20, 30, 100)
    tinted = overlay_map(frame, np.array([[-1, 0]]), height=20)
    assert (tinted[:, :15] == 100).all()
    expected = np.round(0.55 * 100 + 0.45 * np.array(identity_colour(0)))
    np.testing.assert_array_equal(tinted[0, -1], expected)


def test_majority_over_blocks():
    maps = np.array([[0, 1, -1, 2], [0, 1, -1, 0], [1, 1, -1, -1]])
    np.testing.assert_array_equal(majority(maps, num_identities=3), [0, 1, -1, 0])


def test_permuting_identities_permutes_the_colours_of_the_sheet():
    maps = RNG.integers(0, 2, size=(4, 5, 3, 2, 6))
    first, second = identity_colour(0), identity_colour(1)
    one = routing_map_sheet(maps, FRAMES, ["a", "a"])
    other = routing_map_sheet(1 - maps, FRAMES, ["a", "a"])
    assert one.shape == other.shape
    below = slice(one.shape[0] // 2, None)  # the grid of maps, without the legend
    np.testing.assert_array_equal(
        (one[below] == first).all(axis=-1).sum(), (other[below] == second).all(axis=-1).sum()
    )


def test_routing_maps_of_the_wrong_shape_or_with_unnamed_people_are_refused():
    with pytest.raises(ValueError, match=r"must be \(S, J, f, h, w\)"):
        routing_map_sheet(np.zeros((5, 3, 2, 6), dtype=np.int64), FRAMES, ["a"])
    with pytest.raises(ValueError, match="hold identity 2, but there are 2 names"):
        routing_map_sheet(np.full((4, 5, 3, 2, 6), 2), FRAMES, ["a", "b"])


def test_more_than_eight_people_have_different_colours_and_a_legend_that_breaks():
    maps = np.arange(12).reshape(2, 6)[None, None, None].repeat(3, axis=2)
    sheet = routing_map_sheet(maps, FRAMES, [f"person {index}" for index in range(12)])
    for identity in range(12):
        assert (sheet == identity_colour(identity)).all(axis=-1).sum() > 16 * 16  # the map, not the legend alone
    few = routing_map_sheet(maps % 2, FRAMES, ["a", "b"])
    assert sheet.shape[1] == few.shape[1]


def test_a_single_frame_has_one_map():
    maps = np.zeros((1, 1, 1, 2, 6), dtype=np.int64)
    assert routing_map_sheet(maps, FRAMES[:1], ["a"]).ndim == 3


def test_faces_sheet_marks_faces_and_survives_none():
    face = Face(
        box=np.array([2, 3, 12, 15], dtype=np.float32),
        score=0.9,
        landmarks=np.array([[4, 6], [9, 6], [7, 9], [5, 12], [9, 12]], dtype=np.float32),
    )
    photo = flat(20, 30, 128)
    marked = mark_faces(photo, [face], taken=0, height=40)
    assert marked.shape == (40, 60, 3)
    assert (marked == identity_colour(0)).all(axis=-1).any()
    assert (mark_faces(photo, [], taken=0, height=40) == 128).all()
    rows = [photo_row("a.png", photo, [face], crops=[("aligned", flat(8, 8, 9))], height=40)]
    assert faces_sheet(rows).shape[1] >= 60 + 40
    with pytest.raises(ValueError, match="at least one photo"):
        faces_sheet([])


def test_many_faces_wrap_into_lines() -> None:
    """Eight faces have sixteen crops of 256 pixels, which would be a strip of more than 4000."""
    face = Face(box=np.array([2, 3, 20, 30], np.float32), score=0.9, landmarks=np.full((5, 2), 9, np.float32))
    crops = [(f"crop {index}", flat(8, 8, 16 * index)) for index in range(16)]
    row = photo_row("group.png", flat(80, 120, 200), [face] * 8, crops=crops)
    assert row.shape[1] <= MAX_WIDTH
    assert row.shape[0] > 4 * PHOTO_HEIGHT  # the photo and three crops, then four lines of up to five
    for value in range(1, 16):  # no crop is lost
        assert (row == 16 * value).all(axis=-1).sum() >= PHOTO_HEIGHT**2
    assert photo_row("wide.png", flat(40, 4000, 200), [face]).shape[1] <= MAX_WIDTH


def test_a_path_keeps_its_end() -> None:
    """Two photos of one long folder look different on the sheet, whatever they share at the front."""
    folder = "/somewhere/" + "a-long-folder/" * 30
    first, second = (path_line(f"{folder}{name}.png", width=200) for name in ("ana", "ben"))
    assert first.shape == second.shape == path_line("ana.png", width=200).shape
    assert (first != second).any()
    whole = path_line("photos/ana.png", width=200)
    np.testing.assert_array_equal(whole, text_line("photos/ana.png", width=200))
    assert text_width("…ana.png") < 200
    assert (first[:, -60:] < 200).any()  # the room is used


def test_curves(tmp_path):
    pytest.importorskip("matplotlib")
    from ingredients.visualisation.curves import read_log, smooth, training_curves

    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1, "loss": 2.0, "note": "x"}\n{"step": 2, "loss": 1.0}\n')
    lines = read_log(log)
    assert lines == [{"step": 1.0, "loss": 2.0}, {"step": 2.0, "loss": 1.0}]
    assert training_curves({"run": lines}).shape == (300, 1000, 3)
    assert smooth([2.0, 2.0, 2.0], 0.9) == pytest.approx([2.0, 2.0, 2.0])
    assert smooth([1.0, 4.0], 0.5) == pytest.approx([1.0, (0.5 * 0.5 * 1 + 0.5 * 4) / 0.75])
    assert smooth([1.0, 4.0], 0.0) == [1.0, 4.0]
    raw, averaged = (training_curves({"run": lines * 3}, smoothing=share) for share in (0.0, 0.9))
    assert raw.shape == averaged.shape
    assert not np.array_equal(raw, averaged)
    single = training_curves({"run": [{"step": 3.0, "loss": 2.0}]}).astype(int)
    middle = single[115:185, 220:300]  # where a point by itself lies, and no legend
    assert (np.abs(middle - [31, 119, 180]).max(axis=-1) < 30).sum() > 5  # in the first line's blue
    with pytest.raises(ValueError, match="below 1, not 1"):
        smooth([1.0], 1.0)
    with pytest.raises(UserInputError, match="no metric to draw"):
        training_curves({"run": [{"step": 1.0}]})
    log.write_text("nonsense")
    with pytest.raises(UserInputError, match=r"log\.jsonl cannot be read"):
        read_log(log)
    log.write_text('{"loss": 1}\n')
    with pytest.raises(UserInputError, match="no training log"):
        read_log(log)


@pytest.mark.parametrize("steps", [[3.0], [1.0, 2.0], [1.0, 2.0, 3.0]])
def test_steps_below_curves_are_whole_numbers(monkeypatch, steps):
    pytest.importorskip("matplotlib")
    from ingredients.visualisation import curves

    monkeypatch.setattr(curves, "to_picture", lambda figure: figure)
    panel = curves.training_curves({"run": [{"step": step, "loss": 2.0} for step in steps]}).axes[0]
    low, high = panel.get_xlim()
    ticks = [tick for tick in panel.get_xticks() if low <= tick <= high]
    assert set(steps) <= set(ticks)
    assert all(tick == round(tick) for tick in ticks)


def test_a_person_is_tinted_and_the_face_more_strongly():
    frames = np.full((1, FRAME_HEIGHT, 150, 3), 128, np.uint8)
    masks = np.zeros((2, 2, 1, FRAME_HEIGHT, 150), dtype=bool)  # faces and people, of two, in one frame
    masks[0, 1, 0, 20:40, 20:40] = masks[1, 1, 0, 10:90, 10:60] = True
    row = clip_row("a clip", frames, masks[0], masks[1], [[None], [None]], [[], []])
    picture = row[-FRAME_HEIGHT:, :150].astype(int)
    change = np.abs(picture - 128).sum(-1)
    assert change[30, 30] > 1.5 * change[30, 50] > 0
    assert change[100, 100] == 0


def test_maps_are_laid_over_the_frames_that_their_tokens_stand_for() -> None:
    """Without being told, those of the causal VAE; with temporal patches, others."""
    assert middle_frames(9, 3) == [0, 3, 7]
    assert middle_frames(9, 3) == middle_frames(9, 3, token_frames(9, temporal_ratio=4))
    assert middle_frames(20, 5, token_frames(20, temporal_ratio=1, patch_size_t=4)) == [2, 6, 10, 14, 18]
    assert middle_frames(1, 1) == [0]
