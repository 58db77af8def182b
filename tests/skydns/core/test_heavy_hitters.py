from skydns.core.heavy_hitters import HeavyHitters


def test_the_most_frequent_items_are_found_with_few_counters() -> None:
    hitters = HeavyHitters(counters_max=10)
    for number in range(1000):
        hitters.count(b"often", 2)
        hitters.count(b"rare%d" % number)
    assert hitters.most(1)[0][0] == b"often"
    assert len(hitters._counts) <= 10
    before = dict(hitters.most(10))[b"often"]
    hitters.halve()
    assert dict(hitters.most(10))[b"often"] == before // 2
    hitters.count(b"heavy", 10_000)
    assert hitters.most(1)[0][0] == b"heavy"
