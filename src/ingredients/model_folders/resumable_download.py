"""A large file of the hub, downloaded so that the next process goes on where the last one stopped.

huggingface_hub gives an unfinished file another name in each process, so that after every interruption 11 GB begin at
nothing. Here it is kept under its checksum, and put where huggingface_hub looks for whole ones. Once that library goes
on by itself, this file can go, and nothing else changes but a call in `hub.py`.
"""

from pathlib import Path

import huggingface_hub
from huggingface_hub import file_download
from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]
from huggingface_hub.utils.sha import sha_fileobj

from ingredients.model_folders.hub_model import repository_folder


def num_bytes_arrived(repo_id: str, checksum: str) -> int:
    """Bytes of a large file that an earlier process has left, unfinished."""
    partial = _partial(repo_id, checksum)
    return partial.stat().st_size if partial.is_file() else 0


def continue_download(repo_id: str, name: str, *, commit: str, size: int, checksum: str) -> bool:
    """Puts a large file where huggingface_hub keeps it, beginning with what an earlier process has left.

    Returns:
        Whether it arrived undamaged; a damaged one is removed.
    """
    partial, whole = _partial(repo_id, checksum), repository_folder(repo_id) / "blobs" / checksum
    partial.parent.mkdir(parents=True, exist_ok=True)
    whole.parent.mkdir(exist_ok=True)
    with WeakFileLock(partial.with_suffix(".lock")):
        if whole.exists():
            return True
        if num_bytes_arrived(repo_id, checksum) > size:
            partial.unlink()
        with partial.open("ab") as stream:
            if stream.tell() < size:
                file_download.http_get(
                    huggingface_hub.hf_hub_url(repo_id, name, revision=commit),
                    stream,
                    resume_size=stream.tell(),
                    headers=build_hf_headers(),
                    expected_size=size,
                    displayed_filename=name,
                )
        if sha256(partial) != checksum:
            partial.unlink()
            return False
        partial.replace(whole)
        return True


def sha256(path: Path) -> str:
    """The checksum of a large file."""
    with path.open("rb") as stream:
        return sha_fileobj(stream).hex()


def _partial(repo_id: str, checksum: str) -> Path:
    return repository_folder(repo_id) / "partial" / checksum
