"""What is said of a clip: who does what by place, never what somebody looks like (the paper, 4.1).

Photos say who people are; a caption that says it, too, takes the work from them. So what a captioner says of looks is
taken out (`curation/looks.py`); where something is left, the plain sentence of what was measured stands in, and the
clip says so. Words such as "the person on the left" are bound to the tracks that they stand for.
"""

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingredients.core.errors import UserInputError
from ingredients.core.json_yaml import NotPlainError, read_json_lines
from ingredients.curation.answers import Answers
from ingredients.curation.config import CurationConfig
from ingredients.curation.looks import named_looks, without_looks
from ingredients.curation.plain_captions import PlainCaption, describe_measured, spots_of
from ingredients.curation.step import Clip, ClipStep, Measured, Rejection

_SOMEBODY = r"(?:the |a )?(?:other )?(?:person|one|individual|figure|character),? (?:who is )?(?:standing |sitting )?"
_PHRASES: Mapping[str, str] = {
    "left": rf"{_SOMEBODY}(?:on|at|to) the (?:far )?left(?: side)?|the left(?:most)? (?:person|one)",
    "right": rf"{_SOMEBODY}(?:on|at|to) the (?:far )?right(?: side)?|the right(?:most)? (?:person|one)",
    "middle": rf"{_SOMEBODY}in the (?:middle|cent(?:er|re))|the middle (?:person|one)",
}


class Captions(ClipStep):
    """Says what happens in a clip."""

    name, cost, title = "captions", "network", "Writing captions"
    needs: tuple[str, ...] = ("cut", "people", "acting")
    version = 4
    measured_by = (
        "captions.by",
        "captions.file",
        "captions.min_action",
        "captions.min_expression",
        "captions.min_place",
        "captions.min_light",
    )

    def __init__(self, config: CurationConfig) -> None:
        super().__init__(config)
        if config.captions.by == "given":  # other captions in the same file are other captions
            digest = hashlib.sha256(json.dumps(self.given, sort_keys=True, allow_nan=False).encode()).hexdigest()
            self.version = int(digest[:12], 16)
        elif config.captions.is_asked:
            self.needs = (*self.needs, Answers.name)

    @functools.cached_property
    def given(self) -> Mapping[str, str]:
        """Captions by clip."""
        return read_captions(Path(str(self.config.captions.file)))

    def measure(self, clip: Clip) -> Measured:
        """The caption, what it calls each person, and what a captioner had said of looks."""
        config = self.config.captions
        plain = describe_measured(
            spots_of(clip.results["people"]["tracks"]), clip.results["acting"], config=config, clip_id=clip.clip_id
        )
        if config.by == "template":
            said = plain.text
        elif config.by == "given":
            if clip.clip_id not in self.given:
                raise UserInputError(f"The captions of {config.file} have none for the clip {clip.clip_id}.")
            said = self.given[clip.clip_id]
        else:
            said = clip.results[Answers.name]["said"]
        return clean(said, plain=plain)

    def decide(self, measured: Measured) -> Rejection | None:
        """Leaves out clips of which nothing is said."""
        return None if measured["caption"] else self.rejection("no caption")


def clean(said: str, *, plain: PlainCaption) -> dict[str, Any]:
    """A caption without looks.

    Args:
        said: what a model said of the clip.
        plain: the plain caption of the people with tracks, from left to right; it stands in where looks cannot be
            taken out.

    Returns:
        `caption`; `phrases`, for each person the words that stand for it, or None; `looks`, the words of looks that
        were said; `is_rewritten`; `is_replaced`.
    """
    said = " ".join(said.split())
    caption = without_looks(said) if named_looks(said) else said
    is_replaced = bool(named_looks(caption))
    if is_replaced:
        caption = plain.text
    return {
        "caption": caption,
        "phrases": list(plain.phrases) if caption == plain.text else bind_phrases(caption, len(plain.phrases)),
        "looks": sorted(set(named_looks(said))),
        "is_rewritten": caption != said and not is_replaced,
        "is_replaced": is_replaced,
    }


def bind_phrases(caption: str, num_people: int) -> list[str | None]:
    """What a caption calls each person, from left to right; None where it does not say, or may mean several."""
    places = {2: ("left", "right"), 3: ("left", "middle", "right")}.get(num_people)
    if places is None:
        alone = re.search(r"\b(?:one|a|the) person\b", caption, re.IGNORECASE) if num_people == 1 else None
        return [alone.group()] if alone else [None] * num_people
    found = {place: re.search(rf"\b(?:{pattern})\b", caption, re.IGNORECASE) for place, pattern in _PHRASES.items()}
    matches = [found[place] for place in places]
    return [None if match is None else match.group() for match in matches]


def read_captions(path: Path) -> dict[str, str]:
    """Captions by clip from JSON lines of `clip_id` and `caption`.

    Raises:
        UserInputError: if the file cannot be read, or a line is something else.
    """
    captions: dict[str, str] = {}
    fields = ("clip_id", "caption")
    for number, values in read_json_lines(path, remedy="name another one with captions.file=FILE"):
        fits = isinstance(values, Mapping) and all(isinstance(values.get(each), str) for each in fields)
        if isinstance(values, NotPlainError) or not fits:
            raise UserInputError(
                f"Line {number} of the captions {path} is no object with the texts clip_id and caption; correct it."
            )
        captions[values["clip_id"]] = values["caption"]
    return captions
