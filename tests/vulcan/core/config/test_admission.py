import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.client.core.view import Changes, View
from rig.vulcan_keys import PREFIX, changes, entry, frontend, server
from vulcan.core.config.admission import KeyAdmission, RejectedKey, merge_changes
from vulcan.core.config.table import Table

KEY = "/vulcand/backends/b/servers/s"


def bad(modified: int = 3):
    return entry("backends/b/servers/s", {"URL": "nowhere"}, modified)


def test_valid_keys_are_admitted():
    admission = KeyAdmission(PREFIX)
    given_changes = changes(server("s", "http://h"), removed=("frontends/f/frontend",))
    assert admission.admit(given_changes) == given_changes
    assert admission.refused == {}


def test_an_invalid_key_is_refused_with_the_reason():
    admission = KeyAdmission(PREFIX)
    admitted = admission.admit(changes(bad(), frontend("f", 'Path("/")')))
    assert [each.key for each in admitted.entries] == ["/vulcand/frontends/f/frontend"]
    reason = 'URL is "nowhere": expected http://HOST:PORT'
    assert admission.refused == {KEY: RejectedKey(reason, 3, None)}


def test_the_last_good_value_of_a_key_stays_in_force_when_an_invalid_one_is_written():
    admission = KeyAdmission(PREFIX)
    good = server("s", "http://h")
    admission.admit(changes(good))
    assert admission.admit(changes(bad())).entries == ()
    assert admission.refused[KEY].last_good == good.modified
    assert admission.everything().entries == (good,)


def test_a_refused_key_is_forgotten_when_it_is_repaired_or_removed():
    admission = KeyAdmission(PREFIX)
    admission.admit(changes(bad()))
    assert admission.admit(changes(server("s", "http://h"))).entries
    assert admission.refused == {}
    admission.admit(changes(bad()))
    assert admission.admit(changes(removed=("backends/b/servers/s",))).removed == (KEY,)
    assert admission.refused == {}
    assert admission.everything().entries == ()


def test_a_reset_is_admitted_as_a_difference_and_keeps_the_last_good_values():
    admission = KeyAdmission(PREFIX)
    admission.admit(changes(server("s", "http://h"), server("t", "http://t"), reset=True))
    admitted = admission.admit(changes(bad(), frontend("f", 'Path("/")'), reset=True))
    assert not admitted.reset
    assert admitted.removed == ("/vulcand/backends/b/servers/t",)
    assert [each.key for each in admitted.entries] == ["/vulcand/frontends/f/frontend"]
    kept = {each.key for each in admission.everything().entries}
    assert kept == {KEY, "/vulcand/frontends/f/frontend"}


def test_a_reset_forgets_refused_keys_that_no_longer_exist():
    admission = KeyAdmission(PREFIX)
    admission.admit(changes(bad()))
    admission.admit(changes(reset=True))
    assert admission.refused == {}


GUARD = "/vulcand/frontends/f/middlewares/m"
BAD_NETWORKS = {"Type": "ipallow", "Middleware": {"Allow": ["10.0.0.0/99"]}}
NETWORKS = {"Type": "ipallow", "Middleware": {"Allow": ["10.0.0.0/8"]}}


def middleware(value: object, modified: int = 3):
    return entry("frontends/f/middlewares/m", value, modified)


def table_of(admission: KeyAdmission) -> Table:
    """Return the table of a worker that starts now."""
    return Table(PREFIX).advanced(admission.everything())


def closed_by(admission: KeyAdmission, value: object, modified: int = 3) -> bool:
    """Whether the frontend is closed after its middleware has this value."""
    admission.admit(changes(frontend("f", 'Path("/")'), server("s", "http://h")))
    admission.admit(changes(middleware(value, modified)))
    return "f" in table_of(admission).pending()


@pytest.mark.parametrize(
    "value",
    [
        BAD_NETWORKS,
        {"type": "basicauth", "Middleware": {"Users": {}}},
        {"Type": "auth", "Middleware": {"Username": 1}},
        {"Type": "ip-allow", "Middleware": {"Allow": ["10.0.0.0/8"]}},
        {"Type": 7},
        {"Middleware": {"Allow": ["10.0.0.0/8"]}},
        ["ipallow"],
        "{",
        "[" * 100_000,
    ],
)
def test_a_middleware_that_may_guard_a_frontend_closes_it_if_it_was_never_valid(value):
    admission = KeyAdmission(PREFIX)
    assert closed_by(admission, value)
    assert admission.refused[GUARD].last_good is None
    admission.admit(changes(middleware(value, 4)))
    assert admission.refused[GUARD] == RejectedKey(admission.refused[GUARD].reason, 4, None)
    assert table_of(admission).pending()["f"].startswith("middleware m may guard it, and is inval")


@pytest.mark.parametrize("type_", ["ratelimit", "connlimit", "rewrite", "cbreaker", "trace"])
def test_an_invalid_middleware_that_guards_nothing_leaves_its_frontend_open(type_):
    assert not closed_by(KeyAdmission(PREFIX), {"Type": type_, "Middleware": {"Variable": 7}})


def test_the_last_good_guard_stays_in_force_when_an_invalid_one_is_written():
    admission = KeyAdmission(PREFIX)
    assert not closed_by(admission, NETWORKS)
    assert not closed_by(admission, BAD_NETWORKS, 4)
    assert admission.refused[GUARD].last_good == 3
    assert table_of(admission).chain("f")[0].document.type == "ipallow"


def test_an_invalid_guard_in_place_of_another_middleware_closes_the_frontend():
    admission = KeyAdmission(PREFIX)
    limit = {"Type": "ratelimit", "Middleware": {"PeriodSeconds": 1, "Requests": 1}}
    assert not closed_by(admission, limit)
    assert closed_by(admission, BAD_NETWORKS, 4)
    assert admission.refused[GUARD].last_good is None


def test_a_closed_frontend_opens_when_its_middleware_is_repaired_or_removed():
    admission = KeyAdmission(PREFIX)
    assert closed_by(admission, BAD_NETWORKS)
    assert closed_by(admission, {"Type": "ratelimit"}, 4)  # still invalid: nobody has decided
    assert not closed_by(admission, NETWORKS, 5)
    assert admission.refused == {}
    other = KeyAdmission(PREFIX)
    assert closed_by(other, BAD_NETWORKS)
    other.admit(changes(removed=("frontends/f/middlewares/m",)))
    assert table_of(other).pending() == {}


def test_a_successor_closes_the_frontends_that_its_predecessor_closed():
    predecessor, successor = KeyAdmission(PREFIX), KeyAdmission(PREFIX)
    assert closed_by(predecessor, BAD_NETWORKS)
    successor.admit(predecessor.everything())
    assert "f" in table_of(successor).pending()
    assert successor.refused.keys() == predecessor.refused.keys()


STEPS = st.lists(
    st.builds(
        lambda keys, gone, reset: Changes(
            "c", 1, tuple(server(key, f"http://{v}") for key, v in keys), tuple(gone), reset
        ),
        st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), max_size=2),
        st.lists(st.sampled_from([f"/vulcand/backends/b/servers/{k}" for k in "ab"]), max_size=2),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@given(STEPS, STEPS)
def test_merged_changes_have_the_effect_of_applying_each_in_order(before, batch):
    one_by_one, at_once = View(), View()
    for step in before:
        one_by_one.apply(step)
        at_once.apply(step)
    for step in batch:
        one_by_one.apply(step)
    at_once.apply(merge_changes(batch))
    assert one_by_one.entries == at_once.entries
