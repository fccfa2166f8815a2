"""What diffusers' loading and calling take and this pipeline does not: what to do instead, one sentence each."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ingredients.core.errors import ArgumentError, HubError
from ingredients.model_folders.hub import fetch, find_downloaded
from ingredients.model_folders.hub_model import HubModel, parse_hub_id

_HARMLESS = frozenset({"low_cpu_mem_usage", "offload_state_dict", "disable_mmap", "resume_download"})
"""They change how weights are read, and not what comes of it."""

_MEMORY_MODES = (
    "load_pipeline(model, memory=...) keeps what does not fit in the processor's memory (docs/performance.md)"
)
_CACHE = "the environment variable HF_HOME says where downloads are kept"
_REMEDIES = {
    "device_map": _MEMORY_MODES,
    "max_memory": _MEMORY_MODES,
    "offload_folder": _MEMORY_MODES,
    "quantization_config": (
        "load_pipeline(model, memory='minimal') keeps the transformer in 8 bit, and one that you quantised yourself "
        "can be given as transformer=..."
    ),
    "cache_dir": _CACHE,
    "token": "log in with `hf auth login`, or set the environment variable HF_TOKEN",
    "use_auth_token": "log in with `hf auth login`, or set the environment variable HF_TOKEN",
    "proxies": "set the environment variable HTTPS_PROXY",
    "mirror": "set the environment variable HF_ENDPOINT",
    "force_download": "remove the model from the cache first; damaged files are found by their checksums",
    "custom_pipeline": "nothing but this package's own code is run",
    "custom_revision": "nothing but this package's own code is run",
    "trust_remote_code": "nothing but this package's own code is run",
    "load_connected_pipeline": "there is one pipeline only",
    "use_onnx": "weights are read as safetensors or .bin",
    "use_flashpack": "weights are read as safetensors or .bin",
    "from_flax": "weights are read as safetensors or .bin",
    "provider": "weights are read as safetensors or .bin",
    "sess_options": "weights are read as safetensors or .bin",
    "provider_options": "weights are read as safetensors or .bin",
    "output_loading_info": "every tensor is accounted for, or loading fails",
}


def without_diffusers_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments without those of diffusers' that change nothing.

    Raises:
        ArgumentError: for one that asks for something; it says what to do instead.
    """
    for name, remedy in _REMEDIES.items():
        if arguments.get(name) not in (None, False):
            raise ArgumentError(f"{name} is not taken: {remedy}.")
    return {name: value for name, value in arguments.items() if name not in _HARMLESS and name not in _REMEDIES}


_BRANCHES = "it is a field of Branches: give branches=Branches({name}=...)"
_PEOPLE_EMBEDS = (
    "it is a field of PeopleEmbeds: give people=PeopleEmbeds(id_embeds=..., id_vit_hidden_states=...{more})"
)
_ELSEWHERE = {
    **dict.fromkeys(("use_canvas", "use_identities", "face_scale", "routing", "routing_indices"), _BRANCHES),
    **dict.fromkeys(("id_embeds", "id_vit_hidden_states"), _PEOPLE_EMBEDS.replace("{more}", "")),
    "id_mask": _PEOPLE_EMBEDS.replace("{more}", ", id_mask=..."),
    "id_names": _PEOPLE_EMBEDS.replace("it is a field", "they are the names").replace("{more}", ", names=..."),
    "allow_photographs": (
        "give what the pipeline's extract_identities(people, allow_photographs=True) returns as the people"
    ),
    "image": "give photos as people, whose faces are put on a canvas, or the whole picture as canvas",
}


def check_call_arguments(names: Iterable[str], known: Sequence[str]) -> None:
    """Refuses what a call of the pipeline does not take.

    Args:
        names: the names of what was given beside the arguments in the call's signature.
        known: the fields of the sampling settings, which are taken by name.

    Raises:
        ArgumentError: for an argument that has its place elsewhere; it says where.
        TypeError: for one that nothing has.
    """
    for name in names:
        if name in _ELSEWHERE:
            raise ArgumentError(f"{name} is not taken: {_ELSEWHERE[name].replace('{name}', name)}.")
        if name not in known:
            raise TypeError(f"A call of the pipeline has no argument {name!r}.")


def check_dtype(dtype: object) -> torch.dtype | dict[str, torch.dtype]:
    """A type of weights, or types by the part's name.

    Raises:
        ArgumentError: if it is neither.
    """
    named: dict[str, Any] = dict(dtype) if isinstance(dtype, Mapping) else {"default": dtype}
    for part, each in named.items():
        if not isinstance(each, torch.dtype) or not each.is_floating_point or each.itemsize < 2:
            raise ArgumentError(
                f"dtype must be torch.float32, torch.bfloat16 or torch.float16, or a dict of them by the part's name, "
                f"not {each!r} for {part}."
            )
    known = ("default", "transformer", "vae", "text_encoder")
    if unknown := [part for part in named if part not in known]:
        raise ArgumentError(f"dtype has no part {unknown[0]!r}; its keys are {', '.join(known)}.")
    return dtype if isinstance(dtype, torch.dtype) else named


def model_folder(model: str | Path, *, revision: str | None, local_files_only: bool) -> Path:
    """The folder of a model: itself, or that of a repository of the hub, downloaded if need be.

    Args:
        model: a folder, or `owner/name`.
        revision: commit, tag or branch of the repository; a folder has none.
        local_files_only: whether the hub may not be asked.

    Raises:
        HubError: if it cannot be had.
    """
    source = None if isinstance(model, Path) or Path(model).exists() else parse_hub_id(model)
    if source is None:
        return Path(model)
    source = HubModel(repo_id=source.repo_id, revision=revision or source.revision)
    if not local_files_only:
        return fetch(source)
    if (folder := find_downloaded(source)) is None:
        raise HubError(
            f"{source} is not on the disk, and local_files_only forbids asking the hub; get it with: ingredients "
            f"download {source}"
        )
    return folder
