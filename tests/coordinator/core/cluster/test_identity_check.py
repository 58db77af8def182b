"""Whose data directory a member may start with."""

import pytest

from coordinator.core.cluster.identity_check import OptionsIdentity, problem
from coordinator.core.cluster.members import Member

MEMBERS = [Member(n, f"h{n}", (f"http://h{n}:2380",), ()) for n in (1, 2, 3)]
OTHERS = frozenset(("http://h2:2380", "http://h3:2380"))


def found(name: str, *urls: str, others: frozenset[str] = OTHERS, me: int = 1) -> str:
    return problem(OptionsIdentity(name, urls, others), me, MEMBERS)


@pytest.mark.parametrize(
    ("name", "urls"),
    [
        ("h1", ("http://h1:2380",)),
        ("renamed", ("http://h1:2380",)),
        ("h1", ("http://h1:2380", "http://10.0.0.1:2380")),
        ("h1", ("http://h1.new:2380",)),  # it moves: the cluster is told next
        ("anything", ()),
    ],
)
def test_a_member_starts_with_its_own_directory(name: str, urls: tuple[str, ...]) -> None:
    assert found(name, *urls) == ""


def test_a_member_that_is_not_in_its_log_yet_goes_by_its_options() -> None:
    assert found("h4", "http://h4:2380", me=4) == ""


def test_a_member_that_was_alone_gets_a_name_and_urls() -> None:
    alone = [Member(1, "default", ("http://localhost:2380",), ())]
    options = OptionsIdentity("m1", ("http://m1:2380",), frozenset())
    assert problem(options, 1, alone) == ""


def test_a_copy_of_another_members_directory_is_refused() -> None:
    why = found("h3", "http://h3:2380", others=frozenset(("http://h1:2380",)))
    assert "belongs to member 1 (h1) at http://h1:2380" in why
    assert "http://h3:2380, which is member 3 (h3): use that member's own directory" in why


def test_the_directory_of_another_cluster_is_refused() -> None:
    why = found("h1", "http://a1:2380", others=frozenset(("http://a2:2380", "http://a3:2380")))
    assert "in another cluster, of http://h1:2380, http://h2:2380, http://h3:2380" in why


def test_a_directory_with_another_name_and_other_urls_is_refused() -> None:
    why = found("h9", "http://h9:2380")
    assert "belongs to member 1 (h1) at http://h1:2380, and this is h9 at http://h9:2380" in why
    assert "coordctl member update" in why
