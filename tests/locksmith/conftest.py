"""Fixtures of locksmith's tests."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from coordinator.client import KeyNotFound, connect
from locksmith.core import keys
from tests.locksmith.locksmithd import Locksmithd
from tests.locksmith.store_kinds import KINDS


@pytest.fixture(scope="module", params=sorted(KINDS))
def store_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The client URL of a store of each kind, one for all tests of a module."""
    with KINDS[request.param](tmp_path_factory.mktemp(request.param)) as running:
        yield running.url


@pytest.fixture
def url(store_url: str) -> str:
    """The client URL of a store that holds none of locksmith's keys."""
    with suppress(KeyNotFound):
        connect(store_url).delete(keys.PREFIX, recursive=True)
    return store_url


@pytest.fixture
def start(url: str, tmp_path: Path) -> Iterator[Callable[..., Locksmithd]]:
    """Start a daemon on the store; it is ended with the test."""
    begun: list[Locksmithd] = []

    def begin(*arguments: str) -> Locksmithd:
        begun.append(Locksmithd(tmp_path, url, *arguments))
        return begun[-1]

    yield begin
    for daemon in begun:
        daemon.stop()
