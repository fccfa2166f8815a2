"""What a front end has to know of a model before it asks for a video; nothing here needs PyTorch."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from ingredients.core.config import config_from_dict, config_to_dict
from ingredients.model_folders.sampling_settings import SamplingSettings
from ingredients.pipelines.execution.speed_options import SpeedOptions
from ingredients.pipelines.video_shape import VideoGeometry, VideoShape


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """A model that is loaded, in the words of its users."""

    name: str
    """Name of its folder."""

    geometry: VideoGeometry
    """Sizes and lengths that it can make."""

    sampling: SamplingSettings
    """How it samples a video of which nothing else is said."""

    reads_photographs: bool
    """Whether it knows people of photographs; if not, drawn people only."""

    has_judge: bool
    """Whether somebody says how alike the people of its videos are."""

    step_caches: tuple[str, ...] = ()
    """Step caches that a single video may have."""

    speed: SpeedOptions = dataclasses.field(default_factory=SpeedOptions)
    """How it runs, where a video says nothing else."""

    words: tuple[str, ...] = ()
    """The words that its prompts may hold, without names; none where it reads any word."""

    def to_plain(self) -> dict[str, Any]:
        """The same as plain values."""
        return config_to_dict(self)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Self:
        """The facts that `to_plain` made into plain values."""
        geometry = dict(values["geometry"])
        for name in ("own_shape", "only_shape"):
            geometry[name] = None if geometry[name] is None else VideoShape(*geometry[name])
        return cls(
            name=values["name"],
            geometry=VideoGeometry(**geometry),
            sampling=config_from_dict(SamplingSettings, values["sampling"]),
            reads_photographs=values["reads_photographs"],
            has_judge=values["has_judge"],
            step_caches=tuple(values["step_caches"]),
            speed=config_from_dict(SpeedOptions, values.get("speed", {})),
            words=tuple(values.get("words", ())),
        )
