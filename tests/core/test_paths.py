from pathlib import Path

import pytest

from ingredients.core.errors import UserInputError
from ingredients.core.paths import parse_path


def test_the_home_folder_is_where_a_tilde_begins_a_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse_path("~/a/~b.png") == tmp_path / "a" / "~b.png"
    assert parse_path("~") == tmp_path
    assert parse_path("./~a.png") == Path("~a.png")
    assert parse_path("~nobody-of-this-name/a.png") == Path("~nobody-of-this-name/a.png")
    assert parse_path(Path("a/b.png")) == Path("a/b.png")


def test_a_name_that_is_not_utf_8_is_one() -> None:
    assert parse_path("caf\udce9.png") == Path("caf\udce9.png")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a\0b", "zero byte"),
        ("a\ud800b", "half a character"),
        ("a" * 256, "too long"),
        (f"{'ä' * 128}/b.png", "too long"),
        ("a/" * 2049, "too long"),
    ],
)
def test_names_that_no_file_can_have(text: str, complaint: str) -> None:
    with pytest.raises(UserInputError, match=complaint) as raised:
        parse_path(text)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 400


def test_no_name_is_not_the_current_folder() -> None:
    with pytest.raises(UserInputError, match="is empty"):
        parse_path("")


def test_an_address_is_no_folder_of_this_machine_and_its_password_is_not_told() -> None:
    with pytest.raises(UserInputError, match=r"The address s3://bucket/clips is no file or folder") as caught:
        parse_path("s3://ana:secret@bucket/clips?signature=secret")
    assert "secret" not in str(caught.value)
    assert parse_path("a:b/c") == Path("a:b/c")
    assert parse_path("://x") == Path("://x")
