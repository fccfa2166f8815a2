"""What reads a data set decides once what becomes of clips that cannot be used."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from ingredients.core.errors import UserInputError
from ingredients.data.clip_check import check_item
from ingredients.data.clip_source import ClipItem, ClipSource
from ingredients.data.record_json import BadRecordError
from ingredients.data.schema import ClipRecord

OnBadClip = Literal["skip", "stop"]
"""Whether a clip that cannot be used is reported and left out, or ends the work."""


def iterate_usable(source: ClipSource, on_bad: OnBadClip, report: Callable[[str, str], None]) -> Iterator[ClipRecord]:
    """The clips of a data set that can be used, each checked when its turn comes.

    Args:
        source: the data set. The files of a record exist until the next one is asked for.
        on_bad: what to do about a clip that cannot be used.
        report: told, under "skip", where a bad clip is and everything that is wrong with it.

    Raises:
        UserInputError: under "stop", for the first clip that cannot be used.
    """
    return select_usable(source, source, on_bad, report)


def select_usable(
    source: ClipSource, items: Iterable[ClipItem], on_bad: OnBadClip, report: Callable[[str, str], None]
) -> Iterator[ClipRecord]:
    """The usable ones of some items of a data set; everything else is as in `iterate_usable`."""
    for where, record in items:
        fatal = [problem for problem in check_item(source, where, record) if problem.is_fatal]
        if not fatal:
            assert not isinstance(record, BadRecordError)
            yield record
            continue
        name, problem = fatal[0].clip_id, " ".join(found.problem for found in fatal)
        if on_bad == "stop":
            raise UserInputError(
                f"The clip {name} of {source.path} cannot be used: {problem} Repair it, or choose to skip such clips."
            )
        report(name, problem)
