"""`python -m locksmith` is `locksmithctl`; `python -m locksmith daemon` is `locksmithd`."""

import sys

from locksmith import cli

if sys.argv[1:2] == ["daemon"]:
    cli.daemon(sys.argv[2:])
cli.main()
