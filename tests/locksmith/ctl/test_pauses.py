"""`locksmithctl pause` and `resume`, on real stores."""

from coordinator.client import connect
from locksmith.core import keys, records
from locksmith.core.records import Failure, Pause
from tests.locksmith.ctl.commands import beat, ctl
from tests.locksmith.locksmithd import has


def test_pause_has_a_reason_an_author_and_an_end(url: str) -> None:
    store = connect(url)
    assert ctl(url, "pause").returncode == 1
    assert ctl(url, "pause", "--reason", "x", "--for", "soon").returncode == 1
    done = ctl(url, "pause", "fleet", "--reason", "release week", "--for", "8h")
    assert (done.returncode, done.stderr) == (0, "")
    entry = store.get(keys.PAUSED_FLEET)
    pause = records.decode(entry.value, Pause)
    assert pause is not None
    assert pause.reason == "release week"
    assert pause.author.startswith("ada@")
    assert pause.until
    assert entry.expires_at is not None
    assert ctl(url, "resume", "fleet").returncode == 0
    assert not has(store, keys.PAUSED_FLEET)
    assert ctl(url, "resume", "fleet").returncode == 1


def test_host_can_be_paused_by_its_name(url: str) -> None:
    store = connect(url)
    beat(store, "web-7")
    assert ctl(url, "pause", "web-7", "--reason", "disk").returncode == 0
    assert has(store, keys.paused_host("id-web-7"))
    assert "Paused: host by ada" in ctl(url, "why", "web-7").stdout
    assert ctl(url, "resume", "web-7").returncode == 0


def test_resume_clears_the_failures_of_the_group(url: str) -> None:
    store = connect(url)
    failure = Failure("web-7", "b", "2026-01-01T00:00:00Z", "no disk")
    store.put(keys.failure("", "id-web-7"), records.encode(failure))
    assert ctl(url, "resume").returncode == 0
    assert not has(store, keys.failure("", "id-web-7"))
