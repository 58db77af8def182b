import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.dns_packets import DOMAIN, opt, packet
from skydns.core.dns import edns, packer
from skydns.core.dns.edns import Edns
from skydns.core.dns.name import Name
from skydns.core.dns.query_parser import parse
from skydns.core.dns.response import Response
from skydns.core.dns.rr import Address, Hinfo, Host, Mx, Rcode, Rdata, RRset, RRType, Soa, Srv, Txt

WEB: Name = (b"web", *DOMAIN)
OTHER: Name = (b"www", b"example", b"org")
ASKED = packet("WeB.SkyDNS.local")


def reply(response: Response, data: bytes = ASKED, *, tcp: bool = False) -> bytes:
    query = parse(data)
    return packer.reply(response, query, data, edns.reply_bytes_max(query.edns, tcp=tcp))


def addresses(count: int, name: Name = WEB) -> RRset:
    data = tuple(Address(bytes((10, 0, at >> 8, at & 255))) for at in range(count))
    return RRset(name, RRType.A, 60, data)


@pytest.mark.parametrize(
    ("rtype", "rdata", "written"),
    [
        (RRType.A, Address(bytes((10, 0, 0, 1))), "10.0.0.1"),
        (RRType.AAAA, Address(bytes(15) + b"\1"), "::1"),
        (RRType.CNAME, Host(OTHER), "www.example.org."),
        (RRType.NS, Host(OTHER), "www.example.org."),
        (RRType.PTR, Host(OTHER), "www.example.org."),
        (RRType.MX, Mx(5, OTHER), "5 www.example.org."),
        (RRType.SRV, Srv(10, 33, 80, OTHER), "10 33 80 www.example.org."),
        (RRType.TXT, Txt(b'say "hi"'), '"say "hi""'),
        (RRType.SOA, Soa(OTHER, WEB, 7, 10), None),
        (RRType.HINFO, Hinfo(b"RFC8482"), "\\# 9 075246433834383200"),
    ],
)
def test_each_type_is_read_back_by_dnslib(rtype: RRType, rdata: Rdata, written: str | None) -> None:
    rrset = RRset(WEB, rtype, 60, (rdata,))
    parsed = dnslib.DNSRecord.parse(reply(Response(Rcode.NOERROR, answer=(rrset,))))
    (rr,) = parsed.rr
    assert (rr.rname, rr.rtype, rr.rclass, rr.ttl) == (dnslib.DNSLabel(WEB), rtype, 1, 60)
    if written is None:
        assert (rr.rdata.mname, rr.rdata.rname) == (dnslib.DNSLabel(OTHER), dnslib.DNSLabel(WEB))
        assert rr.rdata.times == (7, 28800, 7200, 604800, 10)
    else:
        assert str(rr.rdata) == written


@pytest.mark.parametrize(("length", "strings"), [(255, 1), (256, 2), (510, 2), (511, 3)])
def test_a_text_is_split_into_strings_of_255_bytes(length: int, strings: int) -> None:
    rrset = RRset(WEB, RRType.TXT, 60, (Txt(b"x" * length),))
    parsed = dnslib.DNSRecord.parse(reply(Response(Rcode.NOERROR, answer=(rrset,)), tcp=True))
    assert [len(each) for each in parsed.rr[0].rdata.data] == [255] * (strings - 1) + [
        length - 255 * (strings - 1)
    ]


def test_the_question_is_returned_with_its_letter_case() -> None:
    made = reply(Response(Rcode.NOERROR, answer=(addresses(1),)))
    assert made[12 : len(ASKED)] == ASKED[12:]
    assert made[len(ASKED) : len(ASKED) + 2] == b"\xc0\x0c"
    assert made[:2] == ASKED[:2]


def test_only_rd_and_cd_are_copied_from_the_query() -> None:
    answer = Response(Rcode.NXDOMAIN, authoritative=True, authority=(addresses(1),))
    made = reply(answer, packet("web.skydns.local", flags=0x017F))
    assert made[2:4] == bytes((0x85, 0x13))
    assert reply(Response(Rcode.REFUSED), packet("x", flags=0))[2:4] == bytes((0x80, 5))


def test_opt_is_answered_with_opt_without_options() -> None:
    asked = packet("web.skydns.local", edns=opt(4096, flags=0xFFFF, options=b"\0\x64\0\1x"))
    made = dnslib.DNSRecord.parse(reply(Response(Rcode.NOERROR, answer=(addresses(2),)), asked))
    (edns,) = made.ar
    assert (edns.edns_len, edns.edns_ver, edns.edns_do, edns.rdata) == (1232, 0, 1, [])
    assert reply(Response(Rcode.NOERROR)).endswith(ASKED[12:])


def test_an_extended_rcode_is_split_between_header_and_opt() -> None:
    asked = packet("web.skydns.local", edns=opt(version=1))
    made = dnslib.DNSRecord.parse(reply(Response(Rcode.BADVERS), asked))
    assert (made.header.rcode, made.ar[0].edns_rcode, made.ar[0].edns_ver) == (0, 1, 0)


@pytest.mark.parametrize(
    ("client_bytes_max", "size_bytes_max"),
    [(None, 512), (0, 512), (512, 512), (600, 512), (1232, 1232), (65535, 1232)],
)
def test_the_size_of_a_datagram_is_limited_by_client_and_network(
    client_bytes_max: int | None, size_bytes_max: int
) -> None:
    opt_record = None if client_bytes_max is None else Edns(client_bytes_max, 0, do=False)
    assert edns.reply_bytes_max(opt_record, tcp=False) == size_bytes_max
    assert edns.reply_bytes_max(opt_record, tcp=True) == 65_535


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(400, 1300))
def test_an_answer_that_does_not_fit_is_truncated_between_rrsets(
    sizes: list[int], size: int
) -> None:
    rrsets = tuple(addresses(count, (b"n%d" % at, *DOMAIN)) for at, count in enumerate(sizes))
    made = reply(Response(Rcode.NOERROR, answer=rrsets), packet("web.skydns.local", edns=opt(size)))
    assert len(made) <= max(512, min(size, 1232))
    parsed = dnslib.DNSRecord.parse(made)
    kept = len(parsed.rr)
    whole = [sum(sizes[:at]) for at in range(len(sizes) + 1)]
    assert kept in whole
    assert bool(parsed.header.tc) == (kept < sum(sizes))
    assert len(parsed.ar) == 1


def test_additional_records_are_left_out_without_tc() -> None:
    answer = Response(
        Rcode.NOERROR,
        answer=(addresses(1),),
        additional=(addresses(1, (b"a", *DOMAIN)), addresses(60, OTHER), addresses(1, OTHER)),
    )
    parsed = dnslib.DNSRecord.parse(reply(answer))
    assert (parsed.header.tc, len(parsed.rr), len(parsed.ar)) == (0, 1, 1)


def test_no_pointer_leads_to_a_name_that_was_removed() -> None:
    answer = Response(
        Rcode.NOERROR,
        answer=(addresses(1),),
        authority=(RRset((b"x", *OTHER), RRType.TXT, 1, (Txt(b"x" * 900),)),),
        additional=(addresses(1, OTHER),),
    )
    parsed = dnslib.DNSRecord.parse(reply(answer))
    assert parsed.ar[0].rname == dnslib.DNSLabel(OTHER)


def test_names_beyond_the_range_of_pointers_are_written_in_full() -> None:
    rrsets = tuple(addresses(1, (b"n%05d" % at, b"far%05d" % at)) for at in range(1000))
    parsed = dnslib.DNSRecord.parse(reply(Response(Rcode.NOERROR, answer=rrsets * 2), tcp=True))
    assert [rr.rname for rr in parsed.rr] == [dnslib.DNSLabel(each.name) for each in rrsets * 2]


def test_a_header_only_reply_has_no_question() -> None:
    made = packer.header_only(packet("a", flags=0x2910), Rcode.NOTIMP)
    assert made == b"\x12\x34" + bytes((0xA9, 0x04)) + bytes(8)
