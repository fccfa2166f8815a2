"""The losses of the diffusion stages (section 3.3, Eq. 1 and Eq. 5), all in float32.

Legend: B batch, F latent frames, C channels, H/W latent grid, L video tokens, N identities.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from ingredients.data.routing_targets import BACKGROUND


def diffusion_loss(
    prediction: torch.Tensor, velocity: torch.Tensor, weight: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean squared error of the predicted velocity, in float32: Eq. 1 under v-prediction.

    Args:
        prediction: (B, F, C, H, W).
        velocity: as `prediction`.
        weight: (B, F, 1, H, W), of mean 1; None weighs every place alike.
    """
    error = (prediction.float() - velocity.float()).square()
    return error.mean() if weight is None else (error * weight).mean()


def routing_cross_entropy(routing_logits: Sequence[torch.Tensor], routing_targets: torch.Tensor) -> torch.Tensor:
    """The routing term of Eq. 5: cross-entropy of the routing logits against the visible faces.

    Mean over a sample's face tokens, then over samples, then over routed blocks. A sample without face tokens
    contributes 0, because the sum over its tokens is empty.

    Args:
        routing_logits: (B, L, N) for each routed block.
        routing_targets: (B, L) long, `BACKGROUND` tokens are ignored.
    """
    losses = []
    for logits in routing_logits:
        token_losses = F.cross_entropy(
            logits.float().transpose(1, 2), routing_targets, ignore_index=BACKGROUND, reduction="none"
        )  # (B, L), 0 on background
        losses.append(_mean_over_face_tokens(token_losses, routing_targets))
    return torch.stack(losses).mean()


def routing_mse(routing_logits: Sequence[torch.Tensor], routing_targets: torch.Tensor) -> torch.Tensor:
    """The MSE ablation (Table 3): routing probabilities against one-hot targets, on the same tokens.

    The squares are summed over identities, so padded ones, whose probability is 0, change nothing.

    Args:
        routing_logits: (B, L, N) for each routed block.
        routing_targets: (B, L) long, `BACKGROUND` tokens are ignored.
    """
    losses = []
    for logits in routing_logits:
        one_hot = F.one_hot(routing_targets.clamp(min=0), logits.shape[-1])
        token_losses = (logits.float().softmax(dim=-1) - one_hot).square().sum(dim=-1)  # (B, L)
        losses.append(_mean_over_face_tokens(token_losses, routing_targets))
    return torch.stack(losses).mean()


def _mean_over_face_tokens(token_losses: torch.Tensor, routing_targets: torch.Tensor) -> torch.Tensor:
    is_face = routing_targets != BACKGROUND
    num_face_tokens = is_face.sum(dim=1).clamp(min=1)
    return ((token_losses * is_face).sum(dim=1) / num_face_tokens).mean()


def balanced_routing_recall(routing_logits: torch.Tensor, routing_targets: torch.Tensor) -> float:
    """Share of the face tokens that argmax gives to the right identity: per person, then averaged over people.

    Args:
        routing_logits: (B, L, N) of one block.
        routing_targets: (B, L) long.

    Returns:
        A share in [0, 1]; NaN if no face token is there. Samples with one person say nothing and are left out.
    """
    chosen = routing_logits.argmax(dim=-1)
    recalls = []
    for row, targets in zip(chosen, routing_targets, strict=True):
        people = targets[targets != BACKGROUND].unique()
        if len(people) > 1:
            recalls += [float((row[targets == person] == person).float().mean()) for person in people]
    return sum(recalls) / len(recalls) if recalls else float("nan")
