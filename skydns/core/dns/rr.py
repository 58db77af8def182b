"""Resource records as values, before they become bytes."""

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import ip_address
from typing import assert_never

from skydns.core.dns import name as names
from skydns.core.dns.name import Name


class RRType(IntEnum):
    """The record types that skydns knows. A question may have any other number too."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    HINFO = 13
    MX = 15
    TXT = 16
    AAAA = 28
    SRV = 33
    OPT = 41
    IXFR = 251
    AXFR = 252
    ANY = 255


_TYPES = {each.value: each for each in RRType}

CLASS_IN = 1
CLASS_CHAOS = 3

# A key's TTL that was meant for its lease must not stay in caches for years.
TTL_S_MAX = 86_400
# How long others may cache data that may be out of date (RFC 8767, 4).
STALE_TTL_S = 30


# Refresh, retry and expire, for secondary servers; we have none.
SOA_TIMES_S = (28_800, 7_200, 604_800)


class Rcode(IntEnum):
    """The response codes (RFC 1035, 4.1.1; BADVERS: RFC 6891, 9)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


class ExtendedError(IntEnum):
    """The codes that give people the reason for an answer (RFC 8914, 4)."""

    STALE = 3
    NOT_READY = 14
    PROHIBITED = 18
    STALE_NXDOMAIN = 19
    NOT_AUTHORITATIVE = 20
    NOT_SUPPORTED = 21
    NO_REACHABLE_AUTHORITY = 22


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv4 address in 4 octets, or an IPv6 address in 16 octets (A, AAAA)."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Host:
    """Another name (CNAME, NS, PTR)."""

    name: Name


@dataclass(frozen=True, slots=True)
class Mx:
    """A host that accepts mail."""

    preference: int
    exchange: Name


@dataclass(frozen=True, slots=True)
class Srv:
    """An instance of a service (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: Name


@dataclass(frozen=True, slots=True)
class Txt:
    """A text of any length. The packer splits it into strings of 255 bytes."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Soa:
    """The start of a zone of authority. `times_s` are refresh, retry and expire."""

    primary: Name
    mailbox: Name
    serial: int
    minimum_s: int
    times_s: tuple[int, ...] = SOA_TIMES_S


@dataclass(frozen=True, slots=True)
class Hinfo:
    """The answer to ANY (RFC 8482, 4.2)."""

    cpu: bytes


@dataclass(frozen=True, slots=True)
class Opaque:
    """The data of another server's record, as it is written in a message, without names."""

    data: bytes


Rdata = Address | Host | Mx | Srv | Txt | Soa | Hinfo | Opaque


@dataclass(frozen=True, slots=True)
class RRset:
    """All records of one name and type. They share one TTL (RFC 2181, 5.2)."""

    name: Name
    type: RRType
    ttl_s: int
    data: tuple[Rdata, ...]
    rclass: int = CLASS_IN


def type_name(number: int) -> str:
    """Write a type as dig does; unknown ones too (RFC 3597, 5)."""
    return known.name if (known := _TYPES.get(number)) else f"TYPE{number}"


def describe(rrset: RRset) -> list[str]:
    """Write each record on a line, as dig does, with single blanks."""
    rclass = "IN" if rrset.rclass == CLASS_IN else "CH"
    head = f"{names.text(rrset.name)} {rrset.ttl_s} {rclass} {rrset.type.name}"
    return [f"{head} {_described(rdata)}" for rdata in rrset.data]


def _described(rdata: Rdata) -> str:
    match rdata:
        case Address(octets):
            return str(ip_address(octets))
        case Host(name):
            return names.text(name)
        case Mx(preference, exchange):
            return f"{preference} {names.text(exchange)}"
        case Srv(priority, weight, port, target):
            return f"{priority} {weight} {port} {names.text(target)}"
        case Txt(text):
            return f'"{text.decode(errors="backslashreplace")}"'
        case Soa(primary, mailbox, serial, minimum_s):
            return f"{names.text(primary)} {names.text(mailbox)} {serial} minimum={minimum_s}"
        case Hinfo(cpu):
            return f'"{cpu.decode()}" ""'
        case Opaque(data):
            return f"\\# {len(data)} {data.hex()}"
        case _:
            assert_never(rdata)
