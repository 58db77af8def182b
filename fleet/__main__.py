"""`python -m fleet` is fleetd."""

from fleet.cli import main

main()
