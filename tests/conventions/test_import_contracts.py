"""A violation planted in a copy of the project breaks each import contract."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from rig.processes import ROOT

# For each contract: the modules to plant, and lines that break this contract and no other.
PLANTED = {
    "core is pure": (
        ("locksmith.core.planted_clock", "import time"),
        ("locksmith.core.planted_library", "import psutil"),
        ("locksmith.core.planted_shell", "from locksmith.planted import X"),
        ("coordinator.client.core.planted", "import socket"),
        ("daemonkit.core.planted", "from daemonkit.observe import logs"),
    ),
    "daemonkit stands alone": (("daemonkit.planted", "import coordinator.client"),),
    "the client is the one door to the store": (
        ("skydns.planted", "import coordinator.core.raft"),
        ("coordinator.client.planted", "import coordinator.settings"),
    ),
    "daemons meet in keys, not in imports": (("confd.planted", "import vulcan.core"),),
    "the store knows no daemon": (("coordinator.planted", "import fleet"),),
    "what is shipped knows no tests": (("vulcan.planted", "import rig.processes"),),
    "the rig knows no measurement": (("rig.planted", "import bench"),),
    "no circle of imports": (
        ("fleet.planted", "import fleet.planted_other"),
        ("fleet.planted_other", "import fleet.planted"),
    ),
}
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the report of import-linter on a copy of the project with all violations."""
    copy = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for package in CONFIGURATION["root_packages"]:
        shutil.copytree(
            ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    (copy / "locksmith/planted.py").write_text("X = 1\n")
    for violations in PLANTED.values():
        for module, line in violations:
            (copy / f"{module.replace('.', '/')}.py").write_text(f"{line}\n")
    program = Path(sys.executable).with_name("lint-imports")
    found = subprocess.run(
        [program, "--no-cache"],
        cwd=copy,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(copy), "COLUMNS": "500"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1, found.stderr
    return found.stdout


def test_every_contract_has_a_planted_violation() -> None:
    assert set(PLANTED) == {contract["name"] for contract in CONFIGURATION["contracts"]}


def test_no_contract_names_a_module() -> None:
    for contract in CONFIGURATION["contracts"]:
        for patterns in contract.values():
            if isinstance(patterns, list):
                for pattern in patterns:
                    assert not (ROOT / f"{pattern.replace('.', '/')}.py").exists(), pattern


@pytest.mark.parametrize("contract", PLANTED)
def test_a_planted_violation_breaks_its_contract(contract: str, report: str) -> None:
    assert f"{contract} BROKEN" in report
    details = report.partition("Broken contracts")[2]
    section = details.partition(f"\n{contract}\n")[2].partition("\n\n\n")[0]
    for module, line in PLANTED[contract]:
        imported = line.removeprefix("import ").removeprefix("from ").split()[0]
        assert any(module in text and imported in text for text in section.splitlines()), (
            f"{module}: {line}\n{section}"
        )
