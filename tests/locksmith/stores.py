"""The stores that locksmith is tested on, as real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig import Coordinator, Etcd

KINDS = {"etcd": Etcd, "coordinator": Coordinator}


@pytest.fixture(params=sorted(KINDS))
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The client URL of a fresh store of each kind."""
    with KINDS[request.param](tmp_path) as running:
        yield running.url
