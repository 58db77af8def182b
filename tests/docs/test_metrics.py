"""The documentation names only metrics that a daemon has."""

import re

import pytest

from rig.processes import ROOT
from tests.docs.pages import DOCS

PACKAGES = ("coordinator", "daemonkit", "locksmith", "skydns", "confd", "vulcan", "fleet")
NAME = re.compile(r"\b(?:etcd|coordinator|locksmith|skydns|confd|vulcand|fleet|worker)_[a-z_0-9]+")
NAMED = sorted(
    {name for rule in re.findall(r"expr: (.*)", (DOCS / "operations.md").read_text())
     for name in NAME.findall(rule)}
)  # fmt: skip
SOURCES = "\n".join(
    path.read_text() for package in PACKAGES for path in (ROOT / package).rglob("*.py")
)


@pytest.mark.parametrize("name", NAMED)
def test_an_alert_watches_a_metric_that_exists(name: str) -> None:
    # prometheus-client adds `_total` to counters; some are declared without the daemon's name.
    bare = name.removesuffix("_total")
    rest = bare.partition("_")[2]
    assert bare in SOURCES or f"_{rest}" in SOURCES or f'"{rest}"' in SOURCES
