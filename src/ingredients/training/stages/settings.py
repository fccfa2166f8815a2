"""Settings of the stages; nothing here needs PyTorch to be read."""

import dataclasses
from typing import Annotated, Literal

from ingredients.core.ranges import Count, Range, RangeChecked, Share, Weight, Width
from ingredients.data.encoding_settings import ReferenceSource, RoutingSupervision

BaseTask = Literal["t2v", "i2v"]
Tuning = Literal["lora", "full"]
AlignmentRouting = Literal["targets", "uniform", "router"]
RoutingLoss = Literal["cross_entropy", "mse", "none"]
Background = Literal["ignored", "class"]
LORA_MODULES = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "ff.net.0.proj", "ff.net.2")


@dataclasses.dataclass(slots=True, kw_only=True)
class DiffusionConfig(RangeChecked):
    """Batches and loss of a diffusion stage."""

    batch_size: Width = 16
    """Clips in a step, over all processes and backward passes."""

    micro_batch_size: Width | None = None
    """Clips in one backward pass, and in one look at held-out clips; None: all that fall to a process at once."""

    image_batch_size: Width = 32
    """Images in a step, while the run trains on images."""

    image_share: Share = 0.0
    """Share of the run, at its start, that trains on the clips' first frames alone: a third of the tokens, and all
    that there is to learn about looks. Clips of a single frame belong to it, and are left out afterwards where there
    are others; with 0 they take turns with the others."""

    clip_frames: Width | None = None
    """Latent frames of a clip that a step trains on; None: all. Of clips whose latent frames are pictures each, the
    piece is drawn anew in each epoch; of others it is the beginning. A few cost a fraction of a whole clip and show as
    much of faces that stay themselves; how things go on must be learnt from whole ones."""

    timestep_shift: Annotated[float, Range(above=0, at_most=100)] = 1.0
    """How much of the training goes to high noise levels: a level u of [0, 1) becomes s u / (1 + (s - 1) u), as in
    Esser et al. 2024 (Stable Diffusion 3, 5.3.2). 1 spreads it evenly, as in the paper. What people look like is
    decided at higher levels the more pixels there are; less than 1 favours low levels, where details are drawn."""

    noise_sharing: Share | None = None
    """The share of the noise's variance that is the same in all frames of tokens of a clip, as in Ge et al. 2023
    ("Preserve Your Own Correlation", 4.1); the model keeps it, and samples so. None: as the model that it begins with
    has it, 0 in the paper. Where few clips were seen, frames that share noise stay alike."""

    caption_drop: Share = 0.1
    """Share of the captions that become empty, for guidance."""

    face_weight: Annotated[float, Range(above=0, at_most=1e4)] = 1.0
    """Weight of the places on faces in the diffusion loss, against 1 elsewhere."""

    supervision: RoutingSupervision = "segment"
    """Whether face tokens come from masks or from boxes (section 4.3)."""

    reference_source: ReferenceSource = "other"
    """Where the photos of the people come from; the paper takes a frame of the same clip (3.3)."""

    gradient_checkpointing: bool = False
    """Keeps less of the forward pass, and computes it again in the backward pass: a third more arithmetic."""

    compile: bool = False
    """Compiles the transformer's blocks."""

    num_validation_batches: Count = 4
    """Batches of the held-out loss."""


@dataclasses.dataclass(slots=True, kw_only=True)
class BaseConfig(DiffusionConfig):
    """Settings of base training."""

    image_noise: Annotated[float, Range(at_least=0, at_most=10)] = 0.1
    """Largest standard deviation of the noise put on the first frame that image-to-video starts from."""

    image_drop: Share = 0.1
    """Share of the samples whose first frame is hidden, so that zero image latents mean: nothing given."""


@dataclasses.dataclass(slots=True, kw_only=True)
class IdentityConfig(DiffusionConfig):
    """Settings that both stages have."""

    tuning: Tuning = "lora"
    """How the base follows: by a LoRA, as in the paper, which keeps what a large base has learnt; or in full, for a
    small base that has still to learn most of it."""

    lora_rank: Annotated[int, Range(at_least=1, at_most=4096)] = 64
    """Rank of the LoRA."""

    lora_modules: tuple[str, ...] = LORA_MODULES
    """Which of a block's modules have one, by the ends of their names."""

    base_learning_rate_scale: Annotated[float, Range(at_least=0, at_most=1e3)] = 1.0
    """Learning rate of the LoRA, or of the base's own weights, against that of the stage's modules."""

    identity_drop: Share = 0.0
    """Share of the samples that lose all identity features, so that the finished model can also tell what it would
    draw of nobody in particular: what `identity_guidance_scale` leads away from. The paper has none."""

    image_noise: Annotated[float, Range(at_least=0, at_most=10)] = 0.0
    """Largest standard deviation of the noise put on the canvas's latents, as image-to-video training puts it on first
    frames; the paper names none."""

    identity_loss_weight: Weight = 0.0
    """Weight of the identity loss; the paper has none."""

    identity_loss_max_timestep: Annotated[int, Range(at_least=0, at_most=1000)] = 600
    """Noise level from which on a prediction is too blurred for the identity loss."""

    identity_loss_share: Annotated[float, Range(above=0, at_most=1)] = 1.0
    """Share of the samples, drawn anew in each epoch, whose prediction the identity loss decodes; each of them weighs
    as many times more, so that the loss is the same in the mean and costs this share of its price."""


@dataclasses.dataclass(slots=True, kw_only=True)
class AlignmentConfig(IdentityConfig):
    """Settings of the alignment stage."""

    alignment_routing: AlignmentRouting = "targets"
    """By what tokens choose identities while the router is untrained: the true masks, a uniform mixture, or the
    router's softmax."""

    kept_shares: tuple[Share, Share, Share] = (1 / 3, 1 / 3, 1 / 3)
    """Dropping regularisation: shares of the samples that keep the global features only, the local only, both."""

    train_patch_embed: bool = True
    """Whether the patch embedding learns too: its image channels have seen first frames, never canvases, and those of
    a text-to-video base begin at zero, so that it must."""

    def __post_init__(self) -> None:
        IdentityConfig.__post_init__(self)
        if abs(sum(self.kept_shares) - 1) > 1e-6:
            raise ValueError(f"kept_shares must be shares that sum to 1, not {self.kept_shares}.")


@dataclasses.dataclass(slots=True, kw_only=True)
class RouterConfig(IdentityConfig):
    """Settings of the router stage."""

    routing_loss: RoutingLoss = "cross_entropy"
    """Supervision of the router; `none` leaves it to the diffusion loss through the mixture (Table 3)."""

    routing_loss_weight: Weight = 0.1
    """Lambda of Eq. 5, which the paper does not give."""

    background: Background = "ignored"
    """Whether tokens off the faces say nothing about the router, as in the paper, or belong to nobody: a class of its
    own, whose logit is 0. The transformer must have `route_background` then."""

    canvas_drop: Share = 0.2
    """Share of the samples without the canvas: the router must also work from local features alone."""

    lora_rank: Annotated[int, Range(at_least=1, at_most=4096)] = 16
    """Rank of this stage's own LoRA; the alignment's is merged before."""
