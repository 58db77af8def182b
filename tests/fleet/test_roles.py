"""Agent and scheduler with the roles that `slashetc` gives them, and with less than that."""

import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coordinator.client.core.errors import Unauthorized
from coordinator.client.memory_store import MemoryStore
from fleet.agent import agent as agents
from fleet.agent import endpoint_writer
from fleet.agent.endpoint_writer import EndpointWriter
from fleet.core import keys, signed_request
from fleet.core.jobs.signing import Signer
from fleet.core.model import (
    EndpointList,
    RemoteRequest,
    RemoteResponse,
    ServiceRecord,
    TargetState,
    decode,
    encode,
)
from fleet.ctl.registry import Registry
from fleet.scheduler import scheduler as schedulers
from fleet.scheduler.endpoint_removal import remove_endpoints
from rig.stores.guarded_store import GuardedStore, host
from slashetc.core import roles
from tests.fleet.agent.memory_agent import TEXT, AgentOnMemory, play, private_pem

HOST, OTHER = "a" * 32, "b" * 32
AS_HOST, AS_MEMBER = roles.HOST.document(), roles.MEMBER.document()
SERVED = f"{TEXT}Labels=app=web\n"


def as_host(bed: AgentOnMemory) -> GuardedStore:
    return GuardedStore(bed.store, AS_HOST, attributes=host(HOST))


def as_member(bed: AgentOnMemory) -> GuardedStore:
    return GuardedStore(bed.store, AS_HOST, AS_MEMBER, attributes=host(OTHER, "h2"))


def endpoints(bed: AgentOnMemory) -> int:
    servers = bed.store.list("/vulcand/backends/app.example.com/servers").entries
    return len(servers) + len(bed.store.list("/skydns/com/example/app").entries)


def said(caplog: pytest.LogCaptureFixture, event: str) -> int:
    return sum(each.getMessage() == event for each in caplog.records)


def test_agent_and_scheduler_need_no_more_than_their_roles(tmp_path: Path) -> None:
    async def story(bed: AgentOnMemory) -> None:
        own, members = as_host(bed), as_member(bed)
        key = Ed25519PrivateKey.generate()
        signer = Signer(private_pem(key))
        bed.trust(key)
        agent, scheduler = await bed.agent(own), await bed.scheduler(members)
        Registry(bed.store).put_service(
            "app.example.com", ServiceRecord("app=web", port=80, ttl_s=1)
        )
        Registry(bed.store).put_job(
            "web.service", SERVED, target=TargetState.LAUNCHED, signer=signer
        )
        await bed.until(lambda: endpoints(bed) == 4)
        Registry(bed.store).change_job("web.service", target=TargetState.DESTROYED)
        await bed.until(lambda: not bed.store.list(keys.whole_job("web.service")).entries)
        number = f"{HOST}-7"
        asked = RemoteRequest("alice", command=("echo", "done"))
        asked = signed_request.sign(asked, HOST, number, time.time(), signer)
        bed.store.put(keys.request(HOST, number), encode(asked))
        await bed.until(lambda: bool(bed.store.list(keys.response(number)).entries))
        answer = bed.store.get(keys.response(number))
        assert decode(answer.value, RemoteResponse).out == "done\n"
        assert (own.refused, members.refused) == ([], [])
        await agent.drain()
        await scheduler.drain()

    play(tmp_path, story)


def test_a_scheduler_may_remove_the_endpoints_of_a_silent_host() -> None:
    everything, label = MemoryStore(), f"web-0-{HOST[:8]}"
    records = (keys.dns("app.example.com", label), keys.server("app.example.com", label))
    for key in records:
        everything.put(key, "{}")
    everything.put(keys.endpoints(HOST), encode(EndpointList(records)))
    store = GuardedStore(everything, AS_HOST, AS_MEMBER, attributes=host(OTHER, "h2"))
    remove_endpoints(store, HOST)
    assert store.refused == []
    assert not everything.list("/").entries


THEFTS = (
    keys.plan(HOST),
    keys.request(HOST, "1"),
    keys.facts(OTHER),
    keys.status(OTHER),
    keys.endpoints(OTHER),
    keys.drain(OTHER),
    keys.cordon(OTHER),
    keys.plan(OTHER),
    keys.request(OTHER, "1"),
    keys.response(f"{OTHER}-1"),
    keys.response("1"),
    keys.job("web.service"),
    keys.version("web.service", 1),
    keys.rollout("web.service"),
    keys.unit("0" * 64),
    f"{keys.signature('0' * 64)}/0",
    keys.service("app.example.com"),
    keys.LEADER,
    keys.EPOCH,
    keys.HEALTH,
    keys.event(1),
    keys.dns("app.example.com", f"web-0-{OTHER[:8]}"),
    keys.dns("example.com", "app"),
    keys.server("app.example.com", f"web-0-{OTHER[:8]}"),
    keys.backend("app.example.com"),
    keys.frontend("app.example.com"),
)


@pytest.mark.parametrize("key", THEFTS)
def test_a_host_writes_nothing_of_others_and_no_order_to_itself(key: str) -> None:
    store = GuardedStore(MemoryStore(), AS_HOST, attributes=host(HOST))
    with pytest.raises(Unauthorized):
        store.put(key, "stolen")
    with pytest.raises(Unauthorized):
        store.delete(key)


@pytest.mark.parametrize(
    "key",
    [keys.plan(OTHER), keys.request(OTHER, "1"), keys.status(OTHER), keys.response(f"{HOST}-1")],
)
def test_a_host_reads_neither_the_orders_of_others_nor_any_response(key: str) -> None:
    everything = MemoryStore()
    everything.put(key, "secret")
    store = GuardedStore(everything, AS_HOST, attributes=host(HOST))
    with pytest.raises(Unauthorized):
        store.get(key)
    assert not store.list(keys.PREFIX).entries


def test_units_run_on_while_a_host_has_no_rights_and_it_is_back_when_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(agents, "REFUSED_S", 0.2)

    async def story(bed: AgentOnMemory) -> None:
        own = as_host(bed)
        agent, scheduler = await bed.agent(own), await bed.scheduler()
        registry = Registry(bed.store)
        registry.put_job("web.service", TEXT, target=TargetState.LAUNCHED)
        await bed.until(lambda: bed.running() == 2)
        own.allow()
        bed.store.delete(keys.status(HOST))
        await bed.until(lambda: not agent.is_ready)
        refused = len(own.refused)
        await bed.until(lambda: len(own.refused) > refused + 10)
        assert said(caplog, "store-away") <= 4  # the agent's calls and its watch, each once
        assert bed.running() == 2
        assert not bed.store.list(keys.status(HOST)).entries
        own.allow(AS_HOST)
        await bed.until(lambda: agent.is_ready)
        registry.change_job("web.service", target=TargetState.LOADED)
        await bed.until(lambda: bed.running() == 0)
        await agent.drain()
        await scheduler.drain()

    play(tmp_path, story)


def test_a_refused_endpoint_keeps_nothing_else_from_being_written(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = 0.0
    everything = MemoryStore()
    deep = keys.dns(".".join("abcdefghijklmnop"), f"web-0-{HOST[:8]}")
    own = keys.dns("app.example.com", f"web-0-{HOST[:8]}")
    store = GuardedStore(everything, AS_HOST, attributes=host(HOST))
    writer = EndpointWriter(store, HOST, 30, lambda: now_s)
    for _ in range(5):
        writer.remove_others({deep, own})
        writer.write({deep: "{}", own: "{}"})
    assert [each.key for each in everything.list("/skydns").entries] == [own]
    assert store.refused == [f"put {deep}"]
    assert len([each for each in caplog.records if "refused" in each.getMessage()]) == 1
    store.allow({"role": "all", "permissions": {"kv": {"read": ["*"], "write": ["*"]}}})
    now_s = endpoint_writer.REFUSED_S
    writer.write({deep: "{}", own: "{}"})
    assert len(everything.list("/skydns").entries) == 2
    store.allow()
    now_s += 1
    writer.remove_others({own})
    store.allow(AS_HOST)
    writer.remove_others(())
    assert deep in {each.key for each in everything.list("/skydns").entries}
    assert own not in {each.key for each in everything.list("/skydns").entries}


def test_no_key_in_a_hosts_list_of_endpoints_stops_the_scheduler() -> None:
    everything = MemoryStore()
    label = f"web-0-{HOST[:8]}"
    stale = keys.dns("app.example.com", label)
    everything.put(stale, "{}")
    everything.put(f"{keys.dns('dir.example.com', label)}/below", "{}")
    hostile = (
        keys.dns("dir.example.com", label),
        f"/skydns/../{label}",
        f"/skydns//{label}",
        f"{stale}/below/{label}",
        f"/vulcand/backends/\x00/servers/{label}",
        f"/vulcand/backends/a/servers/{label}",
        "/fleet/v1/epoch",
        stale,
    )
    everything.put(keys.EPOCH, "1")
    everything.put(keys.endpoints(HOST), encode(EndpointList(hostile)))
    store = GuardedStore(everything, AS_HOST, AS_MEMBER, attributes=host(OTHER, "h2"))
    remove_endpoints(store, HOST)
    assert not everything.list(stale).entries
    assert not everything.list(keys.endpoints(HOST)).entries
    assert everything.get(keys.EPOCH).value == "1"


def test_a_scheduler_without_rights_says_so_once_and_leads_when_it_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(schedulers, "REFUSED_S", 0.2)

    async def story(bed: AgentOnMemory) -> None:
        members = as_member(bed)
        members.allow()
        agent, scheduler = await bed.agent(), await bed.scheduler(members)
        await bed.until(lambda: len(members.refused) > 5)
        assert not scheduler.is_ready
        assert said(caplog, "store-away") == 1
        Registry(bed.store).put_job("web.service", TEXT, target=TargetState.LAUNCHED)
        members.allow(AS_HOST, AS_MEMBER)
        await bed.until(lambda: bed.running() == 2)
        await agent.drain()
        await scheduler.drain()

    play(tmp_path, story)
