"""The metrics, one file for each subject, and their registry."""
