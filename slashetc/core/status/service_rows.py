"""DNS and the proxies: the records, the nodes, and which keys are not served."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from coordinator.client.core.store_protocol import Entry
from slashetc.core.status import documents
from slashetc.core.status.documents import PROXIES, RECORDS, Documents
from slashetc.core.status.finding import Finding, plural, problem
from slashetc.core.status.reading import Reading

# A node that is further behind has more to do than to read the last change.
LAG_MAX = 1_000
# More bad records than this are counted, not named.
NAMED_MAX = 3
_NUMBERS = {"port": 0xFFFF, "priority": 0xFFFF, "weight": 0xFFFF, "ttl": 2**32 - 1,
            "targetstrip": 127}  # fmt: skip


@dataclass(frozen=True, slots=True)
class DnsRow:
    """The records below skydns's prefix, and how many of them no server serves."""

    records: int
    refused: int


@dataclass(frozen=True, slots=True)
class ProxyRow:
    """One vulcand. `refused` keys of it are not in force."""

    node: str
    lag: int
    refused: int
    store: str
    version: str


def dns(reading: Reading) -> tuple[DnsRow, list[str]]:
    """Return the row, and why each bad record is not served."""
    entries = [each for each in reading.below(RECORDS) if not _is_config(each.key)]
    bad = [why for each in entries if (why := _bad(each))]
    return DnsRow(len(entries), len(bad)), bad


def _is_config(key: str) -> bool:
    return key.removeprefix(RECORDS).strip("/").partition("/")[0] == "config"


def _bad(entry: Entry) -> str:
    """Say why no skydns serves a record; "" if it does."""
    for name in entry.key.removeprefix(RECORDS).strip("/").split("/"):
        if "." in name or name != name.lower():
            return f"{entry.key}: {name!r} is no label in lower case"
    try:
        value = documents.decode(entry, documents.ServiceValue)
    except documents.Unreadable as error:
        return str(error)
    for name, most in _NUMBERS.items():
        if not 0 <= getattr(value, name) <= most:
            return f"{entry.key}: {name} is not from 0 to {most}"
    if ":" in value.host:
        try:
            ip_address(value.host)
        except ValueError:
            return f"{entry.key}: {value.host!r} is neither an address nor a name"
    return ""


def proxies(reading: Reading) -> tuple[list[ProxyRow], list[str]]:
    """Return the nodes by name, and which keys hold no status."""
    found = Documents(documents.ProxyStatus)
    for entry in reading.below(PROXIES):
        found.add(documents.segments(entry.key, PROXIES)[-1], entry)
    nodes = sorted(found.by_name.values(), key=lambda each: each.node)
    newest = max((each.changed for each in nodes), default=0)
    rows = [
        ProxyRow(each.node, max(0, newest - each.index), each.refused, each.store, each.version)
        for each in nodes
    ]
    return rows, found.unreadable


def findings(reading: Reading) -> Iterator[Finding]:
    """Yield what DNS and the proxies do not serve."""
    row, bad = dns(reading)
    if bad:
        more = f"; and {row.refused - NAMED_MAX} more" if row.refused > NAMED_MAX else ""
        shown = "; ".join(bad[:NAMED_MAX])
        yield problem(f"DNS does not serve {plural(row.refused, 'record')}: {shown}{more}.",
                      "skydnsctl lint")  # fmt: skip
    nodes, unreadable = proxies(reading)
    for each in nodes:
        if each.refused:
            text = f"The proxy {each.node} does not use {plural(each.refused, 'key')}"
            yield problem(f"{text}: the values are wrong.", "vctl status")
        if each.store:
            text = f"The proxy {each.node} does not reach the store: {each.store}."
            yield problem(text, "vctl status")
        elif each.lag > LAG_MAX:
            text = f"The proxy {each.node} is {each.lag} changes behind."
            yield problem(text, "vctl status")
    for text in unreadable:
        yield problem(f"A key of a proxy cannot be read: {text}.", "vctl status")
