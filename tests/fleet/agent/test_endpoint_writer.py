"""The endpoints of a host: written with few writes, and gone when the host is."""

from fleet.agent.endpoint_writer import CHECK_S, LEADERLESS_S, LONG_TTL_S, EndpointWriter
from fleet.core import keys
from fleet.core.model import EndpointList, HostStatus, LeaderLease, decode, encode
from fleet.scheduler.endpoint_removal import remove_endpoints
from rig.stores.counting_store import CountingStore

HOST, TTL_S = "a" * 32, 30
DNS, PROXY = keys.dns("app.example.com", "web-0-aaaaaaaa"), keys.server("app", "web-0-aaaaaaaa")
RECORDS = {DNS: "one", PROXY: "two"}


class EndpointsOnMemory:
    """One host's writer, on a store whose clock is simulated."""

    def __init__(self, lease: LeaderLease | None = None) -> None:
        self.now_s = 1000.0
        self.store = CountingStore(lambda: self.now_s)
        self.lead(lease)
        self.writer = self.start()

    def lead(self, lease: LeaderLease | None) -> None:
        if lease is not None:
            self.store.put(keys.LEADER, encode(lease))

    def start(self) -> EndpointWriter:
        return EndpointWriter(self.store, HOST, TTL_S, lambda: self.now_s)

    def write(self, records: dict[str, str] | None = None) -> None:
        records = RECORDS if records is None else records
        self.writer.remove_others(records)
        self.writer.write(records)

    def run(self, for_s: float, records: dict[str, str] | None = None) -> None:
        end_s = self.now_s + for_s
        while self.now_s < end_s:
            self.write(records)
            self.now_s += 2.5
            self.store.expire()

    def present(self) -> set[str]:
        entries = [*self.store.list("/skydns").entries, *self.store.list("/vulcand").entries]
        return {each.key for each in entries}

    def listed(self) -> set[str]:
        return set(decode(self.store.get(keys.endpoints(HOST)).value, EndpointList).endpoints)


NEW, OLD = LeaderLease("new", removes_endpoints=True), LeaderLease("old")


def test_at_rest_endpoints_cost_two_writes_an_hour_while_a_leader_removes_them() -> None:
    bed = EndpointsOnMemory(NEW)
    bed.run(60)
    before = bed.store.writes
    bed.run(10 * LONG_TTL_S)
    assert bed.store.writes - before <= 2 * 15
    assert bed.present() == set(RECORDS)


def test_beside_a_leader_that_removes_none_they_have_the_ttl_of_the_host() -> None:
    for lease in (OLD, None):
        bed = EndpointsOnMemory(lease)
        bed.run(300)
        assert bed.present() == set(RECORDS)
        bed.now_s += TTL_S + 1
        bed.store.expire()
        assert not bed.present()


def test_their_ttl_is_short_again_once_nobody_leads_or_an_older_one_does() -> None:
    for lease in (OLD, None):
        bed = EndpointsOnMemory(NEW)
        bed.run(60)
        bed.store.delete(keys.LEADER)
        bed.lead(lease)
        bed.run(LEADERLESS_S + 30)
        bed.now_s += TTL_S + 1
        bed.store.expire()
        assert not bed.present()


def test_the_leader_removes_the_endpoints_of_a_host_whose_lease_has_ended() -> None:
    bed = EndpointsOnMemory(NEW)
    bed.run(60)
    bed.store.put(keys.status(HOST), encode(HostStatus("boot")))
    remove_endpoints(bed.store, HOST)
    assert bed.present() == set(RECORDS)
    bed.store.delete(keys.status(HOST))
    remove_endpoints(bed.store, HOST)
    assert not bed.present()
    assert not bed.store.list(keys.endpoints(HOST)).entries


def test_a_host_that_comes_back_at_any_moment_of_the_removal_keeps_its_endpoints() -> None:
    for moment in range(12):
        bed = EndpointsOnMemory(NEW)
        bed.run(60)

        def come_back(bed: EndpointsOnMemory = bed) -> None:
            bed.store.put(keys.status(HOST), encode(HostStatus("boot")))
            bed.writer.forget()
            bed.write()

        bed.store.before(moment, come_back)
        remove_endpoints(bed.store, HOST)
        if bed.store.is_waiting:
            come_back()
        assert bed.present() == set(RECORDS) == bed.listed(), moment


def test_a_list_removes_no_keys_of_another_host() -> None:
    bed = EndpointsOnMemory(NEW)
    others = ("/skydns/com/example/app/web-0-bbbbbbbb", "/vulcand/backends/app/backend", keys.EPOCH)
    for key in others:
        bed.store.put(key, "x")
    bed.store.put(keys.endpoints(HOST), encode(EndpointList(others)))
    remove_endpoints(bed.store, HOST)
    assert all(bed.store.get(key) for key in others)


def test_a_new_agent_keeps_what_is_ready_again_and_removes_the_rest() -> None:
    bed = EndpointsOnMemory(NEW)
    bed.run(60)
    bed.writer = bed.start()
    bed.run(20, {})
    assert bed.present() == set(RECORDS)
    bed.run(20, {DNS: "one"})
    assert bed.present() == bed.listed() == {DNS}


def test_an_endpoint_that_somebody_else_removed_is_written_again() -> None:
    bed = EndpointsOnMemory(NEW)
    bed.run(60)
    bed.store.delete(DNS)
    bed.run(CHECK_S + 5)
    assert bed.present() == set(RECORDS)


def test_a_directory_in_the_place_of_an_endpoint_harms_no_other_one() -> None:
    bed = EndpointsOnMemory(NEW)
    bed.store.put(f"{DNS}/below", "x")
    bed.run(10)
    assert PROXY in bed.present()
