"""What the talk "Fault Tolerant Infrastructure" (2014) promises of a cluster, slide by slide."""

import json
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from rig.cluster import QUICK, Answer, Cluster, ask, new_member
from rig.isolation import isolated
from rig.processes import Coordinator, Etcd, answers, require, wait_until

QUICK_ELECTION_S = 0.5
PUT = """
wrk.method = "PUT"
wrk.body = "value=x"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
"""


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture
def five(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, size=5) as cluster:
        yield cluster


def retried(act: Callable[[], Answer], deadline_s: float = 10.0) -> Answer:
    """Do it as a patient client does: again, after 10 ms, until it is accepted."""

    def accepted() -> Answer | None:
        try:
            answer = act()
        except OSError:
            return None
        return answer if answer.status < 500 else None

    return wait_until(accepted, "an accepted request", deadline_s)


def test_a_member_without_a_leader_confirms_no_watch(three: Cluster) -> None:
    """Progress lines say that a client has everything, which such a member does not know."""
    leader, cut_off, other = three.leader(), *three.followers()
    address = cut_off.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=10) as link:
        link.sendall(b"GET /v2/keys/a?wait=true&stream=true&progress=1 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: b"progress" in link.recv(4096), "a line while there is a leader")
        for each in (leader, other):
            assert each.running is not None
            each.running.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: three.state(cut_off)["leader"] == "0", "the leader is lost")
        link.settimeout(1.5)  # a line that was on its way
        with suppress(TimeoutError):
            link.recv(4096)
        with pytest.raises(TimeoutError):
            link.recv(4096)
        wait_until(
            lambda: (
                ask("GET", f"{cut_off.url}/v2/keys/b?wait=true&stream=true&progress=1").status
                == 503
            ),
            "a new watch is refused",
        )
        for each in (leader, other):
            assert each.running is not None
            each.running.process.send_signal(signal.SIGCONT)
        link.settimeout(40)
        wait_until(lambda: b"progress" in link.recv(4096), "a line after the leader is back")


def test_a_cluster_of_one_works(tmp_path: Path) -> None:
    with Cluster(tmp_path, size=1) as one:
        assert one.write("/a", "1").status == 201
        assert one.read("/a", quorum=True).node["value"] == "1"


def test_five_members_stay_available_with_one_and_with_two_followers_lost(five: Cluster) -> None:
    for lost in range(2):
        five.kill(five.followers()[0])
        leader = five.leader()
        assert five.write(f"/lost{lost}", lost, to=leader).status == 201
        assert five.read(f"/lost{lost}", by=five.followers()[0], quorum=True).status == 200


def test_a_cluster_without_a_majority_answers_that_it_is_unavailable(five: Cluster) -> None:
    five.write("/before", "1")
    five.settle()
    leader = five.leader()
    survivor = five.followers()[0]
    watch = urllib.request.urlopen(
        f"{survivor.url}/v2/keys/before?wait=true&stream=true", timeout=60
    )
    lost = [each for each in five.running() if each not in {survivor, leader}]
    assert ask("GET", f"{survivor.url}/health").status == 200
    for each in lost:
        five.kill(each)
    time.sleep(QUICK_ELECTION_S)  # as long as the leader's lease may last
    assert ask("GET", f"{survivor.url}/health").status == 503
    assert ask("GET", f"{leader.url}/health").status == 503

    def refused() -> Answer | None:
        answer = five.write("/during", "1", to=survivor)
        return answer if answer.status == 503 else None

    answer = wait_until(refused, "a refusal")
    assert answer.took_s < 3
    assert answer.body["errorCode"] == 300
    assert "no leader for " in str(answer.body["cause"])
    assert "a majority of the 5 voting members must be up" in str(answer.body["cause"])
    later = [five.write("/during", "2", to=survivor) for _ in range(5)]
    assert {answer.status for answer in later} == {503}
    median_s = sorted(answer.took_s for answer in later)[2]
    assert median_s < 0.5, "the refusals do not come at once"
    assert five.read("/before", by=survivor, quorum=True).status == 503
    assert five.read("/before", by=survivor).node["value"] == "1"
    assert ask("GET", f"{survivor.url}/health").status == 503
    assert ask("GET", f"{survivor.url}/v2/members/leader").status == 503
    for each in lost:
        five.start(each)
    assert retried(lambda: five.write("/before", "2", to=survivor)).status == 200
    assert json.loads(watch.readline())["node"]["value"] == "2"
    watch.close()


def test_a_write_at_the_first_start_waits_for_the_majority(tmp_path: Path) -> None:
    pair = Cluster(tmp_path, size=2, members=[new_member("m1"), new_member("m2")])
    first, second = pair.members
    with ExitStack() as stack:
        stack.callback(pair.__exit__)
        pair.begin(first)
        wait_until(lambda: is_open(first.url), "the client port")
        writer = stack.enter_context(ThreadPoolExecutor())
        early = writer.submit(pair.write, "/early", "1", to=first)
        with pytest.raises(TimeoutError):
            early.result(5 * QUICK_ELECTION_S)
        pair.begin(second)
        answer = early.result()
        # On a machine that is busy the other member may be late, and a client asks again.
        while answer.status != 201:
            assert answer.took_s > 3, "the client was not kept waiting"
            answer = pair.write("/early", "1", to=first)


def is_open(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as sock:
        return sock.connect_ex((parts.hostname, parts.port)) == 0


def test_a_cluster_that_loses_its_leader_is_unavailable_for_a_moment(five: Cluster) -> None:
    five.write("/a", "1")
    old = five.leader()
    began = time.monotonic()
    five.kill(old)
    answer = retried(lambda: five.write("/a", "2"))
    assert time.monotonic() - began < 2.0
    assert answer.took_s < 2.0
    assert five.leader() is not old
    five.start(old)
    five.settle()
    assert five.read("/a", by=old).node["value"] == "2"


def test_writes_in_flight_when_the_leader_dies_are_carried_out_once_and_soon(
    tmp_path: Path,
) -> None:
    with Cluster(tmp_path) as cluster:
        leader, follower = cluster.leader(), cluster.followers()[0]
        ended = threading.Event()
        answered: list[tuple[str, Answer]] = []

        def append(worker: int) -> None:
            number = 0
            while not ended.is_set():
                number += 1
                value = f"{worker}-{number}"
                answer = ask("POST", f"{follower.url}/v2/keys/queue", f"value={value}")
                answered.append((value, answer))

        workers = [threading.Thread(target=append, args=(each,)) for each in range(8)]
        for worker in workers:
            worker.start()
        wait_until(lambda: len(answered) > 100, "some writes")
        cluster.kill(leader)
        before = len(answered)
        wait_until(lambda: len(answered) > before + 100, "writes after the leader's death")
        ended.set()
        for worker in workers:
            worker.join()
        listed = ask("GET", f"{follower.url}/v2/keys/queue?quorum=true").node["nodes"]
        assert isinstance(listed, list)
        values = [node["value"] for node in listed]
    assert len(values) == len(set(values)), "a write was carried out twice"
    assert {value for value, answer in answered if answer.status == 201} <= set(values)
    assert {answer.status for _, answer in answered} == {201}
    assert max(answer.took_s for _, answer in answered) < 3


def test_acknowledged_writes_survive_when_all_members_are_killed(three: Cluster) -> None:
    for number in range(50):
        assert three.write(f"/k{number}", number).status == 201
    for each in three.running():
        three.kill(each)
    for each in three.members:
        three.begin(each)
    for each in three.members:
        three.wait_for(each)
    for number in range(50):
        assert three.read(f"/k{number}", quorum=True).node["value"] == str(number)
    assert three.write("/later", "1").index > 50


def test_a_member_that_was_away_long_is_sent_a_snapshot(tmp_path: Path) -> None:
    flags = (*QUICK, "--snapshot-count", "1000")
    with Cluster(tmp_path, flags=flags) as cluster:
        away = cluster.followers()[0]
        cluster.kill(away)
        # More than stays in the log behind a snapshot.
        url = f"{cluster.leader().url}/v2/keys/k"
        script = tmp_path / "load.lua"
        script.write_text(PUT)
        load = [require("wrk"), "-t1", "-c32", "-d1s", "-s", str(script), url]
        leader = cluster.leader()

        def is_far() -> bool:
            subprocess.run(load, check=True, capture_output=True)
            return int(str(cluster.state(leader)["snapshot"])) > 6000

        wait_until(is_far, "snapshots", 60)
        cluster.start(away)
        cluster.settle()
        assert "snapshot-received" in (tmp_path / f"{away.name}.log").read_text()


def test_members_are_added_and_removed_while_the_cluster_runs(three: Cluster) -> None:
    three.write("/a", "1")
    new = three.add("m4")
    three.settle()
    assert three.read("/a", by=new).node["value"] == "1"

    def voters() -> list[object]:
        members = ask("GET", f"{new.url}/v2/members").body["members"]
        assert isinstance(members, list)
        return [member for member in members if "isLearner" not in member]

    wait_until(lambda: len(voters()) == 4, "the new member has its vote")
    old = three.followers()[0]
    member = ask("GET", f"{old.url}/v2/stats/self").body["id"]
    assert ask("DELETE", f"{new.url}/v2/members/{member}").status == 204
    assert old.running is not None
    assert old.running.process.wait(30) == 0
    old.running = None
    assert ask("DELETE", f"{new.url}/v2/members/{member}").status == 410
    assert three.write("/b", "2", to=new).status == 201
    again = three.begin(old)
    assert again.process.wait(30) == 0
    old.running = None


def test_an_added_member_that_never_starts_does_not_affect_the_quorum(
    tmp_path: Path,
) -> None:
    with Cluster(tmp_path, size=1, flags=(*QUICK,)) as one:
        url = one.members[0].url
        dead = json.dumps({"peerURLs": ["http://127.0.0.1:1"]})
        added = ask("POST", f"{url}/v2/members", dead, as_json=True)
        assert (added.status, added.body["isLearner"]) == (201, True)
        assert one.write("/a", "1").status == 201
        assert ask("POST", f"{url}/v2/members", dead, as_json=True).status == 409
        promoted = ask("POST", f"{url}/v2/members/{added.body['id']}/promote")
        assert (promoted.status, "not caught up" in str(promoted.body)) == (503, True)
        assert ask("DELETE", f"{url}/v2/members/{added.body['id']}").status == 204
        assert one.write("/a", "2").status == 200


def test_leadership_moves_on_request(three: Cluster) -> None:
    leader, follower = three.leader(), three.followers()[0]
    target = ask("GET", f"{follower.url}/v2/stats/self").body["id"]
    moved = ask("POST", f"{leader.url}/v2/members/leader", json.dumps({"id": target}), as_json=True)
    assert moved.status == 204
    assert three.leader() is follower
    assert moved.took_s < 1
    other = ask("POST", f"{leader.url}/v2/members/leader", "{}", as_json=True)
    assert other.status == 204
    assert three.leader() is not follower


def test_new_members_find_each_other_by_a_token(tmp_path: Path) -> None:
    with Coordinator(tmp_path) as service:
        token = ask("GET", f"{service.url}/new?size=3").body["text"]
        assert str(token).startswith(f"{service.url}/")
        discovered(tmp_path, str(token))


def test_new_members_find_each_other_at_an_etcd(tmp_path: Path) -> None:
    with Etcd(tmp_path) as service:
        token = f"{service.url}/v2/keys/discovery/1234"
        assert ask("PUT", f"{token}/_config/size", "value=3").status == 201
        discovered(tmp_path, token)


def discovered(directory: Path, token: str) -> None:
    founders = [new_member(f"d{number}") for number in range(4)]
    for each in founders:
        each.flags = ("--discovery", token)
    with Cluster(directory, members=founders[:3]) as cluster:
        assert cluster.write("/a", "1").status == 201
        members = ask("GET", f"{founders[2].url}/v2/members").body["members"]
        assert isinstance(members, list)
        assert {member["name"] for member in members} == {"d0", "d1", "d2"}
        late = cluster.begin(founders[3])
        assert late.process.wait(30) == 1
        assert "the cluster of 3 is full" in late.tail()
        # A member with a log does not need the service any more.
        cluster.kill(founders[0])
        cluster.start(founders[0])


def test_a_wrong_token_is_reported(tmp_path: Path) -> None:
    with Coordinator(tmp_path) as service:
        assert ask("GET", f"{service.url}/new?size=x").status == 400
        lost = new_member("lost")
        lost.flags = ("--discovery", f"{service.url}/{'0' * 32}")
        cluster = Cluster(tmp_path, members=[lost])
        running = cluster.begin(lost)
        assert running.process.wait(30) == 1
        assert "there is no size; create a token with GET /new?size=N" in running.tail()


def test_new_members_find_each_other_by_dns(tmp_path: Path) -> None:
    require("dnsmasq")
    records = "\n".join(
        f"srv-host=_etcd-server._tcp.example.test,m{n}.example.test,{2380 + 10 * n}\n"
        f"host-record=m{n}.example.test,127.0.0.{n}"
        for n in (1, 2, 3)
    )
    script = f"""
cat >/tmp/dnsmasq.conf <<'EOF'
no-resolv
no-hosts
no-daemon
port=53
{records}
EOF
echo 'nameserver 127.0.0.1' >/tmp/resolv.conf
mount --bind /tmp/resolv.conf /etc/resolv.conf
dnsmasq --conf-file=/tmp/dnsmasq.conf --user=root &
for n in 1 2 3; do
  port=$((2380 + 10 * n))
  coordinator --name s$n --data-dir /tmp/s$n --status-addr '' --discovery-srv example.test \\
    --listen-client-urls http://127.0.0.$n:2379 --listen-peer-urls http://127.0.0.$n:$port \\
    --initial-advertise-peer-urls http://m$n.example.test:$port &
done
for _ in $(seq 200); do
  members=$(curl -sf http://127.0.0.1:2379/v2/members) || true
  [ "$(echo "$members" | grep -o '"name":"s.' | wc -l)" = 3 ] && break
  sleep 0.1
done
echo "$members"
"""
    done = isolated(script, tmp_path, 60)
    assert [f'"name":"s{n}"' in done.stdout for n in (1, 2, 3)] == [True] * 3, done


def test_a_member_of_another_cluster_is_refused(three: Cluster, tmp_path: Path) -> None:
    member = ask("GET", f"{three.members[0].url}/v2/stats/self").body["id"]
    parts = urlsplit(three.members[0].peer_url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as stranger:
        stranger.sendall(
            b"GET /raft HTTP/1.1\r\nHost: x\r\nUpgrade: slashetc-raft/1\r\nX-Server-From: 1\r\n"
            b"X-Etcd-Cluster-ID: abc\r\nX-Raft-To: %b\r\n\r\n" % str(member).encode()
        )
        assert stranger.recv(64).startswith(b"HTTP/1.1 412 ")


def test_keys_with_a_ttl_survive_a_change_of_leader_and_expire_in_time(three: Cluster) -> None:
    follower = three.followers()[0]
    began = time.monotonic()
    ask("PUT", f"{follower.url}/v2/keys/lease", "value=x&ttl=4")
    three.kill(three.leader())

    def gone() -> bool:
        return retried(lambda: three.read("/lease", by=follower, quorum=True)).status == 404

    wait_until(gone, "the key has ended", 15)
    assert 4 <= time.monotonic() - began < 8


def test_a_watch_on_a_follower_misses_nothing_when_the_leader_dies(three: Cluster) -> None:
    leader, follower = three.leader(), three.followers()[0]
    start = three.write("/w/0", "0").index
    watch = urllib.request.urlopen(
        f"{follower.url}/v2/keys/w?wait=true&stream=true&recursive=true&waitIndex={start}",
        timeout=30,
    )
    for number in range(1, 41):
        if number == 20:
            three.kill(leader)
        retried(lambda n=number: three.write(f"/w/{n}", n, to=follower))  # type: ignore[misc]
    seen = [json.loads(watch.readline())["node"] for _ in range(41)]
    watch.close()
    assert [int(node["value"]) for node in seen] == list(range(41))
    indexes = [node["modifiedIndex"] for node in seen]
    assert indexes == sorted(set(indexes))


def test_a_paused_member_does_not_answer_with_old_data(three: Cluster) -> None:
    leader, other = three.leader(), three.followers()[0]
    three.write("/a", "1")
    assert leader.running is not None
    leader.running.process.send_signal(signal.SIGSTOP)
    retried(lambda: three.write("/a", "2", to=other))
    leader.running.process.send_signal(signal.SIGCONT)
    answer = retried(lambda: three.read("/a", by=leader, quorum=True))
    assert answer.node["value"] == "2"


def test_a_single_member_can_become_a_cluster(tmp_path: Path) -> None:
    with Coordinator(tmp_path) as alone:
        add = ask(
            "POST", f"{alone.url}/v2/members", '{"peerURLs":["http://127.0.0.1:2"]}', as_json=True
        )
        assert add.status == 409
        assert "restart it with --listen-peer-urls" in str(add.body["message"])
        assert answers(f"{alone.url}/health")
