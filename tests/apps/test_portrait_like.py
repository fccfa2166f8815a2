from pathlib import Path

import matplotlib

from tests.apps.conftest import Run

HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def test_the_command_draws_and_shows_both(run: Run) -> None:
    result = run(
        "world", "portrait", "--like", HOPPER, "--size", "96", "--beside", "both.png", "--feature", "hat=band"
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == ["grace_hopper-drawn.png", "both.png"]
    assert "A drawing, not a likeness" in result.stderr
    assert "a black band" in result.stderr
    for arguments, sentence in (
        (("--like", HOPPER, "--seed", "3"), "leave one of the two out"),
        (("--feature", "hat=band"), "go with --like"),
        (("--like", HOPPER, "--feature", "hat"), "The feature hat cannot be ''"),
        (("--like", "nobody.jpg"), "nobody.jpg does not exist"),
        (("--like", HOPPER), "grace_hopper-drawn.png"),
    ):
        refused = run("world", "portrait", *arguments)
        assert refused.exit_code == 2, (arguments, refused.output)
        assert sentence in " ".join(refused.stderr.split())
