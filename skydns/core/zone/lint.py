"""Finds wrong keys below the prefix, each with the reason.

An error is a key that is not served. A warning is a key that is served, but probably not as
intended.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from coordinator.client.core.store_protocol import Entry
from coordinator.client.core.view import Changes
from skydns.core.config import Config
from skydns.core.dns import name as names
from skydns.core.dns.name import Name, domain_of, is_within
from skydns.core.dns.rr import TTL_S_MAX
from skydns.core.keys import config_key, is_config
from skydns.core.store_config import merged
from skydns.core.zone.answer import ALIASES_MAX, REVERSE_DOMAINS
from skydns.core.zone.service import InvalidKey, Service, ServiceValue, read
from skydns.core.zone.zone import SERVICES_MAX, WILDCARDS, Zone

FIELDS = frozenset(ServiceValue.__struct_fields__)
# Other programs write these fields; they mean nothing to us.
FOREIGN_FIELDS = frozenset({"id", "key", "found", "check", "owner", "setidentifier", "weighted"})


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a key. `error` says that the key is not served."""

    key: str
    reason: str
    error: bool = False


def lint(entries: Sequence[Entry], config: Config) -> list[Finding]:
    """Return everything that is wrong, sorted by key. Settings in the store go before ours."""
    config = _in_force(entries, config)
    zone = Zone(config.prefix)
    zone.apply(Changes("", 0, tuple(entries), reset=True))
    found: list[Finding] = []
    services: list[Service] = []
    for entry in entries:
        if is_config(entry.key, config.prefix):
            found += _config(entry, config)
            continue
        leaf = read(entry, config.prefix)
        if isinstance(leaf, InvalidKey):
            found.append(Finding(leaf.key, leaf.reason, error=True))
        else:
            services.append(leaf)
            reasons = (*_fields(entry), *_service(leaf, config), *_alias(leaf, zone, config))
            found += [Finding(leaf.key, reason) for reason in reasons]
    found += _duplicates(services)
    found += _too_many(zone, services)
    return sorted(found, key=lambda finding: (finding.key, finding.reason))


def _in_force(entries: Sequence[Entry], config: Config) -> Config:
    key = config_key(config.prefix)
    value = next((entry.value for entry in entries if entry.key == key), "{}")
    try:
        return merged(config, value)[0]
    except ValueError:
        return config


def _config(entry: Entry, config: Config) -> list[Finding]:
    if entry.key != config_key(config.prefix):
        return [Finding(entry.key, "is below the settings and has no effect")]
    try:
        _, ignored = merged(config, entry.value)
    except ValueError as error:
        return [Finding(entry.key, str(error), error=True)]
    return [Finding(entry.key, f"{name} has no effect") for name in ignored]


def _fields(entry: Entry) -> Iterator[str]:
    given = msgspec.json.decode(entry.value, type=dict[str, msgspec.Raw])
    for name in given:
        if name not in FIELDS and name.lower() not in FOREIGN_FIELDS:
            fields = ", ".join(sorted(FIELDS))
            yield f"{name!r} is not a field of a service; the fields are {fields}"


def _service(service: Service, config: Config) -> Iterator[str]:
    value = service.value
    if domain_of(service.name, (*config.domains, *REVERSE_DOMAINS)) is None:
        domains = ", ".join(map(names.text, config.domains))
        yield f"is in none of the domains that skydns answers for ({domains}; see --domain)"
    if not value.host and not value.text:
        yield "has neither host nor text: its name exists without data"
    if value.mail and not value.host:
        yield "has mail set but no host"
    if value.ttl > TTL_S_MAX:
        yield f"has the ttl {value.ttl}, which is lowered to a day"
    if value.targetstrip >= len(service.name) and value.targetstrip:
        yield "has a targetstrip that leaves no label, so the whole name is the target"
    if any(label in WILDCARDS for label in service.name):
        yield "has a label `*` or `any`, which in a question matches every label"
    if any(is_within(service.name, domain) for domain in REVERSE_DOMAINS) and not service.host:
        yield "is a reverse name, but its host is not a name"


def _alias(service: Service, zone: Zone, config: Config) -> Iterator[str]:
    if not service.host or domain_of(service.host, config.domains) is None:
        return
    if not zone.exists(service.host):
        yield f"is an alias to {names.text(service.host)}, which does not exist"
        return
    seen: list[Name] = [service.name]
    target: Name = service.host
    while target and len(seen) <= ALIASES_MAX:
        if target in seen:
            yield f"is an alias that leads back to {names.text(target)}"
            return
        seen.append(target)
        following = zone.at(target)
        target = following.host if following is not None else ()
    if target:
        yield f"is an alias through more than {ALIASES_MAX} other aliases"


def _duplicates(services: Iterable[Service]) -> Iterator[Finding]:
    first: dict[tuple[Name, ServiceValue], str] = {}
    for service in services:
        if not service.host and not service.address:
            continue
        other = first.setdefault((service.name[1:], service.value), service.key)
        if other != service.key:
            yield Finding(service.key, f"is a duplicate of {other}")


def _too_many(zone: Zone, services: Sequence[Service]) -> Iterator[Finding]:
    parents = {service.name[1:]: service.key.rpartition("/")[0] for service in services}
    for name, key in parents.items():
        if zone.below(name).too_many:
            yield Finding(key, f"has more than {SERVICES_MAX} services: they fit no message")
