"""What is odd about the keys below the prefix: each with its reason, and what to do.

Errors are keys that are not served. Warnings are served, and probably not as meant.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes
from skydns.core.config import Settings
from skydns.core.dns import name as names
from skydns.core.dns.name import Name, domain_of, is_within
from skydns.core.store_config import merged
from skydns.core.zone.answer import ALIASES_MAX, REVERSE_DOMAINS
from skydns.core.zone.service import CONFIG_SEGMENT, Bad, Record, Service, is_config, read
from skydns.core.zone.zone import SERVICES_MAX, WILDCARDS, Zone

FIELDS = frozenset(Service.__struct_fields__)
# Written by other programs, and none of our business.
FOREIGN = frozenset({"id", "key", "found", "check", "owner", "setidentifier", "weighted"})
TTL_S_MAX = 86_400


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a key; `error` says that it is not served."""

    key: str
    reason: str
    error: bool = False


def lint(entries: Sequence[Entry], settings: Settings) -> list[Finding]:
    """Return all that is odd, sorted by key."""
    zone = Zone(settings.prefix)
    zone.apply(Changes("", 0, tuple(entries), reset=True))
    found: list[Finding] = []
    records: list[Record] = []
    for entry in entries:
        if is_config(entry.key, settings.prefix):
            found += _config(entry, settings)
            continue
        leaf = read(entry, settings.prefix)
        if isinstance(leaf, Bad):
            found.append(Finding(leaf.key, leaf.reason, error=True))
        else:
            records.append(leaf)
            reasons = (*_fields(entry), *_record(leaf, settings), *_alias(leaf, zone, settings))
            found += [Finding(leaf.key, reason) for reason in reasons]
    found += _doubles(records)
    found += _crowds(zone, records)
    return sorted(found, key=lambda finding: (finding.key, finding.reason))


def _config(entry: Entry, settings: Settings) -> list[Finding]:
    if entry.key != f"{settings.prefix}/{CONFIG_SEGMENT}":
        return [Finding(entry.key, "is below the settings and means nothing")]
    try:
        _, idle = merged(settings, entry.value)
    except ValueError as error:
        return [Finding(entry.key, str(error), error=True)]
    return [Finding(entry.key, f"{name} has no effect") for name in idle]


def _fields(entry: Entry) -> Iterator[str]:
    given = msgspec.json.decode(entry.value, type=dict[str, msgspec.Raw])
    for name in given:
        if name not in FIELDS and name.lower() not in FOREIGN:
            yield f"{name!r} is no field of a service; there are {', '.join(sorted(FIELDS))}"


def _record(record: Record, settings: Settings) -> Iterator[str]:
    service = record.service
    if domain_of(record.name, (*settings.domains, *REVERSE_DOMAINS)) is None:
        yield "is in no domain that is answered for"
    if not service.host and not service.text:
        yield "has neither host nor text: its name exists and has no data"
    if service.mail and not service.host:
        yield "is mail without a host"
    if service.ttl > TTL_S_MAX:
        yield f"ttl {service.ttl} is more than a day, which is what is answered"
    if service.targetstrip >= len(record.name) and service.targetstrip:
        yield "targetstrip leaves nothing: the whole name is the target"
    if any(label in WILDCARDS for label in record.name):
        yield "its name has a label `*` or `any`, which a question takes for every label"
    if any(is_within(record.name, domain) for domain in REVERSE_DOMAINS) and not record.host:
        yield "is a reverse name without a name as host"


def _alias(record: Record, zone: Zone, settings: Settings) -> Iterator[str]:
    if not record.host or domain_of(record.host, settings.domains) is None:
        return
    if not zone.exists(record.host):
        yield f"leads to {names.text(record.host)}, which does not exist"
        return
    seen: list[Name] = [record.name]
    target: Name = record.host
    while target and len(seen) <= ALIASES_MAX:
        if target in seen:
            yield f"leads back to {names.text(target)}"
            return
        seen.append(target)
        following = zone.at(target)
        target = following.host if following is not None else ()
    if target:
        yield f"leads through more than {ALIASES_MAX} aliases"


def _doubles(records: Iterable[Record]) -> Iterator[Finding]:
    first: dict[tuple[Name, Service], str] = {}
    for record in records:
        if not record.host and not record.address:
            continue
        other = first.setdefault((record.name[1:], record.service), record.key)
        if other != record.key:
            yield Finding(record.key, f"says the same as {other}")


def _crowds(zone: Zone, records: Sequence[Record]) -> Iterator[Finding]:
    parents = {record.name[1:]: record.key.rpartition("/")[0] for record in records}
    for name, key in parents.items():
        if zone.below(name).excess:
            yield Finding(key, f"has more than {SERVICES_MAX} services: no message can hold them")
