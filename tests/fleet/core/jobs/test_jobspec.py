"""Units and their [X-Fleet] sections: parsed, or refused with the line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.jobs import jobspec, unitfile
from fleet.core.jobs.jobspec import PlacementStrategy, UpdateStrategy
from fleet.core.jobs.unitfile import UnitRefused

FULL = """\
[Unit]
Description=A web app
[Service]
ExecStart=/bin/app \\
  --port 80
[X-Fleet]
Count=3
Labels=app=web env=prod
Port=8080
Check=http:/healthz
CPU=500m
Memory=256M
Constraint=disk=ssd,region in (eu,us)
Spread=zone
Placement=least-load
Priority=70
Update=surge
UpdateParallel=2
UpdateDeadline=2min
MinAvailable=2
"""


def refused(text: str, name: str = "web.service") -> str:
    with pytest.raises(UnitRefused) as caught:
        jobspec.parse(name, text)
    return str(caught.value)


def test_all_options_of_a_job_are_parsed() -> None:
    found = jobspec.parse("web.service", FULL)
    assert (found.count, found.labels) == (3, {"app": "web", "env": "prod"})
    assert (found.check.kind, found.check.path) == ("http", "/healthz")
    assert (found.resources.cpu, found.resources.memory) == (500, 256 << 20)
    assert str(found.placement.constraint) == "disk=ssd,region in (eu,us)"
    assert (found.placement.strategy, found.placement.spread) == (
        PlacementStrategy.LEAST_LOAD,
        "zone",
    )
    assert (found.update.strategy, found.update.parallel, found.update.deadline_s) == (
        UpdateStrategy.SURGE,
        2,
        120,
    )
    assert (found.priority, found.available_min, found.exclusive) == (70, 2, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[Service]\nExecStart=/bin/a\x00b\n", "line 2: the character U+0000"),
        ("[Service]\nExecStart=/bin/a\rUser=root\n", "line 2: the character U+000D"),
        ("[Service]\nExecStart=/bin/a\u2028User=root\n", "line 2: the character U+2028"),
        ("[Service]\nExecStart=/bin/a\\\n", "line 2: the unit ends with"),
        ("[Service]\nExecStart=/bin/a \\ \nUser=root\n", "line 2: there are blanks after"),
        ("ExecStart=/bin/a\n", "line 1: ExecStart= comes before the first section"),
        ("[Service]\nnonsense\n", "line 2: 'nonsense' is not an option"),
        ("[Service]\nExecStart=/a\n[X-FleetInstance]\nOrder={}\n", "line 3"),
        ("[Service]\nExecStart=/a\n[Service ]\n", "line 3"),
        ("[Service]\nExecStart=/a\n[X-Fleet]\nCount=many\n", "line 4: Count="),
        ("[Service]\nExecStart=/a\n[X-Fleet]\nCount=2\nGlobal=yes\n", "line 5"),
        ("[Service]\nExecStart=/a\n[X-Fleet]\nLabels=a b\n", "line 4: 'a' is not a label"),
        ("[Service]\nExecStart=/a\n[X-Fleet]\nConstraint=a in b\n", "line 4: Constraint="),
        ("[Service]\nExecStart=/a\n[X-Fleet]\nPort=80\nCheck=http:/x y\n", "line 5: Check="),
        ("[Service]\nExecStart=/a\n[X-Fleet]\nPort=99999\n", "line 4: Port="),
        ("", "line 1: the unit is empty"),
    ],
)
def test_ambiguous_text_is_refused_with_its_line(text: str, message: str) -> None:
    assert message in refused(text)


@pytest.mark.parametrize(
    "name", ["web", "../web.service", "a/b.service", "fleet-x.service", "a b.service", "@.service",
             "x" * 260 + ".service", "web.exe", ".service"],
)  # fmt: skip
def test_an_invalid_unit_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"unit|type|instances|template"):
        jobspec.parse(name, FULL)


@pytest.mark.parametrize("line", ["KillMode=process", "KillMode=none", "SendSIGKILL=no"])
def test_an_exclusive_unit_that_may_leave_processes_is_refused(line: str) -> None:
    text = f"[Service]\nExecStart=/a\n{line}\n[X-Fleet]\nCount=1\nExclusive=yes\n"
    assert f"line 3: {line} may leave processes" in refused(text)
    with pytest.raises(UnitRefused, match=r"for a \.service"):
        jobspec.parse("a.timer", "[Timer]\nOnActiveSec=1\n[X-Fleet]\nExclusive=yes\n")


def test_the_options_of_fleet_are_parsed() -> None:
    text = (
        "[Service]\nExecStart=/a\n[X-Fleet]\nX-Conflicts=web@*.service\n"
        'MachineMetadata="region=eu" "region=us"\nMachineMetadata=disk=ssd\n'
        "MachineOf=%p-side@%i.service\n"
    )
    found = jobspec.parse("web@3.service", text)
    assert found.placement.conflicts == ("web@*.service",)
    assert found.placement.machine_of == ("web-side@3.service",)
    assert found.placement.constraint.matches({"region": "us", "disk": "ssd"})
    assert not found.placement.constraint.matches({"region": "us"})


def test_an_unknown_option_of_a_stored_unit_is_ignored() -> None:
    jobspec.parse("web.service", "[Service]\nExecStart=/a\n[X-Fleet]\nColour=blue\n")


def test_a_unit_may_have_an_install_section() -> None:
    text = "[Service]\nExecStart=/a\n[Install]\nWantedBy=multi-user.target\n"
    jobspec.parse("web.service", text)


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        options = unitfile.parse(text)
    except UnitRefused:
        return
    assert all(option.section in unitfile.SECTIONS for option in options)
    assert not any("\n" in option.value for option in options)


@pytest.mark.parametrize(
    ("options", "size_max"), [("", 255), ("Count=3\n", 233), ("Count=3\nExclusive=yes\n", 215)]
)
def test_a_job_whose_units_would_have_too_long_names_is_refused(
    options: str, size_max: int
) -> None:
    text = f"[Service]\nExecStart=/a\n[X-Fleet]\nPriority=1\n{options}"
    jobspec.parse("n" * (size_max - len(".service")) + ".service", text)
    with pytest.raises(ValueError, match=r"too long|not a unit name"):
        jobspec.parse("n" * (size_max - len(".service") + 1) + ".service", text)
