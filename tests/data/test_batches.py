import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLCogVideoX

from ingredients.core.errors import UserInputError
from ingredients.data.batches import draw_batch, draw_reference
from ingredients.data.encoded_clips import EncodedClips
from ingredients.data.sampling import SampleDraw, SampleOrder
from ingredients.data.world_examples import draw_example
from ingredients.training.loop.stage import StepPosition
from ingredients.training.stages.clip_data import ClipData
from ingredients.training.stages.settings import AlignmentConfig
from ingredients.world import EACH_OWN
from tests.data.encoding import WORLD, encode_world, find_words
from tests.models.tiny import tiny_cogvideox_vae


def draws(clips: EncodedClips, number: int, *, seed: int = 0) -> list[SampleDraw]:
    ids = [entry.clip_id for entry in clips.entries]
    return SampleOrder(list(clips.buckets().values()), ids, seed=seed).draw(number)


def test_a_sample_is_the_same_whatever_batch_it_is_in(clips: EncodedClips) -> None:
    samples = draws(clips, 5)
    whole = draw_batch(clips, samples, caption_drop=0.5)
    for row, sample in enumerate(samples):
        alone = draw_batch(clips, [sample], caption_drop=0.5)
        assert alone.references == [whole.references[row]]
        assert alone.captions == [whole.captions[row]]
        num_people = len(alone.references[0])
        for name in ("latents", "noise", "levels", "prompt_embeds", "routing_targets", "nearest_targets"):
            assert torch.equal(getattr(alone, name)[0], getattr(whole, name)[row]), name
        assert torch.equal(alone.people.id_embeds[0], whole.people.id_embeds[row, :num_people])
        assert not whole.people.id_mask[row, num_people:].any()
        assert np.array_equal(alone.canvas_crops[0], whole.canvas_crops[row])
    shared = draw_batch(clips, samples, noise_sharing=1.0).noise
    assert torch.equal(shared[:, 1:], shared[:, :1].expand_as(shared[:, 1:]))
    assert not torch.equal(shared[0], shared[1])
    other = draw_batch(clips, draws(clips, 5, seed=1))
    assert not torch.equal(other.noise, whole.noise)


def test_targets_follow_the_order_of_the_photos(clips: EncodedClips) -> None:
    orders = set()
    for sample in draws(clips, 40):
        batch = draw_batch(clips, [sample])
        people = torch.randperm(len(batch.references[0]), generator=sample.generator("order")).tolist()
        orders.add(tuple(people))
        for name in ("routing_targets", "nearest_targets"):
            stored, drawn = clips.tensor(sample.index, name), getattr(batch, name)[0]
            for identity, person in enumerate(people):
                assert torch.equal(drawn == identity, stored == person)
            assert torch.equal(drawn == -1, stored == -1)
        landmarks = clips.tensor(sample.index, "face_landmarks")[people]
        assert torch.equal(batch.face_landmarks[0].nan_to_num(0), landmarks.nan_to_num(0))
    assert {(0, 1), (1, 0)} <= orders


def test_captions_are_dropped_as_often_as_asked(clips: EncodedClips) -> None:
    batch = draw_batch(clips, draws(clips, 600), caption_drop=0.1)
    empty = torch.tensor([caption == "" for caption in batch.captions])
    assert abs(float(empty.float().mean()) - 0.1) < 0.04
    assert torch.equal(batch.prompt_embeds[empty], clips.empty_prompt_embeds.expand(int(empty.sum()), -1, -1))


def test_references_come_from_where_they_are_asked_for(clips: EncodedClips) -> None:
    kinds: dict[str, Counter[str]] = {"same_clip": Counter(), "other": Counter(), "any": Counter()}
    for sample in draws(clips, 60):
        for source, counter in kinds.items():
            index, person, number = draw_reference(clips, sample, 0, source=source)  # type: ignore[arg-type]
            assert index == sample.index  # nobody of these few clips is in two of them
            counter[clips.entries[index].kinds[person][number]] += 1
    assert set(kinds["same_clip"]) == {"frame"}
    assert set(kinds["other"]) == {"photo"}
    assert set(kinds["any"]) == {"frame", "photo"}


def test_another_clip_of_the_person_lends_a_reference(clips: EncodedClips) -> None:
    sample = draws(clips, 1)[0]
    person_id = clips.entries[sample.index].person_ids[0]
    elsewhere = (sample.index + 1) % len(clips)
    known = clips.by_person[person_id]
    known.append((elsewhere, 0))
    try:
        found = {
            draw_reference(clips, each, 0, source="other")[0]
            for each in draws(clips, 60)
            if each.index == sample.index
        }
    finally:
        known.pop()
    assert found == {sample.index, elsewhere}


def test_images_are_the_first_latent_frame(clips: EncodedClips) -> None:
    samples = draws(clips, 3)
    whole, images = draw_batch(clips, samples), draw_batch(clips, samples, is_image=True)
    assert torch.equal(images.latents, whole.latents[:, :1])
    assert torch.equal(images.routing_targets, whole.routing_targets[:, : 8 * 12])
    assert images.noise.shape == images.latents.shape


@pytest.fixture(scope="module")
def shared_frames(tmp_path_factory: pytest.TempPathFactory, tiny_vae: AutoencoderKLCogVideoX) -> EncodedClips:
    """Three frames of each clip, the same ones for all of its people."""
    folder = tmp_path_factory.mktemp("shared")
    encode_world(folder, tiny_vae, number=6, num_frame_references=3, frame_choice="shared")
    return EncodedClips([folder])


def test_all_people_of_a_clip_come_from_one_frame_that_is_drawn_anew_each_epoch(shared_frames: EncodedClips) -> None:
    """3.3: a random frame is selected, from which all references come; a function of seed, epoch and clip."""
    clips = shared_frames
    drawn: dict[int, set[int | None]] = {}
    for sample in draws(clips, 90):
        (batch,) = [draw_batch(clips, [sample], reference_source="same_frame")]
        entry = clips.entries[sample.index]
        frames = {entry.frames[person][number] for _, person, number in batch.references[0]}
        kinds = {entry.kinds[person][number] for _, person, number in batch.references[0]}
        is_together = any(
            all(frame in each for each in entry.frames) for frame in entry.frames[0] if frame is not None
        )
        assert len(frames) == 1 or not is_together
        assert kinds == {"frame"}
        drawn.setdefault(sample.index, set()).update(frames)
        again = draw_batch(clips, [sample], reference_source="same_frame")
        assert again.references == batch.references
    assert len(drawn) == 6
    assert max(map(len, drawn.values())) == 3
    other = [draw_batch(clips, [each], reference_source="same_frame").references for each in draws(clips, 30, seed=1)]
    assert other != [draw_batch(clips, [each], reference_source="same_frame").references for each in draws(clips, 30)]


def test_shared_frames_show_the_most_people_first(shared_frames: EncodedClips) -> None:
    for index, entry in enumerate(shared_frames.entries):
        landmarks = draw_example(index, WORLD).landmarks
        in_view = np.isfinite(landmarks).all(axis=(2, 3))  # (F, N)
        chosen = {frame for frames in entry.frames for frame in frames if frame is not None}
        best = np.sort(in_view.sum(axis=1))[::-1][:3]
        assert sorted(in_view[sorted(chosen)].sum(axis=1), reverse=True)[:3] == best.tolist()
        for person, frames in enumerate(entry.frames):
            assert all(in_view[frame, person] for frame in frames if frame is not None)
            assert [frame is None for frame in frames] == [kind == "photo" for kind in entry.kinds[person]]


def test_clips_of_earlier_versions_have_no_frames_to_draw_together(clips: EncodedClips) -> None:
    """There, the people are taken from frames of the clip, each from its own."""
    for sample in draws(clips, 12):
        assert draw_reference(clips, sample, 0, source="same_frame")[0] == sample.index


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> EncodedClips:
    """Clips of roles, each latent frame of which is a picture, in patches of two."""
    folder = tmp_path_factory.mktemp("pictures")
    world = dataclasses.replace(WORLD, num_frames=5, style=EACH_OWN.name)
    vae = tiny_cogvideox_vae(temporal_compression_ratio=1)
    encode_world(folder, vae, number=4, world=world, patch_size_t=2)
    return EncodedClips([folder])


def test_words_that_stand_for_people_follow_the_order_of_the_photos(pictures: EncodedClips) -> None:
    world = dataclasses.replace(WORLD, num_frames=5, style=EACH_OWN.name)
    examples = [draw_example(index, world) for index in range(4)]
    assert any(phrase for example in examples for phrase in example.phrases)
    for sample in draws(pictures, 12):
        batch = draw_batch(pictures, [sample], patch_size_t=2)
        example = examples[sample.index]
        assert batch.phrase_tokens is not None
        people = torch.randperm(len(example.phrases), generator=sample.generator("order"))
        assert torch.equal(batch.phrase_tokens[0], find_words(example.caption, example.phrases)[people])
    whole = draw_batch(pictures, draws(pictures, 4), patch_size_t=2)
    assert whole.phrase_tokens is not None
    assert whole.phrase_tokens.shape == (4, whole.people.id_mask.shape[1], 20)
    assert not whole.phrase_tokens[~whole.people.id_mask].any()
    dropped = draw_batch(pictures, draws(pictures, 4), patch_size_t=2, caption_drop=1.0)
    assert dropped.phrase_tokens is not None
    assert not dropped.phrase_tokens.any()


def test_the_clip_with_the_most_people_may_say_nothing_of_them(pictures: EncodedClips) -> None:
    """As curated clips of four people do: no place in the picture names each of them."""
    clips = EncodedClips(pictures.folders)
    most = max(range(len(clips)), key=lambda index: len(clips.entries[index].person_ids))
    clips.entries[most] = dataclasses.replace(clips.entries[most], also=("frame_landmarks",))
    batch = draw_batch(clips, draws(clips, 4), patch_size_t=2)
    assert batch.phrase_tokens is not None
    assert batch.phrase_tokens.shape == (*batch.people.id_mask.shape, 20)
    [row] = [row for row, draw in enumerate(batch.draws) if draw.index == most]
    assert batch.people.id_mask[row].all()
    assert not batch.people.id_mask[np.arange(4) != row].all()
    assert not batch.phrase_tokens[row].any()
    assert batch.phrase_tokens.any()


def test_an_image_is_any_frame_of_a_clip_of_pictures(pictures: EncodedClips) -> None:
    shown = set()
    for sample in draws(pictures, 60):
        batch = draw_batch(pictures, [sample], is_image=True, patch_size_t=2)
        latents = pictures.tensor(sample.index, "latents")
        assert torch.equal(batch.latents[0, 0], batch.latents[0, 1])
        (frame,) = [index for index, each in enumerate(latents) if torch.equal(each, batch.latents[0, 0])]
        shown.add(frame)
        order = torch.randperm(len(batch.references[0]), generator=sample.generator("order"))
        landmarks = pictures.tensor(sample.index, "frame_landmarks")[frame][order]
        assert torch.equal(batch.face_landmarks[0].nan_to_num(-1), landmarks.nan_to_num(-1))
        stored = pictures.tensor(sample.index, "routing_targets").view(3, -1)[(frame + 1) // 2]  # one copy in front
        for identity, person in enumerate(order.tolist()):
            assert torch.equal(batch.routing_targets[0] == identity, stored == person)
    assert shown == set(range(5))


def test_a_piece_begins_with_a_frame_of_tokens_of_its_clip(pictures: EncodedClips) -> None:
    begun = set()
    for sample in draws(pictures, 30):
        batch = draw_batch(pictures, [sample], num_frames=3, patch_size_t=2)
        latents = pictures.tensor(sample.index, "latents").float()
        (first,) = [index for index, each in enumerate(latents) if torch.equal(each, batch.latents[0, 0])]
        begun.add(first)
        assert torch.equal(batch.latents[0], torch.cat([latents[first, None], latents[first : first + 3]]))
        assert batch.num_padding_frames == 1
        order = torch.randperm(len(batch.references[0]), generator=sample.generator("order"))
        landmarks = pictures.tensor(sample.index, "frame_landmarks")[first][order]
        assert torch.equal(batch.face_landmarks[0].nan_to_num(-1), landmarks.nan_to_num(-1))
        for name, found in (("routing_targets", batch.routing_targets), ("nearest_targets", batch.nearest_targets)):
            stored = pictures.tensor(sample.index, name).view(3, -1)[first // 2 :][:2].flatten()
            for identity, person in enumerate(order.tolist()):
                assert torch.equal(found[0] == identity, stored == person)
    assert begun == {0, 2}
    (sample,) = draws(pictures, 1)
    whole, longer = (draw_batch(pictures, [sample], num_frames=each, patch_size_t=2) for each in (None, 9))
    assert torch.equal(whole.latents, longer.latents)
    assert torch.equal(whole.noise, longer.noise)


def test_frames_of_tokens_share_noise_and_the_frames_within_them_do_not(pictures: EncodedClips) -> None:
    batch = draw_batch(pictures, draws(pictures, 2), patch_size_t=2, noise_sharing=1.0)
    noise = batch.noise[1]
    assert len(noise) == 6
    assert torch.equal(noise, noise[:2].repeat(3, 1, 1, 1))
    assert not torch.equal(noise[0], noise[1])


def test_a_piece_of_other_clips_is_their_beginning(clips: EncodedClips) -> None:
    samples = draws(clips, 3)
    whole, pieces = draw_batch(clips, samples), draw_batch(clips, samples, num_frames=2)
    assert torch.equal(pieces.latents, whole.latents[:, :2])
    assert torch.equal(pieces.routing_targets, whole.routing_targets[:, : 2 * 8 * 12])
    assert torch.equal(pieces.face_landmarks.nan_to_num(-1), whole.face_landmarks.nan_to_num(-1))


def test_training_takes_pieces_and_measuring_whole_clips(pictures: EncodedClips) -> None:
    def data(num_frames: int) -> ClipData:
        config = AlignmentConfig(batch_size=2, clip_frames=num_frames, num_validation_batches=1)
        return ClipData(pictures, pictures, config, vit_dim=None, patch_size_t=2, noise_sharing=0.0)

    (batch,) = data(3).draw(StepPosition(step=0, progress=0.0, seed=0))
    ((held_out,),) = data(3).held_out_batches()
    assert (batch.latents.shape[1], held_out.latents.shape[1]) == (4, 6)
    with pytest.raises(UserInputError, match=r"Pieces of 2 .* clips of 5, .* set stage\.clip_frames to 1, or to 3"):
        data(2)


def test_clips_without_phrases_say_so(clips: EncodedClips) -> None:
    assert draw_batch(clips, draws(clips, 3)).phrase_tokens is None
    assert clips.entries[0].also == ()
