"""Downloads, from a hub on this computer: what is fetched, what is kept, and what is said when it cannot be."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants

from ingredients.core.errors import HubError, ModelFolderError
from ingredients.model_folders import resumable_download
from ingredients.model_folders.find_model import default_model_path, find_model, find_model_here
from ingredients.model_folders.hub import download, fetch, find_downloaded, plan_download, size_on_disk, verify
from ingredients.model_folders.hub_model import HubModel, format_size, parse_hub_id
from ingredients.model_folders.known_models import KNOWN_MODELS, find_known_model
from ingredients.model_folders.needed_files import needed_files
from ingredients.pipelines.loading import load_pipeline
from tests.model_folders.hub_server import COMMIT, Hub, point_at, run_hub
from tests.pipelines.stand_ins import make_face_stack, make_pipeline

MODEL = HubModel(repo_id="someone/people")
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
NOT_READ = ["transformer/diffusion_pytorch_model.bin", "assets/picture.png", "face_encoder/notes.md"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "people"
    make_pipeline(face_encoder=make_face_stack()).save_pretrained(folder)
    for name in NOT_READ:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"not read" * 99)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def hub(saved: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    copy = tmp_path / "people"
    shutil.copytree(saved, copy)
    with run_hub(copy, MODEL.repo_id) as server:
        point_at(server.url, cache, monkeypatch)
        yield server


def go_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


# What is needed


def test_a_published_repository() -> None:
    names = [
        "README.md",
        "model_index.json",
        "asserts/0.jpg",
        "transformer/config.json",
        "transformer_ema/config.json",
        "transformer_ema/diffusion_pytorch_model-00001-of-00002.bin",
        "transformer_ema/diffusion_pytorch_model-00002-of-00002.bin",
        "transformer_ema/diffusion_pytorch_model.bin.index.json",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.bin",
        "text_encoder/config.json",
        "text_encoder/model-00001-of-00002.safetensors",
        "text_encoder/model-00002-of-00002.safetensors",
        "text_encoder/model.safetensors.index.json",
        "text_encoder/pytorch_model.bin.index.json",
        "tokenizer/spiece.model",
        "tokenizer/tokenizer_config.json",
        "scheduler/scheduler_config.json",
        "face_encoder/EVA02_CLIP_L_336_psz14_s6B.pt",
        "face_encoder/detection_Resnet50_Final.pth",
        "face_encoder/models/antelopev2/1k3d68.onnx",
        "face_encoder/models/antelopev2/glintr100.onnx",
        "face_encoder/models/antelopev2/scrfd_10g_bnkps.onnx",
    ]
    unread = {
        "asserts/0.jpg",
        "transformer/config.json",
        "vae/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.bin",
        "text_encoder/pytorch_model.bin.index.json",
        "face_encoder/detection_Resnet50_Final.pth",
        "face_encoder/models/antelopev2/1k3d68.onnx",
    }
    assert sorted(needed_files(names)) == sorted(set(names) - unread)


def test_of_several_image_towers_one_is_needed() -> None:
    tower = "face_encoder/EVA02_CLIP_L_336_psz14_s6B"
    names = ["face_encoder/models/antelopev2/glintr100.onnx", f"{tower}.pt", f"{tower}.safetensors"]
    assert needed_files(names) == [names[0], names[2]]


def test_everything_that_the_shipped_model_has_is_needed() -> None:
    folder = default_model_path()
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    assert sorted(needed_files(names)) == sorted(name for name in names if not name.startswith("training/"))


def test_exactly_what_is_needed_is_downloaded_and_loads(hub: Hub, cache: Path) -> None:
    plan = plan_download(MODEL)
    assert plan.commit == COMMIT
    assert plan.num_missing_bytes == plan.num_bytes == sum(file.size for file in plan.files) > 100_000
    folder = download(plan)
    verify(plan, folder)
    got = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    everything = {entry["path"] for entry in hub.entries()}
    assert got == everything - set(NOT_READ) == {file.name for file in plan.files}
    assert cache in folder.parents
    assert size_on_disk(MODEL) >= plan.num_bytes
    loaded = load_pipeline(MODEL.repo_id, device="cpu")
    for name, tensor in make_pipeline().transformer.state_dict().items():
        assert torch.equal(loaded.transformer.state_dict()[name], tensor)


def test_what_is_here_is_found_without_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fetch(MODEL)
    num_requests = len(hub.served)
    assert plan_download(MODEL).num_missing_bytes == 0
    hub.newest = "f" * 40  # somebody changes the repository
    go_offline(monkeypatch)
    assert find_downloaded(MODEL) == find_model(MODEL.repo_id) == fetch(MODEL) == folder
    assert find_model_here(MODEL.repo_id) == folder
    assert find_downloaded(HubModel(repo_id=MODEL.repo_id, revision=COMMIT)) == folder
    assert len(hub.served) == num_requests


def test_a_revision_is_remembered_by_its_name(hub: Hub) -> None:
    tagged = HubModel(repo_id=MODEL.repo_id, revision="v1")
    folder = fetch(tagged)
    assert folder.name == COMMIT
    assert find_downloaded(tagged) == folder
    assert find_downloaded(MODEL) is None  # nobody has said yet what the newest is


def test_a_pinned_commit_says_nothing_about_the_newest(hub: Hub) -> None:
    assert fetch(HubModel(repo_id=MODEL.repo_id, revision=COMMIT)).name == COMMIT
    assert find_downloaded(MODEL) is None


def test_a_broken_download_goes_on_where_it_stopped(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    hub.dies_after = 40_000
    with pytest.raises(HubError, match=r"cannot be asked .* what is on the disk is kept"):
        fetch(MODEL)
    assert find_downloaded(MODEL) is None
    assert size_on_disk(MODEL) > 0
    hub.dies_after = hub.refusal = None
    hub.served.clear()
    folder = fetch(MODEL)
    assert [start for _, start in hub.served if start] == [40_000]
    assert (folder / WEIGHTS).read_bytes() == (hub.folder / WEIGHTS).read_bytes()


def test_a_download_that_lacks_a_file_is_not_taken_for_whole(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fetch(MODEL)
    (folder / WEIGHTS).resolve().unlink()
    (folder / WEIGHTS).unlink()
    assert find_downloaded(MODEL) is None
    plan = plan_download(MODEL)
    assert [file.name for file in plan.files if not file.is_here] == [WEIGHTS]
    go_offline(monkeypatch)
    with pytest.raises(HubError, match=r"HF_HUB_OFFLINE forbids it.*ingredients download someone/people"):
        fetch(MODEL)


def test_a_damaged_file_is_removed(hub: Hub) -> None:
    hub.damages = True
    with pytest.raises(HubError, match=r"arrived damaged.*ingredients download someone/people"):
        fetch(MODEL)
    hub.damages = False
    folder = fetch(MODEL)
    assert (folder / WEIGHTS).read_bytes() == (hub.folder / WEIGHTS).read_bytes()


def test_what_a_link_leads_to_is_not_removed(hub: Hub, cache: Path, tmp_path: Path) -> None:
    folder = fetch(MODEL)
    plan = plan_download(MODEL)
    theirs = tmp_path / "theirs.safetensors"
    for link in (folder / WEIGHTS, (folder / WEIGHTS).resolve()):  # in the model's folder, and in the blobs
        theirs.write_bytes(b"precious")
        link.unlink()
        link.symlink_to(theirs)
        with pytest.raises(HubError, match="arrived damaged"):
            verify(plan, folder)
        assert theirs.read_bytes() == b"precious"
        assert not link.is_symlink()
        verify(plan, fetch(MODEL))


def test_an_interrupted_comparison_leaves_nothing_unproven(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    hub.damages = True
    monkeypatch.setattr(resumable_download, "sha256", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(MODEL)
    assert find_downloaded(MODEL) is None
    monkeypatch.undo()
    point_at(hub.url, Path(hub.folder).parent / "cache", monkeypatch)
    with pytest.raises(HubError, match="arrived damaged"):
        fetch(MODEL)


def test_what_has_arrived_is_not_asked_for_again(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = plan_download(MODEL).num_bytes
    hub.dies_after = 40_000
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    with pytest.raises(HubError):
        fetch(MODEL)
    hub.dies_after = hub.refusal = None
    arrived = sum(path.stat().st_size for path in cache.rglob("*") if path.parent.name in ("partial", "blobs"))
    assert arrived >= 40_000
    assert plan_download(MODEL).num_missing_bytes == whole - arrived


def test_a_partial_file_that_is_too_long_begins_anew(hub: Hub, cache: Path) -> None:
    plan = plan_download(MODEL)
    weights = next(file for file in plan.files if file.name == WEIGHTS)
    partial = cache / "models--someone--people" / "partial" / weights.checksum
    partial.parent.mkdir(parents=True)
    partial.write_bytes(bytes(weights.size + 10))
    assert (fetch(MODEL) / WEIGHTS).read_bytes() == (hub.folder / WEIGHTS).read_bytes()


def test_a_file_shorter_than_listed_is_one_sentence(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_download(MODEL)
    path = hub.folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(HubError, match="broke off"):
        download(plan)


def test_checksums_are_hexadecimal(hub: Hub) -> None:
    entries = hub.entries()
    next(entry for entry in entries if entry["path"] == WEIGHTS)["lfs"]["oid"] = "../../../outside"
    hub.entries = lambda: entries  # type: ignore[method-assign]
    with pytest.raises(HubError, match="no checksum"):
        plan_download(MODEL)


def test_progress_of_comparing(hub: Hub) -> None:
    plan = plan_download(MODEL)
    steps: list[tuple[int, int]] = []
    verify(plan, download(plan), progress=lambda done, total: steps.append((done, total)))
    assert len(steps) == len(plan.files)
    assert steps[-1][0] == steps[-1][1]


# What goes wrong


@pytest.mark.parametrize(
    ("refusal", "complaint"),
    [
        ((403, "GatedRepo"), "accepts its terms: open http://.*/someone/people.*hf auth login"),
        ((404, "RepoNotFound"), "no repository someone/people on http.*or it is private"),
        ((401, "RepoNotFound"), "no repository someone/people"),
        ((503, ""), "cannot be asked for someone/people"),
    ],
)
def test_the_hub_refuses(hub: Hub, refusal: tuple[int, str], complaint: str) -> None:
    hub.refusal = refusal
    with pytest.raises(HubError, match=complaint):
        fetch(MODEL)


def test_no_such_revision(hub: Hub) -> None:
    with pytest.raises(HubError, match="someone/people has no revision v9"):
        fetch(HubModel(repo_id=MODEL.repo_id, revision="v9"))


def test_no_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point_at("http://127.0.0.1:9", cache, monkeypatch)  # nobody listens there
    with pytest.raises(HubError, match=r"cannot be asked for someone/people.*ingredients download someone/people"):
        fetch(MODEL)


def test_a_repository_of_another_layout(hub: Hub) -> None:
    (hub.folder / "model_index.json").unlink()
    with pytest.raises(HubError, match=r"holds no model .* lacks model_index\.json"):
        fetch(MODEL)


def test_no_room(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage: Any = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(HubError, match=r"has only 0.0 MB free; free some, or set HF_HOME"):
        fetch(MODEL)
    assert size_on_disk(MODEL) == 0


# Names


def test_ids_and_paths() -> None:
    assert parse_hub_id("a/b") == HubModel(repo_id="a/b")
    assert parse_hub_id("a-1/b.c@refs/pr/2") == HubModel(repo_id="a-1/b.c", revision="refs/pr/2")
    for path in ("a", "./a/b", "/a/b", "a/b/c", "a/b@", "~/b", "../b"):
        assert parse_hub_id(path) is None


def test_a_folder_comes_before_a_repository_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "someone/people").mkdir(parents=True)
    assert find_model(MODEL.repo_id) == find_model_here(MODEL.repo_id) == Path(MODEL.repo_id)


def test_known_names() -> None:
    assert find_model() == find_model("small-world") == default_model_path()
    assert find_model_here() == find_model_here("small-world") == default_model_path()
    with pytest.raises(ModelFolderError, match=r"no model folder smal; .* small-world, published"):
        find_model("smal")
    for model in KNOWN_MODELS:
        assert find_known_model(model.name) is model
    revisions = [model.source.revision for model in KNOWN_MODELS if model.source is not None and model.source.revision]
    assert all(len(revision) == 40 for revision in revisions)


def test_sizes_for_people() -> None:
    assert [format_size(size) for size in (1e6, 2.5e8, 26.41e9)] == ["1.0 MB", "0.2 GB", "26.4 GB"]


# Answers that are none


@pytest.mark.parametrize(
    "answer",
    [b"<html>Log in first</html>", b"null", b"[]", b"3", b"", b'{"sha": null}', b'{"sha": ""}', b'{"sha": "newest"}'],
)
def test_an_answer_that_is_none_is_named(hub: Hub, answer: bytes) -> None:
    hub.info = answer
    with pytest.raises(HubError, match=rf"^The hub {hub.url} gave an answer for someone/people that is none of a hub"):
        fetch(MODEL)


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>Log in first</html>",
        b"null",
        b"3",
        b'[{"type": "file"}]',
        b'[{"type": "file", "path": null, "size": 3, "oid": "ab"}]',
        b'[{"type": "file", "path": "model_index.json", "size": "three", "oid": "' + b"a" * 40 + b'"}]',
        b'[{"type": "file", "path": "model_index.json", "size": 3, "oid": null}]',
        b"[null]",
    ],
)
def test_a_list_of_files_that_is_none_is_named(hub: Hub, answer: bytes) -> None:
    hub.tree = answer
    with pytest.raises(HubError, match="someone/people"):
        fetch(MODEL)


@pytest.mark.parametrize("content", ["", "main", "<html>", "0123"])
def test_a_note_of_the_commit_that_was_cut_is_asked_for_anew(hub: Hub, cache: Path, content: str) -> None:
    fetch(MODEL)
    note = cache / "models--someone--people/refs/main"
    assert note.read_text() == COMMIT
    note.write_text(content)
    assert load_pipeline(fetch(MODEL), device="cpu").face_encoder is not None
    assert note.read_text() == COMMIT
