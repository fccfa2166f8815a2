"""Each thread is told of its own warnings, and the process gets back what it had."""

import threading
import warnings

from ingredients.core.warnings_told import PhotoWarning, TrainingWarning, warnings_ignored, warnings_told


def warn(text: str, kind: type[Warning] = PhotoWarning) -> None:
    warnings.warn(text, kind, stacklevel=2)


def test_kinds_are_told_and_others_go_on() -> None:
    outer, inner = list[str](), list[str]()
    with warnings.catch_warnings(record=True) as elsewhere, warnings_told(outer.append, PhotoWarning):
        with warnings_told(inner.append, TrainingWarning):
            warn("one")
            warn("two", TrainingWarning)
            warn("somebody else's", UserWarning)
        warn("one")
        with warnings_ignored():
            warn("nobody's")
    assert (outer, inner) == (["one", "one"], ["two"])
    assert [str(each.message) for each in elsewhere] == ["somebody else's"]


def test_threads_are_told_of_their_own_warnings_whichever_ends_first() -> None:
    filters, show = list(warnings.filters), warnings.showwarning
    both_listen, first_has_ended = threading.Barrier(2), threading.Event()
    told: dict[str, list[str]] = {"first": [], "second": []}

    def first() -> None:
        with warnings_told(told["first"].append, PhotoWarning):
            both_listen.wait(10)
            warn("of the first")
        first_has_ended.set()

    def second() -> None:
        with warnings_told(told["second"].append, PhotoWarning):
            both_listen.wait(10)
            first_has_ended.wait(10)
            warn("of the second")

    threads = [threading.Thread(target=each) for each in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == {"first": ["of the first"], "second": ["of the second"]}
    assert warnings.filters == filters
    assert warnings.showwarning is show


def test_who_takes_warnings_in_between_gets_them_back() -> None:
    told = list[str]()
    with warnings_told(told.append, PhotoWarning), warnings.catch_warnings(record=True) as recorded:
        with warnings_told(told.append, PhotoWarning):
            warn("ours")
            warn("theirs", UserWarning)
        warn("recorded")
    assert told == ["ours"]
    assert [str(each.message) for each in recorded] == ["theirs", "recorded"]
