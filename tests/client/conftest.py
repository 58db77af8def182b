"""A store of each kind; servers are shared by the tests of one process, each in its own place."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

from coordinator.client import HttpStore, KeyNotFound
from tests.client.world import World, in_memory
from tests.rig import Coordinator, Etcd

SERVERS = ("etcd", "coordinator")


@pytest.fixture(scope="session")
def etcd_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Etcd(tmp_path_factory.mktemp("etcd")) as running:
        yield running.url


@pytest.fixture(scope="session")
def coordinator_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Coordinator(tmp_path_factory.mktemp("coordinator")) as running:
        yield running.url


@pytest.fixture(params=("memory", *SERVERS))
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "memory":
        yield in_memory()
        return
    yield from _world(request)


@pytest.fixture(params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world behind a real server."""
    yield from _world(request)


def _world(request: pytest.FixtureRequest) -> Iterator[World]:
    url = request.getfixturevalue(f"{request.param}_url")
    with HttpStore(url) as store:
        world = World(request.param, store, url)
        yield world
        # No TTL of this test may take an index in the middle of another.
        with suppress(KeyNotFound):
            store.delete(world.place, recursive=True)
