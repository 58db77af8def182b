"""A record of the store may hold anything: it is left out with a reason, and ends nothing else."""

import json
from collections.abc import Iterator

import msgspec
import pytest

from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes
from fleet.core import keys
from fleet.core.ctl import listings
from fleet.core.model import (
    Allocation,
    Cordon,
    Drain,
    Endpoint,
    Facts,
    FleetHealth,
    HostHealth,
    HostStatus,
    JobRecord,
    Phase,
    Plan,
    Report,
    Rollout,
    ServiceRecord,
    TargetState,
    digest,
    encode,
    unit_name,
)
from fleet.core.scheduling.cluster_cache import ClusterCache
from fleet.core.scheduling.deadlines import Deadlines
from fleet.core.scheduling.failure_detector import FailureDetector
from fleet.core.scheduling.plan_builder import Outcome, build_plans
from fleet.core.scheduling.reconcile import reconcile
from tests.fleet.core.fleets import unit

TEXT = unit(Count=2, Labels="app=web", Port=80)
BAD, WELL = "bad.service", "well.service"
HOST, OTHER = "a" * 32, "b" * 32
DEEP = "[" * 3000 + "]" * 3000
VALUES = (
    DEEP, "null", "true", '""', '"a\\nUser=root"', '"/../x"', '"' + "x" * 5000 + '"', '"²"', "[]",
    "{}", "-1", "0", "1e308", "9" * 25, "9" * 400, "4611686018427387905", '{"a":{}}', "100000",
)  # fmt: skip
# Whole values that are no record.
WHOLE = ("", "{", "[]", DEEP, '{"x":' + DEEP + "}", "\ud800", "²", "1" * 5000)


def healthy() -> dict[str, str]:
    """Return the keys of a fleet of two hosts, with two jobs of which one runs."""
    name = unit_name(BAD, 0, digest(TEXT), counted=True)
    ends = (Endpoint("app.example.com", 80, check="tcp"),)
    runs = Allocation(BAD, 0, 1, digest(TEXT), 1, name, endpoints=ends)
    found = {keys.unit(digest(TEXT)): TEXT, keys.EPOCH: "3"}
    for job in (BAD, WELL):
        record = JobRecord(
            name=job, version=2, rev=2, unit=digest(TEXT), target=TargetState.LAUNCHED, count=2
        )
        found[keys.job(job)] = encode(record)
    found[keys.rollout(BAD)] = encode(
        Rollout(version=2, began_s=1.0, progress_s=1.0, stable=1, stable_unit=digest(TEXT))
    )
    for host in (HOST, OTHER):
        facts = Facts(host, f"h{host[0]}", "10.0.0.1", 4000, 8 << 30, {"zone": "z"}, "0.2")
        found[keys.facts(host)] = encode(facts)
        found[keys.status(host)] = encode(HostStatus("boot", 3, 1))
    found[keys.plan(HOST)] = encode(Plan(3, 1, (runs,)))
    report = Report(runs, Phase.READY, available=True, unserved=("app.example.com",))
    found[keys.status(HOST)] = encode(HostStatus("boot", 3, 1, (report,)))
    found[keys.cordon(HOST)] = encode(Cordon("me", "now", "why"))
    found[keys.drain(HOST)] = encode(Drain("me", "now", "why"))
    found[keys.service("app.example.com")] = encode(ServiceRecord("app=web", check="tcp"))
    found[keys.HEALTH] = encode(FleetHealth(3, False, {OTHER: HostHealth.FLAPPING}))
    return found


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to every field of a record."""
    if path:
        yield path
    if isinstance(value, dict):
        for name, below in value.items():
            yield from places(below, (*path, name))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from places(below, (*path, number))


def poisoned(text: str, path: tuple[str | int, ...], value: str) -> str:
    """Return a record with another value at one place."""
    record = json.loads(text)
    below = record
    for step in path[:-1]:
        below = below[step]
    below[path[-1]] = "POISON"
    return json.dumps(record).replace('"POISON"', value)


def full(text: str) -> str:
    """Return a record with all the fields that its defaults leave out."""
    record = json.loads(text)
    for holder in record.get("orders") or [each["order"] for each in record.get("reports") or ()]:
        holder.update({"want": "run", "port": 80, "exclusive": False, "check": "tcp", "why": "w"})
        holder.update({"ready_s": 1.0, "failures": 1})
    return json.dumps(record)


def decide(records: dict[str, str]) -> tuple[ClusterCache, Outcome]:
    """Do what a scheduler and fleetctl do with these keys."""
    cache = ClusterCache()
    entries = tuple(Entry(key, text, 1, 1) for key, text in records.items())
    cache.apply(Changes("c", 1, entries, reset=True))
    cluster, failures = cache.cluster, FailureDetector()
    heard = {each.id: each.status is not None for each in cluster.hosts.values() if each.facts}
    for now_s in (1.0, 500.0):
        for name, health in failures.observe(now_s, heard).items():
            cluster.hosts[name].health = health
        Deadlines().observe(cluster, now_s)
    outcome = build_plans(cluster, reconcile(cluster), 4)
    for record in (*outcome.plans.values(), *outcome.rollouts.values(), *outcome.records.values()):
        assert msgspec.json.decode(encode(record), type=type(record)) == record
    encode(cluster.health(storm=failures.storm))
    cluster.take_published_health()
    for job in cluster.jobs.values():
        listings.job(job, cluster.instances_by_job().get(job.record.name, []))
    for rows in (listings.hosts, listings.top, listings.services):
        list(rows(cluster))
    for listing in (listings.units, listings.unit_files, listings.machines):
        list(listing(cluster, full=True))
    return cache, outcome


RECORDS = [key for key in healthy() if "/units/" not in key]


@pytest.mark.parametrize("key", RECORDS)
def test_a_poisoned_field_harms_no_other_job(key: str) -> None:
    whole = healthy()
    text = full(whole[key]) if key != keys.EPOCH else whole[key]
    ways = list(places(json.loads(text)))
    for path in ways:
        for value in VALUES:
            changed = poisoned(text, path, value)
            cache, outcome = decide({**whole, key: changed})
            about = (path, value[:40], cache.cluster.faults)
            assert key in cache.cluster.faults or WELL in cache.cluster.jobs, about
            if WELL not in key and OTHER not in key:
                assert WELL in cache.cluster.jobs, about
                # A host whose plan is behind what runs there has precedence for one pass.
                is_adopted = any(line.startswith("adopt") for line in outcome.decisions)
                assert is_adopted or any(f"place {WELL}[0]" in line for line in outcome.decisions)


@pytest.mark.parametrize("text", WHOLE, ids=range(len(WHOLE)))
@pytest.mark.parametrize("key", [*RECORDS, f"{keys.PREFIX}/units/{digest(TEXT)}"])
def test_a_value_that_is_no_record_is_left_out_with_a_reason(key: str, text: str) -> None:
    cache, _ = decide({**healthy(), key: text})
    is_text = "/units/" in key or key == keys.EPOCH
    assert is_text or cache.cluster.faults[key]


@pytest.mark.parametrize(
    "key",
    [keys.job("x y.service"), keys.facts("c"), keys.service("x y"), f"{keys.PREFIX}/events/x"],
)
def test_a_sound_record_under_a_wrong_key_harms_nothing(key: str) -> None:
    whole = healthy()
    same = {"spec": keys.job(BAD), "facts": keys.facts(HOST)}.get(key.rpartition("/")[2])
    text = whole[same or keys.service("app.example.com")]
    cache, _ = decide({**whole, key: text})
    assert key in cache.cluster.faults or "/events/" in key


@pytest.mark.parametrize(
    "option",
    [f"CPU={'9' * 4000}", f"Memory={'9' * 15}T", f"UpdateReady={'999999999d' * 100}",
     f"Constraint=n>{'9' * 4000}", f"Constraint={'select(' * 3000}", f"Ports={'1 ' * 3000}",
     f"MachineMetadata={' '.join(f'k{n}={n}' for n in range(9000))}"],
    ids=lambda option: option[:12],
)  # fmt: skip
def test_an_option_of_a_unit_may_hold_anything(option: str) -> None:
    text = f"{TEXT}{option}\n"
    record = JobRecord(
        name="odd.service", version=1, rev=1, unit=digest(text), target=TargetState.LAUNCHED
    )
    odd = {keys.unit(digest(text)): text, keys.job("odd.service"): encode(record)}
    cache, outcome = decide({**healthy(), **odd})
    assert "odd.service" in cache.cluster.jobs
    assert all(len(encode(plan)) < 100_000 for plan in outcome.plans.values())
