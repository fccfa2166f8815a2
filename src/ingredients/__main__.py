"""`python -m ingredients` is the command line."""

from ingredients.apps.cli import main

main()
