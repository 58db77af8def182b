"""`python -m coordinator.ctl`."""

from coordinator.ctl.cli import main

main()
