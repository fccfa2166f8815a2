"""The paper's experiments: baselines, ablations, tables and figures, in the drawn world."""
