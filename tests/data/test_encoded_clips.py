import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLCogVideoX
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ingredients.core.errors import UserInputError
from ingredients.data.clip_encoder import ClipEncoder, describe, encode_all, vae_digest
from ingredients.data.encode_data_set import encode_into
from ingredients.data.encoded_clips import (
    DESCRIPTION_NAME,
    EMPTY_PROMPT_NAME,
    EncodedClips,
    MissingChecksumWarning,
    claim_folder,
    read_shard_size,
    shard_paths,
)
from ingredients.data.encoding_settings import EncoderConfig
from ingredients.data.latents import encode_clips, video_to_pixels
from ingredients.data.world_examples import draw_example
from ingredients.faces.alignment import crop_ffhq
from ingredients.faces.dlib_faces import DlibFaceRecogniser
from ingredients.faces.facial_extractor import scale_recogniser
from tests.data.encoding import (
    WORLD,
    ColourImageEncoder,
    ColourRecogniser,
    encode_captions,
    encode_world,
    tiny_encoder,
)


def test_what_was_drawn_and_encoded_is_read(clips: EncodedClips, tiny_vae: AutoencoderKLCogVideoX) -> None:
    assert len(clips) == 6
    for index in (0, 5):
        example = draw_example(index, WORLD)
        assert clips.entries[index].clip_id == example.clip_id == f"train-{index:08d}"
        assert clips.entries[index].person_ids == example.person_ids
        latents = encode_clips(tiny_vae, video_to_pixels(example.frames[None]))[0]
        torch.testing.assert_close(clips.tensor(index, "latents"), latents, atol=1e-5, rtol=1e-5)
        assert clips.caption(index) == example.caption
        assert torch.equal(clips.tensor(index, "prompt_embeds"), encode_captions([example.caption])[0])
        for person, kinds in enumerate(clips.entries[index].kinds):
            number = kinds.index("photo")
            photo = example.references[person][0]
            crop = crop_ffhq(photo.image, photo.landmarks, size=16)
            assert np.array_equal(clips.reference(index, person, number, "canvas_crop").numpy(), crop)
            features = ColourImageEncoder().encode(crop[None])
            states = clips.reference(index, person, number, "hidden_states")
            torch.testing.assert_close(states, torch.stack(features.hidden_states, dim=1)[0])
            tight = ColourRecogniser().align(photo.image, photo.landmarks)
            embeds = clips.reference(index, person, number, "embeds")
            torch.testing.assert_close(embeds[:6], ColourRecogniser().embed(tight[None])[0])
            assert float(embeds[6:].norm()) == pytest.approx(1.0, rel=1e-5)


def test_frames_of_the_clip_are_references_where_the_face_is_in_view(clips: EncodedClips) -> None:
    for index in range(6):
        example = draw_example(index, WORLD)
        for person, kinds in enumerate(clips.entries[index].kinds):
            in_view = np.isfinite(example.landmarks[:, person]).all(axis=(1, 2))
            assert kinds == (("frame",) if in_view.any() else ()) + ("photo", "photo")
            if in_view.any():
                crop = clips.reference(index, person, 0, "canvas_crop").numpy()
                candidates = [
                    crop_ffhq(example.frames[frame], example.landmarks[frame, person], size=16)
                    for frame in np.flatnonzero(in_view)
                ]
                assert any(np.array_equal(crop, candidate) for candidate in candidates)


def test_the_recognisers_maps_follow_the_image_encoders(tiny_vae: AutoencoderKLCogVideoX) -> None:
    encoder = tiny_encoder(tiny_vae, EncoderConfig(dtype="float32", scale_source="recognition_and_clip"))
    plain = tiny_encoder(tiny_vae)
    example = draw_example(1, WORLD)
    joined, alone = encoder.encode([example])[0], plain.encode([example])[0]
    assert joined.people[0].hidden_states.shape[1:] == (5, 4, 3 + 2)
    assert torch.equal(joined.people[0].hidden_states[..., :3], alone.people[0].hidden_states)
    photo = example.references[0][-1]  # the last of a person's references
    tight = encoder.recogniser.align(photo.image, photo.landmarks)[None]
    maps = scale_recogniser(encoder.recogniser).scale_features(tight, num_patches=4)  # five, each of other values
    for scale, feature_map in enumerate(maps):
        torch.testing.assert_close(joined.people[0].hidden_states[-1, scale, :, 3:], feature_map[0])


def test_a_recogniser_without_maps_is_named(tiny_vae: AutoencoderKLCogVideoX) -> None:
    """dlib's gives none."""
    with pytest.raises(UserInputError, match="The recogniser DlibFaceRecogniser gives no feature maps"):
        ClipEncoder(
            vae=tiny_vae,
            encode_prompts=encode_captions,
            recogniser=DlibFaceRecogniser(),
            image_encoder=ColourImageEncoder(),
            canvas_crop_size=16,
            patch_size=2,
            config=EncoderConfig(scale_source="recognition_and_clip"),
        )


def test_a_stopped_run_goes_on_and_finished_shards_are_kept(
    encoded_folder: Path, tmp_path: Path, tiny_vae: AutoencoderKLCogVideoX
) -> None:
    folder = tmp_path / "encoded"
    shutil.copytree(encoded_folder, folder)
    first, second = shard_paths(folder)
    second.unlink()
    written = first.stat().st_mtime_ns
    encode_world(folder, tiny_vae, number=6)
    assert_same_shard(second, encoded_folder / second.name)
    assert first.stat().st_mtime_ns == written


def test_a_last_shard_grows_with_its_data_set(tmp_path: Path, tiny_vae: AutoencoderKLCogVideoX) -> None:
    encode_world(tmp_path, tiny_vae, number=6)
    whole = shard_paths(tmp_path)[0].stat().st_mtime_ns
    encode_world(tmp_path, tiny_vae, number=9)
    assert [entry.clip_id for entry in EncodedClips([tmp_path]).entries] == [f"train-{seed:08d}" for seed in range(9)]
    assert shard_paths(tmp_path)[0].stat().st_mtime_ns == whole


def assert_same_shard(path: Path, other: Path) -> None:
    """Tensors and metadata alike; the order in the file is the library's."""
    with safe_open(path, framework="pt") as first, safe_open(other, framework="pt") as second:
        assert first.metadata() == second.metadata()
        assert set(first.keys()) == set(second.keys())
        for key in first.keys():  # noqa: SIM118 - safe_open is no mapping
            torch.testing.assert_close(first.get_tensor(key), second.get_tensor(key), rtol=0, atol=0, equal_nan=True)


def test_two_machines_share_the_work(tmp_path: Path, tiny_vae: AutoencoderKLCogVideoX, encoded_folder: Path) -> None:
    encoder = tiny_encoder(tiny_vae)
    for part in ((0, 2), (1, 2)):
        items = ((str(seed), lambda seed=seed: draw_example(seed, WORLD)) for seed in range(6))
        encode_into(tmp_path, items, encoder, batch_size=3, shard_size=4, part=part)
        assert len(shard_paths(tmp_path)) == part[0] + 1
    for path in shard_paths(tmp_path):
        assert_same_shard(path, encoded_folder / path.name)


def test_a_clip_that_cannot_be_used_is_left_out_or_ends_the_run(
    tmp_path: Path, tiny_vae: AutoencoderKLCogVideoX
) -> None:
    def read(seed: int):
        if seed == 1:
            raise UserInputError("It has no caption.")
        return draw_example(seed, WORLD)

    def items():
        return ((f"clip {seed}", lambda seed=seed: read(seed)) for seed in range(3))

    reports: list[tuple[str, str]] = []
    encoder = tiny_encoder(tiny_vae)
    claim_folder(tmp_path, {"parts": {}, "widths": {}}, encoder.encode_captions([""])[0])
    with pytest.raises(UserInputError, match=r"clip 1 cannot be used: It has no caption"):
        encode_into(tmp_path, items(), encoder, on_bad="stop")
    assert not shard_paths(tmp_path)
    for _ in range(2):  # the second time from what is there
        assert encode_into(tmp_path, items(), encoder, on_bad_input=lambda *report: reports.append(report)) == 1
    assert reports == [("clip 1", "It has no caption.")] * 2
    assert read_shard_size(shard_paths(tmp_path)[0]) == (2, {"clip 1": "It has no caption."})
    assert len(EncodedClips([tmp_path])) == 2


def test_what_was_encoded_otherwise_is_refused(encoded_folder: Path, tmp_path: Path) -> None:
    embeds = torch.zeros(20, 8)
    description = json.loads((encoded_folder / DESCRIPTION_NAME).read_text())
    claim_folder(encoded_folder, description, embeds)
    for group, key in (("parts", "vae"), ("encoder", "scale_source"), ("source", "seeds")):
        changed = json.loads(json.dumps(description))
        changed[group][key] = "other"
        with pytest.raises(UserInputError, match=rf"differ in {group}\.{key}"):
            claim_folder(encoded_folder, changed, embeds)
    clips = EncodedClips([encoded_folder])
    clips.check_parts({"vae": "tiny"})
    with pytest.raises(UserInputError, match="encoded by another vae"):
        clips.check_parts({"vae": "large"})
    with pytest.raises(UserInputError, match="no encoded clips"):
        EncodedClips([tmp_path])


def test_folders_whose_lent_faces_were_chosen_otherwise_are_refused(
    tmp_path: Path, tiny_vae: AutoencoderKLCogVideoX
) -> None:
    encoder, embeds = tiny_encoder(tiny_vae), torch.zeros(20, 8)
    without, lent = (describe(encoder, parts={}, source={}, reading={"lent_references": number}) for number in (0, 1))
    before = json.loads(json.dumps(lent))
    del before["reading"]["lent_faces"]
    claim_folder(tmp_path, before, embeds)
    with pytest.raises(UserInputError, match=r"differ in reading\.lent_faces"):
        claim_folder(tmp_path, lent, embeds)
    assert without["reading"] == {}


def test_clips_of_one_name_are_refused(encoded_folder: Path, tmp_path: Path, tiny_vae: AutoencoderKLCogVideoX) -> None:
    with pytest.raises(
        UserInputError,
        match=r"clips train-00000000, train-00000001, train-00000002 and 3 more are there more than once",
    ):
        EncodedClips([encoded_folder, encoded_folder])
    other = tmp_path / "other"
    other.mkdir()
    encode_world(other, tiny_vae, number=5, first_seed=4)
    with pytest.raises(
        UserInputError,
        match=rf"clips train-00000004, train-00000005 are .* in {encoded_folder} and {other}; name each folder once",
    ):
        EncodedClips([encoded_folder, other])
    apart = tmp_path / "apart"
    apart.mkdir()
    encode_world(apart, tiny_vae, number=2, first_seed=6)
    assert len(EncodedClips([encoded_folder, apart])) == 8


def test_a_damaged_shard_is_named(encoded_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "encoded"
    shutil.copytree(encoded_folder, folder)
    path = shard_paths(folder)[1]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserInputError, match=rf"{path.name} (are damaged|cannot be read)"):
        EncodedClips([folder])


def test_a_damaged_shard_is_named_when_encoding_goes_on(
    encoded_folder: Path, tmp_path: Path, tiny_vae: AutoencoderKLCogVideoX
) -> None:
    folder = tmp_path / "encoded"
    shutil.copytree(encoded_folder, folder)
    path = shard_paths(folder)[0]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserInputError, match=rf"{path.name} are damaged .*delete the file"):
        encode_world(folder, tiny_vae, number=6)


def read_all(folder: Path) -> None:
    """Reads every tensor of a folder."""
    clips = EncodedClips([folder])
    for index, entry in enumerate(clips.entries):
        for name in (
            "latents",
            "prompt_embeds",
            "face_landmarks",
            "routing_targets",
            "box_targets",
            "nearest_targets",
        ):
            clips.tensor(index, name)
        for person, kinds in enumerate(entry.kinds):
            for number in range(len(kinds)):
                for name in ("embeds", "hidden_states", "canvas_crop"):
                    clips.reference(index, person, number, name)


def test_every_changed_byte_is_noticed(encoded_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "encoded"
    shutil.copytree(encoded_folder, folder)
    read_all(folder)
    rng = np.random.default_rng(0)
    for name in (shard_paths(folder)[1].name, EMPTY_PROMPT_NAME):
        path = folder / name
        whole = path.read_bytes()
        size_of_header = 8 + int.from_bytes(whole[:8], "little")
        places = [*rng.integers(8, size_of_header, size=60), *rng.integers(size_of_header, len(whole), size=20)]
        for place in places:
            if whole[place : place + 1].isspace():
                continue  # spaces fill the header up
            damaged = bytearray(whole)
            damaged[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(damaged)
            with pytest.raises(UserInputError, match=path.name):
                read_all(folder)
        path.write_bytes(whole)
    read_all(folder)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda clips: clips[0].update(caption="somebody else waves"), "checksum of its metadata"),
        (lambda clips: clips[0]["people"][0].update(kinds=["photo", "frame", "photo"]), "checksum of its metadata"),
        (lambda clips: clips[1].update(latent_shape=[3, 3, 12, 8]), "checksum of its metadata"),
    ],
)
def test_a_changed_list_of_clips_is_noticed(
    change: Callable[[list[dict[str, Any]]], None], complaint: str, encoded_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "encoded"
    shutil.copytree(encoded_folder, folder)
    path = shard_paths(folder)[1]
    rewrite(path, change)
    with pytest.raises(UserInputError, match=rf"{path.name} are damaged \(.*{complaint}.*delete the file"):
        EncodedClips([folder])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda clips: clips[0].pop("caption"), r"clips\[0\] needs the setting 'caption'"),
        (lambda clips: clips[0]["people"][1].update(kinds=["film"]), r"clips\[0\]\.people\[1\]\.kinds.*'film'"),
        (lambda clips: clips[0]["people"][1]["kinds"].pop(), "tensors differ in 0/1/"),
        (
            lambda clips: clips[1].update(latent_shape=[3, 3, 12, 8]),
            r"latents of .* shape \[3, 3, .*not \[3, 3, 12, 8",
        ),
        (lambda clips: clips[0].update(clip_id=5), "clip_id must be of type str, not 5"),
        (lambda clips: clips.append({}), r"clips\[2\] needs"),
        (lambda clips: clips.pop(), "tensors differ in 1/"),
    ],
)
def test_a_list_of_clips_without_a_checksum_must_fit_its_tensors(
    change: Callable[[list[dict[str, Any]]], None], complaint: str, encoded_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "encoded"
    shutil.copytree(encoded_folder, folder)
    path = shard_paths(folder)[1]
    rewrite(path, change, keep=("format", "clips", "skipped"))
    with pytest.raises(UserInputError, match=rf"{path.name} .*damaged.*{complaint}"):
        EncodedClips([folder])


def rewrite(
    path: Path, change: Callable[[list[dict[str, Any]]], Any] | None = None, *, keep: Sequence[str] | None = None
) -> None:
    """Changes a shard's list of clips and leaves its tensors; `keep` are the metadata that stay."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    clips = json.loads(metadata["clips"])
    if change is not None:
        change(clips)
    metadata = {name: text for name, text in metadata.items() if keep is None or name in keep}
    save_file(load_file(path), path, metadata=metadata | {"clips": json.dumps(clips)})


def test_shards_from_before_there_were_checksums_are_read_with_a_warning(encoded_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "encoded"
    shutil.copytree(encoded_folder, folder)
    rewrite(shard_paths(folder)[1], keep=("format", "clips", "skipped"))
    with pytest.warns(MissingChecksumWarning, match=f"1 of 2 shards in {folder}"):
        old = EncodedClips([folder])
    new = EncodedClips([encoded_folder])
    assert old.entries[5].latent_shape == new.entries[5].latent_shape
    assert torch.equal(old.tensor(5, "latents"), new.tensor(5, "latents"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[" * 5000, "lists and objects within each other"),
        ("[]", "must hold names and values"),
        ('{"format": "1", "parts": {}, "widths": {}}', "format must be of type int, not '1'"),
        ('{"format": 1, "parts": {"vae": 3}, "widths": {}}', r"parts\.vae must be of type str"),
        ('{"format": 1, "parts": {}, "widths": {"id_vit_dim": "3"}}', r"widths\.id_vit_dim must be of type int"),
        ('{"format": 2, "parts": {}, "widths": {}}', "of another version"),
        ("\xff", "UTF-8"),
    ],
)
def test_a_damaged_description_is_named(text: str, complaint: str, encoded_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "encoded"
    shutil.copytree(encoded_folder, folder)
    (folder / DESCRIPTION_NAME).write_text(text, encoding="latin-1")
    with pytest.raises(UserInputError, match=rf"{folder}.*{complaint}"):
        EncodedClips([folder])


def test_a_clip_with_a_person_without_a_reference_is_left_out(
    tmp_path: Path, tiny_vae: AutoencoderKLCogVideoX
) -> None:
    example = draw_example(0, WORLD)
    without_photos = dataclasses.replace(example, references=((),) * example.num_people)
    hidden = dataclasses.replace(without_photos, landmarks=np.full_like(example.landmarks, np.nan))
    for number, (config, examples) in enumerate(
        (
            (EncoderConfig(dtype="float32", num_frame_references=0), {"a": example, "b": without_photos}),
            (EncoderConfig(dtype="float32"), {"a": example, "b": hidden}),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        items = ((name, lambda each=each: each) for name, each in examples.items())
        assert encode_into(folder, items, tiny_encoder(tiny_vae, config)) == 1
        (reason,) = read_shard_size(shard_paths(folder)[0])[1].values()
        assert reason.startswith("Person 0 has no reference: no photo shows the face, and ")


def test_clips_of_one_size_are_encoded_together(tiny_vae: AutoencoderKLCogVideoX) -> None:
    sizes = (WORLD, WORLD, dataclasses.replace(WORLD, num_frames=1), WORLD)
    examples = [draw_example(seed, world) for seed, world in enumerate(sizes)]
    encoder = tiny_encoder(tiny_vae)
    together = list(encode_all(encoder, examples, batch_size=8))
    assert [clip.latents.shape[0] for clip in together] == [3, 3, 1, 3]
    assert [clip.clip_id for clip in together] == [example.clip_id for example in examples]


def test_the_decoder_does_not_change_the_digest(tiny_vae: AutoencoderKLCogVideoX) -> None:
    other = AutoencoderKLCogVideoX.from_config(tiny_vae.config)
    other.load_state_dict(tiny_vae.state_dict())
    torch.nn.init.ones_(other.decoder.conv_out.conv.weight)
    assert vae_digest(other) == vae_digest(tiny_vae) == vae_digest(other.half())
    torch.nn.init.ones_(other.encoder.conv_out.conv.weight)
    assert vae_digest(other) != vae_digest(tiny_vae)
