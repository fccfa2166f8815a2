import pytest

from ingredients.core.progress import show_progress


@pytest.mark.parametrize("done", [0, 3])
def test_work_that_cannot_begin_leaves_no_bar(capsys: pytest.CaptureFixture[str], done: int) -> None:
    def work() -> None:
        with show_progress("Denoising") as update:
            if done:
                update(done, 7)
            raise ValueError("no folder")

    with pytest.raises(ValueError, match="no folder"):
        work()
    assert ("Denoising" in capsys.readouterr().err) == bool(done)


def test_progress_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("Denoising") as update:
        update(3, 7)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Denoising" in captured.err
    assert "3/7" in captured.err
