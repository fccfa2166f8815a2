"""The Frechet distance between two samples of features.

Legend: n, m rows of the samples, D features.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ingredients.evaluation.statistics import Estimate, bootstrap


def frechet_distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Squared Frechet distance of the normal distributions fitted to (n, D) and (m, D), infinite below two rows.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^(1/2) C2 C1^(1/2))^(1/2)), Dowson and Landau (1982). With centred samples A and B
    the trace of the root is the sum of the singular values of A B^T / sqrt((n - 1) (m - 1)), an n x m matrix; where
    there are more rows than features, the symmetric root of C1 does the same in D x D.
    """
    if min(len(first), len(second)) < 2:
        return float("inf")
    difference = first.mean(axis=0) - second.mean(axis=0)
    centred_first, centred_second = first - first.mean(axis=0), second - second.mean(axis=0)
    degrees_first, degrees_second = len(first) - 1, len(second) - 1
    traces = (centred_first**2).sum() / degrees_first + (centred_second**2).sum() / degrees_second
    if min(len(first), len(second)) <= first.shape[1]:
        product = centred_first @ centred_second.T / np.sqrt(degrees_first * degrees_second)
        root_trace = np.linalg.svd(product, compute_uv=False).sum()
    else:
        values, vectors = np.linalg.eigh(centred_first.T @ centred_first / degrees_first)
        root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
        cross = np.linalg.eigvalsh(root @ (centred_second.T @ centred_second / degrees_second) @ root)
        root_trace = np.sqrt(np.clip(cross, 0, None)).sum()
    return float(difference @ difference + traces - 2 * root_trace)


def bootstrap_frechet(
    generated: Sequence[NDArray[np.float64]], real: Sequence[NDArray[np.float64]], *, num_resamples: int
) -> Estimate:
    """The distance between the rows of all cases with its interval, which comes from drawing cases.

    Infinite while there are fewer than two rows on either side. With fewer rows than features it is biased upwards, as
    every distance from samples is.

    Args:
        generated: rows (n, D) of each case.
        real: likewise, of as many cases.
        num_resamples: draws; each costs a distance.
    """

    def distance(indices: NDArray[np.int64]) -> float:
        return frechet_distance(*(np.concatenate([side[index] for index in indices]) for side in (generated, real)))

    return bootstrap(distance, len(generated), num_resamples=num_resamples, is_biased=True)
