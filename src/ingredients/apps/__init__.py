"""The command line and what it shares with other front ends; no model code."""
