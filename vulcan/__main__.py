"""`python -m vulcan`."""

from vulcan.cli import main

main()
