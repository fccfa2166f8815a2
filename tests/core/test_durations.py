import pytest

from ingredients.core.progress import duration_in_words

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86_400, 365 * 86_400


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.07, "under a second"),
        (1.2, "1 second"),
        (89, "89 seconds"),
        (90, "2 minutes"),
        (89 * MINUTE, "89 minutes"),
        (2 * HOUR, "2.0 hours"),
        (30 * HOUR, "30 hours"),
        (2.5 * DAY, "2.5 days"),
        (71 * DAY, "71 days"),
        (400 * DAY, "13 months"),
        (3 * YEAR, "3.0 years"),
        (99 * YEAR, "99 years"),
        (46_656 * DAY, "over 100 years"),
    ],
)
def test_times_are_said_in_units_that_people_use(seconds: float, words: str) -> None:
    assert duration_in_words(seconds) == words
