"""A plan that somebody else wrote into the store: it starts nothing that no key has signed."""

import time
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.agent.agent import Agent
from fleet.agent.state import NAME
from fleet.core import keys
from fleet.core.jobs.signing import Signer
from fleet.core.model import (
    Allocation,
    HostStatus,
    Phase,
    Plan,
    TargetState,
    decode,
    digest,
    encode,
    unit_name,
)
from fleet.ctl.registry import Registry
from tests.fleet.agent.memory_agent import TEXT, AgentOnMemory, play, private_pem

HOST = "a" * 32
INJECTED = 'x.service"\nUser=root\nExecStartPre=+/bin/sh -c "id >/root/x"\n#.service'


def allocation(job: str = "web.service", **fields: object) -> Allocation:
    unit = digest(TEXT)
    name = unit_name("web.service", 0, unit, counted=True)
    right = Allocation(job=job, index=0, version=1, unit=unit, rev=1, name=name)
    return msgspec.structs.replace(right, **fields)


BAD_NAME = allocation(name="x y.service")


def sign(bed: AgentOnMemory, key: Ed25519PrivateKey, signature: str = "") -> None:
    """Put a signed unit into the store, without a job."""
    bed.trust(key)
    signature = signature or Signer(private_pem(key)).sign_job("web.service", TEXT)
    bed.store.put(keys.unit(digest(TEXT)), TEXT)
    bed.store.put(f"{keys.signature(digest(TEXT))}/1", signature)


async def follow(bed: AgentOnMemory, plan: Plan) -> tuple[Agent, str]:
    """Let an agent meet a plan in the store, and return its note on it."""
    agent = await bed.agent()
    bed.store.put(keys.plan(HOST), encode(plan))

    def is_reported() -> bool:
        status = status_of(bed)
        orders = [each for each in status.reports if each.phase in (Phase.FAILED, Phase.READY)]
        return bool(status.note or orders)

    await bed.until(is_reported)
    status = status_of(bed)
    return agent, status.note or status.reports[0].note


def status_of(bed: AgentOnMemory) -> HostStatus:
    found = [each.value for each in bed.store.list(keys.status(HOST)).entries]
    return decode(found[0], HostStatus) if found else HostStatus("")


def test_an_allocation_as_it_was_signed_runs(tmp_path: Path) -> None:
    async def story(bed: AgentOnMemory) -> None:
        sign(bed, Ed25519PrivateKey.generate())
        agent, _ = await follow(bed, Plan(1, 1, (allocation(),)))
        assert bed.running() == 1
        await agent.drain()

    play(tmp_path, story)


@pytest.mark.parametrize(
    "changes",
    [
        {"job": INJECTED},
        {"job": "sshd.service"},
        {"job": "web.service\n"},
        {"name": "sshd.service"},
        {"name": "../../../etc/systemd/system/x.service"},
        {"name": 'fleet-web-0-12345678"\n.service'},
        {"index": 1},
        {"exclusive": True},
        {"port": 80},
        {"unit": "../" + "a" * 61},
        {"unit": digest("another")},
    ],
    ids=str,
)
def test_an_allocation_that_differs_from_what_was_signed_starts_nothing(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    async def story(bed: AgentOnMemory) -> None:
        sign(bed, Ed25519PrivateKey.generate())
        changed = allocation(**changes)
        other = digest("another")
        bed.store.put(keys.unit(other), "another")
        agent, note = await follow(bed, Plan(1, 1, (changed,)))
        assert bed.running() == 0
        assert not bed.units.files()
        assert note
        await agent.drain()

    play(tmp_path, story)


def test_a_signature_that_does_not_cover_the_job_is_refused_by_name(tmp_path: Path) -> None:
    async def story(bed: AgentOnMemory) -> None:
        key = Ed25519PrivateKey.generate()
        sign(bed, key, Signer(private_pem(key)).sign_text(TEXT))
        agent, note = await follow(bed, Plan(1, 1, (allocation(),)))
        assert bed.running() == 0
        assert "does not cover the name of the job: sign it" in note
        await agent.drain()

    play(tmp_path, story)


def test_an_installed_unit_does_not_start_again_once_its_key_is_no_longer_trusted(
    tmp_path: Path,
) -> None:
    async def story(bed: AgentOnMemory) -> None:
        sign(bed, Ed25519PrivateKey.generate())
        agent, _ = await follow(bed, Plan(1, 1, (allocation(),)))
        await bed.end(agent)
        bed.trust(Ed25519PrivateKey.generate())
        again = await bed.agent()
        assert bed.running() == 1
        bed.units.crash(allocation().name)
        await bed.until(lambda: "no trusted key" in status_of(bed).reports[0].note)
        end_s = time.monotonic() + 1.5
        await bed.until(lambda: time.monotonic() > end_s)  # past the back-off of a restart
        assert bed.running() == 0
        await again.drain()

    play(tmp_path, story)


def test_an_agent_lives_with_a_plan_that_names_no_unit_of_systemd(tmp_path: Path) -> None:
    async def story(bed: AgentOnMemory) -> None:
        agent, note = await follow(bed, Plan(1, 1, (BAD_NAME,)))
        assert "orders[0].name" in note
        scheduler = await bed.scheduler()
        Registry(bed.store).put_job("web.service", TEXT, target=TargetState.LAUNCHED)
        await bed.until(lambda: bed.running() == 2)
        await bed.until(lambda: not status_of(bed).note)
        await agent.drain()
        await scheduler.drain()

    play(tmp_path, story)


@pytest.mark.parametrize(
    "saved",
    [
        b"",
        b"null",
        b'{"x":' + b"[" * 3000,
        b"\xff",
        b'{"boot_id": "boot", "plan": %s}' % encode(Plan(1, 1, (BAD_NAME,))).encode(),
    ],
    ids=range(5),
)
def test_an_agent_starts_from_any_saved_state(tmp_path: Path, saved: bytes) -> None:
    async def story(bed: AgentOnMemory) -> None:
        (tmp_path / NAME).write_bytes(saved)
        agent, scheduler = await bed.agent(), await bed.scheduler()
        Registry(bed.store).put_job("web.service", TEXT, target=TargetState.LAUNCHED)
        await bed.until(lambda: bed.running() == 2)
        await agent.drain()
        await scheduler.drain()

    play(tmp_path, story)
