"""The losses of the diffusion stages (section 3.3, Eq. 1 and Eq. 5), all in float32.

Legend: B batch, F latent frames, C channels, H/W latent grid, L video tokens, N identities.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from ingredients.data.routing_targets import BACKGROUND


def diffusion_losses(
    prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean squared error of the prediction of each sample (B,), in float32: Eq. 1 under v-prediction.

    Args:
        prediction: (B, F, C, H, W).
        target: as `prediction`.
        weight: (B, F, 1, H, W), of mean 1 in each sample; None weighs every place alike.
    """
    error = (prediction.float() - target.float()).square()
    return (error if weight is None else error * weight).mean(dim=(1, 2, 3, 4))


def routing_cross_entropy(
    routing_logits: Sequence[torch.Tensor], routing_targets: torch.Tensor, *, num_face_tokens: float
) -> torch.Tensor:
    """The routing term of Eq. 5: cross-entropy of the routing logits against the visible faces.

    Summed over the face tokens and divided by how many there are in the whole batch, of which these samples may be a
    part; then averaged over routed blocks. Background is left out: without a face token the sum is empty and the loss
    0.

    Args:
        routing_logits: (B, L, N) for each routed block.
        routing_targets: (B, L) long, `BACKGROUND` tokens are ignored.
        num_face_tokens: the number in the whole batch.
    """
    losses = [
        F.cross_entropy(logits.float().transpose(1, 2), routing_targets, ignore_index=BACKGROUND, reduction="sum")
        for logits in routing_logits
    ]
    return torch.stack(losses).mean() / max(num_face_tokens, 1.0)


def routing_mse(
    routing_logits: Sequence[torch.Tensor], routing_targets: torch.Tensor, *, num_face_tokens: float
) -> torch.Tensor:
    """The MSE ablation (Table 3): routing probabilities against one-hot targets, on the same tokens.

    The squares are summed over identities, so padded ones, whose probability is 0, change nothing.

    Args:
        routing_logits: (B, L, N) for each routed block.
        routing_targets: (B, L) long, `BACKGROUND` tokens are ignored.
        num_face_tokens: the number in the whole batch.
    """
    is_face = routing_targets != BACKGROUND
    losses = []
    for logits in routing_logits:
        one_hot = F.one_hot(routing_targets.clamp(min=0), logits.shape[-1])
        token_losses = (logits.float().softmax(dim=-1) - one_hot).square().sum(dim=-1)  # (B, L)
        losses.append((token_losses * is_face).sum())
    return torch.stack(losses).mean() / max(num_face_tokens, 1.0)


def routing_recalls(routing_logits: torch.Tensor, routing_targets: torch.Tensor) -> list[float]:
    """Share of each person's face tokens that argmax gives to the right identity; their mean is balanced.

    Args:
        routing_logits: (B, L, N) of one block.
        routing_targets: (B, L) long.

    Returns:
        Shares in [0, 1], of the people with face tokens. Samples with one person say nothing and are left out.
    """
    chosen = routing_logits.argmax(dim=-1)
    recalls = []
    for row, targets in zip(chosen, routing_targets, strict=True):
        people = targets[targets != BACKGROUND].unique()
        if len(people) > 1:
            recalls += [float((row[targets == person] == person).float().mean()) for person in people]
    return recalls
