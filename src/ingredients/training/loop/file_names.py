"""Names of files in the folder of a run, for who looks for them without training anything."""

LOG_NAME = "log.jsonl"
METRICS_NAME = "metrics.json"
