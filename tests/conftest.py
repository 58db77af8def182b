"""Fixtures that several packages' tests share."""

import logging
import re
import signal
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig import processes
from rig.processes import Coordinator, Etcd, Etcd3

# These daemons use only the Store protocol. Contract tests in tests/coordinator/client check that
# all of its adapters behave the same.
ON_ANY_STORE = ("tests/confd/", "tests/locksmith/", "tests/skydns/", "tests/vulcan/")
STORE = re.compile(r"(?<=[\[-])(coordinator|etcd3?)(?=[\]-])")


processes.FORKS = True


def pytest_configure() -> None:
    """Let tests interrupt their children: a shell's background job hands down SIGINT ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="Record the golden files again.")
    parser.addoption(
        "--all-stores",
        action="store_true",
        help="Run each test of a daemon on every kind of store; without it, each on one of them.",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep each test of a daemon on one kind of store, so that all kinds get as many tests."""
    if config.getoption("--all-stores"):
        return
    groups: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.nodeid.startswith(ON_ANY_STORE) and STORE.search(item.nodeid):
            groups[STORE.sub("", item.nodeid)].append(item)
    left = {
        item
        for name, group in groups.items()
        for place, item in enumerate(group)
        if place != zlib.crc32(name.encode()) % len(group)
    }
    config.hook.pytest_deselected(items=list(left))
    items[:] = [item for item in items if item not in left]


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """Give the next test the level of logs that this one had; commands change it."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Etcd]:
    with Etcd(tmp_path) as running:
        yield running


@pytest.fixture
def etcd3(tmp_path: Path) -> Iterator[Etcd3]:
    with Etcd3(tmp_path) as running:
        yield running


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[Coordinator]:
    with Coordinator(tmp_path) as running:
        yield running
