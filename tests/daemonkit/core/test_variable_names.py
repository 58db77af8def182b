"""Environment variables that look like options."""

import pytest

from daemonkit.core.variable_names import unknown

KNOWN = {"COORDINATOR_NAME", "COORDINATOR_DATA_DIR", "COORDINATOR_LISTEN_CLIENT_URLS"}


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("COORDINATOR_LISTEN_CLIENT_URL", "do you mean COORDINATOR_LISTEN_CLIENT_URLS?"),
        ("COORDINATOR_DATADIR", "do you mean COORDINATOR_DATA_DIR?"),
        ("COORDINATOR_COLOUR", "--help names the options"),
    ],
)
def test_a_variable_that_is_no_option_is_named_with_the_nearest_one(given: str, hint: str) -> None:
    assert unknown([given], KNOWN, "COORDINATOR") == [f"the variable {given} is no option: {hint}"]


def test_options_and_variables_of_others_are_not_mentioned() -> None:
    given = [*KNOWN, "PATH", "COORDINATORS_NAME", "COORDINATOR"]
    assert unknown(given, KNOWN, "COORDINATOR") == []
