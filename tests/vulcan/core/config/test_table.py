import random

from hypothesis import given
from hypothesis import strategies as st

from rig.vulcan_keys import PREFIX, backend, changes, entry, frontend, server
from vulcan.core.config.table import Table
from vulcan.core.routing.request_view import RequestView

EMPTY = Table(PREFIX)
ROOT = RequestView(b"h", b"/")


def found(table: Table, path: bytes = b"/") -> str | None:
    made = table.find(RequestView(b"h", path))
    return made.id if made else None


def test_an_empty_table_finds_nothing():
    assert found(EMPTY) is None
    assert EMPTY.backend("b") is None
    assert EMPTY.distinct_servers("b") == ()


def test_keys_in_any_order_make_the_same_table():
    keys = [backend(), server("s1", "http://h:1"), frontend("f", 'Path("/")'), backend("c")]
    forward, backward = EMPTY, EMPTY
    for key in keys:
        forward = forward.advanced(changes(key))
    for key in reversed(keys):
        backward = backward.advanced(changes(key))
    assert forward == backward == EMPTY.advanced(changes(*keys, reset=True))
    assert found(forward) == "f"


def test_servers_without_a_backend_key_belong_to_a_default_one():
    table = EMPTY.advanced(changes(server("s1", "http://h:1")))
    made = table.backend("b")
    assert made is not None
    assert made.dial_s == 5.0


def test_the_distinct_servers_have_each_address_once_in_order_of_ids():
    table = EMPTY.advanced(
        changes(server("s2", "http://h:2"), server("s1", "http://h:1"), server("s3", "http://h:1"))
    )
    assert [each.authority for each in table.distinct_servers("b")] == ["h:1", "h:2"]


def test_a_frontend_is_pending_until_its_backend_has_servers():
    table = EMPTY.advanced(changes(frontend("f", 'Path("/")')))
    assert table.pending() == {"f": "backend b is not defined"}
    table = table.advanced(changes(backend()))
    assert table.pending() == {"f": "backend b has no servers"}
    table = table.advanced(changes(server("s1", "http://h:1")))
    assert table.pending() == {}
    table = table.advanced(changes(removed=("backends/b/servers/s1",)))
    assert table.pending() == {"f": "backend b has no servers"}
    table = table.advanced(changes(removed=("backends/b/backend",)))
    assert table.pending() == {"f": "backend b is not defined"}


def test_a_reset_replaces_all_keys():
    table = EMPTY.advanced(changes(frontend("f", 'Path("/")')))
    assert found(table.advanced(changes(frontend("g", 'Path("/")'), reset=True))) == "g"


def test_a_change_of_settings_keeps_the_router():
    before = EMPTY.advanced(changes(frontend("f", 'Path("/")')))
    after = before.advanced(changes(frontend("f", 'Path("/")', PassHostHeader=True)))
    assert after.router is before.router
    made = after.find(ROOT)
    assert made is not None
    assert made.pass_host


def test_a_changed_route_matches_only_its_new_path():
    table = EMPTY.advanced(changes(frontend("f", 'Path("/a")')))
    table = table.advanced(changes(frontend("f", 'Path("/b")')))
    assert (found(table, b"/a"), found(table, b"/b")) == (None, "f")


def test_removing_a_key_that_was_never_admitted_changes_nothing():
    table = EMPTY.advanced(changes(removed=("hosts/h/host", "frontends/f/frontend")))
    assert table.frontends == {}


def test_notes_name_shadowed_routes_and_settings_without_effect():
    host = entry("hosts/h.example/host", {"Settings": {"OCSP": {"Enabled": True}}})
    table = EMPTY.advanced(changes(frontend("f1", 'Path("/")'), frontend("f2", 'Path("/")'), host))
    assert table.notes() == {
        "/vulcand/hosts/h.example/host": [
            "Settings.OCSP has no effect: OCSP stapling is not supported"
        ],
        "/vulcand/frontends/f2/frontend": [
            "gets no requests: frontend f1 has the same route and goes first"
        ],
    }


def test_a_chain_is_ordered_by_priority_and_then_by_id():
    work = {"Type": "ipallow", "Middleware": {"Allow": ["10.0.0.0/8"]}}
    keys = [
        entry(f"frontends/f/middlewares/{name}", {**work, "Priority": priority})
        for name, priority in (("b", 1), ("a", 1), ("c", 0))
    ]
    table = EMPTY.advanced(changes(*keys, frontend("f", 'Path("/")')))
    assert [each.id for each in table.chain("f")] == ["c", "a", "b"]
    gone = table.advanced(changes(removed=("frontends/f/middlewares/a",)))
    assert [each.id for each in gone.chain("f")] == ["c", "b"]


def test_changing_one_server_among_ten_thousand_frontends_copies_nothing_else():
    keys = [frontend(f"f{n}", f'Host("h{n}.example")', f"b{n}") for n in range(10_000)]
    before = EMPTY.advanced(changes(*keys, reset=True))
    after = before.advanced(changes(server("s", "http://h:1", "b77")))
    assert after.frontends is before.frontends
    assert after.router is before.router
    assert after.backends is before.backends


def test_changing_one_frontend_among_ten_thousand_indexes_only_its_host_again():
    keys = [frontend(f"f{n}", f'Host("h{n}.example")') for n in range(1000)]
    before = EMPTY.advanced(changes(*keys, reset=True)).router
    after = EMPTY.advanced(changes(*keys, reset=True)).advanced(
        changes(frontend("f7", 'Host("h7.example") && Path("/x")'))
    )
    changed = [key for key, group in after.router.groups.items() if group != before.groups[key]]
    assert changed == [b"=h7.example"]


STEPS = st.lists(st.integers(0, 2**32), max_size=12)


def step(seed: int):
    rng = random.Random(seed)
    name = f"x{rng.randrange(3)}"
    kinds = [
        (f"backends/{name}/backend", backend(name, Timeouts={"Dial": f"{rng.randrange(1, 9)}s"})),
        (f"backends/{name}/servers/s", server("s", f"http://h:{rng.randrange(1, 4)}", name)),
        (f"frontends/{name}/frontend", frontend(name, f'Path("/{rng.randrange(3)}")', name)),
    ]
    path, written = rng.choice(kinds)
    return (path, None) if rng.random() < 0.3 else (path, written)


@given(STEPS)
def test_the_table_depends_only_on_the_last_values_of_keys(seeds):
    table, last = EMPTY, {}
    for path, written in map(step, seeds):
        gone = () if written else (path,)
        table = table.advanced(changes(*([written] if written else []), removed=gone))
        last[path] = written
    fresh = EMPTY.advanced(changes(*(key for key in last.values() if key), reset=True))
    assert table.frontends == fresh.frontends
    assert table.backends == fresh.backends
    assert table.servers == fresh.servers
    for path in (b"/0", b"/1", b"/2"):
        assert found(table, path) == found(fresh, path)
