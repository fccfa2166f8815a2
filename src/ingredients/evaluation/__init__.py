"""Measuring videos, whoever made them: cases, sources of videos, judges, metrics and reports."""
