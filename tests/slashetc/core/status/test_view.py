"""What the status says about a fleet, from the keys of its daemons."""

import json
from dataclasses import replace

import pytest

from fleet.core import keys as fleet_keys
from fleet.core import model
from locksmith.core import keys as locksmith_keys
from locksmith.core import records, semaphore
from skydns.core.zone.service import ServiceValue
from slashetc.core.status import screen
from slashetc.core.status.finding import ago
from slashetc.core.status.reading import DAY_S, FORBIDDEN
from slashetc.core.status.view import as_json, view_of
from tests.slashetc.core.status.readings import (
    DIGEST,
    NOW,
    A,
    B,
    C,
    agents,
    facts,
    host,
    job,
    notices,
    problems,
    reading,
    report,
    view,
)
from vulcan.core.control.node_status import NodeStatus
from vulcan.core.keys import status_key


def test_a_healthy_fleet_has_no_problems() -> None:
    shown = view(
        {
            "/slashetc/v1/fleet": json.dumps({"name": "prod", "created": "2026-05-01T00:00:00Z"}),
            **host(A, "web1", report(model.Phase.READY), report(model.Phase.READY, 1)),
            **agents(A, "web1"),
            **job(),
        }
    )
    assert (shown.problems, shown.findings, shown.fleet) == (0, (), "prod")
    (row,) = shown.hosts
    assert (row.host, row.address, row.health, row.member) == ("web1", "10.0.0.1", "ready", True)
    assert (row.instances, row.version, row.certificate) == (2, "0.2.0", NOW + 20 * DAY_S)
    (work,) = shown.jobs
    assert (work.job, work.wanted, work.running, work.state) == ("web.service", 2, 2, "launched")
    assert next(screen.lines(shown)) == "Fleet prod: healthy"


def test_a_silent_host_is_a_problem() -> None:
    keys = host(A, "web1")
    del keys[fleet_keys.status(A)]
    assert problems(view(keys)) == ["web1 is silent. Is the host up, and its fleetd?"]
    health = model.FleetHealth(1, hosts={A: model.HostHealth.LOST})
    shown = view({**keys, fleet_keys.HEALTH: health})
    assert "its instances are started elsewhere" in problems(shown)[0]
    assert shown.hosts[0].health == "lost"


def test_a_host_whose_fleetd_never_reported_is_a_problem() -> None:
    assert problems(view(agents(A, "web1"))) == ["The fleetd of web1 has never reported."]


def test_a_flapping_host_and_a_storm_are_problems() -> None:
    health = model.FleetHealth(1, storm=True, hosts={A: model.HostHealth.FLAPPING})
    shown = view({**host(A, "web1"), fleet_keys.HEALTH: health})
    assert [each.split()[0] for each in problems(shown)] == ["Many", "web1"]


def test_what_a_host_says_of_itself_is_a_problem() -> None:
    shown = view(host(A, "web1", note="systemd does not answer"))
    assert problems(shown) == ["web1 says: systemd does not answer."]


def test_drains_and_cordons_are_wanted() -> None:
    keys = {**host(A, "web1"), **host(B, "web2")}
    keys[fleet_keys.drain(A)] = model.Drain(by="ann", reason="disk")
    keys[fleet_keys.cordon(B)] = model.Cordon()
    shown = view(keys)
    assert shown.problems == 0
    assert notices(shown) == [
        "web1 is drained: disk (by ann).",
        "web2 is cordoned: no reason is given.",
    ]
    assert [each.health for each in shown.hosts] == ["ready, drained", "ready, cordoned"]


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (-0.5, "The certificate of web1 has expired 12 h ago."),
        (9.9, "The certificate of web1 ends in 9 days, and should have been renewed."),
        (10.1, ""),
    ],
)
def test_a_certificate_that_ends_soon_is_a_problem(days: float, said: str) -> None:
    shown = view({**host(A, "web1"), **agents(A, "web1", days=days)})
    assert problems(shown) == ([said] if said else [])


def test_hosts_of_several_versions_are_a_notice() -> None:
    keys = {**host(A, "web1"), **host(B, "web2"), **host(C, "web3")}
    keys[fleet_keys.facts(B)] = model.Facts(B, "web2", "10.0.0.2", 1, 1, version="0.1.0")
    shown = view(keys)
    assert notices(shown) == ["The hosts have different versions: 0.1.0 on 1, 0.2.0 on 2."]


def test_an_evicted_host_may_be_silent() -> None:
    keys = {**agents(A, "web1"), "/slashetc/v1/evicted/web1": json.dumps({"name": "web1"})}
    shown = view(keys)
    assert shown.problems == 0
    assert shown.hosts[0].health == "silent, evicted"


def test_a_job_with_too_few_instances_is_a_problem_with_the_command_that_explains_it() -> None:
    shown = view({**host(A, "web1", report(model.Phase.READY)), **job()})
    (found,) = shown.findings
    assert found.text == "web.service has 1 of 2 instances ready."
    assert found.command == "fleetctl explain web.service"


def test_a_job_that_is_rolling_out_is_a_notice_while_some_of_it_serves() -> None:
    rollout = {fleet_keys.rollout("web.service"): model.Rollout(version=2, began_s=0, progress_s=0)}
    shown = view({**host(A, "web1", report(model.Phase.READY)), **job(), **rollout})
    assert (shown.problems, len(notices(shown))) == (0, 1)
    shown = view({**host(A, "web1", report(model.Phase.STARTING)), **job(), **rollout})
    assert problems(shown) == ["web.service has 0 of 2 instances ready."]


def test_a_failed_rollout_is_one_problem_with_its_reason() -> None:
    failed = model.Rollout(version=2, began_s=0, progress_s=0, state="failed", note="web[0] exits")
    keys = {**host(A, "web1"), **job(), fleet_keys.rollout("web.service"): failed}
    assert problems(view(keys)) == ["The rollout of web.service failed: web[0] exits."]


@pytest.mark.parametrize(
    ("unit", "count", "wanted"),
    [
        ("[Service]\nCount=9\n[X-Fleet]\n# Count=8\nCount = 3\n", None, 3),
        ("[X-Fleet]\nCount=3\n", 5, 5),
        ("[Service]\nExecStart=/bin/true\n", None, 1),
        ("[X-Fleet]\nGlobal=true\n", None, 1),
        ("[X-Fleet]\nCount=many\n", None, None),
    ],
)
def test_the_wanted_number_is_the_units_or_the_records(
    unit: str, count: int | None, wanted: int | None
) -> None:
    shown = view({**host(A, "web1", report(model.Phase.READY)), **job(unit, count=count)})
    assert shown.jobs[0].wanted == wanted


def test_a_job_that_should_not_run_wants_nothing() -> None:
    shown = view(job(target=model.TargetState.INACTIVE))
    assert (shown.jobs[0].wanted, shown.problems) == (0, 0)


def test_a_job_without_its_unit_is_a_problem() -> None:
    keys = job()
    del keys[fleet_keys.unit(DIGEST)]
    assert problems(view(keys)) == ["The unit of web.service is missing or wrong."]


def slot(group: str, *machines: str, slots: int = 1) -> dict[str, object]:
    held = semaphore.Semaphore(slots, machines, listed=True)
    return {locksmith_keys.semaphore(group): semaphore.encode(held)}


def holder(phase: records.Phase, deadline: str = "", detail: str = "") -> records.HolderRecord:
    return records.HolderRecord(
        "boot", "web1", "2027-01-15T08:00:00Z", phase, deadline=deadline, detail=detail
    )


def beat(name: str, boot: str = "boot", **more: object) -> records.Heartbeat:
    return records.Heartbeat(name, boot, "", "0.2.0", **more)  # type: ignore[arg-type]


def test_slots_holders_and_the_queue_are_shown_by_names() -> None:
    shown = view(
        {
            **slot("", A),
            **slot("db", B, slots=2),
            locksmith_keys.holder("", A): holder(records.Phase.DRAINING),
            locksmith_keys.host(A): beat("web1", reasons=("kernel",)),
            locksmith_keys.host(B): records.Heartbeat("db1", "b", "db", "0.2.0"),
            locksmith_keys.ticket("", C): records.Ticket("web3", "b", "2027", 0),
            locksmith_keys.ticket("", B): records.Ticket("web2", "b", "2027", 5),
            **host(A, "web1"),
        }
    )
    db, default = shown.reboots
    assert (db.group, db.slots, db.holders) == ("db", 2, ("db1",))
    assert (default.group, default.holders, default.queue) == (
        "default",
        ("web1",),
        ("web2", "web3"),
    )
    assert shown.hosts[0].reboot == "draining"
    assert shown.problems == 0


def test_pauses_are_notices() -> None:
    pause = records.Pause("freeze", "ann", "2027", "2027-02-01")
    shown = view(
        {
            locksmith_keys.PAUSED_FLEET: pause,
            locksmith_keys.paused_group(""): pause,
            locksmith_keys.paused_host(A): records.Pause("", "", ""),
            locksmith_keys.host(A): beat("web1"),
        }
    )
    assert notices(shown) == [
        "All reboots are paused: freeze (by ann, until 2027-02-01).",
        "Reboots of the group default are paused: freeze (by ann, until 2027-02-01).",
        "Reboots of web1 are paused: no reason (by nobody).",
    ]
    assert shown.reboots[0].paused.count("freeze") == 2


def test_a_host_that_reboots_in_its_turn_may_be_silent() -> None:
    keys = {fleet_keys.facts(A): facts(A, "web1"), **slot("", A)}
    due = {locksmith_keys.holder("", A): holder(records.Phase.REBOOTING, "2027-01-15T08:01:00Z")}
    shown = view({**keys, **due})  # NOW is 08:00:00
    assert (shown.problems, notices(shown)) == (0, ["web1 is silent while it reboots."])
    late = {locksmith_keys.holder("", A): holder(records.Phase.REBOOTING, "2027-01-15T07:58:59Z")}
    shown = view({**keys, **late})
    assert problems(shown)[1] == "web1 has not come back from its reboot."


def test_a_reboot_that_went_wrong_is_a_problem() -> None:
    failed = {
        **slot("", A),
        locksmith_keys.holder("", A): holder(records.Phase.FAILED, detail="web is down"),
    }
    shown = view({**failed, locksmith_keys.failure("", A): records.Failure("web1", "b", "", "x")})
    assert problems(shown) == ["web1 failed its reboot and keeps its slot: web is down."]
    alone = view({locksmith_keys.failure("", A): records.Failure("web1", "b", "2027", "too late")})
    assert problems(alone) == ["web1 failed its reboot: too late."]
    refused = {
        **slot("", A),
        locksmith_keys.holder("", A): holder(records.Phase.REBOOTING, "2027-01-15T07:00:00Z"),
        locksmith_keys.host(A): beat("web1"),
    }
    assert problems(view(refused)) == ["web1 has a slot, and has not rebooted in time."]
    refused[locksmith_keys.host(A)] = beat("web1", boot="a new one")
    assert problems(view(refused)) == []


def test_a_group_without_slots_is_a_notice() -> None:
    assert "has no slots" in notices(view(slot("", slots=0)))[0]


def test_records_that_dns_does_not_serve_are_named() -> None:
    good = ServiceValue(host="10.0.0.1", port=80)
    shown = view(
        {
            "/skydns/config": "no record",
            "/skydns/local/skydns/a": model.encode(good),
            "/skydns/local/skydns/b": "10.0.0.1",
            "/skydns/local/skydns/c.d": model.encode(good),
            "/skydns/local/skydns/e": '{"port": 70000}',
            "/skydns/local/skydns/f": '{"host": "10.0.0.1:80"}',
        }
    )
    assert (shown.dns.records, shown.dns.refused) == (5, 4)
    (said,) = problems(shown)
    assert said.startswith("DNS does not serve 4 records: /skydns/local/skydns/b: ")
    assert "c.d" in said
    assert said.endswith("; and 1 more.")


def test_proxies_that_lag_or_refuse_keys_are_problems() -> None:
    nodes = {
        "p1": NodeStatus("p1", 5000, 5000, 0, 2, "", "0.2.0"),
        "p2": NodeStatus("p2", 3000, 3000, 2),
        "p3": NodeStatus("p3", 5000, 1, 0, 1, "connection refused"),
    }
    keys = {status_key("/vulcand", name): model.encode(each) for name, each in nodes.items()}
    shown = view(keys)
    assert [each.lag for each in shown.proxies] == [0, 2000, 0]
    assert problems(shown) == [
        "The proxy p2 does not use 2 keys: the values are wrong.",
        "The proxy p2 is 2000 changes behind.",
        "The proxy p3 does not reach the store: connection refused.",
    ]


@pytest.mark.parametrize(
    "key",
    [
        "/slashetc/v1/hosts/x",
        "/slashetc/v1/users/x",
        "/slashetc/v1/authority",
        "/fleet/v1/hosts/x/facts",
        "/fleet/v1/hosts/x/status",
        "/fleet/v1/hosts/x/inbox/plan",
        "/fleet/v1/jobs/x/spec",
        "/fleet/v1/jobs/x/rollout",
        "/fleet/v1/health",
        "/coreos.com/updateengine/rebootlock/semaphore",
        "/coreos.com/updateengine/rebootlock/groups/db/semaphore",
        "/coreos.com/updateengine/rebootlock/ext/v1/holders/db/x",
        "/coreos.com/updateengine/rebootlock/ext/v1/hosts/x",
        "/coreos.com/updateengine/rebootlock/ext/v1/queue/db/x",
        "/coreos.com/updateengine/rebootlock/ext/v1/failures/db/x",
        "/coreos.com/updateengine/rebootlock/ext/v1/pauses/fleet",
        "/vulcand-status/x",
    ],
)
@pytest.mark.parametrize("value", ["", "{", "5", "null", "[[[[" * 5000, '{"\ud800": 1}', "[]"])
def test_any_value_of_a_key_is_at_worst_a_problem_that_names_the_key(key: str, value: str) -> None:
    (found,) = view({key: value}).findings
    assert key in found.text
    assert found.command


def test_what_a_role_may_not_read_is_said_and_is_no_problem() -> None:
    # The role of a host reads the keys of that host only.
    keys = {**agents(A, "web1"), **agents(B, "web2"), **host(B, "web2"), **job()}
    given = replace(reading(keys), refused={"/vulcand-status": FORBIDDEN})
    shown = view_of(given)
    assert (shown.problems, notices(shown)) == (
        0,
        ["Not shown: /vulcand-status: your role may not read these keys."],
    )
    assert [each.health for each in shown.hosts] == ["unknown", "ready"]
    assert shown.jobs[0].running is None
    assert any(line.split()[2:4] == ["2", "?"] for line in screen.lines(shown))


def test_keys_that_do_not_come_in_time_are_a_problem() -> None:
    late = {"/skydns": "does not answer in time", "/fleet/v1/jobs": "does not answer in time"}
    assert problems(view_of(replace(reading({}), refused=late))) == [
        "These keys were not read: /fleet/v1/jobs, /skydns: does not answer in time."
    ]


def test_a_daemon_of_this_host_that_is_not_ready_is_a_problem() -> None:
    given = replace(reading({}), daemons={"skydns": "data False", "fleetd": ""})
    shown = view_of(given)
    assert problems(shown) == ["skydns of this host is not ready: data False."]
    (found,) = shown.findings
    assert found.command == "journalctl -u skydns"


def test_json_has_everything_of_the_screen() -> None:
    shown = view({**host(A, "web1"), **agents(A, "web1", days=3), **slot("", B)})
    found = json.loads(as_json(shown))
    assert found["healthy"] is False
    assert found["problems"] == [
        {
            "text": "The certificate of web1 ends in 3 days, and should have been renewed.",
            "command": "slashetc doctor",
        }
    ]
    assert found["hosts"][0]["host"] == "web1"
    assert found["members"][0]["member"] == "m1"
    assert found["reboots"][0]["holders"] == [B]
    assert found["dns"] == {"records": 0, "refused": 0}


def test_problems_come_before_notices_and_nothing_acts_on_a_terminal() -> None:
    evil = "web\x1b[2J\nx"
    keys = {**host(A, "web1"), fleet_keys.cordon(A): model.Cordon(reason=evil)}
    keys["/skydns/local/\x1b]0;x"] = "{"
    lines = list(screen.lines(view(keys)))
    assert lines[1].startswith("✗ DNS")
    assert lines[2].startswith("· web1 is cordoned")
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (119, "1 min"), (60, "1 min"), (7200, "2 h"), (86_400, "24 h"),
     (2 * DAY_S, "2 days")],
)  # fmt: skip
def test_spans_of_time_are_short(seconds: float, text: str) -> None:
    assert ago(seconds) == text
