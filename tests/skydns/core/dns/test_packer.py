import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.dns_packets import DOMAIN, opt, packet
from skydns.core.dns import packer
from skydns.core.dns.name import Name
from skydns.core.dns.query_parser import Edns, parse
from skydns.core.dns.rr import Address, Hinfo, Host, Mx, Rcode, Rdata, RRset, Soa, Srv, Txt, Type
from skydns.core.zone.answer import Answer

WEB: Name = (b"web", *DOMAIN)
OTHER: Name = (b"www", b"example", b"org")
ASKED = packet("WeB.SkyDNS.local")


def reply(answer: Answer, data: bytes = ASKED, *, tcp: bool = False) -> bytes:
    query = parse(data)
    packed = packer.pack(answer, query, packer.room_bytes(query.edns, tcp=tcp))
    return packed.reply_to(data, query.end)


def addresses(count: int, name: Name = WEB) -> RRset:
    data = tuple(Address(bytes((10, 0, at >> 8, at & 255))) for at in range(count))
    return RRset(name, Type.A, 60, data)


@pytest.mark.parametrize(
    ("kind", "rdata", "written"),
    [
        (Type.A, Address(bytes((10, 0, 0, 1))), "10.0.0.1"),
        (Type.AAAA, Address(bytes(15) + b"\1"), "::1"),
        (Type.CNAME, Host(OTHER), "www.example.org."),
        (Type.NS, Host(OTHER), "www.example.org."),
        (Type.PTR, Host(OTHER), "www.example.org."),
        (Type.MX, Mx(5, OTHER), "5 www.example.org."),
        (Type.SRV, Srv(10, 33, 80, OTHER), "10 33 80 www.example.org."),
        (Type.TXT, Txt(b'say "hi"'), '"say "hi""'),
        (Type.SOA, Soa(OTHER, WEB, 7, 10), None),
        (Type.HINFO, Hinfo(b"RFC8482"), "\\# 9 075246433834383200"),
    ],
)
def test_each_type_is_read_back_by_dnslib(kind: Type, rdata: Rdata, written: str | None) -> None:
    rrset = RRset(WEB, kind, 60, (rdata,))
    parsed = dnslib.DNSRecord.parse(reply(Answer(Rcode.NOERROR, answer=(rrset,))))
    (rr,) = parsed.rr
    assert (rr.rname, rr.rtype, rr.rclass, rr.ttl) == (dnslib.DNSLabel(WEB), kind, 1, 60)
    if written is None:
        assert (rr.rdata.mname, rr.rdata.rname) == (dnslib.DNSLabel(OTHER), dnslib.DNSLabel(WEB))
        assert rr.rdata.times == (7, 28800, 7200, 604800, 10)
    else:
        assert str(rr.rdata) == written


@pytest.mark.parametrize(("length", "strings"), [(255, 1), (256, 2), (510, 2), (511, 3)])
def test_a_text_is_cut_in_strings_of_255_bytes(length: int, strings: int) -> None:
    rrset = RRset(WEB, Type.TXT, 60, (Txt(b"x" * length),))
    parsed = dnslib.DNSRecord.parse(reply(Answer(Rcode.NOERROR, answer=(rrset,)), tcp=True))
    assert [len(each) for each in parsed.rr[0].rdata.data] == [255] * (strings - 1) + [
        length - 255 * (strings - 1)
    ]


def test_the_question_comes_back_as_it_was_spelled() -> None:
    said = reply(Answer(Rcode.NOERROR, answer=(addresses(1),)))
    assert said[12 : len(ASKED)] == ASKED[12:]
    assert said[len(ASKED) : len(ASKED) + 2] == b"\xc0\x0c"
    assert said[:2] == ASKED[:2]


def test_flags_are_ours_but_for_rd_and_cd() -> None:
    answer = Answer(Rcode.NXDOMAIN, authoritative=True, authority=(addresses(1),))
    said = reply(answer, packet("web.skydns.local", flags=0x017F))
    assert said[2:4] == bytes((0x85, 0x13))
    assert reply(Answer(Rcode.REFUSED), packet("x", flags=0))[2:4] == bytes((0x80, 5))


def test_opt_is_answered_with_opt_and_nothing_of_its_options() -> None:
    asked = packet("web.skydns.local", edns=opt(4096, flags=0xFFFF, options=b"\0\x64\0\1x"))
    said = dnslib.DNSRecord.parse(reply(Answer(Rcode.NOERROR, answer=(addresses(2),)), asked))
    (edns,) = said.ar
    assert (edns.edns_len, edns.edns_ver, edns.edns_do, edns.rdata) == (1232, 0, 1, [])
    assert reply(Answer(Rcode.NOERROR)).endswith(ASKED[12:])


def test_an_extended_code_is_split_between_header_and_opt() -> None:
    asked = packet("web.skydns.local", edns=opt(version=1))
    said = dnslib.DNSRecord.parse(reply(Answer(Rcode.BADVERS), asked))
    assert (said.header.rcode, said.ar[0].edns_rcode, said.ar[0].edns_ver) == (0, 1, 0)


@pytest.mark.parametrize(
    ("edns", "room"),
    [(None, 512), (0, 512), (512, 512), (600, 600), (1232, 1232), (65535, 1232)],
)
def test_a_datagram_is_as_long_as_client_and_networks_take(edns: int | None, room: int) -> None:
    told = None if edns is None else Edns(edns, 0, do=False)
    assert packer.room_bytes(told, tcp=False) == room
    assert packer.room_bytes(told, tcp=True) == 65_535


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(400, 1300))
def test_what_does_not_fit_is_cut_between_rrsets(sizes: list[int], size: int) -> None:
    rrsets = tuple(addresses(count, (b"n%d" % at, *DOMAIN)) for at, count in enumerate(sizes))
    said = reply(Answer(Rcode.NOERROR, answer=rrsets), packet("web.skydns.local", edns=opt(size)))
    assert len(said) <= max(512, min(size, 1232))
    parsed = dnslib.DNSRecord.parse(said)
    kept = len(parsed.rr)
    whole = [sum(sizes[:at]) for at in range(len(sizes) + 1)]
    assert kept in whole
    assert bool(parsed.header.tc) == (kept < sum(sizes))
    assert len(parsed.ar) == 1


def test_additional_records_are_left_out_without_a_word() -> None:
    answer = Answer(
        Rcode.NOERROR,
        answer=(addresses(1),),
        additional=(addresses(1, (b"a", *DOMAIN)), addresses(60, OTHER), addresses(1, OTHER)),
    )
    parsed = dnslib.DNSRecord.parse(reply(answer))
    assert (parsed.header.tc, len(parsed.rr), len(parsed.ar)) == (0, 1, 1)


def test_names_cut_away_are_no_target_of_later_pointers() -> None:
    answer = Answer(
        Rcode.NOERROR,
        answer=(addresses(1),),
        authority=(RRset((b"x", *OTHER), Type.TXT, 1, (Txt(b"x" * 900),)),),
        additional=(addresses(1, OTHER),),
    )
    parsed = dnslib.DNSRecord.parse(reply(answer))
    assert parsed.ar[0].rname == dnslib.DNSLabel(OTHER)


def test_names_beyond_the_reach_of_pointers_are_written_out() -> None:
    rrsets = tuple(addresses(1, (b"n%05d" % at, b"far%05d" % at)) for at in range(1000))
    parsed = dnslib.DNSRecord.parse(reply(Answer(Rcode.NOERROR, answer=rrsets * 2), tcp=True))
    assert [rr.rname for rr in parsed.rr] == [dnslib.DNSLabel(each.name) for each in rrsets * 2]


def test_a_bare_reply_holds_nothing_but_its_code() -> None:
    said = packer.bare(packet("a", flags=0x2910), Rcode.NOTIMP)
    assert said == b"\x12\x34" + bytes((0xA9, 0x04)) + bytes(8)
