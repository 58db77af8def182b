"""The stores that locksmith is tested on, as real processes."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

from coordinator.client import KeyNotFound, connect
from locksmith import keys
from tests.rig import Coordinator, Etcd

KINDS = {"etcd": Etcd, "coordinator": Coordinator}


@pytest.fixture(scope="module", params=sorted(KINDS))
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The client URL of a store of each kind, one for all tests of a module."""
    with KINDS[request.param](tmp_path_factory.mktemp(request.param)) as store:
        yield store.url


@pytest.fixture
def url(running: str) -> str:
    """The client URL of a store that holds none of locksmith's keys."""
    with suppress(KeyNotFound):
        connect(running).delete(keys.PREFIX, recursive=True)
    return running
