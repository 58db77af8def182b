"""From bare hosts to a closed fleet: init, join, a service, and what a host can no longer do."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.fleet_authority import FleetAuthority
from rig.hostfleet import web
from rig.hosts.joined_fleet import DOMAIN, JoinedFleet
from rig.hosts.network import Rig
from rig.processes import wait_until
from slashetc.authority import new_keys
from slashetc.core import tokens

# Hosts boot and some twenty programs start: half a minute on an idle machine.
pytestmark = pytest.mark.timeout(300)
COMMANDS_MAX, SECONDS_MAX = 5, 60.0
EVICTED_S = 5.0
LIFETIME_S = 90
APP = f"app.{DOMAIN}"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JoinedFleet]:
    """Three bare hosts, of which the test makes a fleet, and a fourth."""
    with Rig(tmp_path_factory.mktemp("joined"), "h1", "h2", "h3", "h4") as rig:
        yield JoinedFleet(rig)


def answer(fleet: JoinedFleet, name: str) -> str:
    """Return what the proxy on a host answers."""
    url = f"http://{fleet.rig[name].address}/"
    return fleet.first.shell(f"curl -s -m 2 -H 'Host: {APP}' {url}", check=False)


def test_three_bare_hosts_serve_an_application_after_five_commands_and_a_minute(
    fleet: JoinedFleet,
) -> None:
    fleet.first.write("/root/webapp.service", web("one"))
    # The last test wants certificates to be renewed; an operator leaves this out.
    fleet.first.write("/etc/default/slashetc-agent", f"SLASHETC_HOST_LIFETIME={LIFETIME_S}s\n")
    began_s = time.monotonic()
    fleet.make("h2", "h3")
    fleet.do(fleet.first, f"fleetctl services add {APP} app=web")
    fleet.do(fleet.first, "fleetctl run webapp.service")

    def served() -> bool:
        # An answer is the host and the process of an instance.
        found = [{answer(fleet, name) for _ in range(6)} for name in ("h1", "h2", "h3")]
        return found[0] == found[1] == found[2] and len(found[0]) == 3

    wait_until(served, "every proxy reaches every instance", SECONDS_MAX)
    asked = fleet.rig["h3"].shell(f"dig +short SRV @{fleet.rig['h2'].address} {APP}")
    assert len(asked.splitlines()) == 3, asked
    took_s = time.monotonic() - began_s
    assert len(fleet.commands) <= COMMANDS_MAX, fleet.commands
    assert took_s <= SECONDS_MAX
    members = fleet.do(fleet.first, "coordctl member list")
    assert members.count("peerURLs=https://") == 3


def test_the_status_and_the_doctor_find_nothing_wrong(fleet: JoinedFleet) -> None:
    found: list[str] = []

    def healthy() -> bool:
        shown = json.loads(fleet.attempt(fleet.first, "slashetc status --json").stdout)
        texts = [each["text"] for each in shown["problems"]]
        # The certificates of this fleet last for minutes.
        found[:] = [text for text in texts if "should have been renewed" not in text]
        return not found

    try:
        wait_until(healthy, "the fleet is healthy", 30)
    except pytest.fail.Exception as failure:
        pytest.fail(f"{failure}: {found}")
    status = json.loads(fleet.attempt(fleet.first, "slashetc status --json").stdout)
    hosts = {each["host"]: each for each in status["hosts"]}
    assert set(hosts) == {"h1", "h2", "h3"}
    assert all(each["certificate"] > time.time() for each in hosts.values())
    assert [each["running"] for each in status["jobs"]] == [3]
    assert {each["role"] for each in status["members"]} == {"leader", "follower"}
    assert set(status["daemons"]) == {
        "coordinator", "locksmithd", "skydns", "confd", "vulcand", "fleetd",
    }  # fmt: skip
    for name in ("h1", "h2", "h3"):
        checked = fleet.attempt(fleet.rig[name], "slashetc doctor")
        assert (checked.returncode, "\nfail" in checked.stdout) == (0, False), checked.stdout


def test_nobody_reads_without_credentials(fleet: JoinedFleet) -> None:
    url = f"https://{fleet.first.address}:2379/v2/keys/fleet/v1?recursive=true"
    said = fleet.rig["h4"].shell(f"curl -sk {url}")
    assert json.loads(said)["errorCode"] == 110


def test_only_what_must_listen_listens_beyond_loopback(fleet: JoinedFleet) -> None:
    listening = fleet.rig["h3"].shell("ss -Hlntu | awk '{print $5}'").split()
    open_ports = {each for each in listening if not each.startswith(("127.", "[::1]"))}
    ports = {int(each.rpartition(":")[2]) for each in open_ports}
    # The store and its members, the join endpoint, DNS, the proxy, and the instance's own.
    assert {port for port in ports if port < 3000} <= {53, 80, 2378, 2379, 2380}


def test_doing_it_twice_changes_nothing(fleet: JoinedFleet) -> None:
    files = "find /etc/slashetc -type f ! -name '*.json' | sort | xargs sha256sum"
    line = fleet.token("h2")
    before = [fleet.rig[name].shell(files) for name in ("h1", "h2")]
    fleet.do(fleet.first, "slashetc init")
    fleet.do(fleet.rig["h2"], line)
    assert [fleet.rig[name].shell(files) for name in ("h1", "h2")] == before


def stranger(fleet: JoinedFleet, tmp_path: Path, line: str) -> str:
    """Return a token as a line has it, but signed by nobody of the fleet."""
    payload = tokens.read(line.rsplit(maxsplit=1)[-1]).payload
    return tokens.make(payload, new_keys.signer_key())


JOIN_MISTAKES = {
    "a used token": "was used already, with another key",
    "a taken name": "the name h2 is taken by the machine",
    "an expired token": "ago: make a new one by `slashetc token --host h4`",
    "a foreign token": "the token is of another authority",
    "a forged token": "no operator admin of fleet has made this token",
    "a wrong address": "nothing answers at https://10.77.0.99:2378",
    "the URL of the store": "is no agent of a fleet",
    "a port in use": "TCP port 80 at 0.0.0.0, which vulcand needs, is in use by python3",
    "no systemd": "systemd does not run this host",
    "no root": "run it with `sudo`",
}


@pytest.mark.parametrize("what", JOIN_MISTAKES)
def test_a_mistake_at_joining_is_answered_with_a_remedy(
    fleet: JoinedFleet, tmp_path: Path, what: str
) -> None:
    host = fleet.rig["h4"]
    line = fleet.token("h4", "--no-member", *(["--ttl", "1s"] if "expired" in what else []))
    url, own = line.split()[2], line.split()[-1]
    other = FleetAuthority(tmp_path, "fleet")
    foreign = other.token("h4", other.signer("admin"))
    if what == "a port in use":
        fleet.do(host, "systemd-run -q --unit=taken python3 -m http.server 80")
        wait_until(lambda: ":80 " in host.shell("ss -Hlnt"), "the port is taken")
    if what == "an expired token":
        time.sleep(1.1)
    command = {
        "a used token": fleet.lines[0],
        "a taken name": fleet.token("h2"),
        "a foreign token": line.replace(own, foreign),
        "a forged token": line.replace(own, stranger(fleet, tmp_path, line)),
        "a wrong address": line.replace("10.77.0.1", "10.77.0.99") + " --wait 0",
        "the URL of the store": line.replace(url, f"https://{fleet.first.address}:2379"),
        "no systemd": f"unshare -m sh -c 'mount -t tmpfs t /run/systemd; {line}'",
        "no root": f"runuser -u nobody -- {line}",
    }.get(what, line)
    said = fleet.attempt(host, command)
    host.shell("systemctl stop taken", check=False)
    assert said.returncode == 1, said.stdout
    assert JOIN_MISTAKES[what] in said.stderr
    assert "Traceback" not in said.stderr
    assert not host.path("/etc/slashetc/fleet.toml").exists()


def test_a_half_done_join_is_continued(fleet: JoinedFleet) -> None:
    line = fleet.token("h4", "--no-member")
    host = fleet.rig["h4"]
    # As cloud-init's write_files leaves it.
    host.write("/etc/slashetc/join", line)
    # Whatever is there after a power cut: the keys, and a used token, but no description.
    fleet.do(host, "systemctl start slashetc-join")
    assert not host.path("/etc/slashetc/join").exists()
    fleet.do(host, "systemctl stop slashetc.target && rm /etc/slashetc/fleet.toml")
    fleet.do(host, "rm /etc/slashetc/pki/*.pem /etc/slashetc/options.toml")
    fleet.do(host, line)
    wait_until(lambda: "h4" in fleet.do(fleet.first, "fleetctl hosts"), "h4 is a host", 20)
    assert "2379" not in host.shell("ss -Hlnt")


MISTAKES = {
    "slashetc join https://10.77.0.1 --token x": "this is not a whole token",
    "slashetc join {url} --token {stranger}": "run `slashetc leave` first",
    "slashetc init --fleet other": "run `slashetc leave` first",
    "slashetc token --host 'A B' --url https://h1": "is no name for a host",
    "slashetc token --host h5 --ttl 1y": "is not a duration",
    "slashetc evict nobody": "the hosts are h1, h2, h3, h4",
    "slashetc user add bob --role king": "viewer, operator, admin",
    "slashetc user add root": "is no name of a person",
    "runuser -u nobody -- slashetc init": "run it with `sudo`",
    "slashetc leave": "slashetc authority",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_answered_with_a_remedy(fleet: JoinedFleet, command: str) -> None:
    line = fleet.token("h9").split()
    said = fleet.attempt(fleet.first, command.format(url=line[2], stranger=line[-1]))
    assert said.returncode in {1, 2}
    assert MISTAKES[command] in said.stderr
    assert "Traceback" not in said.stderr


# An administrator elsewhere, with credentials of the old authority, writes all the time.
LOAD = """
import json, pathlib, sys, time
from coordinator.client import StoreError, Tls, connect
directory, store, counts = pathlib.Path("/root/elsewhere"), None, [0, []]
urls = sys.argv[1].split(",")
tls = Tls(*(str(directory / name) for name in ("ca.pem", "user.pem", "user.key")))
while not (directory / "stop").exists():
    try:
        with connect(urls, tls=tls) as store:
            store.put("/config/load", str(counts[0]))
            counts[0] += 1
    except StoreError as error:
        counts[1].append(str(error))
    (directory / "count").write_text(json.dumps(counts))
"""


def test_the_authority_is_rotated_under_load(fleet: JoinedFleet) -> None:
    names = ("h1", "h2", "h3")
    urls = ",".join(f"https://{fleet.rig[name].address}:2379" for name in names)
    carol = "slashetc user add carol --role admin --out elsewhere"
    fleet.do(fleet.first, carol)
    fleet.first.write("/root/load.py", LOAD)
    fleet.do(
        fleet.first,
        f"systemd-run -q --unit=load /opt/slashetc/venv/bin/python /root/load.py {urls}",
    )
    serial = "openssl x509 -noout -issuer -in /etc/slashetc/pki"
    before = [fleet.do(fleet.rig[name], f"{serial}/host.pem") for name in names]
    starts = "systemctl show -P ExecMainStartTimestampMonotonic coordinator fleetd skydns vulcand"
    started = fleet.do(fleet.first, starts)
    said = fleet.do(fleet.first, "slashetc authority rotate --wait 60")
    assert "carol: certificates of the old authority, which is trusted still" in said
    after = [fleet.do(fleet.rig[name], f"{serial}/host.pem") for name in names]
    assert len({*before, *after}) == 2
    assert fleet.do(fleet.first, starts) == started
    assert "carol (person)" in fleet.do(fleet.first, "slashetc authority status")
    # With new certificates for the same keys, nothing is left of the old authority.
    fleet.do(fleet.first, carol)
    fleet.do(fleet.first, "slashetc authority rotate --finish")
    bundle = "grep -c BEGIN /etc/slashetc/pki/ca.pem"
    for name in names:
        host = fleet.rig[name]
        wait_until(lambda host=host: host.shell(bundle) == "1", "the old one is out", 10)
    assert "ready" in fleet.do(fleet.first, "fleetctl hosts")
    fleet.do(fleet.first, "touch elsewhere/stop")
    written, failures = json.loads(fleet.do(fleet.first, "cat elsewhere/count"))
    assert written > 20
    assert failures == []


def test_an_evicted_host_is_out_within_five_seconds_also_on_open_connections(
    fleet: JoinedFleet,
) -> None:
    host = fleet.rig["h3"]
    pki = "--cacert /etc/slashetc/pki/ca.pem --cert /root/stolen.pem --key /root/stolen.key"
    fleet.do(host, "cp /etc/slashetc/pki/host.pem stolen.pem")
    fleet.do(host, "cp /etc/slashetc/pki/host.key stolen.key")
    url = f"https://{fleet.first.address}:2379"
    watch = f"{url}/v2/keys/slashetc/v1?wait=true&stream=true&recursive=true"
    fleet.do(host, f"systemd-run -q --unit=thief curl -sN {pki} '{watch}'")
    assert "action" in host.shell(f"curl -s {pki} {url}/v2/keys/slashetc/v1/fleet")
    fleet.do(fleet.first, "slashetc evict h3")
    began_s = time.monotonic()
    state = "systemctl is-active thief"
    wait_until(lambda: host.shell(state, check=False) != "active", "the watch ends", EVICTED_S)
    get = f"curl -s {pki} {url}/v2/keys/slashetc/v1/fleet"
    wait_until(lambda: "is revoked" in host.shell(get, check=False), "refused", EVICTED_S)
    assert time.monotonic() - began_s <= EVICTED_S
    assert "h3" not in fleet.do(fleet.first, "coordctl member list")


def test_a_machine_joins_by_a_credential_without_anybody(fleet: JoinedFleet) -> None:
    host = fleet.rig.add("h5")
    line = fleet.token("h5", "--no-member")
    host.binds.append(f"--set-credential=slashetc.join:{line}")
    host.power_on()
    host.wait_booted()
    # As the package does it. At later boots the unit does nothing.
    fleet.do(host, "systemctl preset slashetc-join && systemctl start slashetc-join")
    wait_until(lambda: "h5" in fleet.do(fleet.first, "fleetctl hosts"), "h5 is a host", 20)
    fleet.do(host, "systemctl start slashetc-join")
    assert "unmet condition" in fleet.do(host, "journalctl -u slashetc-join -o cat")
    host.cut_power()


def test_an_evicted_host_comes_back_with_a_new_token_only(fleet: JoinedFleet) -> None:
    host = fleet.rig["h3"]
    line = fleet.token("h3", "--member")
    fleet.do(host, line)

    def is_member() -> bool:
        return "name=h3" in fleet.do(fleet.first, "coordctl member list")

    wait_until(is_member, "h3 is a member again", 30)


def test_a_member_that_lost_its_disk_joins_again_as_another_member(fleet: JoinedFleet) -> None:
    host, rows = fleet.rig["h2"], "coordctl member list | grep name=h2"
    before = fleet.do(fleet.first, rows).partition(":")[0]
    fleet.do(host, "systemctl kill -s KILL slashetc.target coordinator; systemctl stop coordinator")
    fleet.do(host, "rm -rf /etc/slashetc /var/lib/coordinator/*")
    fleet.do(host, fleet.token("h2"))

    def is_member() -> bool:
        found = fleet.attempt(fleet.first, rows).stdout
        return bool(found) and not found.startswith(before)

    # What forgot its votes must not vote under the old id.
    wait_until(is_member, "h2 is a member", 30)


def test_a_host_leaves_and_its_name_is_free(fleet: JoinedFleet) -> None:
    host = fleet.rig["h4"]
    fleet.do(host, "slashetc leave")
    assert not host.path("/etc/slashetc/pki").exists()
    assert host.shell("systemctl is-active fleetd", check=False) == "inactive"
    records = fleet.do(fleet.first, "coordctl ls --recursive /slashetc/v1/admitted")
    assert host.machine_id not in records
    assert fleet.rig["h3"].machine_id in records


def test_certificates_are_renewed_without_a_restart(fleet: JoinedFleet) -> None:
    host = fleet.rig["h2"]
    renewed = "journalctl -u slashetc-agent -o cat | grep -c event=renewed"
    units = "coordinator skydns vulcand"
    starts = f"systemctl show -P ExecMainStartTimestampMonotonic {units}"
    started, before = host.shell(starts), int(host.shell(renewed, check=False))
    wait_until(lambda: int(host.shell(renewed)) > before, "another renewal", LIFETIME_S)
    end = "openssl x509 -noout -checkend 20 -in /etc/slashetc/pki"
    for name in ("host", "member", "skydns", "vulcand"):
        assert "will not expire" in host.shell(f"{end}/{name}.pem")
    assert host.shell(starts) == started
    assert "ready" in fleet.do(host, "fleetctl hosts")


def test_the_authority_moves_to_another_member(fleet: JoinedFleet) -> None:
    to, new = fleet.rig["h2"], fleet.rig["h4"]
    fleet.do(fleet.first, "slashetc authority export moved")
    assert not fleet.first.path("/etc/slashetc/authority").exists()
    for path in fleet.first.path("/root/moved").iterdir():
        to.write(f"/root/moved/{path.name}", path.read_text(), 0o600)
    fleet.do(to, "slashetc authority import moved")
    assert "its key is on h2" in fleet.do(fleet.first, "slashetc authority status")
    # A host asks any member, and the one with the key signs.
    fleet.do(new, fleet.token("h4", "--no-member"))
    assert "issuer" in new.shell("openssl x509 -noout -issuer -in /etc/slashetc/pki/host.pem")
