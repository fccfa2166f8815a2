import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from ingredients.core.errors import NoFaceError, PhotoError, UserInputError
from ingredients.faces.face_choice import FaceChoice, parse_face_choice
from ingredients.faces.facial_extractor import ExtractedIdentities, FacialExtractor, fuse_embeddings
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.faces.pixel_values import crops_to_pixel_values
from ingredients.faces.recogniser import ArcFaceRecogniser, ResidualFaceNetwork

from .tiny_faces import PlacedFaces, noise_photo, tiny_encoder, tiny_recogniser


def _extractor(*places: tuple[float, float, float], **settings: object) -> FacialExtractor:
    detector = PlacedFaces(*(places or [(10.0, 15.0, 50.0)]))
    return FacialExtractor(detector, tiny_recogniser(), tiny_encoder(), canvas_crop_size=20, **settings)  # type: ignore[arg-type]


def _people(*seeds: int) -> list[IdentityPhotos]:
    return [IdentityPhotos(name=f"person {seed}", images=[noise_photo(seed)]) for seed in seeds]


def test_shapes_for_three_people() -> None:
    identities = _extractor().extract(_people(0, 1, 2))
    assert identities.names == ("person 0", "person 1", "person 2")
    assert identities.id_embeds.shape == (3, 11 + 7)
    assert [tuple(state.shape) for state in identities.id_vit_hidden_states] == [(3, 10, 12)] * 5
    assert identities.canvas_crops.shape == (3, 20, 20, 3)
    assert identities.canvas_crops.dtype == np.uint8
    assert identities.warnings == ()


def test_recognition_is_raw_and_semantics_have_length_one() -> None:
    extractor = _extractor()
    identities = extractor.extract(_people(4, 5))
    recognition, semantic = identities.id_embeds.split([11, 7], dim=1)
    torch.testing.assert_close(semantic.norm(dim=1), torch.ones(2))
    photo = noise_photo(4)
    face = extractor.detector.detect(photo)[0]
    expected = extractor.recogniser.embed(extractor.recogniser.align(photo, face.landmarks)[None])[0]
    torch.testing.assert_close(recognition[0], expected)
    torch.testing.assert_close(identities.recognition_embeds, recognition)


def test_permuting_people_permutes_everything() -> None:
    extractor = _extractor()
    there, back = extractor.extract(_people(1, 2, 3)), extractor.extract(_people(3, 1, 2))
    order = [2, 0, 1]
    torch.testing.assert_close(back.id_embeds, there.id_embeds[order])
    for first, second in zip(there.id_vit_hidden_states, back.id_vit_hidden_states, strict=True):
        torch.testing.assert_close(second, first[order])
    np.testing.assert_array_equal(back.canvas_crops, there.canvas_crops[order])


def test_fusion_is_the_mean_direction_at_the_mean_norm() -> None:
    embeddings = torch.tensor([[3.0, 0.0], [0.0, 5.0]])
    torch.testing.assert_close(fuse_embeddings(embeddings), torch.full((2,), 4.0 / 2**0.5))
    torch.testing.assert_close(fuse_embeddings(embeddings[:1]), embeddings[0])


def test_several_photos_take_the_sharpest_for_everything_but_recognition() -> None:
    extractor = _extractor()
    sharp = noise_photo(7)
    blurred = np.asarray(Image.fromarray(noise_photo(8)).resize((9, 11)).resize((70, 90)))
    both = extractor.extract([IdentityPhotos(name="ana", images=[blurred, sharp])])
    only_sharp = extractor.extract([IdentityPhotos(name="ana", images=[sharp])])
    only_blurred = extractor.extract([IdentityPhotos(name="ana", images=[blurred])])
    np.testing.assert_array_equal(both.canvas_crops, only_sharp.canvas_crops)
    torch.testing.assert_close(both.id_embeds[:, 11:], only_sharp.id_embeds[:, 11:])
    torch.testing.assert_close(both.id_vit_hidden_states[2], only_sharp.id_vit_hidden_states[2])
    raw = torch.cat([only_blurred.recognition_embeds, only_sharp.recognition_embeds])
    expected = F.normalize(F.normalize(raw, dim=1).mean(0), dim=0) * raw.norm(dim=1).mean()
    torch.testing.assert_close(both.recognition_embeds[0], expected)
    assert [photo.label for photo in both.photos[0]] == ["photo 1 of ana", "photo 2 of ana"]


def test_a_photo_without_a_face_is_named_with_the_remedy() -> None:
    extractor = FacialExtractor(PlacedFaces(), tiny_recogniser(), tiny_encoder())
    person = IdentityPhotos(name="ben", images=[noise_photo(0)], labels=["photos/ben.png"])
    with pytest.raises(NoFaceError, match=r"photos/ben\.png.*ingredients world portrait --seed 7.*published weights"):
        extractor.extract([person])


def test_the_largest_face_is_taken_with_a_warning() -> None:
    identities = _extractor((0.0, 0.0, 30.0), (20.0, 30.0, 45.0)).extract(_people(0))
    assert identities.photos[0][0].face.box.tolist() == [20, 30, 65, 75]
    assert len(identities.photos[0][0].faces) == 2
    assert identities.warnings == (
        "photo 1 of person 0 shows 2 faces; the largest is taken for person 0 "
        "(`ingredients faces` draws their numbers).",
    )


@pytest.mark.parametrize(("choice", "left"), [("left", 0), ("right", 20), (1, 0), (2, 20), ("largest", 20)])
def test_a_face_can_be_chosen(choice: FaceChoice, left: float) -> None:
    extractor = _extractor((0.0, 0.0, 30.0), (20.0, 30.0, 45.0))
    chosen = extractor.extract([IdentityPhotos(name="ana", images=[noise_photo(0)], faces=[choice])])
    assert chosen.photos[0][0].face.box[0] == left
    assert chosen.warnings == ()


def test_a_face_that_is_not_there_cannot_be_chosen() -> None:
    extractor = _extractor((0.0, 0.0, 30.0), (20.0, 30.0, 45.0))
    with pytest.raises(PhotoError, match="photo 1 of ana shows 2 faces, so there is no face 3"):
        extractor.extract([IdentityPhotos(name="ana", images=[noise_photo(0)], faces=[3])])
    with pytest.raises(ValueError, match="1 photos but 2 choices"):
        IdentityPhotos(name="ana", images=[noise_photo(0)], faces=[1, 2])


@pytest.mark.parametrize("text", ["0", "-1", "middle", "", "1.5"])
def test_choices_are_words_or_numbers(text: str) -> None:
    assert parse_face_choice("left") == "left"
    assert parse_face_choice("12") == 12
    with pytest.raises(UserInputError, match="largest, left, right or a number"):
        parse_face_choice(text)


def test_a_small_face_is_warned_about() -> None:
    assert "only 12 pixels wide" in _extractor((3.0, 4.0, 12.0)).extract(_people(0)).warnings[0]


def test_one_face_under_two_names_is_noticed() -> None:
    extractor = _extractor()
    photo = noise_photo(3)
    people = [
        IdentityPhotos(name="ana", images=[photo]),
        IdentityPhotos(name="ben", images=[255 - photo]),
        IdentityPhotos(name="eva", images=[photo]),
    ]
    identities: ExtractedIdentities = extractor.extract(people)
    extractor.same_face_threshold = 0.9999
    ((first, second, cosine),) = extractor.same_faces(identities)
    assert (first, second) == ("ana", "eva")
    assert cosine == pytest.approx(1.0, abs=1e-5)


def test_photos_of_two_people_under_one_name_are_noticed() -> None:
    """The two that are least alike are named; one photo, or no threshold, is nothing to doubt."""
    extractor = _extractor()
    photo = noise_photo(3)
    labels = ["first.png", "second.png", "third.png"]
    person = IdentityPhotos(name="ana", images=[photo, photo, 255 - photo], labels=labels)
    embeds = F.normalize(
        torch.stack([seen.recognition_embedding for seen in extractor.extract([person]).photos[0]]), dim=1
    )
    cosine = float(embeds[0] @ embeds[2])
    assert cosine < 0.999
    extractor.different_face_threshold = cosine + 1e-3
    assert extractor.extract([person]).warnings == (
        f"first.png and third.png may show two people (similarity {cosine:.2f}, less than {cosine + 1e-3:g}), but are "
        "both given for ana; leave out the one that is somebody else.",
    )
    apart = [IdentityPhotos(name=name, images=[image]) for name, image in (("ana", photo), ("ben", 255 - photo))]
    assert extractor.extract(apart).warnings == ()
    for threshold in (cosine - 1e-3, None):
        extractor.different_face_threshold = threshold
        assert extractor.extract([person]).warnings == ()


def test_both_scale_sources_share_the_token_grid() -> None:
    joined = _extractor(scale_source="recognition_and_clip").extract(_people(0, 1))
    plain = _extractor().extract(_people(0, 1))
    assert [tuple(state.shape) for state in joined.id_vit_hidden_states] == [(2, 10, 12 + 10)] * 5
    for both, clip in zip(joined.id_vit_hidden_states, plain.id_vit_hidden_states, strict=True):
        torch.testing.assert_close(both[..., :12], clip)


def test_the_recognisers_maps_are_joined_shallow_to_deep() -> None:
    """Each scale has the map of its own depth, on the encoder's grid; the deepest of four serves twice."""
    extractor = _extractor(scale_source="recognition_and_clip")
    joined = extractor.extract(_people(0, 1)).id_vit_hidden_states
    assert isinstance(extractor.recogniser, ArcFaceRecogniser)
    landmarks = extractor.detector.detect(noise_photo(0))[0].landmarks
    crops = np.stack([extractor.recogniser.align(noise_photo(seed), landmarks) for seed in (0, 1)])
    assert isinstance(extractor.recogniser.network, ResidualFaceNetwork)
    maps = extractor.recogniser.network.feature_maps(crops_to_pixel_values(crops))  # (2, 4 6 8 10, 16 8 4 2, ..)
    for scale, feature_map in zip(joined, [*maps, maps[3]], strict=True):
        width = feature_map.shape[1]
        torch.testing.assert_close(scale[:, 0, 12 : 12 + width], feature_map.mean((2, 3)))
        grid = F.interpolate(feature_map, size=(3, 3), mode="bilinear", antialias=True)
        torch.testing.assert_close(scale[:, 1:, 12 : 12 + width], grid.flatten(2).transpose(1, 2))
        assert scale[..., 12 + width :].abs().sum() == 0


def test_a_recogniser_without_maps_cannot_serve_as_scale_source() -> None:
    class _Plain:
        crop_size, embedding_dim = 32, 11

    with pytest.raises(UserInputError, match="_Plain gives no feature maps, which scale_source"):
        FacialExtractor(PlacedFaces(), _Plain(), tiny_encoder(), scale_source="recognition_and_clip")  # type: ignore[arg-type]


def test_photos_and_labels_must_fit() -> None:
    with pytest.raises(ValueError, match="at least one photo"):
        IdentityPhotos(name="ana", images=[])
    with pytest.raises(ValueError, match="1 photos but 2 labels"):
        IdentityPhotos(name="ana", images=[noise_photo(0)], labels=["a", "b"])
