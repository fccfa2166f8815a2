"""Measuring videos and models: the judge, the metrics, the cases, the runner and its report."""
