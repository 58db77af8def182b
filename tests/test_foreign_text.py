"""What others put into the store is shown by every command, and acts on no terminal."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.client import Store, connect
from fleet.core import keys as fleet_keys
from fleet.core.model import EventRecord, encode
from locksmith.core import keys as locksmith_keys
from locksmith.core import records
from locksmith.core.records import GroupEvent, Heartbeat
from rig.processes import Coordinator, run, script
from rig.vulcan_site import site

# It clears the screen, sets the clipboard, forges a line, has a sequence of C1, and turns text.
HOSTILE = "x\x1b[2J\x1b]52;c;aGk=\x07\nforged\x9b31m\u202ey"
LOCKSMITH_STATE = {"semaphore": 0, "max": 1, "holders": [HOSTILE]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    with Coordinator(tmp_path_factory.mktemp("foreign")) as running:
        write_hostile_text(connect(running.url))
        yield running


def write_hostile_text(store: Store) -> None:
    store.put(f"/app/{HOSTILE}", HOSTILE)
    store.put("/skydns/local/skydns/x", json.dumps({"text": HOSTILE}))
    store.put(f"/skydns/local/skydns/{HOSTILE}", json.dumps({"host": HOSTILE}))
    store.put(locksmith_keys.semaphore(""), json.dumps(LOCKSMITH_STATE))
    beat = Heartbeat(HOSTILE, "boot", "", HOSTILE)
    store.put(locksmith_keys.host(HOSTILE), records.encode(beat), ttl_s=600)
    event = GroupEvent("2026-01-01T00:00:00Z", HOSTILE, HOSTILE, detail=HOSTILE)
    store.put(f"{locksmith_keys.HISTORY}/{locksmith_keys.segment('')}/1", records.encode(event))
    store.put(f"{fleet_keys.EVENTS}/1", encode(EventRecord(HOSTILE, 1, HOSTILE)))


def is_harmless(output: str) -> bool:
    """Whether only tabs and ends of lines act on a terminal, and no line is forged."""
    forged = any(line.startswith("forged") for line in output.splitlines())
    return output.translate({9: "", 10: ""}).isprintable() and not forged


def on_a_terminal(command: list[str]) -> str:
    """Run a command whose output is a terminal; return the output."""
    ours, its = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        with os.fdopen(its, "wb", buffering=0) as terminal:
            subprocess.run(command, stdout=terminal, stderr=terminal, timeout=60, check=False)
        os.set_blocking(ours, False)
        output = (screen.read(1 << 16) or b"").decode()
    return output.replace("\r\n", "\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("locksmithctl", "status"),
        ("locksmithctl", "status", "-v"),
        ("locksmithctl", "status", "-json"),
        ("locksmithctl", "history"),
        ("locksmithctl", "history", "--json"),
        ("locksmithctl", "why", HOSTILE),
        ("skydnsctl", "list"),
        ("skydnsctl", "list", "--json"),
        ("skydnsctl", "lint"),
        ("fleetctl", "events"),
        ("fleetctl", "events", "--json"),
    ],
)
def test_the_text_of_others_acts_on_no_terminal(
    store: Coordinator, arguments: tuple[str, ...]
) -> None:
    program, *rest = arguments
    ended = run(script(program, *rest), **{f"{program.upper()}_ENDPOINTS": store.url})
    assert "u001b" in ended.stdout + ended.stderr
    assert is_harmless(ended.stdout), ended.stdout
    assert is_harmless(ended.stderr), ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("ls", "/app"),
        ("-o", "extended", "get", f"/app/{HOSTILE}"),
        ("-o", "json", "get", f"/app/{HOSTILE}"),
        ("ls", f"/app/{HOSTILE}/none"),
    ],
)
def test_coordctl_shows_keys_and_values_on_a_terminal(
    store: Coordinator, arguments: tuple[str, ...]
) -> None:
    output = on_a_terminal(script("coordctl", "--endpoints", store.url, *arguments))
    assert "u001b" in output
    assert is_harmless(output), output


def test_coordctl_keeps_the_lines_of_a_value_on_a_terminal(store: Coordinator) -> None:
    output = on_a_terminal(script("coordctl", "--endpoints", store.url, "get", f"/app/{HOSTILE}"))
    assert output.splitlines()[1] == "forged\\u009b31m\\u202ey"
    assert output.replace("\n", "").isprintable()


def test_a_program_gets_a_value_and_a_key_as_they_are(store: Coordinator) -> None:
    at = ("--endpoints", store.url)
    assert run(script("coordctl", *at, "get", f"/app/{HOSTILE}")).stdout == f"{HOSTILE}\n"
    assert run(script("coordctl", *at, "ls", "/app")).stdout == f"/app/{HOSTILE}\n"


def test_vctl_shows_refused_keys(store: Coordinator, tmp_path: Path) -> None:
    connect(store.url).put(f"/vulcand/backends/{HOSTILE}/backend", "{}")
    with site(tmp_path, store.url) as running:
        ended = run(
            script("vctl", "--vulcan", f"http://127.0.0.1:{running.vulcand.api_port}", "status")
        )
    assert "u001b" in ended.stdout
    assert is_harmless(ended.stdout), ended.stdout
