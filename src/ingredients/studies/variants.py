"""The models that the tables compare: what differs from the full method, and what each shares with others.

A variant is an alignment and a router run. Variants that differ in the router stage alone share their alignment, as
they share its base: what is compared is then the difference and nothing else.
"""

import dataclasses
from typing import Literal

Base = Literal["t2v", "i2v"]
"""CogVideoX's two kinds (4.3)."""

FULL_SEEDS = (0, 1, 2)
ALIGNED_SEEDS = (0, 1)
"""Seeds of variants that need an alignment of their own, three times the cost of a router stage."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """A run of the alignment stage."""

    base: Base | None = "i2v"
    """What it begins with; None takes the aligned weights inside the model that ships, with routers drawn anew: what
    hours of training have aligned, for variants that differ in the router stage alone."""

    overrides: tuple[str, ...] = ()
    """Settings that differ."""

    label: str = "i2v"
    """Label in the name of its folder."""

    recognition_maps: bool = False
    """Whether it learns from clips that hold the recogniser's feature maps, too (3.2), which are encoded apart."""

    @property
    def is_taken(self) -> bool:
        """Whether it is taken out of the model that ships."""
        return self.base is None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A model of a table."""

    name: str
    """Key in the results."""

    description: str
    """What it is, in a few words."""

    alignment: Alignment
    """Its first stage."""

    route_overrides: tuple[str, ...] = ()
    """Settings of the router stage that differ."""

    seeds: tuple[int, ...] = (0,)
    """Runs of it; rows that matter have three."""


SHIPPED = Alignment(base=None, label="shipped")
I2V = Alignment()
T2V = Alignment(base="t2v", label="t2v")
AFTER_VAE = Alignment(overrides=("model.transformer.canvas_placement=after",), label="i2v-after")
SAME_CLIP = Alignment(overrides=("stage.reference_source=same_clip",), label="i2v-same-clip")
MAPS_SETTING = "model.scale_source=recognition_and_clip"
WITH_MAPS = Alignment(overrides=(MAPS_SETTING,), label="i2v-maps", recognition_maps=True)

FULL = Variant(
    name="full",
    description="masks, canvas before the VAE, cross-entropy",
    alignment=SHIPPED,
    seeds=FULL_SEEDS,
)
FROM_I2V = Variant(
    name="i2v",
    description="the same after a short alignment of the image-to-video base",
    alignment=I2V,
    seeds=ALIGNED_SEEDS,
)
FROM_T2V = Variant(name="t2v", description="text-to-video base", alignment=T2V, seeds=ALIGNED_SEEDS)
BOX = Variant(
    name="box",
    description="routing supervised by boxes",
    alignment=SHIPPED,
    route_overrides=("stage.supervision=box",),
    seeds=FULL_SEEDS,
)
AFTER = Variant(name="after", description="faces joined after the VAE", alignment=AFTER_VAE, seeds=ALIGNED_SEEDS)
NO_LOSS = Variant(
    name="no_loss",
    description="no routing loss",
    alignment=SHIPPED,
    route_overrides=("stage.routing_loss=none",),
    seeds=FULL_SEEDS,
)
MSE = Variant(
    name="mse",
    description="squared error as the routing loss",
    alignment=SHIPPED,
    route_overrides=("stage.routing_loss=mse",),
    seeds=FULL_SEEDS,
)
SMALL_LAMBDA = Variant(
    name="lambda_0.01",
    description="lambda 0.01",
    alignment=SHIPPED,
    route_overrides=("stage.routing_loss_weight=0.01",),
)
LARGE_LAMBDA = Variant(
    name="lambda_1", description="lambda 1", alignment=SHIPPED, route_overrides=("stage.routing_loss_weight=1.0",)
)
FROM_SAME_CLIP = Variant(
    name="same_clip",
    description="reference faces from a frame of the same clip",
    alignment=SAME_CLIP,
    route_overrides=("stage.reference_source=same_clip",),
)
FROM_MAPS = Variant(
    name="recognition_maps",
    description="the recogniser's feature maps beside the image encoder's",
    alignment=WITH_MAPS,
    route_overrides=(MAPS_SETTING,),
)

VARIANTS: tuple[Variant, ...] = (
    FULL,
    NO_LOSS,
    MSE,
    BOX,
    FROM_I2V,
    FROM_T2V,
    AFTER,
    SMALL_LAMBDA,
    LARGE_LAMBDA,
    FROM_SAME_CLIP,
    FROM_MAPS,
)
"""All of them, those that the paper's tables need first."""

EXTRAS = (SMALL_LAMBDA, LARGE_LAMBDA, FROM_SAME_CLIP, FROM_MAPS)
"""Those that no table of the paper has."""
