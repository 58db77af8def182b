from hypothesis import given
from hypothesis import strategies as st

from rig.dns_packets import opt, packet
from skydns.core import answer_cache
from skydns.core.answer_cache import AnswerCache
from skydns.core.dns.name import Name
from skydns.core.dns.packer import Packed

A: Name = (b"a",)


def packed(body: bytes = b"") -> Packed:
    return Packed(bytes(10), body)


def key_of(data: bytes, *, tcp: bool = False) -> bytes | None:
    return answer_cache.key(data, answer_cache.question_end(data), tcp=tcp)


def put(cache: AnswerCache, key: bytes, *names: Name, volatile: bool = False) -> None:
    cache.put(key, [packed()], frozenset(names), volatile=volatile)


def test_the_key_ignores_letter_case_and_id() -> None:
    assert key_of(packet("WWW.SkyDNS.Local")) == key_of(b"xx" + packet("www.skydns.local")[2:])


def test_the_key_keeps_type_and_class_as_they_are() -> None:
    assert key_of(packet("a", 0x41)) != key_of(packet("a", 0x61))


def test_queries_with_different_replies_have_different_keys() -> None:
    queries = [
        packet("a"),
        packet("b"),
        packet("a", 28),
        packet("a", flags=0),
        packet("a", flags=0x0110),
        packet("a", edns=opt(512)),
        packet("a", edns=opt(1232)),
        packet("a", edns=opt(1232, flags=0x8000)),
    ]
    keys = [key_of(data, tcp=tcp) for data in queries for tcp in (False, True)]
    assert None not in keys
    # Over TCP the announced size means nothing: two sizes are one key.
    assert len(set(keys)) == len(keys) - 1


def test_queries_with_equal_replies_have_equal_keys() -> None:
    plain = key_of(packet("a", edns=opt(1232)))
    assert key_of(packet("a", edns=opt(4096, options=b"\0\x0a\0\x0812345678"))) == plain
    assert key_of(packet("a", edns=opt(1232, flags=0x7FFF))) == plain
    assert key_of(packet("a", edns=opt(0))) == key_of(packet("a", edns=opt(512)))


def test_a_client_can_give_one_question_only_a_few_keys() -> None:
    """Each key costs a look-up, so a flood must not be able to make up new ones."""
    sizes = {key_of(packet("a", edns=opt(size))) for size in range(2**16)}
    assert len(sizes) == 2
    flags = {key_of(packet("a", flags=flags)) for flags in range(2**16)}
    # Recursion desired, and checking disabled; None for what is not a query.
    assert len(flags - {None}) == 4


def test_odd_records_after_the_question_have_no_key() -> None:
    assert key_of(packet("a", edns=opt(version=1))) is None
    assert key_of(packet("a", edns=opt()[:-1])) is None
    assert key_of(packet("a", edns=opt() + b"\0")) is None
    assert key_of(packet("a", edns=b"\1x" + opt())) is None


def test_rotations_are_returned_in_order() -> None:
    cache = AnswerCache(10, 10_000)
    cache.put(b"k", [packed(b"1"), packed(b"2")], frozenset({A}), volatile=False)
    next_rotation = cache.find(b"k")
    assert next_rotation is not None
    assert [next_rotation().body for _ in range(3)] == [b"1", b"2", b"1"]
    assert cache.find(b"other") is None


def test_an_answer_is_dropped_when_a_name_below_a_dependency_changes() -> None:
    cache = AnswerCache(10, 100_000)
    put(cache, b"root", ())
    put(cache, b"a", A)
    put(cache, b"b.a", (b"b", b"a"))
    put(cache, b"two", (b"c",), A)
    put(cache, b"c", (b"c",))
    cache.invalidate([(b"x", b"a")])
    assert sorted(cache._rotations) == [b"b.a", b"c"]
    cache.invalidate([(b"b", b"a"), (b"nobody",)])
    assert sorted(cache._rotations) == [b"c"]


def test_volatile_answers_are_dropped_by_tick() -> None:
    cache = AnswerCache(10, 100_000)
    put(cache, b"1", A, volatile=True)
    put(cache, b"2", A)
    cache.tick()
    assert sorted(cache._rotations) == [b"2"]
    put(cache, b"2", A, volatile=True)
    put(cache, b"2", A)
    cache.tick()
    assert sorted(cache._rotations) == [b"2"]


def test_the_oldest_answer_is_dropped_first() -> None:
    cache = AnswerCache(2, 100_000)
    for key in (b"1", b"2", b"3"):
        put(cache, key, A)
    assert sorted(cache._rotations) == [b"2", b"3"]


def test_an_answer_larger_than_the_cache_is_not_cached() -> None:
    cache = AnswerCache(10, 1000)
    put(cache, b"1", A)
    cache.put(b"big", [packed(bytes(1000))], frozenset({A}), volatile=False)
    assert sorted(cache._rotations) == [b"1"]


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
def test_the_cache_stays_bounded_and_consistent(steps: list[object]) -> None:
    cache = AnswerCache(4, 4000)
    for step in steps:
        match step:
            case "tick":
                cache.tick()
            case "clear":
                cache.clear()
            case (int(key), list(names), size, volatile):
                body = [packed(bytes(size))]
                cache.put(bytes((key,)), body, frozenset(names), volatile=volatile)
            case name:
                cache.invalidate([name])
        assert len(cache) <= 4
        assert cache.size_bytes == sum(each.size_bytes for each in cache._answers.values()) <= 4000
        assert set(cache._rotations) == set(cache._answers) >= cache._volatile
        dependents = {(name, key) for name, keys in cache._dependents.items() for key in keys}
        assert dependents == {
            (name, key) for key, each in cache._answers.items() for name in each.dependencies
        }
        assert all(cache._dependents.values())


@given(st.binary(max_size=12))
def test_options_of_any_bytes_have_a_key_or_none(options: bytes) -> None:
    data = packet("a.skydns.local", edns=opt(options=b"\0\x0a" + options))
    made = answer_cache.key(data, answer_cache.question_end(data), tcp=False)
    whole = len(options) >= 2 and int.from_bytes(options[:2], "big") == len(options) - 2
    assert made is not None or not whole
