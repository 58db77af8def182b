from skydns.core.forward.cache import STALE_S_MAX, ForwardCache
from skydns.core.forward.message import UpstreamReply


def test_the_cache_is_bounded_and_keeps_stale_replies_for_a_day() -> None:
    cache = ForwardCache(count_max=2, size_bytes_max=5000)
    reply = UpstreamReply(0, b"x" * 100, (1, 0, 0), (), 60)
    for key in (b"a", b"b", b"c"):
        cache.put(key, reply, 0.0)
    assert (len(cache), cache.find(b"a", 1.0)) == (2, None)
    cached = cache.find(b"b", 70.0)
    assert cached is not None
    assert not cached.is_fresh(70.0)
    assert cache.find(b"b", 61.0 + STALE_S_MAX) is None
    cache.put(b"big", UpstreamReply(0, bytes(9000), (1, 0, 0), (), 60), 0.0)
    assert cache.size_bytes <= 5000
    cache.clear()
    assert (len(cache), cache.size_bytes) == (0, 0)


def test_a_reply_that_is_often_asked_for_is_prefetched_before_it_expires() -> None:
    cache = ForwardCache()
    cache.put(b"a", UpstreamReply(0, b"", (1, 0, 0), (), 100), 0.0)
    cached = cache.find(b"a", 95.0)
    assert cached is not None
    assert not cached.is_prefetch_due(95.0)
    cached.hits = 2
    assert cached.is_prefetch_due(95.0)
    assert not cached.is_prefetch_due(50.0)
    cached.prefetching = True
    assert not cached.is_prefetch_due(95.0)
