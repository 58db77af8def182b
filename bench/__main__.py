"""`python -m bench [AREA...]`: measure, print the table, remember the rows."""

import importlib
import sys

from bench.table import Row, publish, remember, show

AREAS = ("coordinator", "cluster", "skydns", "vulcan", "confd", "client", "fleet", "locksmith")


def main() -> None:
    """Run the named areas, or all; a run of all is what the comparison shows."""
    asked = sys.argv[1:] or AREAS
    if unknown := set(asked) - set(AREAS):
        sys.exit(f"no such area: {', '.join(sorted(unknown))}; there are {', '.join(AREAS)}")
    rows: list[Row] = []
    for area in asked:
        rows += importlib.import_module(f"bench.{area}").rows()
        print(show(rows), end="\n\n", flush=True)
    remember(rows)
    if not sys.argv[1:]:
        publish(rows)


main()
