"""Uploads to a hub on this computer: what arrives there, and what is said when it cannot."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from ingredients.core.errors import HubError
from ingredients.model_folders.hub_upload import check_upload, upload
from tests.model_folders.upload_server import UploadHub, run_upload_hub

RECORD = "export.json"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UploadHub]:
    with run_upload_hub(tmp_path / "hub", tmp_path / "cache", monkeypatch) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a small and a large file."""
    folder = tmp_path / "mine"
    (folder / "part").mkdir(parents=True)
    (folder / RECORD).write_text("{}")
    (folder / "README.md").write_text("---\nlicense: other\n---\n# mine\n")
    (folder / "part/weights.safetensors").write_bytes(bytes(range(256)) * 40)
    return folder


def push(folder: Path, repo_id: str, *, private: bool = False) -> str:
    check_upload(repo_id)
    return upload(folder, repo_id, record_name=RECORD, private=private)


@pytest.mark.parametrize(("repo_id", "private"), [("someone/mine", False), ("club/mine", True)])
def test_a_folder_arrives_as_it_is(hub: UploadHub, folder: Path, repo_id: str, private: bool) -> None:
    assert push(folder, repo_id, private=private) == f"{hub.url}/{repo_id}"
    assert hub.private[repo_id] is private
    arrived = hub.repository(repo_id)
    for path in (each for each in folder.rglob("*") if each.is_file()):
        assert (arrived / path.relative_to(folder)).read_bytes() == path.read_bytes()
    assert hub.names(repo_id) == {".gitattributes", "README.md", RECORD, "part/weights.safetensors"}
    assert len(hub.objects) == 1  # only the large file went by git-lfs


def test_the_newer_way_of_uploading_makes_the_same(
    hub: UploadHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where hf_xet is there, which moves large files, huggingface_hub commits what it has in another way."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    hub.large = float("inf")
    push(folder, "someone/mine")
    (folder / "part/weights.safetensors").rename(folder / "part/other.safetensors")
    push(folder, "someone/mine")
    assert hub.names("someone/mine") == {".gitattributes", "README.md", RECORD, "part/other.safetensors"}
    assert not hub.objects


def test_a_later_state_takes_the_place_of_an_earlier_one(hub: UploadHub, folder: Path) -> None:
    for defaults in ("sampling_defaults.json", "speed_defaults.json"):
        (folder / defaults).write_text("{}")
    push(folder, "someone/mine")
    assert {"sampling_defaults.json", "speed_defaults.json"} <= hub.names("someone/mine")
    for defaults in ("sampling_defaults.json", "speed_defaults.json"):
        (folder / defaults).unlink()
    (hub.repository("someone/mine") / "gallery.png").write_bytes(b"made by hand")
    (folder / "part/weights.safetensors").rename(folder / "part/other.safetensors")
    push(folder, "someone/mine")
    kept = {".gitattributes", "README.md", RECORD, "gallery.png"}
    assert hub.names("someone/mine") == kept | {"part/other.safetensors"}


def test_a_repository_of_something_else_is_left_alone(hub: UploadHub, folder: Path) -> None:
    hub.create("someone/poems")
    (hub.repository("someone/poems") / "poem.txt").write_text("precious")
    with pytest.raises(HubError, match=r"someone/poems holds something else already \(poem\.txt\); choose another"):
        push(folder, "someone/poems")
    assert hub.commits == []


def test_nothing_becomes_public_that_should_be_private(hub: UploadHub, folder: Path) -> None:
    push(folder, "someone/mine")
    with pytest.raises(HubError, match="is public already"):
        push(folder, "someone/mine", private=True)
    assert hub.commits == ["someone/mine"]


# Who may not


def test_without_a_token(hub: UploadHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="nobody is logged in; log in with `hf auth login`"):
        check_upload("someone/mine")
    monkeypatch.setenv("HF_TOKEN", "hf_that_has_expired")
    with pytest.raises(HubError, match=r"Your token is not valid .*hf auth login"):
        check_upload("someone/mine")
    assert hub.requests == ["GET api/whoami-v2"]


def test_a_name_of_somebody_else(hub: UploadHub, folder: Path) -> None:
    with pytest.raises(
        HubError, match=r"else/mine belongs to else, and you are logged in as someone; push to someone/"
    ):
        check_upload("else/mine")
    hub.create("else/mine")  # and if the hub itself is the one to say it
    with pytest.raises(HubError, match="does not let you write to else/mine"):
        upload(folder, "else/mine", record_name=RECORD)
    assert hub.commits == []


@pytest.mark.parametrize("name", ["mine", "someone/mine@main", "a/b/c", "some one/mine"])
def test_what_is_no_name(hub: UploadHub, name: str) -> None:
    with pytest.raises(HubError, match="must have the form owner/name"):
        check_upload(name)
    assert hub.requests == []


# The network


def test_without_a_network(hub: UploadHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        context.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        for action in (lambda: check_upload("someone/mine"), lambda: push(folder, "someone/mine")):
            with pytest.raises(
                HubError, match=r"someone/mine cannot be written on the hub .*127.0.0.1:9 \(.+\); what is"
            ):
                action()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE forbids it"):
        check_upload("someone/mine")
    assert hub.requests == []


@pytest.mark.parametrize("broken", ["lfs/", "api/models/someone/mine/commit", "api/validate-yaml"])
def test_an_upload_that_breaks_off_goes_on(hub: UploadHub, folder: Path, broken: str) -> None:
    hub.refusals[broken] = 400
    with pytest.raises(HubError, match="what is on the disk is kept, and the same command goes on") as caught:
        push(folder, "someone/mine")
    assert "\n" not in str(caught.value)
    assert hub.names("someone/mine") == {".gitattributes"}
    hub.refusals.clear()
    push(folder, "someone/mine")
    assert RECORD in hub.names("someone/mine")
