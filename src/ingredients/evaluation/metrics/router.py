"""Whether the router finds the face tokens of each person (Eq. 3), measured on real clips with true masks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ingredients.evaluation.case_record import CaseRecord, RoutingRecord
from ingredients.evaluation.metrics.metric import CaseMean


def last_half_recall(routing: RoutingRecord) -> float | None:
    """Balanced recall averaged over the timesteps and the last half of the routed blocks; None if there is none."""
    if not routing.balanced_recall:
        return None
    table = np.array(routing.balanced_recall, dtype=np.float64)  # (J, t)
    return float(table[len(table) // 2 :].mean())


def mean_recall_table(records: Sequence[CaseRecord]) -> NDArray[np.float64]:
    """Balanced recall by routed block and timestep (J, t), averaged over cases that have one; (0, 0) if none has."""
    routings = [record.routing for record in records if record.routing is not None]
    tables = [routing.balanced_recall for routing in routings if routing.balanced_recall]
    return np.mean(tables, axis=0, dtype=np.float64) if tables else np.empty((0, 0))


def _of_case(record: CaseRecord) -> float | None:
    if record.routing is None:
        raise ValueError(f"case {record.index} has no routing record")
    return last_half_recall(record.routing)


ROUTER_ACCURACY = CaseMean(
    name="router_accuracy",
    description="recall on each person's face tokens, mean over people, timesteps and the last half of the blocks",
    of_case=_of_case,
    needs=frozenset({"routing"}),
    is_rate=True,
)
