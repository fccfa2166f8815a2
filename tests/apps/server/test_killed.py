"""A server that is killed loses nothing that it accepted."""

from pathlib import Path

import pytest

from tests.apps.server.killing import kill_again_and_again


@pytest.mark.slow
def test_every_accepted_video_is_there_after_the_server_was_killed_and_ends(tmp_path: Path) -> None:
    report = kill_again_and_again(tmp_path, num_kills=3, seed=1)
    assert report.accepted > 0
    assert (report.missing, report.completed_twice, report.left_over) == (0, 0, 0)
    assert report.states["completed"] >= report.accepted
    assert sum(report.states.values()) == report.states["completed"]
