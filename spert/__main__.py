"""`python -m spert` is the command `spert`."""

from .cli import main

main()
