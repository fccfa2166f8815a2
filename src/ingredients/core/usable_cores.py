"""How much of the processor this process may use."""

import os


def usable_cores() -> int:
    """Cores that this process may run on: those that it was pinned to, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
