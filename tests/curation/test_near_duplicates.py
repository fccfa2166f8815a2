"""What shows nearly the same is found by embeddings, among clips with the same people."""

import numpy as np
import pytest

from ingredients.core.errors import ModelFolderError
from ingredients.curation.config import DuplicatesConfig
from ingredients.curation.near_duplicates import (
    EmbeddedClip,
    find_near_duplicates,
    from_text,
    least_likeness,
    likeness,
    open_embedder,
    to_text,
)
from ingredients.world import EACH_OWN, render_scene, sample_scene

CONFIG = DuplicatesConfig()


def clip(name: str, frames: np.ndarray, people: str = "ab", *, shot: str = "", num_pixels: int = 100) -> EmbeddedClip:
    return EmbeddedClip(
        clip_id=name, shot=shot or name, num_pixels=num_pixels, people=frozenset(people), frames=frames
    )


def embeds(*angles: float) -> np.ndarray:
    """Frames whose cosine is that of the difference of their angles, in degrees."""
    return np.array([(np.cos(np.radians(each)), np.sin(np.radians(each)), 0.0) for each in angles], np.float32)


def test_the_largest_of_those_that_are_alike_stays() -> None:
    clips = [clip("a", embeds(0, 10)), clip("b", embeds(5, 8, 12), num_pixels=200), clip("c", embeds(80, 90))]
    found = find_near_duplicates(clips, CONFIG)
    assert list(found) == ["a"]
    assert str(found["a"].value).startswith("b, cosine 0.99")


def test_other_people_and_parts_of_one_shot_are_no_near_duplicates() -> None:
    frames = embeds(0, 10)
    assert not find_near_duplicates([clip("a", frames), clip("b", frames, "ac")], CONFIG)
    assert not find_near_duplicates([clip("a", frames, shot="1"), clip("b", frames, shot="1")], CONFIG)
    assert not find_near_duplicates([], CONFIG)
    near, nobody = embeds(0, 30), ""
    assert find_near_duplicates([clip("a", near), clip("b", embeds(20, 60))], CONFIG)
    assert not find_near_duplicates([clip("a", near, nobody), clip("b", embeds(20, 60), nobody)], CONFIG)


def test_what_is_kept_is_read_as_it_was() -> None:
    frames = embeds(3, 33, 90)
    assert np.allclose(from_text(to_text(frames)), frames, atol=2e-3)


def test_a_scene_in_another_shape_is_nearly_the_same_and_another_one_is_not() -> None:
    embed = open_embedder("drawn")
    wide, upright, other = (
        embed(render_scene(sample_scene(seed, style=EACH_OWN), height=height, width=width, num_frames=5).frames)
        for seed, height, width in ((4, 96, 144), (4, 144, 96), (5, 96, 144))
    )
    assert likeness(wide, upright) > least_likeness(clip("a", wide), CONFIG) > likeness(wide, other)


def test_a_folder_without_a_clip_is_named(tmp_path: object) -> None:
    with pytest.raises(ModelFolderError, match="holds no CLIP"):
        open_embedder(str(tmp_path))


def test_a_clip_of_transformers_embeds_frames(tmp_path: object) -> None:
    from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
                              image_size=32, patch_size=16, projection_dim=12)  # fmt: skip
    CLIPVisionModelWithProjection(config).save_pretrained(str(tmp_path))
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(
        str(tmp_path)
    )
    frames = np.random.default_rng(0).integers(0, 255, (3, 40, 60, 3), dtype=np.uint8)
    found = open_embedder(str(tmp_path))(frames)
    assert found.shape == (3, 12)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
