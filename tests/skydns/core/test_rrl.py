from skydns.core.rrl import BUCKETS_MAX, WINDOW_S, ResponseRateLimiter, Verdict

CLIENT, OTHER_CLIENT = bytes((10, 0, 0, 1)), bytes((10, 0, 1, 1))


def test_a_flood_is_slipped_and_dropped_until_it_pauses() -> None:
    limiter = ResponseRateLimiter(10)
    verdicts = [limiter.judge(CLIENT, b"q", 100.0) for _ in range(400)]
    assert verdicts[:10] == [Verdict.SEND] * 10
    assert set(verdicts[10:]) == {Verdict.SLIP, Verdict.DROP}
    assert limiter.judge(CLIENT, b"q", 100.0 + WINDOW_S / 2) is not Verdict.SEND
    assert limiter.judge(CLIENT, b"q", 101.0 + WINDOW_S + 1) is Verdict.SEND


def test_other_answers_and_other_networks_have_limits_of_their_own() -> None:
    limiter = ResponseRateLimiter(1)
    assert limiter.judge(CLIENT, b"q", 0.0) is Verdict.SEND
    assert limiter.judge(CLIENT, b"q", 0.0) is not Verdict.SEND
    assert limiter.judge(CLIENT, b"other", 0.0) is Verdict.SEND
    assert limiter.judge(OTHER_CLIENT, b"q", 0.0) is Verdict.SEND
    assert limiter.judge(bytes((10, 0, 0, 9)), b"q", 0.0) is not Verdict.SEND
    first = bytes.fromhex("20010db800000001") + bytes(8)
    near = bytes.fromhex("20010db8000000010000000000000001")
    assert limiter.judge(first, b"q", 0.0) is Verdict.SEND
    assert limiter.judge(near, b"q", 0.0) is not Verdict.SEND


def test_forged_sources_take_bounded_memory() -> None:
    limiter = ResponseRateLimiter(1)
    limiter_of_few = ResponseRateLimiter(1, buckets_max=10)
    for number in range(BUCKETS_MAX + 10):
        limiter.judge(number.to_bytes(3, "big") + b"\0", b"q", 0.0)
        limiter_of_few.judge(number.to_bytes(3, "big") + b"\0", b"q", 0.0)
    assert len(limiter._buckets) == BUCKETS_MAX
    assert len(limiter_of_few._buckets) == 10
