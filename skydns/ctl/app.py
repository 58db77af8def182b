"""The console script `skydnsctl`: its commands by noun."""

from typing import NoReturn

from daemonkit import options
from skydns.ctl import explain, record, top

app = options.program("Show, write and explain the records that skydns answers with.")
app.command()(record.add)
app.command("list")(record.list_)
app.command()(record.rm)
app.command()(record.lint)
app.command()(explain.explain)
app.command()(top.top)


def main() -> NoReturn:
    """Run the console script."""
    options.run(app, "skydnsctl")
