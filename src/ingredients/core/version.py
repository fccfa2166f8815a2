"""The version of this package, which `pyproject.toml` reads here: a checkout on Python's path has it as well."""

VERSION = "0.1.0"
