"""Times in units that people use."""

_UNITS = (
    (2 * 365 * 86_400, 365 * 86_400, "years"),
    (90 * 86_400, 30.4 * 86_400, "months"),
    (2 * 86_400, 86_400, "days"),
    (90 * 60, 3600, "hours"),
    (90, 60, "minutes"),
)
"""From how many seconds on a unit is taken, how many it has, and its name."""

_MOST_YEARS = 100


def duration_in_words(seconds: float) -> str:
    """A time such as `12 minutes` or `3.5 days`: as precise as anybody plans by."""
    if seconds < 1:
        return "under a second"
    if seconds > _MOST_YEARS * 365 * 86_400:
        return f"over {_MOST_YEARS} years"
    for least, unit, name in _UNITS:
        if seconds >= least:
            number = seconds / unit
            return f"{number:.0f} {name}" if number >= 10 or name == "minutes" else f"{number:.1f} {name}"
    return "1 second" if round(seconds) == 1 else f"{seconds:.0f} seconds"
