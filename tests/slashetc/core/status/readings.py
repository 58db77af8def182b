"""Readings of a fleet, with documents of the daemons that own the keys."""

import json
from collections.abc import Mapping
from dataclasses import replace

from coordinator.client.core.store_protocol import Entry
from fleet.core import keys as fleet_keys
from fleet.core import model
from locksmith.core import records
from slashetc.core.status import documents
from slashetc.core.status.reading import DAY_S, MemberReading, Reading
from slashetc.core.status.view import FleetView, view_of

NOW = 1_800_000_000.0
A, B, C = "a" * 32, "b" * 32, "c" * 32
DIGEST = "d" * 64
MEMBER = MemberReading(
    "1", "m1", ("http://m1:2379",), healthy=True, role="leader", index=9, version="0.2.0"
)


def text_of(value: object) -> str:
    if isinstance(value, records.HolderRecord | records.Heartbeat | records.Ticket):
        return records.encode(value)
    if isinstance(value, records.Pause | records.Failure):
        return records.encode(value)
    return value if isinstance(value, str) else model.encode(value)  # type: ignore[arg-type]


def reading(keys: Mapping[str, object], *members: MemberReading) -> Reading:
    """Return a reading of keys with documents of the daemons that own them."""
    entries: dict[str, tuple[Entry, ...]] = {}
    for prefix in documents.PREFIXES:
        entries[prefix] = tuple(
            Entry(key, text_of(value), number, number)
            for number, (key, value) in enumerate(sorted(keys.items()))
            if key == prefix or key.startswith(f"{prefix}/")
        )
    return Reading(NOW, ("http://m1:2379",), members=members or (MEMBER,), entries=entries)


def view(keys: Mapping[str, object], *members: MemberReading) -> FleetView:
    return view_of(reading(keys, *members))


def problems(shown: FleetView) -> list[str]:
    return [each.text for each in shown.findings if each.severity.value == "problem"]


def notices(shown: FleetView) -> list[str]:
    return [each.text for each in shown.findings if each.severity.value == "notice"]


def facts(machine: str, name: str) -> model.Facts:
    return model.Facts(machine, name, "10.0.0.1", cpu=1000, memory=1 << 30, version="0.2.0")


def allocation(index: int = 0, **more: object) -> model.Allocation:
    return model.Allocation(
        "web.service",
        index,
        1,
        DIGEST,
        1,
        "web.service",
        **more,  # type: ignore[arg-type]
    )


def report(phase: model.Phase, index: int = 0) -> model.Report:
    return model.Report(allocation(index), phase)


def host(machine: str, name: str, *reports: model.Report, note: str = "") -> dict[str, object]:
    """Return the keys of a host that is heard."""
    status = model.HostStatus("boot", reports=reports, note=note)
    return {
        fleet_keys.facts(machine): facts(machine, name),
        fleet_keys.status(machine): status,
        fleet_keys.plan(machine): model.Plan(1, 1, tuple(each.allocation for each in reports)),
    }


def job(unit: str = "[X-Fleet]\nCount=2\n", **more: object) -> dict[str, object]:
    given: dict[str, object] = {"target": model.TargetState.LAUNCHED, "version": 1, "rev": 1}
    record = model.JobRecord(name="web.service", unit=DIGEST, **(given | more))  # type: ignore[arg-type]
    return {fleet_keys.job("web.service"): record, fleet_keys.unit(DIGEST): unit}


def agents(machine: str, name: str, *, days: float = 20.0) -> dict[str, object]:
    record = {"host": name, "address": "10.0.0.1", "member": True, "version": "0.2.0"}
    record["not_after"] = NOW + days * DAY_S
    return {f"/slashetc/v1/hosts/{machine}": json.dumps(record)}


def member(name: str, **more: object) -> MemberReading:
    return replace(MEMBER, id=name, name=name, urls=(f"http://{name}:2379",), **more)  # type: ignore[arg-type]
