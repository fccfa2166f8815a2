import sys
from pathlib import Path

import pytest

from ingredients.core.errors import MissingDependencyError
from ingredients.core.optional_dependencies import LazyLibrary, import_optional


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


def test_a_lazy_library_is_imported_with_its_first_attribute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "late_library.py").write_text("answer = 42")
    monkeypatch.syspath_prepend(tmp_path)
    library = LazyLibrary("late_library", install="late-library==1")
    assert "late_library" not in sys.modules
    assert not hasattr(library, "__wrapped__")
    assert "late_library" not in sys.modules
    assert library.answer == 42
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = library.no_such_thing


def test_a_missing_lazy_library_is_told_where_it_is_used() -> None:
    library = LazyLibrary("no_such_library", install="some-library")
    with pytest.raises(MissingDependencyError, match="pip install some-library"):
        _ = library.open
