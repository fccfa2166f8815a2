"""What tells drawings from photographs: how a tiny one decides, and the one that ships, on real photographs."""

import dataclasses
import io
import json
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import skimage
import skimage.data
import torch
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import ModelFolderError, NoFaceError, PhotographError
from ingredients.faces.alignment import ARCFACE_TEMPLATE
from ingredients.faces.drawn_face_stack import DrawnFaceStack, load_drawn_face_stack, load_picture_kind
from ingredients.faces.face_choice import choose_face, largest_face
from ingredients.faces.facial_extractor import FacialExtractor
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.faces.picture_kind import (
    DETAIL,
    CloseUpClassifier,
    PictureKind,
    PictureKindClassifier,
    PictureKindNetwork,
    cut_pieces,
    edge_share,
)
from ingredients.model_folders.find_model import default_model_path
from ingredients.model_folders.folder_names import FACE_ENCODER
from ingredients.world import render_portrait, render_scene, sample_identity, sample_scene
from tests.faces.tiny_faces import (
    TINY_CLOSE_UPS,
    TINY_KIND,
    PlacedFaces,
    classifier_that_says,
    noise_photo,
    tiny_encoder,
    tiny_recogniser,
    tiny_stack,
)


def flat_crop() -> UInt8Array:
    crop = np.full((24, 24, 3), 200, np.uint8)
    crop[8:16, 8:16] = (20, 90, 40)
    return crop


@pytest.mark.parametrize(
    ("scores", "is_flat", "kind"),
    [
        ((0.6, 0.3, 0.1), False, PictureKind.DRAWN_WORLD),
        ((0.008, 0.9, 0.092), True, PictureKind.OTHER_STYLE),
        ((0.004, 0.9, 0.096), False, PictureKind.PHOTOGRAPH),  # surer of a drawing, but not 25 times
        ((0.001, 0.969, 0.03), False, PictureKind.OTHER_STYLE),
        ((0.02, 0.4, 0.58), True, PictureKind.OTHER_STYLE),  # no photograph is so flat
        ((0.02, 0.4, 0.58), False, PictureKind.PHOTOGRAPH),
        ((0.4, 0.45, 0.15), False, PictureKind.OTHER_STYLE),
        ((0.09, 0.1, 0.81), False, PictureKind.OTHER_STYLE),  # not sure enough to refuse
    ],
)
def test_the_kind_goes_by_scores_and_by_flatness(
    scores: tuple[float, float, float], is_flat: bool, kind: PictureKind
) -> None:
    crop = flat_crop() if is_flat else noise_photo(0, 24, 24)
    (look,) = classifier_that_says(scores).look_at_crops(crop[None])
    assert look.kind is kind
    np.testing.assert_allclose((look.drawn_world, look.other_style, look.photograph), scores, atol=1e-5)


def test_the_share_of_edges() -> None:
    """Flat colours have all differences in few places; a ramp has them everywhere alike."""
    assert edge_share(flat_crop()) == 1.0
    ramp = np.repeat(np.arange(24, dtype=np.uint8)[None, :, None] * 5, 24, axis=0).repeat(3, axis=2)
    num_differences = 2 * 24 * 23  # half of them are 0: those from row to row
    assert edge_share(ramp) == pytest.approx(num_differences // 10 / (num_differences / 2))
    assert edge_share(np.full((24, 24, 3), 7, np.uint8)) == 0.0


SIDE = DETAIL * TINY_CLOSE_UPS.crop_size
LANDMARKS = np.asarray(ARCFACE_TEMPLATE, np.float32)


@pytest.mark.parametrize(
    ("first", "second", "kind", "drawn_world"),
    [
        ((0.6, 0.3, 0.1), (0.01, 0.01, 0.98), PictureKind.PHOTOGRAPH, 0.01),  # the scores that are less of a drawn one
        ((0.6, 0.3, 0.1), (0.5, 0.4, 0.1), PictureKind.DRAWN_WORLD, 0.5),
        ((0.6, 0.3, 0.1), (0.2, 0.7, 0.1), PictureKind.OTHER_STYLE, 0.2),  # the drawn world is what both take for it
        ((0.2, 0.7, 0.1), (0.98, 0.01, 0.01), PictureKind.OTHER_STYLE, 0.2),
        ((0.001, 0.988, 0.011), (0.01, 0.9, 0.09), PictureKind.OTHER_STYLE, 0.001),  # sure, and both of a drawing
        ((0.01, 0.01, 0.98), (0.0001, 0.9998, 0.0001), PictureKind.PHOTOGRAPH, 0.0001),  # not more than 25 times
        ((0.01, 0.01, 0.98), (0.98, 0.01, 0.01), PictureKind.PHOTOGRAPH, 0.01),
        ((0.2, 0.1, 0.7), (0.25, 0.05, 0.7), PictureKind.OTHER_STYLE, 0.2),  # neither is sure
    ],
)
def test_a_photograph_is_what_either_network_is_sure_of(
    first: tuple[float, float, float], second: tuple[float, float, float], kind: PictureKind, drawn_world: float
) -> None:
    classifier = classifier_that_says(first)
    classifier.second = CloseUpClassifier(classifier_that_says(second).network, TINY_CLOSE_UPS)
    photo = noise_photo(0, 60, 80)
    for look in (classifier.look(photo, LANDMARKS * 30 + 20), classifier.look_at_whole(photo)):
        assert look.kind is kind
        assert look.drawn_world == pytest.approx(drawn_world, abs=1e-5)


def test_pieces_are_cut_from_where_they_lie() -> None:
    crops = np.stack([noise_photo(seed, SIDE, SIDE) for seed in range(2)])
    np.testing.assert_array_equal(cut_pieces(crops, (0.25, 0.75), 0.5), crops[:, 24:48, 0:24])
    np.testing.assert_array_equal(cut_pieces(crops, (0.5, 0.5), 0.5), crops[:, 12:36, 12:36])
    np.testing.assert_array_equal(cut_pieces(crops, (0.0, 1.0), 0.5), crops[:, 24:48, 0:24])  # moved into the crop
    ramp = np.repeat(np.arange(SIDE, dtype=np.uint8)[None, None, :, None], SIDE, axis=1).repeat(3, axis=3)
    np.testing.assert_allclose(cut_pieces(ramp, (0.5, 0.5), 1.0)[0, 5, 2:-2, 0], np.arange(24)[2:-2] * 2 + 0.5, atol=1)


class Roughness(torch.nn.Module):
    """Says "a photograph" the more surely, the more neighbouring pixels differ."""

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        rough = pixel_values.diff(dim=-1).abs().mean((1, 2, 3))
        return torch.stack([torch.zeros_like(rough), torch.zeros_like(rough), 10 * rough], dim=1)


def test_a_face_is_looked_at_from_close_up_as_well() -> None:
    """What two neighbouring pixels say is gone once a face is as small as the network sees it as a whole."""
    stripes = np.full((1, SIDE, SIDE, 3), 100, np.uint8)
    stripes[:, :, ::2] = 120
    network, plain = Roughness(), np.full_like(stripes, 100)
    close_ups = CloseUpClassifier(network, TINY_CLOSE_UPS)  # type: ignore[arg-type]
    (look,) = close_ups.look_at_crops(stripes)
    assert look.photograph > 3 * look.drawn_world
    (of_plain,) = close_ups.look_at_crops(plain)
    assert of_plain.photograph == pytest.approx(of_plain.drawn_world)
    (of_whole,) = PictureKindClassifier(network, TINY_KIND).look_at_crops(  # type: ignore[arg-type]
        cut_pieces(stripes, (0.5, 0.5), 1.0)
    )
    assert of_whole.photograph < 1.1 * of_whole.drawn_world


class Redness(torch.nn.Module):
    """Takes red for a photograph and everything else for another style."""

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        red = pixel_values[:, 0].mean((1, 2)) - pixel_values[:, 1].mean((1, 2))  # -2..2
        return torch.stack([torch.full_like(red, -20.0), 5 - 5 * red, 5 * red], dim=1)


@pytest.mark.parametrize(("around", "kind"), [((0, 255), "OTHER_STYLE"), ((255, 0), "PHOTOGRAPH")])
def test_a_piece_of_a_drawing_is_told_by_what_is_around_it(around: tuple[int, int], kind: str) -> None:
    """An eye of a cartoon that was taken for a face."""
    drawing = np.zeros((200, 300, 3), np.uint8)
    drawing[..., :2] = around
    drawing[90:114, 150:174] = (255, 0, 0)
    classifier = CloseUpClassifier(Redness(), TINY_CLOSE_UPS)  # type: ignore[arg-type]
    look = classifier.look(drawing, LANDMARKS * 24 + np.float32([150, 90]))
    assert look.photograph > 10 * look.other_style  # by the face alone
    assert look.kind is PictureKind[kind]


def extractor(look: PictureKindClassifier | None, *places: tuple[float, float, float]) -> FacialExtractor:
    return FacialExtractor(
        PlacedFaces(*places) if places else PlacedFaces((10.0, 15.0, 50.0)),
        tiny_recogniser(),
        tiny_encoder(),
        canvas_crop_size=20,
        picture_kind=look,
    )


def test_a_photograph_is_refused_and_drawn_if_allowed() -> None:
    photograph = classifier_that_says((0.01, 0.01, 0.98))
    people = [IdentityPhotos(name="ana", images=[noise_photo(1)], labels=["ana.jpg"])]
    with pytest.raises(PhotographError) as refusal:
        extractor(photograph).extract(people)
    message = str(refusal.value)
    assert message.startswith("ana.jpg looks like a photograph, but this model knows drawn people only")
    assert "a drawing in another style that only looks so" in message
    for remedy in ("--model published", "ingredients world portrait --seed 7", "--allow-photographs"):
        assert remedy in message
    assert message.count(". ") == 0
    identities = extractor(photograph).extract(people, allow_photographs=True)
    assert identities.photographed == {"ana"}
    assert "in a photograph, it seems (score 0.01 of a drawn one)" in identities.warnings[0]
    plain = extractor(None).extract(people)
    assert plain.photographed == frozenset()
    torch.testing.assert_close(identities.id_embeds, plain.id_embeds)


def test_another_style_is_doubtful() -> None:
    drawing = np.full((90, 70, 3), 255, np.uint8)
    drawing[20:60, 30:50] = 0
    people = [IdentityPhotos(name="ana", images=[drawing], labels=["ana.png"])]
    identities = extractor(classifier_that_says((0.02, 0.9, 0.08))).extract(people)
    assert "drawn in another style than the people that this model knows" in identities.warnings[0]
    assert identities.photographed == frozenset()
    assert not any("style" in warning for warning in extractor(None).extract(people).warnings)


def test_a_photograph_without_a_face_is_told() -> None:
    blind = extractor(classifier_that_says((0.01, 0.01, 0.98)))
    blind.detector = PlacedFaces()
    with pytest.raises(NoFaceError, match=r"No face was found in ana\.jpg, which looks like a photograph\. The small"):
        blind.extract([IdentityPhotos(name="ana", images=[noise_photo(1)], labels=["ana.jpg"])])


def test_the_largest_face_is_among_the_surest() -> None:
    sure, large, doubtful = PlacedFaces((0, 0, 20), (30, 30, 30), (0, 40, 50)).detect(noise_photo(0))[::-1]
    faces = [dataclasses.replace(face, score=score) for face, score in ((doubtful, 0.55), (large, 0.75), (sure, 0.84))]
    assert largest_face(faces) is faces[1]
    assert choose_face(faces, "largest", label="ana.png") is faces[1]
    assert largest_face(faces[:1]) is faces[0]


@pytest.mark.parametrize("has_second", [False, True])
def test_a_stack_with_it_comes_back_as_it_was(tmp_path: Path, has_second: bool) -> None:
    torch.manual_seed(6)
    second = CloseUpClassifier(PictureKindNetwork(TINY_CLOSE_UPS), TINY_CLOSE_UPS) if has_second else None
    stack = dataclasses.replace(
        tiny_stack(), picture_kind=PictureKindClassifier(PictureKindNetwork(TINY_KIND), TINY_KIND, second)
    )
    stack.save(tmp_path)
    loaded = load_picture_kind(tmp_path)
    assert stack.picture_kind is not None
    assert loaded is not None
    assert loaded.config == TINY_KIND
    if second is None:
        assert loaded.second is None
    else:
        assert isinstance(loaded.second, CloseUpClassifier)
        assert loaded.second.config == TINY_CLOSE_UPS
        large = np.stack([noise_photo(seed, SIDE, SIDE) for seed in range(2)])
        for before, after in zip(second.look_at_crops(large), loaded.second.look_at_crops(large), strict=True):
            assert after.photograph == pytest.approx(before.photograph, abs=0.01)
        for name in ("close_ups.json", "close_ups.safetensors"):
            hidden = (tmp_path / "picture_kind" / name).rename(tmp_path / "elsewhere")
            with pytest.raises(ModelFolderError, match=name):
                load_picture_kind(tmp_path)
            hidden.rename(tmp_path / "picture_kind" / name)
    crops = np.stack([noise_photo(seed, 24, 24) for seed in range(3)])
    for before, after in zip(stack.picture_kind.look_at_crops(crops), loaded.look_at_crops(crops), strict=True):
        assert after.drawn_world == pytest.approx(before.drawn_world, abs=0.01)
    (tmp_path / "picture_kind" / "model.safetensors").unlink()
    with pytest.raises(ModelFolderError, match="picture_kind"):
        load_drawn_face_stack(tmp_path)


def test_a_folder_from_before_there_was_a_second_network_is_read(tmp_path: Path) -> None:
    dataclasses.replace(tiny_stack(), picture_kind=classifier_that_says((0.01, 0.01, 0.98))).save(tmp_path)
    path = tmp_path / "picture_kind" / "config.json"
    settings = json.loads(path.read_text())
    for name in ("close_ups", "max_drawing_odds"):
        del settings[name]
    path.write_text(json.dumps(settings))
    loaded = load_picture_kind(tmp_path)
    assert loaded is not None
    assert (loaded.config, loaded.second) == (dataclasses.replace(TINY_KIND, min_edge_share=0.999), None)


@pytest.fixture(scope="module")
def shipped() -> DrawnFaceStack:
    return load_drawn_face_stack(default_model_path() / FACE_ENCODER)


def kind_of(stack: DrawnFaceStack, photo: Image.Image) -> PictureKind | None:
    """As it is chosen and told; None without a face."""
    pixels = np.asarray(photo.convert("RGB"))
    faces = stack.detector.detect(pixels)
    assert stack.picture_kind is not None
    return stack.picture_kind.look(pixels, largest_face(faces).landmarks).kind if faces else None


def as_jpeg(photo: Image.Image, quality: int) -> Image.Image:
    stored = io.BytesIO()
    photo.convert("RGB").save(stored, "JPEG", quality=quality)
    return Image.open(stored)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda photo: photo, id="as it is"),
        pytest.param(lambda photo: photo.crop((140, 20, 320, 220)), id="the face alone"),
        pytest.param(lambda photo: photo.convert("L"), id="grey"),
        pytest.param(lambda photo: photo.filter(ImageFilter.GaussianBlur(2)), id="blurred"),
        pytest.param(lambda photo: photo.resize((160, 160)), id="small"),
        pytest.param(lambda photo: as_jpeg(photo, 30), id="JPEG"),
        pytest.param(ImageOps.mirror, id="mirrored"),
    ],
)
def test_an_astronaut_is_a_photograph(shipped: DrawnFaceStack, change: object) -> None:
    assert callable(change)
    astronaut = Image.fromarray(np.asarray(skimage.data.astronaut()))
    assert kind_of(shipped, change(astronaut)) is PictureKind.PHOTOGRAPH


def test_her_face_is_taken_and_not_the_collar(shipped: DrawnFaceStack) -> None:
    face = largest_face(shipped.detector.detect(np.asarray(skimage.data.astronaut())))
    middle = (face.box[:2] + face.box[2:]) / 2
    assert abs(middle - (225, 120)).max() < 30


@pytest.mark.parametrize("name", ["chelsea", "coffee", "camera", "coins", "rocket", "cell", "gravel", "grass", "ihc"])
def test_photographs_are_never_taken(shipped: DrawnFaceStack, name: str) -> None:
    """A cat, a cup and others; where no face is found the photo is refused for that."""
    files = sorted((Path(skimage.__file__).parent / "data").glob(f"{name}.*"))
    photo = Image.open(files[0])
    for each in (photo, ImageOps.mirror(photo.convert("RGB")), as_jpeg(photo, 40)):
        assert kind_of(shipped, each) in (PictureKind.PHOTOGRAPH, None)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda photo: photo, id="as it is"),
        pytest.param(lambda photo: photo.filter(ImageFilter.GaussianBlur(4)), id="blurred"),
        pytest.param(lambda photo: photo.resize((photo.width // 4, photo.height // 4)), id="small"),
    ],
)
def test_a_portrait_with_cap_and_glasses_is_a_photograph(shipped: DrawnFaceStack, change: object) -> None:
    """The network that sees whole crops alone takes or doubts it, but for the first."""
    assert callable(change)
    portrait = Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")
    assert kind_of(shipped, change(portrait)) is PictureKind.PHOTOGRAPH


def test_bricks_are_a_photograph(shipped: DrawnFaceStack) -> None:
    """They are flat, with mortar as bright as a drawing's lines, and have a face with more contrast only."""
    bricks = Image.fromarray(np.asarray(skimage.data.brick())).convert("RGB")
    assert kind_of(shipped, ImageEnhance.Contrast(bricks).enhance(1.5)) is PictureKind.PHOTOGRAPH


def test_drawn_people_are_never_refused(shipped: DrawnFaceStack) -> None:
    """A few of the thousands of `benchmarks/picture_kinds.py`: in clips, before photographs, grey, small, as JPEG."""
    backdrop = np.asarray(ImageOps.fit(Image.fromarray(np.asarray(skimage.data.astronaut())), (192, 192)))
    for seed in range(12):
        drawn = render_portrait(sample_identity(seed, "eval"), seed, size=192)
        portrait = Image.fromarray(drawn.image)
        before = Image.fromarray(np.where(drawn.person_mask[..., None], drawn.image, backdrop))
        clip = render_scene(sample_scene(seed, split="eval", num_people=2), num_frames=1)
        photos = (
            portrait, portrait.convert("L"), as_jpeg(portrait, 40), portrait.resize((72, 72)),
            portrait.resize((400, 400)), portrait.crop((20, 10, 180, 180)), portrait.rotate(8), before,
            Image.fromarray(clip.frames[0]),
        )  # fmt: skip
        for photo in photos:
            assert kind_of(shipped, photo) is not PictureKind.PHOTOGRAPH


def test_a_cartoon_is_of_another_style(shipped: DrawnFaceStack) -> None:
    cartoon = Image.new("RGB", (256, 256), (120, 200, 240))
    draw = ImageDraw.Draw(cartoon)
    draw.ellipse((58, 48, 198, 218), fill=(250, 215, 60), outline=(0, 0, 0), width=5)
    for x in (100, 156):
        draw.ellipse((x - 14, 100, x + 14, 135), fill=(255, 255, 255), outline=(0, 0, 0), width=3)
        draw.ellipse((x - 6, 112, x + 6, 128), fill=(0, 0, 0))
    draw.arc((95, 130, 161, 190), 20, 160, fill=(160, 20, 20), width=6)
    landmarks = np.float32([[100, 117], [156, 117], [128, 150], [98, 175], [158, 175]])
    assert shipped.picture_kind is not None
    assert shipped.picture_kind.look(np.asarray(cartoon), landmarks).kind is PictureKind.OTHER_STYLE
