from pathlib import Path

import pytest

from ingredients.core.errors import MissingDependencyError
from ingredients.core.optional_dependencies import import_optional


def test_a_missing_library_comes_with_the_command_that_installs_it() -> None:
    with pytest.raises(MissingDependencyError, match=r'pip install "ingredients\[faces\]"'):
        import_optional("no_such_library", extra="faces")


def test_a_broken_library_counts_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_library.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependencyError, match="torchvision::nms"):
        import_optional("broken_library", extra="gpu")


def test_an_installed_library_is_returned() -> None:
    assert import_optional("json", extra="faces").loads("1") == 1
