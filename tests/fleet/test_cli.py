"""The options of fleetd, and what fleetctl makes of its arguments."""

import pytest

from fleet import cli


def test_a_grace_that_an_exclusive_unit_could_outlive_is_refused_with_the_remedy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--grace", "19", "--scheduler"])
    assert end.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "19 s is too short" in said
    assert "--agent-ttl" in said
