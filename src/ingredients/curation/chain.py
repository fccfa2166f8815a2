"""The chain itself: which steps there are, in which order, the cheap ones first.

probe, signals, shots            of a source, which they part into clips
length ... hashes                numbers that the signals hold
duplicates                       of all clips together
cut ... captions                  on the clip's frames, decoded once
"""

import importlib
from collections.abc import Mapping

from ingredients.curation.config import CurationConfig
from ingredients.curation.step import ClipStep

_CHEAP: Mapping[str, tuple[str, ...]] = {
    "quality": ("Length", "Bars", "Exposure", "Stills", "Motion", "Sharpness"),
    "duplicates": ("Hashes",),
}
_COSTLY: Mapping[str, tuple[str, ...]] = {
    "cut": ("Cut",),
    "text": ("Text",),
    "near_duplicates": ("Embedding",),
    "people": ("People",),
    "masks": ("Masks",),
    "portraits": ("Portraits",),
    "acting": ("Acting",),
    "answers": ("Answers",),
    "captions": ("Captions",),
}
"""Files of this folder and the steps in them: they are imported when they are used, as some bring networks along."""

_OF_PEOPLE = frozenset({"people", "masks", "portraits", "acting", "answers", "captions"})
"""Those that are left out where nobody is looked for."""


def cheap_steps(config: CurationConfig) -> list[ClipStep]:
    """The steps that read signals alone."""
    return _made(_CHEAP, config)


def costly_steps(config: CurationConfig) -> list[ClipStep]:
    """The steps that look at frames, in order; made once for each process, as they may hold networks."""
    left_out = set(_OF_PEOPLE) if config.people.min_people == 0 else set()
    if not config.captions.is_asked:
        left_out.add("answers")
    return _made({file: names for file, names in _COSTLY.items() if file not in left_out}, config)


def _made(files: Mapping[str, tuple[str, ...]], config: CurationConfig) -> list[ClipStep]:
    steps: list[ClipStep] = []
    for file, names in files.items():
        module = importlib.import_module(f"ingredients.curation.{file}")
        steps += [getattr(module, name)(config) for name in names]
    return steps
