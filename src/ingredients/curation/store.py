"""What the steps measured, on the disk: nothing is lost, and nothing is done twice.

One folder a source, named by the digest of its content, which one process at a time works in:

results.jsonl           a line for each measurement: step, key, clip, values; a line that was cut off is not counted
signals-KEY.npz         what was measured of each frame
clips/CLIP-KEY...       files that steps left: videos, masks

A line is written when its measurement and the files that it names are complete, so that a process can be killed at any
moment: what has no line is measured again, over whatever the files hold.
"""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingredients.core.files import drop_half_line, make_folder, remove_leftovers
from ingredients.core.json_yaml import NotPlainError, parse_json, read_json_lines, to_json

_RESULTS_NAME = "results.jsonl"
_REMEDY = "delete it, and its measurements are made again"


class SourceStore:
    """The measurements of one source.

    Args:
        work: folder of all of them.
        digest: the digest of the source's content.
    """

    def __init__(self, work: Path, digest: str) -> None:
        self.folder = work / digest[:2] / digest
        self.clips = self.folder / "clips"
        self._path = self.folder / _RESULTS_NAME
        self._values: dict[tuple[str, str, str], Any] = {}
        make_folder(self.clips)
        remove_leftovers(self.folder)
        remove_leftovers(self.clips)
        if self._path.exists():
            drop_half_line(self._path)
            for _, line in read_json_lines(self._path, remedy=_REMEDY):
                if not isinstance(line, NotPlainError):
                    with contextlib.suppress(TypeError, ValueError, KeyError):
                        self._values[line["step"], line["clip"], line["key"]] = line["values"]

    def get(self, step: str, clip: str, key: str) -> Any | None:
        """What a step measured; None if it has not yet."""
        return self._values.get((step, clip, key))

    def put(self, step: str, clip: str, key: str, values: Mapping[str, Any]) -> Any:
        """Keeps what a step measured, and gives it back as it will be read the next time."""
        line = to_json({"step": step, "clip": clip, "key": key, "values": values})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._values[step, clip, key] = parse_json(line)["values"]
        return self._values[step, clip, key]
