"""A fleet on a real etcd, by each of its APIs."""

from pathlib import Path

import pytest

from fleet.core.model import TargetState
from fleet.ctl.registry import Registry
from rig.processes import Etcd, Etcd3, wait_until
from tests.fleet.memory_fleet import MemoryFleet

TEXT = "[Service]\nExecStart=/bin/sleep 600\n[X-Fleet]\nCount=3\n"
DEADLINE_S = 60.0


@pytest.mark.parametrize("kind", [Etcd, Etcd3])
def test_a_job_runs_and_is_destroyed_on_etcd(tmp_path: Path, kind: type[Etcd]) -> None:
    with kind(tmp_path) as etcd, MemoryFleet(tmp_path, etcd.url) as fleet:
        registry = Registry(fleet.store)
        registry.put_job("web.service", TEXT, target=TargetState.LAUNCHED)
        wait_until(lambda: sorted(fleet.running("")) == ["h1", "h2", "h3"], "all run", DEADLINE_S)
        registry.put_job("web.service", TEXT, target=TargetState.DESTROYED)
        wait_until(lambda: not fleet.running(""), "all stopped", DEADLINE_S)
        wait_until(
            lambda: not fleet.store.list("/fleet/v1/jobs").entries, "it is forgotten", DEADLINE_S
        )
