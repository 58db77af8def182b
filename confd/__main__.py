"""`python -m confd`."""

from confd.cli import main

main()
