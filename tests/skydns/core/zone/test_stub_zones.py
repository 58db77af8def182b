from rig.dns_packets import DOMAIN, reset_to
from skydns.core.zone.stub_zones import stub_zones
from skydns.core.zone.zone import Zone

D = "/skydns/local/skydns"


def test_stub_zones_are_services_below_stub_dns() -> None:
    zone = Zone("/skydns")
    zone.apply(
        reset_to(
            [
                (f"{D}/dns/stub/org/example/a", '{"host": "10.0.0.1", "port": 5353}'),
                (f"{D}/dns/stub/org/example/b", '{"host": "::1"}'),
                (f"{D}/dns/stub/org/example/c", '{"host": "named.example.org"}'),
                (f"{D}/dns/stub/toplevel", '{"host": "10.0.0.2"}'),
            ]
        )
    )
    servers = (("10.0.0.1", 5353), ("::1", 53))
    assert stub_zones(zone, [DOMAIN]) == {(b"example", b"org"): servers}
