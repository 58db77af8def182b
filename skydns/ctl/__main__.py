"""`python -m skydns.ctl`."""

from skydns.ctl.app import main

main()
