"""The rotation of a backend: what is computed again, and when."""

from rig.vulcan_keys import PREFIX, backend, changes, server
from vulcan.core.balancing.retry_budget import RetryBudget
from vulcan.core.balancing.server_group import SLOW_START_STEP_S, ServerGroup
from vulcan.core.balancing.server_state import ServerState
from vulcan.core.config.table import Table


def group(*names: str, started_s: float = 0.0, **settings) -> ServerGroup[ServerState]:
    servers = [server(name, f"http://{name}:80") for name in names]
    table = Table(PREFIX).advanced(changes(backend("b", **settings), *servers))
    made = table.backend("b")
    assert made is not None
    states = {
        each.address: ServerState(made, each, started_s) for each in table.distinct_servers("b")
    }
    return ServerGroup(made, states, RetryBudget())


def names(servers: tuple[ServerState, ...]) -> str:
    return "".join(each.server.id for each in servers)


def test_a_failed_server_leaves_the_rotation_and_returns_by_itself():
    made = group("a", "b", "c")
    assert names(made.rotation(0.0)) == "abc"
    made.failed(made.servers["http://a"], 1.0)
    assert names(made.rotation(1.0)) == "bc"
    assert names(made.rotation(10.9)) == "bc"
    assert names(made.rotation(11.0)) == "abc"


def test_the_rotation_is_cached_until_something_changes():
    made = group("a", "b", "c")
    cached = made.rotation(0.0)
    made.servers["http://a"].health.set_down(1.0, down=True)
    assert made.rotation(1.0) is cached
    made.changed()
    assert names(made.rotation(1.0)) == "bc"


def test_slow_start_raises_the_weight_in_steps():
    made = group("a", started_s=100.0, SlowStart="10s")
    one = made.servers["http://a"]
    made.rotation(100.0)
    assert one.weight == 0.1
    made.rotation(105.0)
    assert one.weight == 0.5
    made.rotation(105.0 + SLOW_START_STEP_S / 2)
    assert one.weight == 0.5
    made.rotation(110.0)
    assert one.weight == 1.0


def test_a_cookie_leads_to_its_server_while_it_is_in_rotation():
    made = group("a", "b", "c", Sticky={"Cookie": "srv"})
    one = made.servers["http://b"]
    line = made.cookie_line(one)
    assert line.startswith(b"Set-Cookie: srv=%b; Path=/;" % one.cookie_value)
    cookies = b"x=1; " + line.removeprefix(b"Set-Cookie: ").split(b";")[0]
    assert made.sticky_server(cookies, 0.0) is one
    assert made.sticky_server(b"srv=other", 0.0) is None
    assert made.sticky_server(b"", 0.0) is None
    made.failed(one, 1.0)
    assert made.sticky_server(cookies, 1.0) is None


def test_a_cookie_does_not_reveal_the_address_to_a_client_that_guesses_it():
    one, other = group("a").servers["http://a"], group("a").servers["http://a"]
    guess = one.cookie_value
    one.salt_cookie(b"salt")
    assert b"http" not in one.cookie_value != guess
    other.salt_cookie(b"another salt")
    assert one.cookie_value != other.cookie_value
    other.salt_cookie(b"salt")
    assert one.cookie_value == other.cookie_value
