"""Mistyped options of units, and options that are right."""

from pathlib import Path

import pytest

from fleet.core.jobs import unitfile
from fleet.core.jobs.unit_options import Mistakes, mistakes
from rig.processes import ROOT

UNITS = sorted((ROOT / "systemd").rglob("*.service"))


def of(*lines: str) -> Mistakes:
    return mistakes(unitfile.parse("\n".join(lines)))


@pytest.mark.parametrize(
    ("section", "line", "reason"),
    [
        ("Service", "ExecStar=/a", "[Service] has no option ExecStar=: did you mean ExecStart=?"),
        ("X-Fleet", "Cuont=3", "[X-Fleet] has no option Cuont=: did you mean Count=?"),
        ("X-Fleet", "count=3", "[X-Fleet] has no option count=: did you mean Count=?"),
        ("Service", "Restartsec=3", "[Service] has no option Restartsec=: did you mean RestartSec"),
        ("Unit", "ExecStart=/a", "[Unit] has no option ExecStart=: it belongs to [Service]"),
        ("Service", "Count=3", "[Service] has no option Count=: it belongs to [X-Fleet]"),
        ("X-Fleet", "Colour=blue", "[X-Fleet] has no option Colour=: its options are CPU, Check"),
    ],
)
def test_a_mistyped_option_is_an_error_with_the_right_name(
    section: str, line: str, reason: str
) -> None:
    (error,) = of(f"[{section}]", line).errors
    assert error.startswith(f"line 2: {reason}")


def test_an_option_of_a_newer_systemd_is_a_warning() -> None:
    found = of("[Service]", "QuantumEntanglement=yes")
    assert found.errors == ()
    assert found.warnings == (
        "line 2: [Service] has no option QuantumEntanglement= that fleet knows",
    )


def test_own_extensions_are_left_alone() -> None:
    assert of("[Service]", "X-Mine=1", "[X-Fleet]", "X-Other=1") == Mistakes((), ())


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_the_units_of_this_project_have_no_mistakes(path: Path) -> None:
    assert mistakes(unitfile.parse(path.read_text())) == Mistakes((), ())
