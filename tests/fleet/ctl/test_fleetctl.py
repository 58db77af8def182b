"""Every command of fleetctl, on a real store with a real scheduler and agents."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from daemonkit.core import durations
from fleet.core import keys
from fleet.core.instances.instance_reconciler import backoff_s
from fleet.core.jobs import signing
from fleet.core.model import Drain, decode, digest
from fleet.ctl.arguments import STOP_S
from locksmith.settings import RebootSettings
from rig.processes import wait_until
from tests.fleet.core.jobs.test_signing import keys as pair
from tests.fleet.memory_fleet import Caller, MemoryFleet, memory_fleet

pytestmark = pytest.mark.timeout(180)
SLEEPER = "[Unit]\nDescription=Sleeps\n[Service]\nExecStart=/bin/sleep 600\n"
WEB = SLEEPER + "[X-Fleet]\nCount=2\nLabels=app=web\nPort=auto\nUpdateReady=0\n"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryFleet]:
    with memory_fleet(tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.fixture
def ctl(fleet: MemoryFleet, capsys: pytest.CaptureFixture[str]) -> Iterator[Caller]:
    caller = Caller(fleet, capsys)
    yield caller
    for row in caller.json("list-unit-files"):
        caller("destroy", str(row["unit"]))
    assert caller.json("list-units") == []


def test_a_job_is_planned_run_scaled_and_destroyed(ctl: Caller) -> None:
    file = ctl.fleet.file("web.service", WEB)
    assert "place web.service[1] on" in ctl("plan", file, code=1)
    assert "web.service version 1" in ctl("run", file)
    assert "web.service version 1: " in ctl.progress
    assert ctl("plan", file).strip() == "web.service: no change"
    assert len(ctl.fleet.running("fleet-web-")) == 2
    ctl("scale", "web", "3")
    assert sorted(ctl.fleet.running("fleet-web-")) == ["h1", "h2", "h3"]
    (job,) = ctl.json("status", "web")
    assert (job["wanted"], job["ready"], len(list(job["instances"]))) == (3, 3, 3)
    assert "wanted: 3   ready: 3" in ctl("status", "web")
    assert "it runs nowhere" in ctl("explain", "web")
    ctl("destroy", "web")
    assert not ctl.fleet.running("fleet-web-")


def test_an_update_keeps_min_available_instances_running(ctl: Caller) -> None:
    text = WEB.replace("Count=2", "Count=3\nMinAvailable=2\nUpdateParallel=3")
    ctl("run", ctl.fleet.file("web.service", text))
    least, over = [3], threading.Event()

    def look() -> None:
        while not over.wait(0.005):
            least.append(len(ctl.fleet.running("fleet-web-")))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        ctl("run", ctl.fleet.file("web.service", text.replace("sleep 600", "sleep 601")))
    finally:
        over.set()
        looking.join()
    (job,) = ctl.json("status", "web")
    assert (job["version"], job["ready"]) == (2, 3)
    assert min(least) == 2


def test_every_listing_prints_columns_and_json(ctl: Caller) -> None:
    ctl("run", ctl.fleet.file("web.service", WEB))
    ctl("services", "add", "app.example.com", "app=web", "--check", "tcp")
    for verb, head, row in (
        (("hosts",), "HOST", {"host": "h1", "labels": {"region": "eu"}}),
        (("top",), "HOST", {"cpus": "4"}),
        (("services",), "SERVICE", {"service": "app.example.com", "check": "tcp", "ready": 0}),
        (("history", "web"), "VERSION", {"version": 1, "stable": True}),
        (("list-units",), "UNIT", {"active": "active"}),
        (("list-unit-files",), "UNIT", {"unit": "web.service", "desc": "Sleeps"}),
        (("list-machines",), "MACHINE", {"metadata": "region=eu"}),
    ):
        found = ctl.json(*verb)
        assert row.items() <= found[0].items(), verb
        assert ctl(*verb).startswith(head), verb
    assert [row["host"] for row in ctl.json("hosts")] == ["h1", "h2", "h3"]
    assert '"text":' in ctl("events", "--json")
    assert "place web.service[0]" in ctl("events")
    ctl("services", "remove", "app.example.com")
    assert ctl.json("services") == []


def test_explain_and_why_not_print_json(ctl: Caller) -> None:
    text = WEB.replace("Count=2", "Count=2\nConstraint=region=eu")
    ctl("run", ctl.fleet.file("web.service", text))
    explained = json.loads(ctl("explain", "web", "--json"))
    assert [each["host"] for each in explained["placed"]] == ["h1", "h2"]
    assert (explained["next"], explained["unplaced"], explained["held"]) == ([], [], "")
    assert [each["host"] for each in explained["hosts"] if each["score"] is None] == ["h3"]
    assert explained["hosts"][2]["labels"]["region"] == "us"
    why = json.loads(ctl("why-not", "web", "h3", "--json"))["why"]
    assert "region" in why
    assert ctl("why-not", "web", "h3") == f"{why}\n"
    assert json.loads(ctl("why-not", "web", "h1", "--json"))["why"] == ""


def test_the_back_off_moves_with_an_instance_to_another_host(ctl: Caller) -> None:
    file = ctl.fleet.file("bad.service", "[Service]\nExecStart=/bin/false\n[X-Fleet]\nCount=1\n")
    ctl("run", file, "--no-block")

    def failures() -> tuple[str, int]:
        (job,) = ctl.json("status", "bad")
        for each in cast("list[dict[str, str]]", job["instances"]):
            if "failures: " in each["note"]:
                return each["host"], int(each["note"].rpartition("failures: ")[2])
        return "", 0

    wait_until(lambda: failures()[1] >= 3, "it failed three times", 30)
    here, _ = failures()
    ctl("drain", here, "--no-block")
    began_s = time.monotonic()
    others = [units for name, units in ctl.fleet.units.items() if name != here]

    def failed() -> int:
        seen = [each for units in others for each in units.known().values()]
        return sum(each.active == "failed" and "bad" in each.name for each in seen)

    wait_until(lambda: failures()[0] not in ("", here), "another host has it", 20)
    assert failures()[1] >= 3
    assert failed() == 0
    wait_until(lambda: failed() == 1, "it was tried there", 30)
    assert time.monotonic() - began_s >= backoff_s(3)
    ctl("uncordon", here)


def test_command_names_and_host_ids_can_be_abbreviated(ctl: Caller) -> None:
    assert ctl("list-m") == ctl("list-machines")
    ctl("sta", code=2)
    assert "sta is ambiguous: it could be start, status" in ctl.progress
    ctl("run", ctl.fleet.file("web.service", WEB))
    assert ctl("why-not", "web", "3333") == ctl("why-not", "web", "h3")
    ctl("why-not", "web", "3344", code=1)
    assert "0 hosts match 3344" in ctl.progress


def test_a_rollout_can_be_paused_resumed_and_undone(ctl: Caller) -> None:
    one, two = WEB, WEB.replace("600", "601")
    ctl("run", ctl.fleet.file("web.service", one))
    ctl("rollout", "pause", "web")
    ctl("run", ctl.fleet.file("web.service", two), code=1)
    assert "`fleetctl rollout resume web.service`" in ctl.progress
    assert "paused" in ctl("rollout", "status", "web")
    assert {row["version"] for row in list(ctl.json("status", "web")[0]["instances"])} == {1}
    ctl("rollout", "resume", "web")
    assert {row["version"] for row in list(ctl.json("status", "web")[0]["instances"])} == {2}
    ctl("rollout", "undo", "web")
    assert ctl("cat", "web") == one
    ctl("rollout", "undo", "web", "--to", "2")
    assert ctl("cat", "web") == two
    history = ctl.json("history", "web")
    assert [row["version"] for row in history] == [4, 3, 2, 1]
    assert [row["stable"] for row in history] == [True, False, False, False]
    assert "back to version 2" in str(history[0]["note"])


def test_a_failing_version_is_reverted_once(
    ctl: Caller,
) -> None:
    bad = WEB.replace("/bin/sleep 600", "/bin/false")
    ctl("run", ctl.fleet.file("web.service", WEB))
    ctl("run", ctl.fleet.file("web.service", bad), "--no-block")
    wait_until(lambda: "reverted to version 1" in ctl("history", "web"), "it goes back", 60)
    wait_until(lambda: len(ctl.fleet.running("fleet-web-")) == 2, "the old one runs", 60)
    wait_until(lambda: "stable: 3" in ctl("status", "web"), "it is stable", 60)
    assert ctl("cat", "web") == WEB
    assert [row["version"] for row in ctl.json("history", "web")] == [3, 2, 1]
    ctl("run", ctl.fleet.file("web.service", bad), "--timeout", "60", code=1)
    wait_until(lambda: "stable: 5" in ctl("status", "web"), "and so the next time", 60)
    ctl("destroy", "web")
    ctl("run", ctl.fleet.file("web.service", bad), "--timeout", "60", code=1)
    assert "no earlier version was stable" in ctl("status", "web")
    ctl("run", ctl.fleet.file("web.service", bad + "#\n"), "--timeout", "60", code=1)
    assert [row["version"] for row in ctl.json("history", "web")] == [2, 1]


def test_a_host_is_cordoned_drained_and_uncordoned(ctl: Caller) -> None:
    ctl("run", ctl.fleet.file("web.service", WEB), "--count", "3")
    ctl("cordon", "h1", "--reason", "a new disk")
    assert "cordoned (a new disk)" in ctl("hosts")
    assert "a new disk" in ctl("why-not", "web", "h1")
    ctl("drain", "h2")
    assert "h2 is empty" in ctl.progress
    assert set(ctl.fleet.running("fleet-web-")) == {"h1", "h3"}
    for host in ("h1", "h2"):
        ctl("uncordon", host)
    assert "drained" not in ctl("hosts")


def test_the_commands_of_fleet_change_the_target_state(ctl: Caller) -> None:
    file = ctl.fleet.file("one.service", SLEEPER)
    for verb, state, running in (
        ("submit", "inactive", 0),
        ("load", "loaded", 0),
        ("start", "launched", 1),
        ("stop", "loaded", 0),
        ("unload", "inactive", 0),
    ):
        ctl(verb, file)
        (row,) = ctl.json("list-unit-files")
        assert (row["dstate"], row["state"]) == (state, state), verb
        assert len(ctl.fleet.running("one.service")) == running, verb
    assert ctl("cat", "one.service") == SLEEPER
    ctl("start", "one")
    (row,) = [line.split() for line in ctl("list-units", "--no-legend").splitlines()]
    assert row[0] == "one.service"
    assert row[2:] == ["active", "running"]
    out = ctl("list-units", "--fields", "unit,hash", "--full", "--no-legend")
    assert len(out.split()[1]) == 64


def test_the_options_of_fleet_decide_where_units_run(ctl: Caller) -> None:
    ctl("start", ctl.fleet.file("us.service", SLEEPER + "[X-Fleet]\nMachineMetadata=region=us\n"))
    assert ctl.fleet.running("us.service") == ["h3"]
    ctl("start", ctl.fleet.file("side.service", SLEEPER + "[X-Fleet]\nMachineOf=us.service\n"))
    assert ctl.fleet.running("side.service") == ["h3"]
    ctl("start", ctl.fleet.file("pin.service", SLEEPER + f"[X-Fleet]\nMachineID={'22' * 16}\n"))
    assert ctl.fleet.running("pin.service") == ["h2"]
    ctl("start", ctl.fleet.file("eu.service", SLEEPER + "[X-Fleet]\nConstraint=region=eu\n"))
    ctl("start", ctl.fleet.file("not.service", SLEEPER + "[X-Fleet]\nConflicts=eu.service us*\n"))
    assert ctl.fleet.running("not.service")[0] not in (*ctl.fleet.running("eu.service"), "h3")
    ctl("start", ctl.fleet.file("all.service", SLEEPER + "[X-Fleet]\nGlobal=true\n"))
    assert len(ctl.fleet.running("all.service")) == 3
    assert "global" in ctl("list-unit-files")


def test_a_unit_takes_the_place_of_the_one_it_replaces(ctl: Caller) -> None:
    ctl("start", ctl.fleet.file("old.service", SLEEPER))
    (here,) = ctl.fleet.running("old.service")
    text = SLEEPER + f"[X-Fleet]\nReplaces=old.service\nConstraint=hostname={here}\n"
    ctl("start", ctl.fleet.file("new.service", text))
    assert ctl.fleet.running("new.service") == [here]
    wait_until(lambda: ctl.fleet.running("old.service") not in ([here], []), "it moved", 30)


def test_run_signs_a_unit(ctl: Caller, tmp_path: Path) -> None:
    private, public = pair()
    (tmp_path / "mine.pem").write_bytes(private)
    file = ctl.fleet.file("signed.service", SLEEPER)
    ctl("run", file, "--sign-key", str(tmp_path / "mine.pem"))
    signatures = ctl.fleet.store.list(keys.signature(digest(SLEEPER))).entries
    trusted = {"mine": signing.load_public_key(public)}
    given = [each.value for each in signatures]
    assert len(given) == 2  # one of them is for agents of 0.1
    assert not signing.refusal("signed.service", SLEEPER, given, trusted)
    ctl("run", file, "--sign-key", file, code=2)


def test_errors_say_what_is_wrong_and_what_to_do(ctl: Caller) -> None:
    for arguments, message, code in (
        (("run", ctl.fleet.file("bad.service", "[Service]\nExecStart=/a\rb\n")), "line 2", 2),
        (("run", "/none/there.service"), "no file", 1),
        (("status", "nobody"), "`fleetctl list-unit-files` lists all jobs", 1),
        (("list-units", "--fields", "colour"), "there is no field 'colour'", 1),
        (("services", "add", "a.example.com", "x in"), "expected", 2),
        (("services", "add", "a.example.com", "x", "--check", "active"), "tcp or http:/path", 2),
        (("start", ctl.fleet.file("t@.service", SLEEPER)), "is a template", 1),
    ):
        ctl(*arguments, code=code)
        assert message in ctl.progress, arguments


def test_a_record_that_is_not_valid_is_shown_with_its_reason(ctl: Caller) -> None:
    store = ctl.fleet.store
    store.put(keys.job("deep.service"), '{"name": ' + "[" * 3000)
    store.put(f"{keys.EVENTS}/x", "nonsense")
    store.put(keys.version("sound.service", 9), "nonsense")
    ctl("run", ctl.fleet.file("sound.service", SLEEPER))
    ctl("status")
    assert "ignored: /fleet/v1/jobs/deep.service/spec: " in ctl.progress
    ctl("hosts")
    assert "ignored: /fleet/v1/jobs/deep.service/spec: " in ctl.progress
    ctl("status", "deep.service", code=1)
    assert "not valid" in ctl.progress
    ctl("events")
    assert "ignored: /fleet/v1/events/x" in ctl.progress
    assert "1" in ctl("history", "sound.service")
    store.delete(keys.job("deep.service"))
    store.delete(f"{keys.EVENTS}/x")


HOOK_LIMIT_S = durations.parse(RebootSettings.hook_timeout)
PINNED = SLEEPER + "[X-Fleet]\nCount=1\nConstraint=hostname=h1\n"


def test_a_pinned_job_lets_its_host_reboot_and_starts_again(ctl: Caller) -> None:
    ctl("run", ctl.fleet.file("pinned.service", PINNED))
    ctl("drain", "h1", "--reboot", "--deadline", "1")
    assert "no other host could take it, so it starts again when the drain ends" in ctl.progress
    assert ctl.fleet.running("fleet-pinned-") == []
    ctl("uncordon", "h1")
    wait_until(lambda: ctl.fleet.running("fleet-pinned-") == ["h1"], "it runs again", 30)


def test_a_drain_for_a_reboot_leaves_what_the_scheduler_leaves_alone(ctl: Caller) -> None:
    ctl("run", ctl.fleet.file("pinned.service", PINNED))
    record = ctl.fleet.store.get(keys.job("pinned.service"))
    ctl.fleet.store.delete(record.key)
    ctl("drain", "h1", "--reboot")
    assert "fleet-pinned-0-" in ctl.progress
    assert "stays in the plan" in ctl.progress
    assert ctl.fleet.running("fleet-pinned-") == ["h1"]
    ctl("uncordon", "h1")
    ctl.fleet.store.put(record.key, record.value)


def test_a_drain_for_a_reboot_ends_before_the_limit_of_a_hook(ctl: Caller) -> None:
    ctl("drain", "h1", "--reboot", "--no-block")
    key = next(
        entry.key
        for entry in ctl.fleet.store.list("/fleet/v1/hosts").entries
        if entry.key.endswith("/drain")
    )
    drain = decode(ctl.fleet.store.get(key).value, Drain)
    assert drain.deadline_s + STOP_S <= HOOK_LIMIT_S - 30
    ctl("uncordon", "h1")
