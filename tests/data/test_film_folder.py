"""Raw films: what the truth says is what the files show."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ingredients.core.errors import OutputError
from ingredients.data.film_folder import film_file, read_films, write_films
from ingredients.media.video import read_video
from ingredients.world.film import FILM_FORMATS, FilmSettings, Shot, draw_shot, plan_films
from ingredients.world.film_truth import FilmTruth

SETTINGS = FilmSettings(seed=4, minutes=0.35, height=48, width=72, fps=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films") / "set"
    write_films(folder, SETTINGS)
    return folder


@pytest.fixture(scope="module")
def truths(folder: Path) -> tuple[FilmTruth, ...]:
    return read_films(folder)


def find(kind: str, *, fps: float = 8) -> tuple[Shot, np.ndarray, object]:
    """A shot of a kind, with whether each face is in view."""
    from ingredients.world.scenes import VISIBLE, face_states

    films = plan_films(dataclasses.replace(SETTINGS, minutes=8, fps=fps))
    number = next(index for index, shot in enumerate(films[0].shots) if shot.kind == kind)
    drawn = draw_shot(films[0], number)
    seen = np.zeros((len(drawn.frames), 0), bool) if drawn.scene is None else face_states(drawn.scene) == VISIBLE
    return films[0].shots[number], seen, drawn


def test_a_player_shows_what_the_truth_says(folder: Path, truths: tuple[FilmTruth, ...]) -> None:
    assert [truth.format for truth in truths] == list(FILM_FORMATS)
    for truth in truths:
        video = read_video(film_file(folder, truth))
        assert video.frames.shape == (truth.num_frames, truth.height, truth.width, 3)
        assert video.fps == SETTINGS.fps
        for number, shot in enumerate(truth.shots):
            drawn = truth.draw_shot(number)
            following = truth.shots[number + 1].dissolve if number + 1 < len(truth.shots) else 0
            alone = slice(shot.dissolve, shot.stop - shot.start - following)
            shown = video.frames[shot.start : shot.stop][alone].astype(int)
            assert np.abs(shown - drawn.frames[alone]).mean() < 7  # turned or mirrored it would be 30 and more
            assert len(drawn.frames) == shot.stop - shot.start


def test_boxes_lie_around_the_masks_also_between_bars(truths: tuple[FilmTruth, ...]) -> None:
    letterbox = truths[1]
    assert letterbox.bar > 0
    assert letterbox.height == SETTINGS.height + 2 * letterbox.bar
    number = next(index for index, shot in enumerate(letterbox.shots) if shot.people)
    scene = letterbox.draw_shot(number).scene
    assert scene is not None
    assert not scene.frames[:, : letterbox.bar].any()
    assert scene.face_masks.shape[2:] == (letterbox.height, letterbox.width)
    for index, person in enumerate(letterbox.shots[number].people):
        for frame, box in enumerate(person.boxes):
            rows, columns = np.nonzero(scene.face_masks[frame, index])
            assert box == ([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if rows.size else None)


def test_the_phone_holds_its_film_upright(truths: tuple[FilmTruth, ...]) -> None:
    phone = next(truth for truth in truths if truth.format == "phone")
    assert (phone.height, phone.width) == (SETTINGS.width, SETTINGS.height)


def test_each_shot_begins_where_the_one_before_ends_or_dissolves() -> None:
    for film in plan_films(dataclasses.replace(SETTINGS, minutes=6)):
        assert film.shots[0].start == 0
        for before, shot in zip(film.shots, film.shots[1:], strict=False):
            assert shot.start == before.stop - shot.dissolve
            assert shot.dissolve < min(before.num_frames, shot.num_frames) // 2


def test_every_kind_comes_and_the_same_seed_plans_the_same_films() -> None:
    settings = dataclasses.replace(SETTINGS, minutes=10)
    films = plan_films(settings)
    assert films == plan_films(settings)
    assert films[0].shots != plan_films(dataclasses.replace(settings, seed=5))[0].shots
    kinds = {shot.kind for shot in films[0].shots}
    assert len(kinds) == 16
    shots = [shot for film in films for shot in film.shots]
    assert 0.1 < np.mean([shot.dissolve > 0 for shot in shots]) < 0.35
    cast = {person for shot in shots for person in shot.people if person.startswith("person")}
    assert len(cast) == 12


def test_doubles_repeat_earlier_shots_of_pictures_of_the_same_shape() -> None:
    films = {film.name: film for film in plan_films(dataclasses.replace(SETTINGS, minutes=10))}
    names = list(films)
    doubles = [(film, shot) for film in films.values() for shot in film.shots if shot.double_of]
    assert {shot.double_of.is_graded for _, shot in doubles if shot.double_of} == {True, False}
    assert any(shot.double_of and shot.double_of.film != film.name for film, shot in doubles)
    repeated = [(film.name, shot.double_of.film, shot.double_of.shot) for film, shot in doubles if shot.double_of]
    assert len(set(repeated)) == len(repeated)
    for film, shot in doubles:
        assert shot.double_of is not None
        source = films[shot.double_of.film]
        assert names.index(source.name) <= names.index(film.name)
        assert source.picture_size == film.picture_size
        assert source.shots[shot.double_of.shot].scene == shot.scene
        assert source.name != film.name or source.shots[shot.double_of.shot].stop < shot.start


def test_somebody_leaves_and_comes_back() -> None:
    _, seen, _ = find("return")
    assert seen.all(1).any()
    gone = ~seen.all(1)
    [traveller] = np.flatnonzero(~seen.all(0))
    first, last = np.flatnonzero(~seen[:, traveller])[[0, -1]]
    assert gone.mean() > 0.1
    assert seen[:first, traveller].all()
    assert seen[last + 1 :, traveller].all()
    assert last < len(seen) - 4


def test_somebody_leaves_for_good() -> None:
    _, seen, _ = find("passing")
    assert seen[0].all()
    assert not seen[len(seen) // 2 :].all(1).any()
    assert seen.all(1).mean() < 0.4


def test_somebody_is_hidden_in_a_crossing() -> None:
    _, seen, _ = find("crossing")
    assert seen[0].all()
    assert seen[-1].all()
    assert not seen.all()


def test_a_still_stands_and_an_empty_place_moves() -> None:
    _, _, still = find("still")
    assert (still.frames == still.frames[0]).all()
    _, seen, empty = find("empty")
    assert seen.shape[1] == 0
    assert (empty.frames[0] != empty.frames[-1]).any()


def test_texts_are_where_the_truth_says() -> None:
    shot, _, drawn = find("subtitled")
    plain = draw_shot(
        dataclasses.replace(plan_films(SETTINGS)[0], shots=(dataclasses.replace(shot, subtitle=None),)), 0
    )
    [(left, top, right, bottom)] = drawn.texts
    differs = (plain.frames != drawn.frames).any((0, 3))
    assert differs[top:bottom, left:right].any()
    differs[top:bottom, left:right] = False
    assert not differs.any()


def test_films_that_are_there_are_kept_and_others_are_refused(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (folder / "films").iterdir()}
    done: list[tuple[int, int]] = []
    write_films(folder, SETTINGS, progress=lambda completed, total: done.append((completed, total)))
    assert {path: path.stat().st_mtime_ns for path in (folder / "films").iterdir()} == before
    assert done[-1][0] == done[-1][1]
    with pytest.raises(OutputError, match="other settings"):
        write_films(folder, dataclasses.replace(SETTINGS, seed=5))


@pytest.mark.parametrize("wrong", [{"height": 50}, {"minutes": 0.0}, {"fps": 2.0}])
def test_settings_that_cannot_be_drawn_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a film"):
        FilmSettings(**wrong)  # type: ignore[arg-type]
