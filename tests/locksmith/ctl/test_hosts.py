"""`locksmithctl why` and `forget`, on real stores."""

import json

from coordinator.client import connect
from locksmith.core import keys, records
from locksmith.core.records import HolderRecord, Phase
from tests.locksmith.ctl.commands import beat, ctl
from tests.locksmith.locksmithd import has, holders, put_semaphore


def test_forget_deletes_a_silent_host_but_not_a_live_one(url: str) -> None:
    store = connect(url)
    record = HolderRecord("b", "web-7", "2026-01-01T00:00:00Z", Phase.REBOOTING)
    put_semaphore(store, ["id-web-7", "other"])
    store.put(keys.holder("", "id-web-7"), records.encode(record))
    beat(store, "web-7")
    refused = ctl(url, "forget", "web-7")
    assert refused.returncode == 1
    assert "is alive" in refused.stderr
    store.delete(keys.host("id-web-7"))
    assert ctl(url, "forget", "web-7").returncode == 0
    assert holders(store) == ["other"]
    assert not has(store, keys.holder("", "id-web-7"))
    assert ctl(url, "forget", "web-7").returncode == 1


def test_why_shows_the_reasons_and_what_the_host_waits_for(url: str) -> None:
    beat(connect(url), "web-7", reasons=("kernel",), waits_for=("window: closed",))
    shown = ctl(url, "why", "web-7").stdout
    assert "Needs reboot: kernel\n" in shown
    assert "Waits for: window: closed\n" in shown
    facts = json.loads(ctl(url, "-json", "why", "id-web-7").stdout)
    assert (facts["host"], facts["slot"]) == ("web-7", "none")
    assert ctl(url, "why", "nobody").returncode == 1
