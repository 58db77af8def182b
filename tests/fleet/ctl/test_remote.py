"""fleetctl exec and logs, on a real store with real agents."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.client.core.store_protocol import Event
from fleet.core import keys
from rig.processes import Running, script, wait_until
from tests.fleet.memory_fleet import Caller, MemoryFleet, memory_fleet

pytestmark = pytest.mark.timeout(120)
SLEEPER = "[Service]\nExecStart=/bin/sleep 600\n[X-Fleet]\nCount=2\nUpdateReady=0\n"
QUIET_S = 4.0
# Prints the lines of a file after the cursor, which is a number of lines.
JOURNALCTL = """\
#!/bin/sh
for word; do case $word in --after-cursor=*) after=${word#*=};; esac; done
tail -n +$((${after:-0} + 1)) "$JOURNAL"
echo "-- cursor: $(wc -l <"$JOURNAL")"
"""


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A journal that every unit of every host has."""
    directory = tmp_path_factory.mktemp("journal")
    (directory / "journalctl").write_text(JOURNALCTL)
    (directory / "journalctl").chmod(0o755)
    file = directory / "journal"
    file.write_text("2026-11-30T10:00:00 h1 web[1]: the first line\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
        patch.setenv("JOURNAL", str(file))
        yield file


@pytest.fixture(scope="module")
def fleet(journal: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryFleet]:
    assert journal.exists()
    with memory_fleet(tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.fixture
def ctl(fleet: MemoryFleet, capsys: pytest.CaptureFixture[str]) -> Caller:
    return Caller(fleet, capsys)


class Reader:
    """Reads everything that is written below a prefix of the store."""

    def __init__(self, fleet: MemoryFleet, prefix: str) -> None:
        self.written: list[tuple[str, str]] = []
        self._watch = fleet.store.watch(prefix, fleet.store.list(prefix).index)
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        for each in self._watch:
            if isinstance(each, Event) and each.entry is not None:
                self.written.append((each.entry.key, each.entry.value))

    def __enter__(self) -> list[tuple[str, str]]:
        self._thread.start()
        return self.written

    def __exit__(self, *_: object) -> None:
        self._watch.close()
        self._thread.join()


def test_only_the_caller_can_read_the_output_of_a_command(ctl: Caller) -> None:
    with Reader(ctl.fleet, f"{keys.PREFIX}/answers") as written:
        assert ctl("exec", "h1", "--", "echo", "the output") == "the output\n"
        wait_until(lambda: bool(written), "the reader sees the response", 20)
    assert not any("the output" in value for _, value in written)
    assert not ctl.fleet.store.list(f"{keys.PREFIX}/answers").entries
    hosts = ctl.fleet.store.list(f"{keys.PREFIX}/hosts").entries
    assert not any("/ask/" in each.key for each in hosts)


def test_a_caller_without_a_key_gets_a_plain_response(ctl: Caller) -> None:
    """fleetctl 0.1 sends no key."""
    host = "1" + "1" * 31
    store = ctl.fleet.store
    store.put(keys.request(host, "7"), '{"by": "me", "command": ["echo", "plain"]}', ttl_s=60)
    answers = f"{keys.PREFIX}/answers"
    wait_until(lambda: "plain" in str(store.list(answers).entries), "it is answered", 20)


def test_following_quiet_logs_costs_little_and_shows_a_new_line(
    ctl: Caller, journal: Path, tmp_path: Path
) -> None:
    ctl("run", ctl.fleet.file("web.service", SLEEPER))
    command = script("fleetctl", "--endpoints", ctl.fleet.url, "logs", "web", "--follow")
    with Reader(ctl.fleet, f"{keys.PREFIX}/hosts") as written:
        following = Running(command, tmp_path / "out")
        try:
            following.wait_for(lambda: following.tail().count("the first line") == 2, "it follows")
            threading.Event().wait(QUIET_S)
            with journal.open("a") as more:
                more.write("2026-11-30T10:00:01 h1 web[1]: the second line\n")
            following.wait_for(lambda: following.tail().count("the second line") == 2, "new lines")
        finally:
            following.kill()
    asked = [key for key, _ in written if "/ask/" in key]
    assert len(asked) <= 6  # for the first lines of two instances, the next ones, those to come


@pytest.mark.parametrize(
    "poison",
    [
        '{"by": "me", "command": ["echo", "\\u0000"]}',
        '{"by": "me", "logs": "web.service", "cursor": "\\u0000"}',
        '{"by": "me", "command": ["echo"], "reply_key": "%s"}' % ("A" * 43 + "="),
        '{"by": "me", "command": ["echo"], "reply_key": "é"}',
        '{"by": "me", "command": [""]}',
        '{"by": "me", "logs": "../x.service", "wait_s": 1e9}',
        '{"by": ' + "[" * 3000,
    ],
    ids=range(7),
)
def test_no_request_ends_an_agent(ctl: Caller, poison: str) -> None:
    ctl.fleet.store.put(keys.request("1" * 32, "poison"), poison, ttl_s=60)
    assert ctl("exec", "h1", "--", "echo", "alive") == "alive\n"
    assert ctl.fleet.failure is None
    ctl.fleet.store.delete(keys.request("1" * 32, "poison"))
