"""`python -m locksmith` is `locksmithctl`; `python -m locksmith daemon` is `locksmithd`."""

import sys

from locksmith.ctl import app

if sys.argv[1:2] == ["daemon"]:
    app.daemon(sys.argv[2:])
app.main()
