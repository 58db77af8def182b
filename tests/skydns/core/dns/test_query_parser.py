import dnslib
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rig.dns_packets import opt, packet
from skydns.core.dns.edns import Edns
from skydns.core.dns.query_parser import QueryRefused, parse
from skydns.core.dns.question import Query
from skydns.core.dns.rr import Rcode

LABEL = st.binary(min_size=1, max_size=63).filter(lambda label: label.isascii())
NAMES = st.lists(LABEL, max_size=10).filter(
    lambda name: sum(len(label) + 1 for label in name) < 255
)


def refusal(data: bytes) -> QueryRefused:
    with pytest.raises(QueryRefused) as refused:
        parse(data)
    return refused.value


@given(
    NAMES,
    st.integers(0, 65535),
    st.integers(0, 65535),
    st.booleans(),
    st.none() | st.tuples(st.integers(0, 65535), st.integers(0, 255), st.booleans()),
)
def test_a_well_formed_query_is_read_as_dnslib_reads_it(
    name: list[bytes], rtype: int, rclass: int, rd: bool, edns: tuple[int, int, bool] | None
) -> None:
    record = dnslib.DNSRecord(dnslib.DNSHeader(id=7, qr=0, rd=rd))
    record.add_question(dnslib.DNSQuestion(dnslib.DNSLabel(tuple(name)), rtype, rclass))
    if edns:
        size, version, do = edns
        record.add_ar(dnslib.EDNS0(udp_len=size, version=version, flags="do" if do else ""))
    data = bytes(record.pack())
    query, oracle = parse(data), dnslib.DNSRecord.parse(data)
    assert query.question.name == tuple(label.lower() for label in oracle.q.qname.label)
    assert (query.question.type, query.question.rclass) == (oracle.q.qtype, oracle.q.qclass)
    assert bool(query.flags & 0x0100) == bool(oracle.header.rd)
    assert query.edns == (Edns(*edns) if edns else None)


@given(st.binary(max_size=200))
@example(b"")
@example(bytes(12))
@example(packet("a.b", edns=opt()))
def test_any_packet_is_a_query_or_refused(data: bytes) -> None:
    checked(data)


@given(
    st.binary(min_size=0, max_size=60),
    st.integers(0, 2),
    st.integers(0, 5),
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=4),
)
def test_a_damaged_query_is_a_query_or_refused(
    tail: bytes, authorities: int, additionals: int, damage: list[tuple[int, int]]
) -> None:
    data = bytearray(packet("www.skydns.local", edns=opt(options=b"\0\x0a\0\2ab")) + tail)
    data[9], data[11] = authorities, additionals
    for at, octet in damage:
        data[at % len(data)] = octet
    checked(bytes(data))


def checked(data: bytes) -> None:
    try:
        query = parse(data)
    except QueryRefused:
        return
    assert isinstance(query, Query)
    assert query.end <= len(data)
    wire = b"".join(bytes((len(label),)) + label for label in query.question.name) + b"\0"
    assert data[12 : query.end - 4].lower() == wire
    assert len(wire) <= 255


def test_a_packet_that_is_not_a_query_gets_no_reply() -> None:
    assert refusal(b"").rcode is None
    assert refusal(bytes(11)).rcode is None
    assert refusal(packet("a", flags=0x8000)).rcode is None


@pytest.mark.parametrize("opcode", [1, 2, 4, 5, 15])
def test_other_opcodes_are_not_implemented(opcode: int) -> None:
    assert refusal(packet("a", flags=opcode << 11)).rcode is Rcode.NOTIMP
    assert refusal(bytes((0, 1, opcode << 3)) + bytes(9)).rcode is Rcode.NOTIMP


def with_counts(data: bytes, *counts: int) -> bytes:
    return data[:4] + b"".join(count.to_bytes(2, "big") for count in counts) + data[12:]


HEAD = with_counts(packet("a")[:12], 1, 0, 0, 0)
ROOT_RR = b"\0\0\6\0\1\0\0\0\0\0\0"
MALFORMED = {
    "no question": with_counts(packet("a"), 0, 0, 0, 0),
    "two questions": with_counts(packet("a"), 2, 0, 0, 0),
    "an answer": with_counts(packet("a"), 1, 1, 0, 0),
    "two authorities": with_counts(packet("a"), 1, 0, 2, 0),
    "many additionals": with_counts(packet("a"), 1, 0, 0, 5),
    "no name": HEAD,
    "name truncated": HEAD + b"\3ab",
    "name without its end": HEAD + b"\1a",
    "type truncated": packet("a")[:-1],
    "label octet 64": HEAD + b"\x40" + b"a" * 64 + b"\0\0\1\0\1",
    "pointer in the question": HEAD + b"\xc0\x0c\0\1\0\1",
    "name of 256 octets": HEAD + (b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"a" * 62 + b"\0\0\1\0\1",
    "bytes after the message": packet("a") + b"\0",
    "OPT truncated": packet("a", edns=opt()[:-1]),
    "options of OPT truncated": packet("a", edns=opt(options=b"\0\x0a\0\x08abcdefgh")[:-1]),
    "two OPT": with_counts(packet("a", edns=opt() + opt()), 1, 0, 0, 2),
    "OPT with a name": packet("a", edns=b"\1x" + opt()),
    "OPT with a pointer as name": packet("a", edns=b"\xc0\x0e" + opt()[1:]),
    "OPT among authorities": with_counts(packet("a", edns=opt()), 1, 0, 1, 0),
    "record without a name": with_counts(packet("a"), 1, 0, 1, 0),
    "record name truncated": with_counts(packet("a") + b"\2x", 1, 0, 1, 0),
    "pointer truncated": with_counts(packet("a") + b"\xc0", 1, 0, 1, 0),
    "pointer to itself": with_counts(packet("a") + b"\xc0\x13" + ROOT_RR[1:], 1, 0, 1, 0),
    "pointer ahead": with_counts(packet("a") + b"\xc0\x20" + ROOT_RR[1:], 1, 0, 1, 0),
    "pointer into the header": with_counts(packet("a") + b"\xc0\x02" + ROOT_RR[1:], 1, 0, 1, 0),
    "record label octet 64": with_counts(packet("a") + b"\x40" + bytes(99), 1, 0, 1, 0),
    "record name too long": with_counts(
        packet("a") + (b"\x3f" + b"a" * 63) * 4 + ROOT_RR, 1, 0, 1, 0
    ),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_query_is_a_format_error(what: str) -> None:
    assert refusal(MALFORMED[what]).rcode is Rcode.FORMERR


def test_a_label_loop_through_a_pointer_is_refused() -> None:
    data = packet("a") + b"\1b" + b"\xc0\x13" + ROOT_RR[1:]
    assert refusal(with_counts(data, 1, 0, 1, 0)).rcode is Rcode.FORMERR


def test_a_chain_of_thousands_of_pointers_is_refused_early() -> None:
    chain = b"".join((0xC000 | at).to_bytes(2, "big") for at in range(12, 4012, 2))
    option = opt(options=b"\0\x64" + len(chain).to_bytes(2, "big") + chain)
    data = packet("a", edns=option) + (0xC000 | (12 + 4000)).to_bytes(2, "big") + ROOT_RR[1:]
    assert refusal(with_counts(data, 1, 0, 0, 2)).rcode is Rcode.FORMERR


def test_records_other_than_opt_are_skipped() -> None:
    signature = b"\xc0\x0c\0\xfa\0\xff\0\0\0\0\0\3abc"
    data = with_counts(packet("a.b", edns=ROOT_RR + opt(4096) + signature), 1, 0, 1, 2)
    assert parse(data).edns == Edns(4096, 0, do=False)


def test_the_longest_name_is_read() -> None:
    name = ".".join(["A" * 63] * 3 + ["a" * 61])
    assert parse(packet(name)).question.name == tuple(
        label.lower().encode() for label in name.split(".")
    )
    assert parse(packet(".")).question.name == ()
