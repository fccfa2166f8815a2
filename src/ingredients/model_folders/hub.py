"""Models from the Hugging Face hub: what a download would cost, the download itself, and what is on the disk already.

huggingface_hub does most of the work: it keeps each file once, and honours `HF_HUB_OFFLINE`, `HF_HOME` and
`HF_ENDPOINT`. Here is decided which files are needed and which commit is meant; checksums are compared, and what goes
wrong becomes one sentence. `resumable_download.py` lets large files go on where they stopped.

A repository's commit is settled once: by its pin in `known_models`, by what the user names after `@`, or by what the
hub calls newest at the first download. Nothing changes under a model that is on the disk.
"""

import contextlib
import dataclasses
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import huggingface_hub
from huggingface_hub import HfApi, constants
from huggingface_hub import errors as hub_errors
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.sha import git_hash

from ingredients.core.errors import HubError, IngredientsError
from ingredients.core.files import atomic_path, is_disk_full
from ingredients.core.input_files import read_text
from ingredients.core.model_files import name_some
from ingredients.core.protocols import ProgressCallback
from ingredients.core.warnings_told import Notice
from ingredients.model_folders.hub_model import HubModel, cache_folder, format_size, repository_folder
from ingredients.model_folders.needed_files import is_model, needed_files
from ingredients.model_folders.resumable_download import continue_download, num_bytes_arrived, sha256

_COMMIT = re.compile(r"[0-9a-f]{40}")
_CHECKSUM = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

HTTP_ERROR: type[Exception] = hub_errors.HfHubHTTPError.__bases__[0]
"""What every failed connection raises: httpx2's, which huggingface_hub speaks by from its version 2 on, or httpx's."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file of a download."""

    name: str
    """Path in the repository."""

    size: int
    """Bytes."""

    checksum: str
    """SHA-256 of a large file; of a small one what git calls it."""

    num_bytes_here: int
    """What of it is on the disk already."""

    @property
    def is_here(self) -> bool:
        """Whether all of it is."""
        return self.num_bytes_here == self.size


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DownloadPlan:
    """What a download would fetch."""

    model: HubModel
    """Which model, as it was asked for."""

    commit: str
    """What its revision is."""

    files: tuple[HubFile, ...]
    """All that loading reads."""

    @property
    def num_bytes(self) -> int:
        """Size of the whole model."""
        return sum(file.size for file in self.files)

    @property
    def num_missing_bytes(self) -> int:
        """Size of what is not here yet."""
        return self.num_bytes - sum(file.num_bytes_here for file in self.files)

    def describe(self) -> str:
        """The sizes in words."""
        size, missing = format_size(self.num_bytes), format_size(self.num_missing_bytes)
        return f"{len(self.files)} files, {size}" + (f", of which {missing} are missing" if missing != size else "")


def find_downloaded(model: HubModel) -> Path | None:
    """The folder of a model that is on the disk whole; None if it is not, or only in part.

    Nothing is asked of the network.
    """
    revision = model.revision or constants.DEFAULT_REVISION
    try:
        listed = huggingface_hub.get_cached_repo_tree(model.repo_id, revision=revision)
        needed = needed_files(file.path for file in listed)
        return Path(
            huggingface_hub.snapshot_download(
                model.repo_id, revision=revision, local_files_only=True, allow_patterns=_exactly(needed)
            )
        )
    except (hub_errors.CachedRepoTreeNotFoundError, hub_errors.LocalEntryNotFoundError):
        return None
    except (ValueError, TypeError, KeyError, AttributeError, OSError):
        return None  # its notes of what there is were cut or changed: the hub is asked anew


def plan_download(model: HubModel) -> DownloadPlan:
    """Asks the hub what a model consists of.

    Raises:
        HubError: If the hub cannot be reached, the repository is not there, hidden or gated, or it holds no model.
    """
    with _explained(model):
        api = HfApi()
        commit = _settled_commit(model) or api.repo_info(model.repo_id, revision=model.revision).sha
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise ValueError(f"it names {commit!r} as a commit")
        tree = api.list_repo_tree(model.repo_id, recursive=True, revision=commit)
        listed = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
        if not is_model(listed):
            raise HubError(
                f"The repository {model} holds no model that can be read here: it lacks model_index.json; its files "
                f"are {name_some(sorted(listed)) or 'none'}."
            )
        files = tuple(_hub_file(model, commit, listed[name]) for name in needed_files(listed))
    return DownloadPlan(model=model, commit=commit, files=files)


def download(plan: DownloadPlan) -> Path:
    """Fetches what is missing, with huggingface_hub's own progress bars; returns the model's folder.

    Large files come first, one after another; a download that is stopped goes on within the file where it was.

    Raises:
        HubError: If there is no room for it, or the connection breaks; what has arrived is kept.
    """
    _check_room(plan)
    repo_id = plan.model.repo_id
    with _explained(plan.model):
        for file in plan.files:
            if file.is_here or _is_small(file):
                continue
            if not continue_download(repo_id, file.name, commit=plan.commit, size=file.size, checksum=file.checksum):
                raise HubError(_damaged(plan, [file.name]))
        folder = huggingface_hub.snapshot_download(
            repo_id, revision=plan.commit, allow_patterns=_exactly([file.name for file in plan.files])
        )
    _settle_commit(plan)
    return Path(folder)


def fetch(model: HubModel, *, notice: Notice | None = None) -> Path:
    """The folder of a model, downloaded and verified first if it is not on the disk yet.

    Raises:
        HubError: As `plan_download`, `download` and `verify`.
    """
    if (folder := find_downloaded(model)) is not None:
        return folder
    plan = plan_download(model)
    if notice is not None:
        notice(f"Downloading {model}: {plan.describe()}, into {cache_folder()}.")
    folder = download(plan)
    verify(plan, folder)
    return folder


def size_on_disk(model: HubModel) -> int:
    """Bytes of a model's repository in the cache, whole or in part; 0 if nothing is there."""
    files = (path for path in repository_folder(model.repo_id).rglob("*") if not path.is_symlink())
    return sum(path.stat().st_size for path in files if path.is_file())


def verify(plan: DownloadPlan, folder: Path, *, progress: ProgressCallback | None = None) -> None:
    """Compares the checksum of each file with the hub's; one that differs is removed, to be fetched again.

    Raises:
        HubError: If a file is damaged.
    """
    damaged, num_read = [], 0
    for file in plan.files:
        path = folder / file.name
        num_read += file.size
        if not path.is_file() or _checksum(path, file) != file.checksum:
            damaged.append(file.name)
            _remove_damaged(plan, path)
        if progress is not None:
            progress(num_read // 10**6, plan.num_bytes // 10**6)
    if damaged:
        raise HubError(_damaged(plan, damaged))


def _remove_damaged(plan: DownloadPlan, path: Path) -> None:
    """Removes a file of a model's folder; of a link, the link, and the blob only if it is one of the cache's own.

    Somebody may have linked a file of theirs into the folder or the blobs: what a link leads to is never removed.
    """
    if path.is_symlink():
        blob = path.parent / path.readlink()
        blobs = repository_folder(plan.model.repo_id) / "blobs"
        if blob.parent.resolve() == blobs.resolve():
            blob.unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _damaged(plan: DownloadPlan, names: Sequence[str]) -> str:
    return (
        f"{name_some(names)} of {plan.model} arrived damaged and went to the bin (another checksum than the hub's); "
        f"run this again to fetch what is missing: ingredients download {plan.model}"
    )


def _exactly(names: list[str]) -> list[str]:
    """Patterns that match these names and no others."""
    return [re.sub(r"([*?[])", r"[\1]", name) for name in names]


def _settled_commit(model: HubModel) -> str | None:
    """The commit of a model, where it needs no asking."""
    revision = model.revision or constants.DEFAULT_REVISION
    if _COMMIT.fullmatch(revision):
        return revision
    path = _reference(model.repo_id, revision)
    try:
        settled = read_text(path).strip() if path.is_file() else ""
    except (OSError, UnicodeDecodeError):
        return None
    return settled if _COMMIT.fullmatch(settled) else None  # what is damaged is asked for again


def _settle_commit(plan: DownloadPlan) -> None:
    """Remembers which commit a branch or tag, or the newest, was when it was downloaded."""
    revision = plan.model.revision or constants.DEFAULT_REVISION
    if _COMMIT.fullmatch(revision):
        return
    path = _reference(plan.model.repo_id, revision)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(plan.commit, encoding="utf-8")


def _reference(repo_id: str, revision: str) -> Path:
    return repository_folder(repo_id) / "refs" / revision


def _check_room(plan: DownloadPlan) -> None:
    folder = cache_folder()
    there = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    free = shutil.disk_usage(there).free
    if free < plan.num_missing_bytes:
        raise HubError(
            f"{plan.model} needs {format_size(plan.num_missing_bytes)} more, but the disk of {folder} has only "
            f"{format_size(free)} free; free some, or set HF_HOME to a folder on another disk."
        )


def _is_small(file: HubFile) -> bool:
    """Whether git keeps it itself, under a checksum of its own."""
    return _COMMIT.fullmatch(file.checksum) is not None


def _hub_file(model: HubModel, commit: str, listed: RepoFile) -> HubFile:
    checksum = str(listed.blob_id if listed.lfs is None else listed.lfs.sha256)
    if not _CHECKSUM.fullmatch(checksum):  # it becomes the name of a file
        raise HubError(f"The hub gives {listed.path} of {model} no checksum; it cannot be trusted.")
    if type(listed.size) is not int or listed.size < 0:
        raise HubError(f"The hub gives {listed.path} of {model} no size; it cannot be trusted.")
    linked = huggingface_hub.try_to_load_from_cache(model.repo_id, listed.path, revision=commit)
    folder = repository_folder(model.repo_id)
    is_whole = isinstance(linked, str) or (folder / "blobs" / checksum).is_file()
    arrived = num_bytes_arrived(model.repo_id, checksum)
    return HubFile(
        name=listed.path,
        size=listed.size,
        checksum=checksum,
        num_bytes_here=listed.size if is_whole else max(0, min(arrived, listed.size - 1)),
    )


def _checksum(path: Path, file: HubFile) -> str:
    return git_hash(path.read_bytes()) if _is_small(file) else sha256(path)


@contextlib.contextmanager
def _explained(model: HubModel) -> Iterator[None]:
    """Turns what goes wrong between here and the hub into one sentence."""
    try:
        yield
    except hub_errors.GatedRepoError as error:
        raise HubError(
            f"{model} is given out only to who accepts its terms: open {constants.ENDPOINT}/{model.repo_id}, accept "
            "them, log in with `hf auth login`, and run this again."
        ) from error
    except hub_errors.RepositoryNotFoundError as error:
        raise HubError(
            f"There is no repository {model.repo_id} on {constants.ENDPOINT}, or it is private; check the name, or "
            "log in with `hf auth login`."
        ) from error
    except hub_errors.RevisionNotFoundError as error:
        raise HubError(f"{model.repo_id} has no revision {model.revision}; check what follows the @.") from error
    except hub_errors.HFValidationError as error:
        raise HubError(f"{model} is no name of a repository; it must have the form owner/name.") from error
    except (hub_errors.OfflineModeIsEnabled, hub_errors.LocalEntryNotFoundError, HTTP_ERROR) as error:
        if isinstance(error, hub_errors.OfflineModeIsEnabled) or constants.HF_HUB_OFFLINE:
            reason = "HF_HUB_OFFLINE forbids it"
        else:
            reason = (str(error.__cause__ or error).splitlines() or [type(error).__name__])[0]
        raise HubError(
            f"The hub {constants.ENDPOINT} cannot be asked for {model} ({reason}); what is on the disk is kept, and "
            f"once the hub can be reached this goes on: ingredients download {model}"
        ) from error
    except OSError as error:
        if is_disk_full(error):
            raise HubError(
                f"The disk of {cache_folder()} is full, so {model} is not complete; free some space, or set HF_HOME "
                "to a folder on another disk, and run this again: it goes on where it stopped."
            ) from error
        raise HubError(
            f"The download of {model} broke off ({(str(error).splitlines() or [type(error).__name__])[0]}); what is "
            f"on the disk is kept, and this goes on: ingredients download {model}"
        ) from error
    except IngredientsError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, AssertionError, LookupError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise HubError(
            f"The hub {constants.ENDPOINT} gave an answer for {model} that is none of a hub ({reason}); look at "
            "HF_ENDPOINT and at what stands between here and it, such as a login page, or try again later."
        ) from error
