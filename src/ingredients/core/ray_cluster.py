"""Joins a Ray cluster, for whoever has work for one."""

import logging
import socket
from typing import Any

from ingredients.core.optional_dependencies import import_optional

LOCAL = "local"
"""The address that begins a Ray of our own on this machine."""

_KNOCK_SECONDS = 10.0


def join_cluster(address: str) -> Any:
    """Joins the cluster at an address, quietly; gives Ray's module.

    Args:
        address: `local`; `auto` or `HOST:PORT` of a cluster that this machine is part of; `ray://HOST:PORT` from
            outside.

    Raises:
        MissingDependencyError: without Ray.
        OSError: if nobody is there; also `RuntimeError` and `ValueError`, as Ray has it.
    """
    ray = import_optional("ray", extra="ray")
    _knock(address)
    ray.init(
        address=address,
        log_to_driver=False,
        logging_level=logging.ERROR,
        **({"include_dashboard": False} if address == LOCAL else {}),
    )
    return ray


def _knock(address: str) -> None:
    """Finds out in seconds whether anybody is there; Ray itself asks for minutes.

    Raises:
        OSError: if nobody is.
        ValueError: if the address has no port.
    """
    if address not in (LOCAL, "auto"):
        host, _, port = address.removeprefix("ray://").rpartition(":")
        socket.create_connection((host, int(port)), timeout=_KNOCK_SECONDS).close()
