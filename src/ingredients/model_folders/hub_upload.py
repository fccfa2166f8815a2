"""Folders that go to the hub, through huggingface_hub; what goes wrong becomes one sentence."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub import errors as hub_errors

from ingredients.core.errors import HubError
from ingredients.core.model_files import name_some
from ingredients.model_folders.hub import HTTP_ERROR
from ingredients.model_folders.hub_model import parse_hub_id
from ingredients.model_folders.sampling_settings import SAMPLING_DEFAULTS_NAME
from ingredients.model_folders.speed_defaults import SPEED_DEFAULTS_NAME

_NOT_ALLOWED = (401, 403)
_OF_THE_HUB = (".gitattributes",)
"""What a new repository holds."""


def check_upload(repo_id: str) -> None:
    """Says whether somebody is logged in who may write to a repository, before the work for it has begun.

    Args:
        repo_id: `owner/name`; it need not be there yet.

    Raises:
        HubError: If nobody is logged in, the owner is another one, the hub cannot be reached, or the name is none.
    """
    source = parse_hub_id(repo_id)
    if source is None or source.revision is not None:
        raise HubError(f"{repo_id} is no name of a repository on the hub; it must have the form owner/name.")
    if get_token() is None:
        raise HubError(
            f"Nothing can go to {repo_id}, for nobody is logged in; log in with `hf auth login`, by a token that can "
            "write."
        )
    with _explained(repo_id, refused="Your token is not valid any more; log in anew with `hf auth login`."):
        account = HfApi().whoami()
    owner = source.repo_id.partition("/")[0]
    owners = [account["name"], *(each["name"] for each in account.get("orgs", ()))]
    if owner.lower() not in [name.lower() for name in owners]:
        raise HubError(
            f"The name {repo_id} belongs to {owner}, and you are logged in as {account['name']}; push to "
            f"{account['name']}/{source.repo_id.partition('/')[2]}, or log in as somebody else."
        )


def upload(folder: Path, repo_id: str, *, record_name: str, private: bool = False) -> str:
    """Makes a repository of a folder, or a new commit in one that holds an earlier state of it.

    Files of the folder's parts, and defaults, that it no longer has are removed there, too; nothing else is.

    Args:
        folder: Complete.
        repo_id: `owner/name`.
        record_name: A file of the folder by which an earlier state is known.
        private: Make it private, if it is made.

    Returns:
        Where it is.

    Raises:
        HubError: If the hub cannot be reached or refuses, or the repository holds something else, or is public and
            should be private.
    """
    api = HfApi()
    refused = (
        f"The hub {constants.ENDPOINT} does not let you write to {repo_id}: the name is somebody else's, or your "
        "token cannot write; choose another name, or log in with `hf auth login`."
    )
    with _explained(repo_id, refused=refused):
        url = str(api.create_repo(repo_id, private=private or None, exist_ok=True))
        there = api.model_info(repo_id)
        names = [each.rfilename for each in there.siblings or () if each.rfilename not in _OF_THE_HUB]
        if names and record_name not in names:
            raise HubError(
                f"The repository {repo_id} holds something else already ({name_some(names)}); choose another name."
            )
        if private and not there.private:
            raise HubError(
                f"The repository {repo_id} is public already; make it private on its page {url}/settings, or choose "
                "another name."
            )
        api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            commit_message="Export of a training run",
            delete_patterns=[
                *(f"{part.name}/*" for part in folder.iterdir() if part.is_dir()),
                SAMPLING_DEFAULTS_NAME,
                SPEED_DEFAULTS_NAME,
            ],
        )
    return url


@contextlib.contextmanager
def _explained(repo_id: str, *, refused: str) -> Iterator[None]:
    """Turns what goes wrong between here and the hub into one sentence; `refused` is that for who may not."""
    try:
        yield
    except (HTTP_ERROR, OSError, RuntimeError, ValueError) as error:
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ is not None else error
        if isinstance(cause, hub_errors.HfHubHTTPError) and cause.response.status_code in _NOT_ALLOWED:
            raise HubError(refused) from error
        reason = (str(cause).splitlines() or [type(cause).__name__])[0]
        if isinstance(cause, hub_errors.OfflineModeIsEnabled) or constants.HF_HUB_OFFLINE:
            reason = "HF_HUB_OFFLINE forbids it"
        raise HubError(
            f"{repo_id} cannot be written on the hub {constants.ENDPOINT} ({reason}); what is on the disk is kept, "
            "and the same command goes on."
        ) from error
