"""`python -m locksmith` is `locksmithctl`; `python -m locksmith daemon` is `locksmithd`."""

import sys

if sys.argv[1:2] == ["daemon"]:
    from locksmith import cli

    cli.main(sys.argv[2:])
else:
    from locksmith.ctl import app

    app.main()
