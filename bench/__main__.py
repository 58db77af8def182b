"""`python -m bench [AREA...]`: measure, print the table, append the rows to the history.

Each area's rows go to standard error as they come.
"""

import importlib
import sys

from bench.table import Row, publish, remember, show

AREAS = (
    "coordinator",
    "cluster",
    "secured",
    "skydns",
    "vulcan",
    "confd",
    "client",
    "fleet",
    "locksmith",
)


def main() -> None:
    """Run the named areas, or all. A run of all areas updates docs/comparison.md."""
    asked = sys.argv[1:] or AREAS
    if unknown := set(asked) - set(AREAS):
        sys.exit(f"no such area: {', '.join(sorted(unknown))}; there are {', '.join(AREAS)}")
    rows: list[Row] = []
    for area in asked:
        found = importlib.import_module(f"bench.{area}").rows()
        print(show(found), end="\n\n", file=sys.stderr, flush=True)
        rows += found
    print(show(rows))
    remember(rows)
    if not sys.argv[1:]:
        publish(rows)


main()
