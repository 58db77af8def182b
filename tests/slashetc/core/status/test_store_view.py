"""What the status says about the store, and about certificates of the authority and of people."""

import datetime as dt
import json

import pytest

from slashetc.authority import new_keys
from slashetc.core import certificates
from slashetc.core.status import screen
from slashetc.core.status.reading import DAY_S, Reading
from slashetc.core.status.view import view_of
from tests.slashetc.core.status.readings import (
    NOW,
    member,
    notices,
    problems,
    view,
)


def test_a_store_that_is_away_is_the_first_problem() -> None:
    away = Reading(
        NOW, ("http://m1",), errors={"http://m1": "fails: refused"}, daemons={"skydns": ""}
    )
    shown = view_of(away)
    (said,) = problems(shown)
    assert said.startswith("The store is away, so the rest of the fleet is not known here")
    assert "http://m1 fails: refused" in said
    assert "This host: skydns ready" in "\n".join(screen.lines(shown))


def test_a_lost_quorum_says_how_many_members_are_needed_and_which() -> None:
    gone = {"error": "fails: refused", "healthy": False}
    shown = view(
        {}, member("m1", healthy=False, role=""), member("m2", **gone), member("m3", **gone)
    )
    assert problems(shown)[0] == (
        "The store has no quorum: 1 of 3 voting members answers, and 2 are needed. Nothing can be "
        "written, and what is shown may be old. Start the members m2, m3."
    )
    split = view({}, *(member(name, healthy=False, role="") for name in ("m1", "m2", "m3")))
    assert "none reaches a majority" in problems(split)[0]


def test_one_member_that_is_away_is_named_while_the_others_have_a_quorum() -> None:
    shown = view({}, member("m1"), member("m2"), member("m3", error="fails: refused"))
    assert problems(shown) == ["The member m3 of the store at http://m3:2379 fails: refused."]
    assert [each.health for each in shown.members] == ["healthy", "healthy", "away"]


def test_a_member_that_lags_or_is_not_healthy_is_a_problem() -> None:
    ahead = member("m1", index=20_000)
    behind = member("m2", index=10_000)
    alarm = member("m3", healthy=False, reason="ALARM NOSPACE", index=20_000)
    shown = view({}, ahead, behind, alarm)
    assert problems(shown) == [
        "The member m2 of the store is 10000 changes behind.",
        "The member m3 of the store is not healthy: ALARM NOSPACE.",
    ]
    assert [each.lag for each in shown.members] == [0, 10_000, 0]


def test_members_certificates_versions_and_learners_are_named() -> None:
    ending = member("m1", certificates={"peer": NOW + DAY_S * 3.5, "client": NOW + DAY_S * 20})
    shown = view({}, ending, member("m2", version="0.1.0"), member("m3", learner=True))
    assert problems(shown) == [
        "The peer certificate of the member m1 ends in 3 days, and should have been renewed."
    ]
    assert notices(shown) == [
        "The member m3 of the store learns, and has no vote yet.",
        "The members of the store have different versions: 0.1.0, 0.2.0.",
    ]


def test_people_whose_certificates_end_are_a_notice() -> None:
    def user(days: float) -> str:
        return json.dumps({"role": "viewer", "not_after": NOW + days * DAY_S})

    users = {"/slashetc/v1/users/ann": user(3.5), "/slashetc/v1/users/bob": user(-1)}
    shown = view({**users, "/slashetc/v1/users/eve": user(300)})
    assert (shown.problems, notices(shown)) == (
        0,
        ["The certificate of ann ends in 3 days.", "The certificate of bob has expired 24 h ago."],
    )


@pytest.mark.parametrize(
    ("days_left", "said"),
    [(91, []), (89, ["The authority ends in 89 days."]),
     (-3, ["The authority has expired 3 days ago."])],
)  # fmt: skip
def test_an_authority_that_ends_is_a_problem(days_left: int, said: list[str]) -> None:
    made = dt.datetime.fromtimestamp(NOW, dt.UTC) - certificates.AUTHORITY_LIFETIME
    hour = dt.timedelta(hours=1 if days_left > 0 else -1)
    authority = new_keys.authority("test", made + dt.timedelta(days=days_left) + hour)
    keys = {"/slashetc/v1/authority": certificates.pem_of(authority.certificate)}
    assert problems(view(keys)) == said


def test_a_store_that_shows_nothing_without_credentials_says_so() -> None:
    closed = Reading(NOW, ("https://m1",), errors={"https://m1": "answers 401: Insufficient"})
    (said,) = problems(view_of(closed))
    assert said.startswith("The store shows nothing without credentials")
