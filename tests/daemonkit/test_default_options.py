"""Files of defaults, as programs read them."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from daemonkit import options
from daemonkit.core.option_defaults import merged
from daemonkit.host.options_files import OPTIONS_FILE_BYTES_MAX, load

BIN = Path(sys.executable).parent
ROOT = Path(options.__file__).parent.parent


class Programs:
    """Runs programs of this project, as somebody at home in `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.file = home / options.OPERATOR_DEFAULTS
        self.file.parent.mkdir(parents=True)
        self.out = self.err = ""

    def run(self, *words: str, **variables: str) -> int:
        env = {"HOME": str(self.home), "PATH": os.environ["PATH"], **variables}
        done = subprocess.run(
            [BIN / words[0], *words[1:]],
            env=env, cwd="/", capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        self.out, self.err = done.stdout, done.stderr
        return done.returncode


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


def closed(port: int) -> str:
    return f"http://127.0.0.1:{port}"


# Ports that no test listens on: who connects says which address it was.
GIVEN, WRITTEN = closed(9), closed(7)


@pytest.mark.parametrize(
    "words",
    [
        ("coordctl", "ls"),
        ("fleetctl", "hosts"),
        ("locksmithctl", "status"),
        ("skydnsctl", "add", "a.skydns.local", "10.0.0.1"),
        ("confd", "noop", "--confdir", "/nonexistent"),
    ],
)
def test_every_program_and_command_shows_the_default_and_uses_it(
    programs: Programs, words: tuple[str, ...]
) -> None:
    programs.file.write_text(f'endpoints = ["{WRITTEN}"]\n')
    at = 2 if words[0] in {"skydnsctl", "confd"} else 1
    assert programs.run(*words[:at], "--help") == 0
    assert f"default: {WRITTEN}" in " ".join(programs.out.split())


@pytest.mark.parametrize("words", [("coordctl", "ls"), ("fleetctl", "hosts")])
def test_a_default_yields_to_a_variable_and_that_to_a_flag(
    programs: Programs, words: tuple[str, ...]
) -> None:
    programs.file.write_text(f'endpoints = "{WRITTEN}"\n')
    prefix = words[0].upper()
    assert programs.run(*words) != 0
    assert ":7" in programs.err
    assert programs.run(*words, **{f"{prefix}_ENDPOINTS": GIVEN}) != 0
    assert ":9" in programs.err
    assert ":7" not in programs.err
    given = {f"{prefix}_ENDPOINTS": WRITTEN}
    assert programs.run(words[0], "--endpoints", GIVEN, *words[1:], **given) != 0
    assert ":9" in programs.err


def test_a_default_yields_to_a_config_file(programs: Programs, tmp_path: Path) -> None:
    programs.file.write_text(f'endpoints = "{WRITTEN}"\n')
    config = tmp_path / "config.toml"
    config.write_text(f'endpoints = "{GIVEN}"\n')
    assert programs.run("locksmithctl", "--config", str(config), "status") != 0
    assert ":9" in programs.err


@pytest.mark.parametrize("alias", ["--endpoint", "--peers", "-C"])
def test_a_default_yields_to_the_old_names_of_coordctls_option(
    programs: Programs, alias: str
) -> None:
    programs.file.write_text(f'endpoints = "{WRITTEN}"\n')
    assert programs.run("coordctl", alias, GIVEN, "ls") != 0
    assert ":9" in programs.err
    assert programs.run("coordctl", "ls", ETCDCTL_ENDPOINT=GIVEN) != 0
    assert ":9" in programs.err


def test_the_certificate_of_a_server_is_no_default_for_the_store(programs: Programs) -> None:
    programs.file.write_text('cert-file = "/nonexistent.pem"\nkey-file = "/nonexistent.key"\n')
    assert programs.run("coordinator", "--help") == 0
    assert "nonexistent" not in programs.out


def test_a_sign_key_is_a_default(programs: Programs) -> None:
    programs.file.write_text('sign-key = "signer.key"\n')
    assert programs.run("fleetctl", "run", "--help") == 0
    assert f"{programs.file.parent}/signer.key" in "".join(programs.out.split())


def test_a_wrong_file_stops_only_a_command_that_needs_it(programs: Programs) -> None:
    programs.file.write_text("endpoints = \n")
    assert programs.run("coordctl", "ls") == options.EXIT_USAGE
    assert programs.err.startswith(f"coordctl: {programs.file}: ")
    assert "Mend the file, or remove it" in programs.err
    given = ("--ca-file", "", "--cert-file", "", "--key-file", "", "--username", "")
    programs.run("coordctl", "--endpoints", GIVEN, *given, "ls")
    assert ":9" in programs.err
    assert "Mend" not in programs.err
    assert programs.run("slashetc", "--version") == 0
    assert programs.run("coordinator", "--help") == 0


def test_a_wrong_file_in_etc_does_not_stop_somebody_with_an_own_file(
    programs: Programs, tmp_path: Path
) -> None:
    programs.file.write_text(f'endpoints = "{WRITTEN}"\n')
    broken = tmp_path / "host.toml"
    broken.write_text("endpoints =")
    found = merged(load([programs.file, broken]))
    assert found["endpoints"].value == WRITTEN
    assert found["ca-file"].problem


def test_a_file_that_others_may_write_is_refused(programs: Programs) -> None:
    programs.file.write_text(f'endpoints = "{WRITTEN}"\n')
    for mode in (0o620, 0o602, 0o666):
        programs.file.chmod(mode)
        assert programs.run("coordctl", "ls") == options.EXIT_USAGE
        assert "chmod go-w" in programs.err
        assert ":7" not in programs.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(programs: Programs) -> None:
    programs.file.write_text(f'endpoints = "{WRITTEN}"\n')
    os.chown(programs.file, 65534, 65534)
    assert programs.run("coordctl", "ls") == options.EXIT_USAGE
    assert "belongs to the user 65534" in programs.err


def test_what_is_no_file_or_too_long_is_refused(tmp_path: Path) -> None:
    fifo, folder, long = tmp_path / "fifo", tmp_path / "folder", tmp_path / "long"
    os.mkfifo(fifo)
    folder.mkdir()
    long.write_bytes(b"#" * (OPTIONS_FILE_BYTES_MAX + 1))
    problems = [each.problem for each in load([fifo, folder, long, tmp_path / "none"])]
    assert ["no regular file" in problems[0], "no regular file" in problems[1]] == [True, True]
    assert "more than" in problems[2]
    assert len(problems) == 3


def test_the_problem_names_a_link_that_leads_nowhere_else_than_in_a_circle(tmp_path: Path) -> None:
    link = tmp_path / "options.toml"
    link.symlink_to(link)
    (found,) = load([link])
    assert "Make it readable for this user, or remove it" in found.problem


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_key_that_this_user_may_not_read_leaves_out_its_certificate() -> None:
    reads = (
        "import os, sys; from pathlib import Path; from daemonkit.core import option_defaults\n"
        "from daemonkit.host.options_files import load; os.setuid(65534)\n"
        "print(sorted(load([Path(sys.argv[1])])[0].values))"
    )
    with tempfile.TemporaryDirectory() as made:
        (pki := Path(made, "pki")).mkdir(mode=0o700)
        (pki / "host.key").write_text("")
        file = Path(made, "options.toml")
        file.write_text(
            'cert-file = "pki/host.pem"\nkey-file = "pki/host.key"\nca-file = "ca.pem"\n'
        )
        Path(made).chmod(0o755)
        file.chmod(0o644)
        found = subprocess.check_output([sys.executable, "-c", reads, file], cwd=ROOT, text=True)
        assert found == "['ca-file']\n"
        assert sorted(load([file])[0].values) == ["ca-file", "cert-file", "key-file"]


def test_a_service_reads_only_the_hosts_file(programs: Programs) -> None:
    programs.file.write_text(f'endpoints = "{WRITTEN}"\n')
    started = f"SYSTEMD_EXEC_PID=$$ exec {BIN / 'fleetctl'} --help"
    env = {"HOME": str(programs.home), "PATH": os.environ["PATH"]}
    shown = subprocess.check_output(["sh", "-c", started], env=env, text=True)
    assert WRITTEN not in shown
    env["SYSTEMD_EXEC_PID"] = "1"  # of whoever started our shell
    shown = subprocess.check_output([BIN / "fleetctl", "--help"], env=env, text=True)
    assert WRITTEN in shown


def test_without_a_home_only_the_hosts_file_is_read(programs: Programs) -> None:
    programs.file.write_text(f'endpoints = "{WRITTEN}"\n')
    for home in ("", "relative"):
        assert programs.run("fleetctl", "--help", HOME=home) == 0
        assert WRITTEN not in programs.out


def test_switches_of_all_daemons_are_set_at_once(programs: Programs) -> None:
    programs.file.write_text('require-tls = true\nstatus-tls = "require"\n')
    skydns = ("skydns", "--addr", "127.0.0.1:0", "--status-addr", "127.0.0.1:0")
    assert programs.run(*skydns) == 2
    assert "--status-tls require needs --ca-file" in programs.err
    open_api = ("vulcand", "--api-interface", "0.0.0.0", "--api-port", "0", "--port", "0")
    assert programs.run(*open_api, "--status-tls", "off", "--status-addr", "0.0.0.0:0") == 1
    assert "or start without --require-tls" in programs.err
    programs.file.write_text('require-tls = "yes please"\n')
    assert programs.run(*skydns) == 2
    programs.file.write_text("require-tls = 1\n")
    assert programs.run(*skydns) == 2
    assert "require-tls = 1: write true or false" in programs.err
