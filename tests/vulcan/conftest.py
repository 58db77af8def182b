"""A proxy that the tests of a module share. Each test uses its own host name."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.processes import Coordinator, Etcd, Etcd3
from rig.vulcan_site import Site, site

STORES = {"coordinator": Coordinator, "etcd": Etcd, "etcd3": Etcd3}
_numbers = itertools.count()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A proxy with one worker that follows a coordinator."""
    directory = tmp_path_factory.mktemp("vulcan")
    with Coordinator(directory) as store, site(directory, store.url) as running:
        yield running


@pytest.fixture
def host() -> str:
    """A host name that no other test uses."""
    return f"t{next(_numbers)}.example"


@pytest.fixture(params=STORES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A new store of each kind."""
    with STORES[request.param](tmp_path) as running:
        yield running.url
