from hypothesis import given
from hypothesis import strategies as st

from rig.dns_packets import opt, packet
from skydns.core import answer_cache
from skydns.core.answer_cache import AnswerCache
from skydns.core.dns.name import Name
from skydns.core.dns.packer import Packed

A: Name = (b"a",)


def form(body: bytes = b"") -> Packed:
    return Packed(bytes(10), body)


def key_of(data: bytes, *, tcp: bool = False) -> bytes | None:
    return answer_cache.key(data, answer_cache.question_end(data), tcp=tcp)


def keep(kept: AnswerCache, key: bytes, *names: Name, passing: bool = False) -> None:
    kept.keep(key, [form()], frozenset(names), passing=passing)


def test_the_spelling_and_the_id_of_a_query_do_not_matter() -> None:
    assert key_of(packet("WWW.SkyDNS.Local")) == key_of(b"xx" + packet("www.skydns.local")[2:])


def test_type_and_class_are_not_taken_for_letters() -> None:
    assert key_of(packet("a", 0x41)) != key_of(packet("a", 0x61))


def test_what_changes_a_reply_changes_the_key() -> None:
    queries = [
        packet("a"),
        packet("b"),
        packet("a", 28),
        packet("a", flags=0),
        packet("a", edns=opt(512)),
        packet("a", edns=opt(1231)),
        packet("a", edns=opt(1232)),
        packet("a", edns=opt(1232, flags=0x8000)),
    ]
    keys = [key_of(data, tcp=tcp) for data in queries for tcp in (False, True)]
    assert None not in keys
    # Over TCP the announced size means nothing: three sizes are one key.
    assert len(set(keys)) == len(keys) - 2


def test_what_does_not_change_a_reply_does_not_change_the_key() -> None:
    plain = key_of(packet("a", edns=opt(1232)))
    assert key_of(packet("a", edns=opt(4096, options=b"\0\x0a\0\x0812345678"))) == plain
    assert key_of(packet("a", edns=opt(1232, flags=0x7FFF))) == plain
    assert key_of(packet("a", edns=opt(0))) == key_of(packet("a", edns=opt(512)))


def test_odd_tails_have_no_key() -> None:
    assert key_of(packet("a", edns=opt(version=1))) is None
    assert key_of(packet("a", edns=opt()[:-1])) is None
    assert key_of(packet("a", edns=opt() + b"\0")) is None
    assert key_of(packet("a", edns=b"\1x" + opt())) is None


def test_forms_are_given_in_turn() -> None:
    kept = AnswerCache(10, 10_000)
    kept.keep(b"k", [form(b"1"), form(b"2")], frozenset({A}), passing=False)
    forms = kept.find(b"k")
    assert forms is not None
    assert [forms().body for _ in range(3)] == [b"1", b"2", b"1"]
    assert kept.find(b"other") is None


def test_an_answer_goes_when_a_name_below_what_it_read_is_touched() -> None:
    kept = AnswerCache(10, 100_000)
    keep(kept, b"root", ())
    keep(kept, b"a", A)
    keep(kept, b"b.a", (b"b", b"a"))
    keep(kept, b"two", (b"c",), A)
    keep(kept, b"c", (b"c",))
    kept.forget([(b"x", b"a")])
    assert sorted(kept._forms) == [b"b.a", b"c"]
    kept.forget([(b"b", b"a"), (b"nobody",)])
    assert sorted(kept._forms) == [b"c"]


def test_passing_answers_go_with_the_tick() -> None:
    kept = AnswerCache(10, 100_000)
    keep(kept, b"1", A, passing=True)
    keep(kept, b"2", A)
    kept.tick()
    assert sorted(kept._forms) == [b"2"]
    keep(kept, b"2", A, passing=True)
    keep(kept, b"2", A)
    kept.tick()
    assert sorted(kept._forms) == [b"2"]


def test_the_oldest_answer_makes_room() -> None:
    kept = AnswerCache(2, 100_000)
    for key in (b"1", b"2", b"3"):
        keep(kept, key, A)
    assert sorted(kept._forms) == [b"2", b"3"]


def test_an_answer_larger_than_the_cache_is_not_kept() -> None:
    kept = AnswerCache(10, 1000)
    keep(kept, b"1", A)
    kept.keep(b"big", [form(bytes(1000))], frozenset({A}), passing=False)
    assert sorted(kept._forms) == [b"1"]


STEPS = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.lists(st.sampled_from([(), A, (b"b", b"a"), (b"c",)]), max_size=2),
        st.integers(0, 900),
        st.booleans(),
    )
    | st.sampled_from(["tick", "clear"])
    | st.sampled_from([A, (b"x", b"b", b"a"), (b"c",)])
)


@given(STEPS)
def test_bounds_and_books_hold_whatever_happens(steps: list[object]) -> None:
    kept = AnswerCache(4, 4000)
    for step in steps:
        match step:
            case "tick":
                kept.tick()
            case "clear":
                kept.clear()
            case (int(key), list(names), size, passing):
                body = [form(bytes(size))]
                kept.keep(bytes((key,)), body, frozenset(names), passing=passing)
            case name:
                kept.forget([name])
        assert len(kept) <= 4
        assert kept.size_bytes == sum(each.size_bytes for each in kept._kept.values()) <= 4000
        assert set(kept._forms) == set(kept._kept) >= kept._passing
        readers = {(name, key) for name, keys in kept._readers.items() for key in keys}
        assert readers == {(name, key) for key, each in kept._kept.items() for name in each.reads}
        assert all(kept._readers.values())


@given(st.binary(max_size=12))
def test_any_bytes_as_options_have_a_key_or_none(options: bytes) -> None:
    data = packet("a.skydns.local", edns=opt(options=b"\0\x0a" + options))
    made = answer_cache.key(data, answer_cache.question_end(data), tcp=False)
    whole = len(options) >= 2 and int.from_bytes(options[:2], "big") == len(options) - 2
    assert made is not None or not whole
