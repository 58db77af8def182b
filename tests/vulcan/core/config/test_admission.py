from hypothesis import given
from hypothesis import strategies as st

from coordinator.client.core.view import Changes, View
from rig.vulcan_keys import PREFIX, changes, entry, frontend, server
from vulcan.core.config.admission import KeyAdmission, RejectedKey, merge_changes

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
