"""The paths of locksmith's keys."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locksmith.core import keys
from locksmith.core.keys import InvalidName

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("group", "key"),
    [
        ("", "/coreos.com/updateengine/rebootlock/semaphore"),
        ("worker", "/coreos.com/updateengine/rebootlock/groups/worker/semaphore"),
        (
            "prod/database",
            "/coreos.com/updateengine/rebootlock/groups/prod%2Fdatabase/semaphore",
        ),
        (
            "a b+c~d_e%é",
            "/coreos.com/updateengine/rebootlock/groups/a+b%2Bc~d_e%25%C3%A9/semaphore",
        ),
    ],
)
def test_group_is_escaped_as_by_gos_query_escape(group: str, key: str) -> None:
    assert keys.semaphore(group) == key


@settings(deadline=None)
@given(NAMES)
def test_name_is_escaped_into_one_segment_and_back(name: str) -> None:
    key = keys.host(name)
    assert key.startswith(f"{keys.HOSTS}/")
    assert "/" not in key.removeprefix(f"{keys.HOSTS}/")
    assert keys.last_name(key) == name


@settings(deadline=None)
@given(NAMES)
def test_no_group_shares_records_with_the_default_group(name: str) -> None:
    assert keys.holder(name, "a") != keys.holder("", "a")


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 256, "é" * 128, "\udcff"])
def test_group_that_cannot_be_a_path_segment_is_rejected(name: str) -> None:
    with pytest.raises(InvalidName, match="group"):
        keys.checked_group(name)


@pytest.mark.parametrize("name", ["...", ".a", "x" * 255, "_hidden", "prod/../database"])
def test_other_groups_are_accepted(name: str) -> None:
    assert keys.checked_group(name) == name


@pytest.mark.parametrize("holder", ["", "a\nb", "\x1b[2J", "x" * 256, "\udcff"])
def test_holder_id_that_cannot_be_shown_is_rejected(holder: str) -> None:
    with pytest.raises(InvalidName, match="holder id"):
        keys.checked_holder(holder)
