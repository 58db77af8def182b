"""`python -m coordinator.ctl`."""

from coordinator.ctl.app import main

main()
