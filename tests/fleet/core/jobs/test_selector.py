"""Selectors: matching, printing, and errors."""

import pytest

from fleet.core.jobs import selector
from fleet.core.jobs.selector import SelectorError

PROD = {"env": "prod", "app": "web", "tier": "3"}
TEST = {"env": "test", "app": "web"}
OTHER = {"env": "dev", "app": "db"}


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("select(env=test,app=web) OR select(env=prod,app=web)", [PROD, TEST]),
        ("env=test,app=web || env=prod", [PROD, TEST]),
        ("env in (test,prod),app==web", [PROD, TEST]),
        ("env notin (test, prod)", [OTHER]),
        ("env!=prod", [TEST, OTHER]),
        ("tier", [PROD]),
        ("!tier", [TEST, OTHER]),
        ("tier>2", [PROD]),
        ("tier<3", []),
        ("", [PROD, TEST, OTHER]),
        ("in=out", []),
    ],
)
def test_a_selector_matches_labels(text: str, chosen: list[dict[str, str]]) -> None:
    found = selector.parse(text)
    assert [labels for labels in (PROD, TEST, OTHER) if found.matches(labels)] == chosen
    assert selector.parse(str(found)) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a=b=c", "column 4"),
        ("!a=b", "column 3"),
        ("a in b", "column 6"),
        ("a in (b", "the end of"),
        ("a,,b", "column 3"),
        ("a=b |c", "column 4"),
        ("a>x", "column 3"),
    ],
)
def test_an_invalid_selector_is_refused_with_its_column(text: str, message: str) -> None:
    with pytest.raises(SelectorError, match=message):
        selector.parse(text)
