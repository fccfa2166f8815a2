"""Names of models on the hub, and where they are kept; nothing is asked of it, and next to nothing imported."""

import dataclasses
import re
from pathlib import Path

_ID = re.compile(r"(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*)(@(?P<revision>[\w][\w./-]*))?")
_GIGABYTE = 1e9


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """A model's repository."""

    repo_id: str
    """`owner/name`."""

    revision: str | None = None
    """Commit, tag or branch; None is what was downloaded before, or else the newest."""

    def __str__(self) -> str:
        return self.repo_id if self.revision is None else f"{self.repo_id}@{self.revision}"


def parse_hub_id(text: str) -> HubModel | None:
    """`owner/name` or `owner/name@revision`; None for anything else, such as a path."""
    match = _ID.fullmatch(text)
    return HubModel(repo_id=match["repo"], revision=match["revision"]) if match else None


def format_size(num_bytes: float) -> str:
    """Bytes for people."""
    return f"{num_bytes / _GIGABYTE:.1f} GB" if num_bytes >= _GIGABYTE / 10 else f"{num_bytes / 1e6:.1f} MB"


def cache_folder() -> Path:
    """Where models are kept: `HF_HOME` or `HF_HUB_CACHE` move it."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE).expanduser()


def repository_folder(repo_id: str) -> Path:
    """Where a repository is kept, as huggingface_hub names the folder; it need not be there."""
    return cache_folder() / "--".join(("models", *repo_id.split("/")))
