from hypothesis import given
from hypothesis import strategies as st

from coordinator.client.core.view import Changes, View
from rig.vulcan_keys import PREFIX, changes, entry, frontend, server
from vulcan.core.config.admission import Quarantine, Refusal, merged

KEY = "/vulcand/backends/b/servers/s"


def bad(modified: int = 3):
    return entry("backends/b/servers/s", {"URL": "nowhere"}, modified)


def test_good_keys_pass():
    quarantine = Quarantine(PREFIX)
    given_changes = changes(server("s", "http://h"), removed=("frontends/f/frontend",))
    assert quarantine.admit(given_changes) == given_changes
    assert quarantine.refused == {}


def test_a_bad_key_does_not_pass_and_has_a_reason():
    quarantine = Quarantine(PREFIX)
    admitted = quarantine.admit(changes(bad(), frontend("f", 'Path("/")')))
    assert [each.key for each in admitted.entries] == ["/vulcand/frontends/f/frontend"]
    reason = 'URL is "nowhere": expected http://HOST:PORT'
    assert quarantine.refused == {KEY: Refusal(reason, 3, None)}


def test_the_last_good_value_of_a_key_that_turned_bad_stays_in_force():
    quarantine = Quarantine(PREFIX)
    good = server("s", "http://h")
    quarantine.admit(changes(good))
    assert quarantine.admit(changes(bad())).entries == ()
    assert quarantine.refused[KEY].kept == good.modified
    assert quarantine.everything().entries == (good,)


def test_a_key_that_is_mended_or_removed_is_forgotten():
    quarantine = Quarantine(PREFIX)
    quarantine.admit(changes(bad()))
    assert quarantine.admit(changes(server("s", "http://h"))).entries
    assert quarantine.refused == {}
    quarantine.admit(changes(bad()))
    assert quarantine.admit(changes(removed=("backends/b/servers/s",))).removed == (KEY,)
    assert quarantine.refused == {}
    assert quarantine.everything().entries == ()


def test_a_reset_passes_as_the_difference_and_keeps_what_is_bad_now_but_was_good():
    quarantine = Quarantine(PREFIX)
    quarantine.admit(changes(server("s", "http://h"), server("t", "http://t"), reset=True))
    admitted = quarantine.admit(changes(bad(), frontend("f", 'Path("/")'), reset=True))
    assert not admitted.reset
    assert admitted.removed == ("/vulcand/backends/b/servers/t",)
    assert [each.key for each in admitted.entries] == ["/vulcand/frontends/f/frontend"]
    kept = {each.key for each in quarantine.everything().entries}
    assert kept == {KEY, "/vulcand/frontends/f/frontend"}


def test_a_reset_forgets_refusals_of_keys_that_are_gone():
    quarantine = Quarantine(PREFIX)
    quarantine.admit(changes(bad()))
    quarantine.admit(changes(reset=True))
    assert quarantine.refused == {}


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
def test_merged_changes_have_the_effect_of_each_in_order(before, batch):
    one_by_one, at_once = View(), View()
    for step in before:
        one_by_one.apply(step)
        at_once.apply(step)
    for step in batch:
        one_by_one.apply(step)
    at_once.apply(merged(batch))
    assert one_by_one.entries == at_once.entries
