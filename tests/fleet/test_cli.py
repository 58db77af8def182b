"""The options of fleetd."""

import pytest

from fleet import cli


def test_a_grace_that_is_too_short_for_exclusive_units_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--grace", "19", "--scheduler"])
    assert end.value.code == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "19 s is too short" in message
    assert "--agent-ttl" in message
