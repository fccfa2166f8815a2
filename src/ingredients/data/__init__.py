"""Clips on their way to training: records, drawn examples, encoded pools, batches."""
