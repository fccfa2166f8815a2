"""Where the people go while the video is still noise.

In the first steps nothing in the video says yet who is where, so the router cannot know: it gives the same person to
every place, or a little of each to everybody, and hats and beards end up on both. So the first steps may be planned:
each person gets a column, in the order given, from left to right, or stands where `places` says. After them the router
reads the video.

Legend: B videos, N identities, f/h/w grid of video tokens, L video tokens.
"""

import torch

PLANNED_SHARE = 0.3
"""Share of the steps that are planned where somebody's place is asked for, of a model that plans none by itself."""


def column_layout(token_grid: tuple[int, int, int], num_people: int) -> torch.Tensor:
    """An identity for each token (f, h, w): people in columns of equal width, from left to right."""
    num_frames, num_rows, num_columns = token_grid
    person = torch.arange(num_columns) * num_people // num_columns  # (w,)
    return person.expand(num_frames, num_rows, num_columns)


def planned_indices(
    token_grid: tuple[int, int, int], id_mask: torch.Tensor, placed: torch.Tensor | None = None
) -> torch.Tensor:
    """An identity for each token of each video.

    Args:
        token_grid: f, h, w.
        id_mask: (B, N) bool, True = a real identity.
        placed: (f, h, w), where all of them stand; by default they have columns.

    Returns:
        (B, L), -1 for nobody.
    """
    if placed is not None:
        return placed.flatten().to(id_mask.device).expand(len(id_mask), -1)
    rows = []
    for is_real in id_mask:
        real = is_real.nonzero().flatten()
        columns = column_layout(token_grid, max(len(real), 1)).to(id_mask.device)
        rows.append((real[columns] if len(real) else torch.full_like(columns, -1)).flatten())
    return torch.stack(rows)
