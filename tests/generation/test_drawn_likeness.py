"""People of photographs that come with packages, drawn."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
import skimage.data

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import NoFaceError, UserInputError
from ingredients.faces.dlib_faces import DlibFaceDetector
from ingredients.faces.face_parts import FacePart
from ingredients.generation.drawn_likeness import draw_like
from ingredients.media.photos import load_photo

HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def places(detector: DlibFaceDetector, photo: UInt8Array) -> tuple[Float32Array, Float32Array, float]:
    """How far across and down each pixel lies from the eyes' middle, by the way to the chin; half the face's width."""
    points = detector.outline(photo, detector.detect(photo)[0])
    middle, chin = points[36:48].mean(axis=0), points[8]
    across, down = np.meshgrid(
        *((np.arange(photo.shape[1 - axis]) - middle[axis]) / (chin[1] - middle[1]) for axis in (0, 1))
    )
    return across, down, (points[16, 0] - points[0, 0]) / 2 / (chin[1] - middle[1])


def in_light(pixels: UInt8Array, light: float) -> UInt8Array:
    """Pixels as they are in so much of the light."""
    linear = (pixels / 255.0) ** 2.2 * light
    return np.clip(linear ** (1 / 2.2) * 255, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def detector() -> DlibFaceDetector:
    return DlibFaceDetector()


def test_an_admiral_has_glasses_a_cap_and_a_dark_uniform(detector: DlibFaceDetector) -> None:
    hopper = draw_like(load_photo(HOPPER), detector, label="a photo")
    person = hopper.identity
    assert (person.glasses, person.hat, person.hat_colour) == ("round", "cap", "black")
    assert (person.shirt, person.shirt_colour, person.beard) == ("collar", "black", "none")
    assert person.skin in ("rosy", "fair")
    assert "A drawing" in hopper.description
    assert hopper.portrait(size=64).shape == (64, 64, 3)
    assert hopper.beside(hopper.portrait(size=128)).shape[1] > 256


def test_an_astronaut_has_fair_skin_and_light_hair_and_no_glasses(detector: DlibFaceDetector) -> None:
    person = draw_like(np.asarray(skimage.data.astronaut()), detector, label="a photo").identity
    assert (person.glasses, person.hat, person.beard, person.iris) == ("none", "none", "none", "brown")
    assert person.skin in ("pale", "fair")
    assert person.hair_colour == "blond"
    assert person.shirt_colour == "black"


@pytest.mark.parametrize(
    ("colour", "reach", "name"),
    [((215, 170, 126), 0.3, "blond"), ((120, 80, 60), 0.0, "brown")],
    ids=["long", "short"],
)
def test_hair_is_neither_the_wall_behind_it_nor_a_hat_nor_missing(
    detector: DlibFaceDetector, colour: tuple[int, int, int], reach: float, name: str
) -> None:
    """The astronaut before a white wall, with painted hair: long and pale as her forehead, or short."""
    photo = np.array(skimage.data.astronaut())
    across, down, half = places(detector, photo)
    is_face = (np.abs(across) < half) & (down > -0.29)
    is_hair = ~is_face & (np.abs(across) < half + reach) & (down > -0.62) & (down < (1 if reach else 0))
    photo[~is_face & (down < 1.0)] = (235, 236, 238)
    photo[is_hair] = colour
    person = draw_like(photo, detector, label="a photo").identity
    assert (person.hair_colour, person.hat) == (name, "none")
    assert person.hair_style != "bald"


def test_a_wall_of_the_hairs_colour_beside_the_head_is_no_long_hair(detector: DlibFaceDetector) -> None:
    photo = np.array(skimage.data.astronaut())
    across, down, half = places(detector, photo)
    is_face = (np.abs(across) < half) & (down > -0.29)
    is_wall = ~is_face & (down < 1.0)
    photo[is_wall] = (235, 236, 238)
    photo[is_wall & (np.abs(across) < half + 0.4) & (down > -0.62)] = (120, 80, 60)
    assert draw_like(photo, detector, label="a photo").identity.hair_style in ("bob", "long")
    photo[is_wall & (np.abs(across) > 1.5)] = (120, 80, 60)  # it goes on there
    assert draw_like(photo, detector, label="a photo").identity.hair_style in ("short", "side")


def test_black_hair_in_blue_light_is_no_dyed_hair(detector: DlibFaceDetector) -> None:
    photo = np.array(skimage.data.astronaut())
    across, down, half = places(detector, photo)
    is_face = (np.abs(across) < half) & (down > -0.29)
    photo[~is_face & (down < 1.0)] = (235, 236, 238)
    photo[~is_face & (np.abs(across) < half + 0.3) & (down > -0.62) & (down < 1.0)] = (40, 40, 70)
    assert draw_like(photo, detector, label="a photo").identity.hair_colour == "black"


def test_skin_in_shadow_is_as_red_as_in_light_and_is_no_brown_one(detector: DlibFaceDetector) -> None:
    photo = np.array(skimage.data.astronaut())
    across, down, half = places(detector, photo)
    is_face = (np.abs(across) < half) & (np.abs(down) < 1.0)
    photo[is_face] = in_light(photo[is_face], 0.5)
    assert draw_like(photo, detector, label="a photo").identity.skin in ("pale", "fair", "rosy")


def test_bare_shoulders_are_no_clothes_and_narrow_clothes_are_seen_beside_them(detector: DlibFaceDetector) -> None:
    photo = np.array(skimage.data.astronaut())
    across, down, _ = places(detector, photo)
    is_below = down > 1.05
    photo[is_below] = (200, 150, 118)
    photo[is_below & (np.abs(across) > 0.9)] = (40, 70, 150)
    assert draw_like(photo, detector, label="a photo").identity.shirt_colour == "blue"
    photo[is_below] = (200, 150, 118)
    bare = draw_like(photo, detector, label="a photo")
    assert "shirt" not in bare.measured


def test_half_of_the_clothes_in_shadow_leaves_their_colour(detector: DlibFaceDetector) -> None:
    photo = np.array(skimage.data.astronaut())
    across, down, _ = places(detector, photo)
    is_below = down > 1.05
    photo[is_below] = (40, 70, 150)
    photo[is_below & (across % 0.4 < 0.21)] = (20, 20, 22)
    assert draw_like(photo, detector, label="a photo").identity.shirt_colour == "blue"
    photo[is_below & (across % 0.4 < 0.3)] = (20, 20, 22)
    assert draw_like(photo, detector, label="a photo").identity.shirt_colour == "black"


def test_shadow_on_one_half_of_a_face_is_no_full_beard(detector: DlibFaceDetector) -> None:
    photo = np.array(load_photo(HOPPER))
    across, down, _ = places(detector, photo)
    is_stubble = (np.abs(across) < 0.3) & (down > 0.4) & (down < 0.95)
    photo[is_stubble] = in_light(photo[is_stubble], 0.1)
    photo[across > -0.1] = in_light(photo[across > -0.1], 0.5)
    assert draw_like(photo, detector, label="a photo").identity.beard == "goatee"


def test_a_photograph_that_ends_at_the_chin_is_drawn(detector: DlibFaceDetector) -> None:
    photo = np.asarray(skimage.data.astronaut())
    _, down, _ = places(detector, photo)
    drawn = draw_like(photo[: int(np.argmax(down[:, 0] > 0.97))], detector, label="a photo")
    assert drawn.identity.skin in ("pale", "fair")
    assert "shirt" not in drawn.measured


def test_nothing_depends_on_the_size_or_a_little_on_the_turn_of_a_photograph(detector: DlibFaceDetector) -> None:
    astronaut = np.asarray(skimage.data.astronaut())
    one = draw_like(astronaut, detector, label="a photo").identity
    large = draw_like(astronaut.repeat(2, axis=0).repeat(2, axis=1), detector, label="a photo").identity
    assert (large.skin, large.hair_colour, large.glasses) == (one.skin, one.hair_colour, one.glasses)
    assert large.eye_spacing == pytest.approx(one.eye_spacing, abs=0.01)


def test_features_are_set_by_hand(detector: DlibFaceDetector) -> None:
    photo = load_photo(HOPPER)
    person = draw_like(photo, detector, label="a photo", features={"hat": "none", "hair_colour": "grey"}).identity
    assert (person.hat, person.hat_colour, person.hair_colour) == ("none", "none", "grey")
    with pytest.raises(UserInputError, match="no feature 'nose_ring'"):
        draw_like(photo, detector, label="a photo", features={"nose_ring": "gold"})
    with pytest.raises(UserInputError, match="choose among none, round, square, dark"):
        draw_like(photo, detector, label="a photo", features={"glasses": "pink"})
    with pytest.raises(NoFaceError, match="no face in a wall"):
        draw_like(np.full((64, 64, 3), 90, np.uint8), detector, label="a wall")


class PaintedParser:
    """A `FaceParser` that knows parts by their colours; all else is skin."""

    def __init__(self, colours: dict[FacePart, tuple[int, int, int]]) -> None:
        self._colours = colours

    def parse(self, image: UInt8Array) -> UInt8Array:
        parts = np.full(image.shape[:2], FacePart.SKIN, np.uint8)
        for part, colour in self._colours.items():
            parts[np.abs(image.astype(int) - colour).max(axis=-1) < 10] = part
        return parts


WALL, HAIR, CLOTH = (10, 8, 9), (120, 80, 60), (58, 112, 66)


def test_a_bald_head_before_black_has_no_black_hair_where_parts_are_told_apart(detector: DlibFaceDetector) -> None:
    photo = np.array(skimage.data.astronaut())
    across, down, half = places(detector, photo)
    is_head = (across / half) ** 2 + ((down - 0.1) / 0.85) ** 2 < 1
    photo[~is_head & (down < 1.0)] = WALL
    photo[is_head & (down < -0.3)] = (214, 182, 158)
    photo[(down < -0.5) & is_head] = WALL  # the top of the head fades into the dark
    assert draw_like(photo, detector, label="a photo").identity.hair_colour == "black"
    parser = PaintedParser({FacePart.BACKGROUND: WALL})
    seen = draw_like(photo, detector, label="a photo", parser=parser)
    assert seen.identity.hair_style == "bald"
    assert "hair" not in seen.measured


def test_a_hat_of_the_skins_colour_is_seen_with_its_brim_and_the_hair_below(detector: DlibFaceDetector) -> None:
    photo = np.array(skimage.data.astronaut())
    across, down, half = places(detector, photo)
    straw = (206, 172, 56)
    is_face = (np.abs(across) < half) & (down > -0.29)
    photo[~is_face & (down < 2.0)] = WALL
    photo[~is_face & (np.abs(across) < half + 0.35) & (down > -0.4) & (down < 1.5)] = HAIR
    photo[(np.abs(across) < half + 0.5) & (down > -0.9) & (down < -0.35)] = straw
    parser = PaintedParser({FacePart.BACKGROUND: WALL, FacePart.HAIR: HAIR, FacePart.HAT: straw})
    person = draw_like(photo, detector, label="a photo", parser=parser).identity
    assert (person.hat, person.hat_colour) == ("brim", "yellow")
    assert (person.hair_style, person.hair_colour) == ("long", "brown")


@pytest.mark.parametrize(("reach", "name"), [(0.0, "brown"), (0.12, "brown"), (2.0, "blue")], ids=str)
def test_dyed_hair_is_so_all_over_and_a_feather_is_no_hair(
    detector: DlibFaceDetector, reach: float, name: str
) -> None:
    """Hair with blue from its edge on, as far across as it says."""
    photo = np.array(skimage.data.astronaut())
    across, down, half = places(detector, photo)
    is_face = (np.abs(across) < half) & (down > -0.29)
    is_hair = ~is_face & (np.abs(across) < half + 0.3) & (down > -0.62) & (down < 0.6)
    photo[~is_face & (down < 1.0)] = WALL
    blue = (50, 80, 170)
    photo[is_hair] = HAIR
    photo[is_hair & (np.abs(across) > half + 0.3 - reach)] = blue

    class Parser(PaintedParser):
        def parse(self, image: UInt8Array) -> UInt8Array:
            parts = super().parse(image)
            parts[np.abs(image.astype(int) - blue).max(axis=-1) < 10] = FacePart.HAIR
            return parts

    parser = Parser({FacePart.BACKGROUND: WALL, FacePart.HAIR: HAIR})
    assert draw_like(photo, detector, label="a photo", parser=parser).identity.hair_colour == name


def test_clothes_are_seen_beside_the_neck_and_those_of_a_neighbour_are_not(detector: DlibFaceDetector) -> None:
    photo = np.array(skimage.data.astronaut())
    across, down, half = places(detector, photo)
    is_below = down > 1.05
    photo[is_below] = (200, 150, 118)
    photo[(np.abs(across) > half) & (down > 0.75) & (down < 1.2) & (np.abs(across) < half + 0.3)] = CLOTH
    other = photo.copy()
    red = (160, 36, 42)
    other[is_below] = red
    both = np.concatenate([photo[:, 100:360], other[:, 100:360]], axis=1)
    parser = PaintedParser({FacePart.CLOTH: CLOTH})
    assert draw_like(photo, detector, label="a photo").identity.shirt_colour != "green"
    assert draw_like(photo, detector, label="a photo", parser=parser).identity.shirt_colour == "green"

    class Parser(PaintedParser):
        def parse(self, image: UInt8Array) -> UInt8Array:
            parts = super().parse(image)
            parts[np.abs(image.astype(int) - red).max(axis=-1) < 10] = FacePart.CLOTH
            return parts

    found = draw_like(both, detector, label="a photo", choice="left", parser=Parser({FacePart.CLOTH: CLOTH}))
    assert found.identity.shirt_colour == "green"


def test_glasses_are_those_before_the_eyes(detector: DlibFaceDetector) -> None:
    photo = np.array(skimage.data.astronaut())
    across, down, _ = places(detector, photo)
    lens = (190, 150, 220)
    low, high = photo.copy(), photo.copy()
    high[(np.abs(across) < 0.5) & (np.abs(down - 0.2) < 0.11)] = lens
    low[(np.abs(across) < 0.5) & (np.abs(down - 1.4) < 0.11)] = lens
    parser = PaintedParser({FacePart.GLASSES: lens})
    assert draw_like(high, detector, label="a photo", parser=parser).identity.glasses == "round"
    assert draw_like(low, detector, label="a photo", parser=parser).identity.glasses == "none"


def test_where_the_network_sees_no_face_the_points_tell_alone(detector: DlibFaceDetector) -> None:
    class Blind:
        def parse(self, image: UInt8Array) -> UInt8Array:
            return np.zeros(image.shape[:2], np.uint8)

    photo = load_photo(HOPPER)
    alone = draw_like(photo, detector, label="a photo").identity
    assert draw_like(photo, detector, label="a photo", parser=Blind()).identity == alone
