"""A store of each kind. The tests of one process share the servers, each with its own prefix."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

from coordinator.client import KeyNotFound, connect
from rig.processes import Coordinator, Etcd
from tests.coordinator.client.certificates import CertificateFiles
from tests.coordinator.client.stores_under_test import StoreUnderTest, in_memory
from tests.coordinator.client.three_members import coordinators, etcd_cluster

SERVERS = ("etcd", "coordinator", "etcd3")
# Three members each; their fixture is a comma list of endpoints.
TRIOS = ("etcd3_trio", "coordinator_trio")


@pytest.fixture(scope="session")
def etcd_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Etcd(tmp_path_factory.mktemp("etcd")) as running:
        yield running.url


@pytest.fixture(scope="session")
def etcd3_url(etcd_url: str) -> str:
    """The v3 keys of the same server."""
    return f"v3+{etcd_url}"


@pytest.fixture(scope="session")
def etcd3_trio_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with etcd_cluster(tmp_path_factory.mktemp("trio"), "v3+") as running:
        yield running.endpoints


@pytest.fixture(scope="session")
def coordinator_trio_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with coordinators(tmp_path_factory.mktemp("coordinators")) as running:
        yield running.endpoints


@pytest.fixture(scope="session")
def coordinator_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Coordinator(tmp_path_factory.mktemp("coordinator")) as running:
        yield running.url


@pytest.fixture(params=("memory", *SERVERS, *TRIOS))
def subject(request: pytest.FixtureRequest) -> Iterator[StoreUnderTest]:
    if request.param == "memory":
        yield in_memory()
        return
    yield from _subject(request)


@pytest.fixture(params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[StoreUnderTest]:
    """A store on a real server."""
    yield from _subject(request)


@pytest.fixture(params=("etcd", "coordinator"))
def v2_served(request: pytest.FixtureRequest) -> Iterator[StoreUnderTest]:
    """A store on a real server of the v2 API."""
    yield from _subject(request)


def _subject(request: pytest.FixtureRequest) -> Iterator[StoreUnderTest]:
    url = request.getfixturevalue(f"{request.param}_url")
    with connect(url) as store:
        # Of several members any serves; helpers that speak HTTP themselves take the first.
        subject = StoreUnderTest(request.param.removesuffix("_trio"), store, url.split(",")[0])
        yield subject
        # No TTL of this test may take an index in the middle of another.
        with suppress(KeyNotFound):
            store.delete(subject.prefix, recursive=True)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return CertificateFiles(tmp_path_factory.mktemp("certificates"))
