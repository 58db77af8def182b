"""`python -m skydns`."""

from skydns.cli import main

main()
