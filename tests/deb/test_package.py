"""The Debian package: its files, their modes, its configuration files, and lintian's verdict."""

import os
import subprocess
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from daemonkit import options
from deb import build
from deb.build import built, project_version
from rig.commandline.command_tree import declared_command, programs, read_program
from rig.processes import LONG, ROOT, require

UNITS = sorted(path.name for path in (ROOT / "systemd/system").iterdir())
DAEMONS = ("confd", "coordinator", "fleetd", "locksmith-fleetlock", "locksmithd", "skydns",
           "vulcand")  # fmt: skip
# A build that nothing is kept of downloads and compiles libraries.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def package() -> Path:
    require("dpkg-deb")
    return built(project_version())


@pytest.fixture(scope="module")
def files(package: Path) -> Iterator[tarfile.TarFile]:
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    content = subprocess.run(command, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(content)) as tar:
        yield tar


def text_of(files: tarfile.TarFile, path: str) -> str:
    file = files.extractfile(f"./{path}")
    assert file is not None
    return file.read().decode()


def test_lintian_finds_no_error_and_no_warning(package: Path) -> None:
    command = [require("lintian"), "--allow-root", "--tag-display-limit", "0", str(package)]
    verdict = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (verdict.returncode, verdict.stdout) == (0, "")


def test_every_program_is_a_link_into_the_environment(files: tarfile.TarFile) -> None:
    for program in programs():
        assert files.getmember(f"./usr/bin/{program}").linkname == f"/opt/slashetc/bin/{program}"
        first = text_of(files, f"opt/slashetc/bin/{program}").splitlines()[0]
        assert first == "#!/opt/slashetc/bin/python3"
    assert files.getmember("./opt/slashetc/bin/python3").linkname == "/usr/bin/python3"


def test_nothing_leads_to_the_place_where_the_package_was_made(files: tarfile.TarFile) -> None:
    ours = [each for each in files if each.isfile() and not each.name.endswith((".so", ".md.gz"))]
    for each in ours:
        file = files.extractfile(each)
        assert file is not None
        assert str(ROOT).encode() not in file.read(), each.name


def test_every_unit_manual_page_and_completion_is_where_debian_has_them(
    files: tarfile.TarFile,
) -> None:
    names = set(files.getnames())
    wanted = {f"./usr/lib/systemd/system/{unit}" for unit in UNITS}
    wanted |= {f"./usr/lib/{name}.d/slashetc.conf" for name in ("sysusers", "tmpfiles")}
    wanted |= {"./usr/lib/systemd/system-preset/90-slashetc.preset"}
    wanted |= {f"./usr/share/bash-completion/completions/{name}" for name in programs()}
    wanted |= {f"./usr/share/zsh/vendor-completions/_{name}" for name in programs()}
    wanted |= {f"./usr/share/fish/vendor_completions.d/{name}.fish" for name in programs()}
    wanted |= {"./usr/share/man/man8/coordinator.8.gz", "./usr/share/man/man1/vctl.1.gz"}
    assert wanted <= names


def test_only_root_can_read_the_files_of_variables(files: tarfile.TarFile, package: Path) -> None:
    listed = subprocess.run(
        ["dpkg-deb", "--info", str(package), "conffiles"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert set(listed) == {f"/etc/default/{daemon}" for daemon in (*DAEMONS, "slashetc-agent")}
    assert {files.getmember(f".{path}").mode for path in listed} == {0o600}
    assert {each.uid for each in files} == {0}


@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_file_of_variables_has_every_option_with_a_default_that_is_taken(
    daemon: str, files: tarfile.TarFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = text_of(files, f"etc/default/{daemon}").splitlines()
    given = dict(line[1:].split("=", 1) for line in lines if line[:2].strip("#").isupper())
    declared = [each for each in read_program(daemon).options if each.variables]
    left_out = {"--data-dir", "--state-dir", "--watch"}
    assert set(given) == {each.variables[0] for each in declared if each.long_flag not in left_out}
    for name in [each for each in os.environ if each.startswith(f"{daemon.upper()}_")]:
        monkeypatch.delenv(name)
    command = declared_command(daemon)
    before = command.make_context(daemon, [], auto_envvar_prefix=options.variable_prefix(daemon))
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    after = command.make_context(daemon, [], auto_envvar_prefix=options.variable_prefix(daemon))
    assert [*map(str, after.params.values())] == [*map(str, before.params.values())]


@pytest.mark.skipif(not LONG, reason="it builds everything again: LONG=1")
def test_the_same_source_makes_the_same_bytes(package: Path, monkeypatch, tmp_path: Path) -> None:
    before = package.read_bytes()
    monkeypatch.setattr(build, "CACHE", tmp_path / "elsewhere")
    assert built(project_version()).read_bytes() == before
