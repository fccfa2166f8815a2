"""Commands, given what people type and what files hold: success or one sentence, and nothing else touched."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingredients.data.world_folder import write_world_folder
from ingredients.media.pictures import write_picture
from ingredients.media.video import write_video
from ingredients.pipelines.loading import load_pipeline
from ingredients.world import render_portrait, sample_identity
from tests.apps.tiny_model import save_tiny_model
from tests.data import drawn_clips
from tests.fuzz.damage import JUNK, damaged_bytes, damaged_json, huge_png
from tests.fuzz.harness import empty_folder, fuzzed, run_command, value_or_sentence

NO_NUMBERS = ["nan", "inf", "-inf", "1e999", "abc", "", " ", "1,5", "0x10", "--", "1" * 5000, "\x1b[31m"]
NUMBERS = ["0", "-1", "1", "3", "0.5", "1e308", "2147483648", "18446744073709551616", "1_0", "007", " 2"]
NAMES = [
    "", ".", "..", "/", "missing.png", "missing/a.png", "folder", "pipe.png", "text.png", "empty.png", "cut.png",
    "bomb.png", "a.mp4", "12:30.mp4", "pipe:1.mp4", "a" * 251 + ".png", "a" * 5000, "~nobody/a.png", "dangling.png",
    "/dev/zero", "/dev/full", "ana.png/a.png", "\x1b[2Ja.png", "a\nb.png", "caf\udce9.png", "locked/a.png",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a person has it, to be copied: photos, clips, videos, a model, and what gets in the way."""
    folder = tmp_path_factory.mktemp("place")
    for seed, name in enumerate(("ana", "ben")):
        write_picture(folder / f"{name}.png", render_portrait(sample_identity(seed, "eval"), seed, size=48).image)
    whole = (folder / "ana.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("no picture")
    (folder / "empty.png").touch()
    (folder / "bomb.png").write_bytes(huge_png(30_000, 30_000))
    (folder / "folder").mkdir()
    (folder / "folder" / "notes.txt").write_text("keep me")
    (folder / "dangling.png").symlink_to("gone.png")
    write_video(folder / "a.mp4", np.zeros((5, 32, 48, 3), np.uint8), fps=8)
    save_tiny_model(folder / "model")
    write_world_folder(folder / "clips", drawn_clips.SEEDS[:1], num_references=1, **drawn_clips.SIZE)
    return folder


def lay_out(place: Path, *names: str) -> None:
    """Copies parts of the place into the current folder, and adds what cannot be copied."""
    for name in names:
        if (place / name).is_dir():
            shutil.copytree(place / name, name)
        else:
            shutil.copyfile(place / name, name, follow_symlinks=False)
    os.mkfifo("pipe.png")


PHOTOS = ("ana.png", "ben.png", "cut.png", "text.png", "empty.png", "bomb.png", "folder", "dangling.png", "a.mp4")
odd_names = st.sampled_from(NAMES)
odd_texts = st.sampled_from(
    [
        "",
        " ",
        "\x1b[31mred",
        "Two\npeople",
        "wort " * 2000,
        "\x00",
        "half \udce9",
        "=",
        "1 2 3",
        "😀" * 50,
        "Two people wave",
    ]
)
numbers = st.sampled_from(NO_NUMBERS + NUMBERS)

GENERATE_OPTIONS: dict[str, st.SearchStrategy[str]] = {
    "--photo": odd_names.map(lambda name: f"ana={name}") | odd_texts | odd_texts.map(lambda name: f"{name}=ana.png"),
    "--prompt": odd_texts,
    "--output": odd_names,
    "--contact-sheet": odd_names,
    "--routing-map": odd_names,
    "--seed": numbers,
    "--num-inference-steps": st.sampled_from([*NO_NUMBERS, "0", "-1", "1", "3"]),
    "--guidance-scale": numbers,
    "--identity-guidance-scale": numbers,
    "--layout-share": numbers,
    "--likeness-guidance-scale": st.sampled_from([*NO_NUMBERS, "-1", "1e308"]),
    "--face-scale": numbers,
    "--num-frames": st.sampled_from([*NO_NUMBERS, "0", "-1", "1", "9", "1000000000000"]),
    "--height": st.sampled_from([*NO_NUMBERS, "0", "-8", "1", "32", "1000000000000"]),
    "--width": st.sampled_from([*NO_NUMBERS, "0", "-8", "1", "48", "1000000000000"]),
    "--face": st.sampled_from(["largest", "0", "-1", "99", "nan", "\x1b[31m"]),
    "--negative-prompt": odd_texts,
    "--step-cache": st.sampled_from(["mag", "nothing", "", "\x00"]),
    "--model": odd_names,
}  # fmt: skip


def meant_by(name: str) -> set[str]:
    """The file that a name means, and the one that it links to, as seen from the current folder."""
    if "\0" in name or not name:
        return set()
    return {os.path.normpath(name), os.path.relpath(os.path.realpath(name))}


NUMERIC_OPTIONS = [
    name for name in GENERATE_OPTIONS if name.endswith(("seed", "steps", "scale", "share", "frames", "ght", "dth"))
]


@fuzzed(50)
@given(data=st.data())
def test_generate(data: st.DataObject, place: Path) -> None:
    option = data.draw(st.sampled_from(sorted(GENERATE_OPTIONS)))
    value = data.draw(GENERATE_OPTIONS[option])
    options = {"--photo": "ana=ana.png", "--prompt": "A person waves", "--output": "out/v.mp4", "--model": "model"}
    options |= {"--num-inference-steps": "1", option: value}
    with empty_folder():
        lay_out(place, "model", *PHOTOS)
        Path("out").mkdir()
        pictures = [options.get(name, "") for name in ("--contact-sheet", "--routing-map")]
        written = {each for name in (options["--output"], *pictures) for each in meant_by(name)}
        run_command(
            ["generate", *(part for pair in options.items() for part in pair)],
            may_write=lambda name: name in written,
            must_fail=option in NUMERIC_OPTIONS and value in NO_NUMBERS,
        )


COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "info": lambda name: ["info", "--", name],
    "info --json": lambda name: ["info", "--json", "--", name],
    "faces": lambda name: ["faces", "--model", "model", "--output", "out/faces.png", "--", name],
    "curate": lambda name: ["curate", "people.min_people=0", "--output", "out/set", "--", name],
    "curate to": lambda name: ["curate", "a.mp4", "people.min_people=0", "--output", name],
    "curate show": lambda name: ["curate", "show", "people.min_people=0", "--output", name, "--", "a.mp4"],
    "curate send": lambda name: ["curate", "send", "--", name, "memory://fuzz"],
    "curate send to": lambda name: ["curate", "send", "--", "set", name],
    "curate fetch": lambda name: ["curate", "fetch", "--output", "out/raw", "--", name],
    "faces to": lambda name: ["faces", "--model", "model", "--output", name, "--", "ana.png"],
    "judge": lambda name: ["judge", "--model", "model", "--photo", "ana=ana.png", "--output", "out/j.png", "--", name],
    "judge to": lambda name: [
        *("judge", "a.mp4", "--model", "model", "--photo", "ana=ana.png"),
        *("--output", name, "--report", "out/j.json"),
    ],
    "judge for": lambda name: [
        "judge",
        "--model",
        "model",
        "--output",
        "out/j.png",
        "a.mp4",
        "--photo",
        f"ana={name}",
    ],
    "portrait to": lambda name: ["world", "portrait", "--seed", "3", "--size", "32", "--output", name],
    "portrait of": lambda seed: ["world", "portrait", "--seed", seed, "--size", "32", "--output", "out/a.png"],
    "clips to": lambda name: ["world", "clips", "--number", "1", "--output", name],
    "keys add": lambda name: ["keys", "add", "ana", "--keys", name],
    "keys list": lambda name: ["keys", "list", "--keys", name],
    "check": lambda name: ["data", "check", "--", name],
    "show": lambda name: ["data", "show", "--output", name, "--", "clips"],
    "pack": lambda name: ["data", "pack", "--output", name, "--", "clips"],
    "encode": lambda name: ["data", "encode", "--model", "model", "--output", "out/enc", "--", name],
    "benchmark check": lambda name: ["benchmark", "check", "--", name],
    "evaluate": lambda name: ["evaluate", "--model", "model", "--videos", name, "--output", "out/eval"],
    "align with": lambda name: ["train", "align", "--data", name, "--output", "out/run"],
    "align by": lambda name: ["train", "align", "--data", "clips", "--config", name, "--output", "out/run"],
    "export": lambda name: ["train", "export", "--output", "out/export", "--", name],
}


@fuzzed(100)
@given(data=st.data())
def test_names_that_commands_are_given(data: st.DataObject, place: Path) -> None:
    command = data.draw(st.sampled_from(sorted(COMMANDS)))
    name = data.draw(odd_names)
    with empty_folder():
        lay_out(place, "model", "clips", *PHOTOS)
        Path("out").mkdir()
        inside = "" if name == "." else f"{name}/"
        run_command(
            COMMANDS[command](name),
            may_write=lambda each: each in meant_by(name) or each.startswith(("out/", inside)),
            may_leave="out/enc/",  # whose shards say why no clip could be encoded
            codes=codes_of(command),
        )


def codes_of(command: str) -> tuple[int, ...]:
    return (0, 1, 2) if command.endswith("check") else (0, 2)


@fuzzed(60)
@given(data=st.data())
def test_damaged_photos_and_videos(data: st.DataObject, place: Path) -> None:
    name, command = data.draw(
        st.sampled_from(
            [
                ("ana.png", "faces"),
                ("a.mp4", "info"),
                ("ana.png", "info --json"),
                ("a.mp4", "faces"),
                ("a.mp4", "curate"),
            ]
        )
    )
    whole = (place / name).read_bytes()
    with empty_folder():
        lay_out(place, "model")
        Path("out").mkdir()
        Path(name).write_bytes(data.draw(damaged_bytes(whole)))
        run_command(COMMANDS[command](name), may_write=lambda each: each.startswith("out/"))


@fuzzed(40)
@given(data=st.data())
def test_damaged_data_sets(data: st.DataObject, place: Path) -> None:
    files = sorted(str(path.relative_to(place)) for path in (place / "clips").rglob("*") if path.is_file())
    name = data.draw(st.sampled_from([*files, *(["clips/metadata.jsonl"] * len(files))]))
    make = damaged_json if name.endswith(".jsonl") else damaged_bytes
    command = data.draw(st.sampled_from(["check", "check", "show"]))
    with empty_folder():
        lay_out(place, "clips")
        Path("out").mkdir()
        Path(name).write_bytes(data.draw(make((place / name).read_bytes())))
        line = COMMANDS[command]("clips" if command == "check" else "out/show.png")
        run_command(line, may_write=lambda each: each.startswith("out/"), codes=codes_of(command))


@fuzzed(60)
@given(data=st.data())
def test_damaged_model_folders(data: st.DataObject, place: Path) -> None:
    files = sorted(path for path in (place / "model").rglob("*") if path.is_file())
    texts = [path for path in files if path.suffix == ".json" and path.name != "tokenizer.json"]
    damaged = data.draw(st.sampled_from([*texts, *texts, *files])).relative_to(place)
    whole = (place / damaged).read_bytes()
    is_text = damaged.suffix == ".json" and damaged.name != "tokenizer.json"
    content = data.draw(damaged_json(whole) if is_text else damaged_bytes(whole))
    with empty_folder():
        shutil.copytree(place / "model", "model")
        damaged.write_bytes(content)
        value_or_sentence(lambda: load_pipeline("model"))


@fuzzed(40)
@given(data=st.data())
def test_manifests_of_videos(data: st.DataObject, place: Path) -> None:
    line = {"file_name": "a.mp4", "prompt": "A person waves", "people": [{"name": "ana", "photos": ["ana.png"]}]}
    content = data.draw(damaged_json(json.dumps(line).encode()) | st.sampled_from(JUNK))
    with empty_folder():
        lay_out(place, "model")
        Path("videos").mkdir()
        for name in ("a.mp4", "ana.png"):
            shutil.copyfile(place / name, Path("videos") / name)
        Path("videos/manifest.jsonl").write_bytes(content)
        run_command(COMMANDS["evaluate"]("videos"), may_write=lambda each: each.startswith("out/"))


@pytest.mark.parametrize("command", ["info", "faces"])
def test_a_picture_that_says_it_is_huge_is_refused(command: str, place: Path) -> None:
    with empty_folder():
        lay_out(place, "model", "bomb.png")
        run_command(COMMANDS[command]("bomb.png"), may_write=lambda each: False, must_fail=True)
