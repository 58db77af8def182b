"""The bound on frontends with metrics of their own."""

import asyncio
from collections.abc import Iterator

import pytest

from rig.vulcan_keys import PREFIX, changes, frontend, server
from vulcan.core.config.table import Table
from vulcan.core.control import metrics
from vulcan.proxy.proxy import Proxy


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    loop = asyncio.new_event_loop()
    made = Proxy(loop, Table(PREFIX), turn=0, log=None)
    yield made
    made.close()
    loop.close()


def test_frontends_beyond_the_bound_are_counted_together(proxy: Proxy):
    many = metrics.FRONTENDS_MAX + 3
    entries = [frontend(f"f{n}", f'Host("h{n}")') for n in range(many)]
    proxy.advance(changes(server("s", "http://h:1"), *entries, reset=True))
    for lane in proxy._lanes.values():
        lane.tally.answer(200)
    counts = {s.labels["frontend"]: s.value for s in proxy.samples() if "code" in s.labels}
    assert len(counts) == metrics.FRONTENDS_MAX + 1
    assert counts[metrics.OTHERS] == 3
