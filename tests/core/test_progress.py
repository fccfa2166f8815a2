import pytest

from ingredients.core.progress import show_progress


def test_progress_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("Denoising") as update:
        update(3, 7)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Denoising" in captured.err
    assert "3/7" in captured.err
