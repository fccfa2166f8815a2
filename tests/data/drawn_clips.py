"""What the drawn data set of these tests holds, and ways to change it."""

import json
from pathlib import Path
from typing import Any

from ingredients.data.clip_check import DataReport, check_clips
from ingredients.data.clip_folder import METADATA_NAME
from ingredients.data.clip_source import open_clip_source

SEEDS = (0, 1, 2)
IDS = tuple(f"train-{seed:08d}" for seed in SEEDS)
NUM_FRAMES, HEIGHT, WIDTH = 5, 48, 72
SIZE: dict[str, Any] = {"num_frames": NUM_FRAMES, "height": HEIGHT, "width": WIDTH}


def check(folder: Path) -> DataReport:
    return check_clips(open_clip_source(folder))


def change(folder: Path, line: int, **values: Any) -> None:
    """Changes fields of a record; None takes the field away."""
    lines = (folder / METADATA_NAME).read_text().splitlines()
    record = json.loads(lines[line])
    for name, value in values.items():
        if value is None:
            record.pop(name)
        else:
            record[name] = value
    lines[line] = json.dumps(record)
    (folder / METADATA_NAME).write_text("\n".join(lines) + "\n")


def values_of(folder: Path, line: int) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / METADATA_NAME).read_text().splitlines()[line])
    return values


def people_of(folder: Path, line: int) -> list[dict[str, Any]]:
    people: list[dict[str, Any]] = values_of(folder, line)["people"]
    return people
