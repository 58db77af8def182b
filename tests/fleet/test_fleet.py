"""A fleet of real hosts: jobs run, are found, move, and never stop because something is absent."""

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet.core.model import HostStatus, decode
from rig.hostfleet import STORE, HostFleet, body, fleet, web
from rig.hosts.namespaces import GATEWAY
from rig.processes import wait_until

pytestmark = pytest.mark.timeout(240)
# Of each of three agents: more than a hundred in all.
KILLS = int(os.environ.get("FLEET_KILLS", "36"))
SLEEPER = "[Service]\nExecStart=/bin/sleep 100000\n"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostFleet]:
    with fleet(tmp_path_factory.mktemp("fleet"), "h1", "h2", "h3", agent_ttl="10") as running:
        yield running


def test_three_instances_answer_by_dns_and_proxy_through_an_update(
    hosts: HostFleet,
) -> None:
    hosts.start_on_network("vulcan", "--endpoints", "http://10.77.0.254:2379", "--port", "8181",
                 "--interface", GATEWAY, "--api-port", "0", "--status-addr", "", "--workers", "1",
                 )  # fmt: skip
    hosts.ctl("services", "add", "app.example.com", "env=test,app=web OR app in (web)")
    hosts.ctl("run", hosts.file("web.service", web("one")), "--timeout", "60")
    records = hosts.values("/skydns/com/example/app")
    assert {str(each["host"]) for each in records.values()} == {
        "10.77.0.1",
        "10.77.0.2",
        "10.77.0.3",
    }
    assert len(hosts.values("/vulcand/backends/app.example.com/servers")) == 3
    proxy = f"http://{hosts.rig.forward(GATEWAY, 8181)}/"

    def answering() -> set[str]:
        return {body(proxy, "app.example.com").partition(" ")[0] for _ in range(12)}

    wait_until(lambda: answering() >= {"h1", "h2", "h3"}, "all answer through the proxy", 20)
    text = hosts.file("web.service", web("two"))
    assert hosts.try_ctl("plan", text).returncode == 1
    hosts.ctl("run", text, "--no-block")
    missed = 0

    def updated() -> bool:
        nonlocal missed
        answer = body(proxy, "app.example.com")
        missed += not answer
        return "stable: 2" in hosts.ctl("status", "web")

    wait_until(updated, "version 2 is stable", 90)
    assert missed == 0
    wait_until(lambda: body(proxy, "app.example.com").endswith("two"), "version 2 answers")
    assert hosts.try_ctl("plan", text).returncode == 0
    assert hosts.ctl("explain", "web").count("version 2 follows 1") == 3
    assert "begin web.service: version 2 is new" in hosts.ctl("events")
    hosts.ctl("destroy", "web.service")
    assert not hosts.active("fleet-web-*")
    assert not hosts.values("/skydns/com/example/app")
    assert "web.service" not in hosts.ctl("list-unit-files")


def test_an_instance_of_a_template_runs_as_in_fleet(hosts: HostFleet) -> None:
    text = SLEEPER + "[X-Fleet]\nConflicts=echo@*.service\n"
    hosts.file("echo@.service", text)
    for n in (1, 2, 3):
        hosts.ctl("start", str(hosts.directory / f"echo@{n}.service"))
    rows = [line.split() for line in hosts.ctl("list-units", "--no-legend").splitlines()]
    mine = [row for row in rows if row[0].startswith("echo@")]
    assert [row[0] for row in mine] == [f"echo@{n}.service" for n in (1, 2, 3)]
    assert len({row[1] for row in mine}) == 3
    assert {tuple(row[2:]) for row in mine} == {("active", "running")}
    hosts.ctl("stop", "echo@1.service")
    assert sum(map(len, hosts.active("echo@*").values())) == 2
    for n in (1, 2, 3):
        hosts.ctl("destroy", f"echo@{n}.service")
    assert not hosts.active("echo@*")


def test_logs_and_exec_reach_every_host(hosts: HostFleet) -> None:
    text = (
        '[Service]\nType=oneshot\nExecStart=/bin/echo "hello from fleet"\n[X-Fleet]\nGlobal=yes\n'
    )
    hosts.ctl("run", hosts.file("hello.service", text))
    wait_until(
        lambda: hosts.ctl("logs", "hello").count("hello from fleet") == 3, "three journals", 20
    )
    assert "hello from fleet" in hosts.ctl("journal", "hello", "--lines", "5")
    assert hosts.ctl("exec", "h2", "hostname").strip() == "h2"
    assert "fleet.slice/run-" in hosts.ctl("exec", "h2", "--", "cat", "/proc/self/cgroup")
    assert hosts.try_ctl("exec", "h2", "false").returncode == 1
    hosts.ctl("destroy", "hello.service")


def test_killing_agents_again_and_again_touches_no_unit(hosts: HostFleet) -> None:
    hosts.ctl("run", hosts.file("calm.service", SLEEPER + "[X-Fleet]\nCount=6\n"))
    show = "systemctl show -p InvocationID,NRestarts --value 'fleet-calm-*'"
    before = {host.name: host.shell(show) for host in hosts.rig}
    # A start before systemd notices the death does nothing, and the next kill would find no
    # process.
    again = (
        "for n in 1 2 3 4; do pid=$(systemctl show -p MainPID --value fleetd); [ $pid -gt 1 ]; "
        "kill -KILL $pid; tail --pid=$pid -s 0.02 -f /dev/null; "
        "systemctl reset-failed fleetd; systemctl start fleetd; done"
    )
    with ThreadPoolExecutor(3) as together:
        for _ in range(KILLS // 4):
            list(together.map(lambda host: host.shell(f"set -e; {again}"), hosts.rig))
    wait_until(
        lambda: all(
            h.shell("systemctl is-active fleetd", check=False) == "active" for h in hosts.rig
        ),
        "agents are back",
    )
    assert {host.name: host.shell(show) for host in hosts.rig} == before
    for host in hosts.rig:
        killed = host.shell("journalctl -u fleetd --no-pager | grep -c 'status=9/KILL'")
        assert int(killed) >= KILLS // 4 * 4, host.name
    hosts.ctl("destroy", "calm.service")


def test_a_crash_loop_backs_off_and_status_shows_it(hosts: HostFleet) -> None:
    text = "[Service]\nExecStart=/bin/false\n[X-Fleet]\nCount=1\n"
    done = hosts.try_ctl("run", hosts.file("bad.service", text), "--timeout", "40")
    assert done.returncode == 1
    assert "failed again and again on h" in done.stderr
    assert "failures:" in hosts.ctl("status", "bad")
    hosts.ctl("destroy", "bad.service")


def test_a_drained_host_is_empty_and_can_be_uncordoned(hosts: HostFleet) -> None:
    hosts.ctl("run", hosts.file("move.service", SLEEPER + "[X-Fleet]\nCount=3\n"))
    hosts.ctl("drain", "h1", "--reason", "a new disk")
    assert set(hosts.active("fleet-move-*")) == {"h2", "h3"}
    assert "a new disk" in hosts.ctl("why-not", "move", "h1")
    hosts.ctl("uncordon", "h1")
    hosts.ctl("scale", "move", "6")
    assert set(hosts.active("fleet-move-*")) == {"h1", "h2", "h3"}
    hosts.ctl("destroy", "move.service")


def test_emptying_the_store_stops_nothing(hosts: HostFleet) -> None:
    hosts.ctl("run", hosts.file("keep.service", SLEEPER + "[X-Fleet]\nCount=3\n"))
    before = hosts.active("fleet-keep-*")
    hosts.store.delete("/fleet", recursive=True)

    def adopted() -> bool:
        plans = [v for k, v in hosts.values("/fleet/v1/hosts").items() if k.endswith("/plan")]
        return sum(len(plan["orders"]) for plan in plans) == 3

    wait_until(adopted, "plans are rebuilt from what runs", 60)
    end_s = time.monotonic() + 3
    while time.monotonic() < end_s:
        assert hosts.active("fleet-keep-*") == before
    hosts.ctl("run", hosts.file("keep.service", SLEEPER + "[X-Fleet]\nCount=3\n"))
    assert hosts.active("fleet-keep-*") == before
    hosts.ctl("destroy", "keep.service")
    assert not hosts.active("fleet-keep-*")


def test_a_host_status_names_the_plan_it_follows(hosts: HostFleet) -> None:
    found = hosts.store.list("/fleet/v1/hosts").entries
    marks = [
        decode(each.value, HostStatus).generation for each in found if each.key.endswith("/status")
    ]
    assert len(marks) == 3


def test_fleetd_with_its_defaults_is_agent_and_scheduler(hosts: HostFleet) -> None:
    host, options = hosts.rig["h3"], "/etc/default/fleetd"
    before = host.shell(f"cat {options}")
    host.write(options, f"FLEETD_ENDPOINTS={STORE}\n")
    host.shell("systemctl restart fleetd")
    page = "curl --silent http://127.0.0.1:2386"

    def roles() -> set[str]:
        return set(json.loads(host.shell(f"{page}/debug/state", check=False) or "{}"))

    wait_until(lambda: roles() == {"agent", "scheduler"}, "both run", 40)
    wait_until(lambda: '"ok": true' in host.shell(f"{page}/ready"), "both are ready", 40)
    host.write(options, before)
    host.shell("systemctl restart fleetd")
