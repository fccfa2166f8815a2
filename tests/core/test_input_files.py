import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ingredients.core.config import load_config
from ingredients.core.errors import ModelFolderError, PhotoError, UserInputError
from ingredients.core.input_files import (
    NotAFileError,
    TooLargeError,
    check_all_regular,
    open_file,
    open_input,
    read_bytes,
    read_text,
)
from ingredients.core.model_files import read_json


def make_folder(path: Path) -> None:
    path.mkdir()


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_link_to_zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


KINDS = [
    (make_folder, "is a folder; give the name of an image file in it"),
    (make_pipe, "is a pipe or a device; give the name of an image file"),
    (make_link_to_zeros, "is a pipe or a device"),
    (make_socket, "is a pipe or a device"),
]


@pytest.mark.parametrize(("make", "message"), KINDS)
def test_what_is_no_regular_file_is_said_at_once(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    path = tmp_path / "a"
    make(path)
    with pytest.raises(NotAFileError):
        open_file(path)
    with pytest.raises(PhotoError, match=f"The photo {path} {message}"):
        open_input(path, "photo", example="an image file", error=PhotoError)


def test_files_and_links_to_them_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("grün\r\n".encode())
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert read_text(tmp_path / "b") == "grün\n"
    with open_input(tmp_path / "b", "text") as file:
        assert file.read(3) == b"gr\xc3"
    with pytest.raises(UserInputError, match="does not exist"):
        open_input(tmp_path / "c", "text")
    with pytest.raises(UserInputError, match="has a name that no file can have; give"):
        open_input("a\0b", "text")


def test_no_more_is_read_than_was_foreseen(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bytes(tmp_path / "a", most_bytes=5) == b"12345"
    with pytest.raises(TooLargeError, match="larger than"):
        read_bytes(tmp_path / "a", most_bytes=4)


@pytest.mark.parametrize(("make", "message"), KINDS[1:])
def test_settings_and_model_files_are_no_pipes(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    path = tmp_path / "config.json"
    make(path)
    with pytest.raises(UserInputError, match="pipe or a device"):
        load_config(dict, path)  # type: ignore[type-var]
    with pytest.raises(ModelFolderError, match="pipe or a device"):
        read_json(path)
    with pytest.raises(NotAFileError):
        check_all_regular(tmp_path)
    with pytest.raises(NotAFileError):
        check_all_regular(path)


def test_a_folder_of_files_and_of_links_to_nothing_may_be_looked_through(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(b"")
    (tmp_path / "in" / "b").symlink_to("nowhere")
    check_all_regular(tmp_path)
