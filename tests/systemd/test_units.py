"""The unit files, presets, users and directories, checked by systemd's own programs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rig.processes import ROOT, require

SYSTEMD = ROOT / "systemd"
UNITS = sorted((SYSTEMD / "system").iterdir())
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
# The scale of `systemd-analyze security`: 0 is a full sandbox, 10 is none.
EXPOSURE_MAX = 2.5
# Services that must change the host. They are verified, but their exposure is not limited.
PRIVILEGED = {
    "confd.service": "writes files anywhere in /etc and reloads their programs",
    "fleetd.service": "writes units of any kind and starts them",
    "locksmithd.service": "reboots the host and runs the operator's hooks",
    "slashetc-agent.service": "writes keys of other users and restarts the host's daemons",
    "slashetc-join.service": "writes the configuration of the host's daemons and starts them",
}
# Services that do something once, and their program.
ONESHOTS = {"slashetc-join.service": "slashetc"}
# Services whose program has another name.
PROGRAMS = {"slashetc-agent": "slashetc"}
PROGRAM = re.compile(r"^(Exec\w+=[-@:+!|]*)(\S+)", re.MULTILINE)


def settings(unit: Path) -> dict[str, list[str]]:
    """Return the settings of a unit, each with all its values."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith(("#", ";")):
            found.setdefault(name.strip(), []).append(value.strip())
    return found


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [require(command[0]), *command[1:]],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Copy all units and make their programs exist, because systemd looks for them."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copies = tmp_path / "units"
    copies.mkdir()
    for unit in UNITS:
        (copies / unit.name).write_text(PROGRAM.sub(rf"\g<1>{program}", unit.read_text()))
    return copies


def test_systemd_finds_no_fault_in_any_unit(units: Path) -> None:
    names = [str(path) for path in sorted(units.iterdir())]
    verdict = run("systemd-analyze", "verify", "--man=no", *names, SYSTEMD_UNIT_PATH=f"{units}:")
    ours = [line for line in verdict.stderr.splitlines() if "/usr/lib/systemd" not in line]
    assert (verdict.returncode, ours) == (0, [])


@pytest.mark.parametrize(
    "unit",
    [unit for unit in SERVICES if unit.name not in PRIVILEGED],
    ids=lambda unit: str(unit.name),
)
def test_an_unprivileged_service_is_sandboxed(unit: Path, units: Path) -> None:
    verdict = run(
        "systemd-analyze",
        "security",
        "--offline=true",
        "--no-pager",
        f"--threshold={EXPOSURE_MAX * 10:.0f}",
        str(units / unit.name),
    )
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


@pytest.mark.parametrize(
    "unit",
    [unit for unit in SERVICES if unit.name not in PRIVILEGED],
    ids=lambda unit: str(unit.name),
)
def test_a_unit_gives_the_reason_for_each_missing_restriction(unit: Path, units: Path) -> None:
    verdict = run("systemd-analyze", "security", "--offline=true", str(units / unit.name))
    missing = set(re.findall(r"^✗ (\w+)", verdict.stdout, re.MULTILINE))
    assert "RestrictAddressFamilies" in missing, verdict.stdout
    text = unit.read_text()
    comments = " ".join(re.findall(r"^#.*", text, re.MULTILINE))
    explained = set(re.findall(r"^#.*\n(\w+)=", text, re.MULTILINE))
    explained |= {name for name in missing if name in comments}
    assert missing <= explained


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: str(unit.name))
def test_a_unit_gives_the_reason_for_running_as_root(unit: Path) -> None:
    users = settings(unit).get("User", ["root"])
    assert (users == ["root"]) == (unit.name in PRIVILEGED)
    if unit.name in PRIVILEGED:
        assert " root" in " ".join(re.findall(r"^#.*", unit.read_text(), re.MULTILINE))


@pytest.mark.parametrize("daemon", ["confd", "fleetd", "locksmithd"])
def test_no_daemon_of_root_takes_the_credentials_of_an_operator(daemon: str) -> None:
    """User= would set HOME, below which an operator who is root keeps credentials."""
    found = settings(SYSTEMD / f"system/{daemon}.service")
    assert "User" not in found
    assert not any("HOME" in each for each in found.get("Environment", []))


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: str(unit.name))
def test_no_unit_contains_a_secret(unit: Path) -> None:
    secret = re.compile(r"password|passwd|token=|secret|seal[-_]key", re.IGNORECASE)
    given = settings(unit)
    lines = [line for name in given if name.startswith("Exec") for line in given[name]]
    assert not [line for line in lines + given.get("Environment", []) if secret.search(line)]


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: str(unit.name))
def test_a_service_with_state_has_a_state_directory(unit: Path) -> None:
    given = settings(unit)
    if "${STATE_DIRECTORY}" in given["ExecStart"][-1]:
        assert given["StateDirectory"]
        assert given["StateDirectoryMode"] == ["0700"]


@pytest.mark.parametrize(
    "socket", [unit for unit in UNITS if unit.suffix == ".socket"], ids=lambda unit: str(unit.name)
)
def test_systemd_binds_low_ports_for_services_without_the_capability(socket: Path) -> None:
    listens = [each for name in ("ListenStream", "ListenDatagram")
               for each in settings(socket).get(name, [])]  # fmt: skip
    assert all(int(each.rpartition(":")[2]) < 1024 for each in listens)
    service = settings(SYSTEMD / "system" / settings(socket)["Service"][-1])
    assert service["CapabilityBoundingSet"] == [""]
    assert socket.name in service["Requires"]
    assert socket.name in service["Also"]


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: str(unit.name))
def test_a_service_follows_the_conventions(unit: Path) -> None:
    given = settings(unit)
    name = unit.stem
    if given["Type"] == ["oneshot"]:
        assert unit.name in ONESHOTS
        return
    assert given["Type"] == ["notify"]
    assert given["EnvironmentFile"] == [
        f"-/etc/slashetc/environment/{name}",
        f"-/etc/default/{name}",
    ]
    assert given["ExecStart"][-1].split()[0] == f"/usr/bin/{PROGRAMS.get(name, name)}"
    assert given["WantedBy"][-1] in {"slashetc.target", "multi-user.target"}
    assert int(given["WatchdogSec"][-1].removesuffix("s")) > 0
    assert given["Restart"][-1] in {"on-failure", "always"}
    assert unit.name in PRIVILEGED or given["NoNewPrivileges"] == ["yes"]


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: str(unit.name))
def test_a_service_starts_an_installed_program(unit: Path) -> None:
    scripts = (ROOT / "pyproject.toml").read_text()
    program = Path(settings(unit)["ExecStart"][-1].split()[0]).name
    assert f"\n{program} = " in scripts


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Create a root directory with the users of the package."""
    (tmp_path / "etc").mkdir()
    made = run("systemd-sysusers", f"--root={tmp_path}", str(SYSTEMD / "sysusers.d/slashetc.conf"))
    assert (made.returncode, "rror" in made.stderr) == (0, False), made.stderr
    return tmp_path


def test_every_user_of_a_service_is_created(root: Path) -> None:
    wanted = {value for unit in SERVICES for value in settings(unit).get("User", [])} - {"root"}
    users = {line.split(":")[0] for line in (root / "etc/passwd").read_text().splitlines()}
    assert wanted <= users


def test_systemd_tmpfiles_creates_the_directories(root: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving directories to users needs root")
    config = str(SYSTEMD / "tmpfiles.d/slashetc.conf")
    made = run("systemd-tmpfiles", "--create", f"--root={root}", config)
    assert (made.returncode, made.stderr) == (0, "")
    assert (root / "var/lib/coordinator").stat().st_mode & 0o777 == 0o700


def test_only_the_proxy_listens_beyond_loopback() -> None:
    sockets = [unit for unit in UNITS if unit.suffix == ".socket"]
    listening = {
        (unit.name, address)
        for unit in sockets
        for name, addresses in settings(unit).items()
        for address in addresses
        if name.startswith("Listen") and not address.startswith("127.0.0.1:")
    }
    assert listening == {("vulcand.socket", "80")}


def test_only_root_can_read_the_variables_of_a_daemon(root: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving files to root needs root")
    daemons = [unit for unit in SERVICES if unit.name not in ONESHOTS]
    files = [root / settings(unit)["EnvironmentFile"][-1].removeprefix("-/") for unit in daemons]
    files[0].parent.mkdir(parents=True)
    files[0].write_text("VULCAND_SEAL_KEY=x\n")
    files[0].chmod(0o644)
    made = run(
        "systemd-tmpfiles",
        "--create",
        f"--root={root}",
        str(SYSTEMD / "tmpfiles.d/slashetc.conf"),
    )
    assert (made.returncode, made.stderr) == (0, "")
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert files[0].read_text() == "VULCAND_SEAL_KEY=x\n"


def test_installing_enables_the_target_and_starts_no_daemon(tmp_path: Path) -> None:
    # In the same package as the target that is copied.
    require("systemctl")
    home = tmp_path / "usr/lib/systemd"
    shutil.copytree(SYSTEMD / "system", home / "system")
    shutil.copytree(SYSTEMD / "system-preset", home / "system-preset")
    shutil.copy("/usr/lib/systemd/system/multi-user.target", home / "system")
    preset = run("systemctl", f"--root={tmp_path}", "preset-all")
    assert preset.returncode == 0, preset.stderr
    enabled = sorted(path.name for path in (tmp_path / "etc").rglob("*.wants/*"))
    # This one does nothing without a credential.
    assert enabled == ["slashetc-join.service", "slashetc.target"]
