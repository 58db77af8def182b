"""A fleet whose hosts do only what an operator's key has signed. The store is a real one."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coordinator.client.core.store_protocol import Event
from fleet.core import keys
from fleet.core.model import digest
from rig.processes import script, wait_until
from tests.fleet.agent.memory_agent import private_pem, trust
from tests.fleet.memory_fleet import Caller, MemoryFleet, memory_fleet

pytestmark = pytest.mark.timeout(120)
SLEEPER = "[Service]\nExecStart=/bin/sleep 600\n[X-Fleet]\nCount=1\nUpdateReady=0\n"
JOURNALCTL = "#!/bin/sh\necho '2026-11-30T10:00:00 h1 web[1]: a password'\n"
HOST, OTHER = "11" * 16, "22" * 16


class Site:
    """A fleet, its directory of trusted keys, and the keys of two people."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.alice, self.mallory = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        for name, key in (("alice", self.alice), ("mallory", self.mallory)):
            (directory / f"{name}.key").write_bytes(private_pem(key))
        self.trusted_keys = trust(directory / "trusted-keys", self.alice)

    def key(self, name: str) -> str:
        return str(self.directory / f"{name}.key")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def fleet(site: Site) -> Iterator[MemoryFleet]:
    journalctl = site.directory / "bin/journalctl"
    journalctl.parent.mkdir()
    journalctl.write_text(JOURNALCTL)
    journalctl.chmod(0o755)
    with (
        pytest.MonkeyPatch.context() as patch,
        memory_fleet(site.directory, trusted_keys=site.trusted_keys) as running,
    ):
        patch.setenv("PATH", f"{journalctl.parent}:{os.environ['PATH']}")
        yield running


@pytest.fixture
def ctl(fleet: MemoryFleet, capsys: pytest.CaptureFixture[str]) -> Caller:
    return Caller(fleet, capsys)


def test_nobody_runs_a_command_without_a_trusted_key(ctl: Caller, site: Site) -> None:
    endpoints = ("--endpoints", ctl.fleet.url)
    command = script("fleetctl", *endpoints, "exec", "h1", "--", "id")
    done = subprocess.run(
        command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "h1: this host does only what one of its trusted keys has signed" in done.stderr
    ctl("exec", "--sign-key", site.key("mallory"), "h1", "--", "id", code=1)
    assert "h1: this host does not trust the key that signed this: it trusts key0" in ctl.progress
    out = ctl("exec", "--sign-key", site.key("alice"), "h1", "--", "echo", "done")
    assert out == "done\n"


def test_the_variable_of_the_key_holds_for_all_commands(
    ctl: Caller, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETCTL_SIGN_KEY", site.key("alice"))
    assert ctl("exec", "h1", "--", "echo", "done") == "done\n"
    ctl("start", ctl.fleet.file("each.service", SLEEPER))
    assert "a password" in ctl("logs", "each")
    ctl("destroy", "each.service")


def test_an_operator_signs_by_default_with_the_key_in_the_own_options(
    ctl: Caller, site: Site, tmp_path: Path
) -> None:
    options = tmp_path / ".config/slashetc/options.toml"
    options.parent.mkdir(parents=True)
    options.write_text(f'endpoints = "{ctl.fleet.url}"\nsign-key = "{site.key("alice")}"\n')
    for words in (("exec", "h3", "--", "echo", "done"), ("run", str(tmp_path / "own.service"))):
        (tmp_path / "own.service").write_text(SLEEPER)
        done = subprocess.run(
            script("fleetctl", *words),
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    ctl("destroy", "own.service")


def test_a_key_that_cannot_be_used_is_named(ctl: Caller, site: Site) -> None:
    ctl("exec", "--sign-key", site.key("nobody"), "h1", "--", "id", code=2)
    assert f"--sign-key {site.key('nobody')}: No such file" in ctl.progress


def test_a_journal_is_shown_only_to_a_trusted_key(ctl: Caller, site: Site) -> None:
    ctl("run", ctl.fleet.file("web.service", SLEEPER), "--sign-key", site.key("alice"))
    for words in (("logs", "web"), ("journal", "web"), ("logs", "web", "--follow")):
        assert "password" not in ctl(*words, code=1)
        assert "--sign-key" in ctl.progress
    assert "a password" in ctl("logs", "web", "--sign-key", site.key("alice"))
    ctl("destroy", "web.service")


def test_a_request_that_is_sent_once_more_does_nothing(
    ctl: Caller, site: Site, tmp_path: Path
) -> None:
    store, ran = ctl.fleet.store, tmp_path / "ran"
    command = ("sh", "-c", f"echo once >>{ran}; echo done")
    watch = store.watch(f"{keys.PREFIX}/hosts", store.list(f"{keys.PREFIX}/hosts").index)
    assert ctl("exec", "--sign-key", site.key("alice"), "h1", "--", *command) == "done\n"
    changes = (each.entry for each in watch if isinstance(each, Event))
    asked = next(entry for entry in changes if entry is not None and "/ask/" in entry.key)
    watch.close()
    number = asked.key.rpartition("/")[2]
    assert number.startswith(f"{HOST}-")
    answers = f"{keys.PREFIX}/answers"
    for key in (
        asked.key,
        keys.request(HOST, "another"),
        keys.request(OTHER, number),
    ):
        store.put(key, asked.value, ttl_s=60)
        wait_until(lambda: bool(store.list(answers).entries), "it is answered", 20)
        (answer,) = store.list(answers).entries
        store.delete(answer.key)
        store.delete(key)
    assert ran.read_text() == "once\n"


def test_a_key_is_trusted_as_long_as_its_file_is_there(ctl: Caller, site: Site) -> None:
    words = ("exec", "--sign-key", site.key("mallory"), "h2", "--", "echo", "done")
    trust(site.trusted_keys, site.alice, site.mallory)
    wait_until(lambda: ctl(*words, code=None) == "done\n", "it is trusted", 20)
    trust(site.trusted_keys)
    wait_until(lambda: not ctl(*words, code=None), "nobody is trusted", 20)
    assert "h2: this host trusts no key" in ctl.progress
    trust(site.trusted_keys, site.alice)
    alice = ("exec", "--sign-key", site.key("alice"), "h2", "--", "echo", "done")
    wait_until(lambda: ctl(*alice, code=None) == "done\n", "it is trusted again", 20)
    ctl(*words, code=1)


def test_an_unsigned_job_starts_nothing_and_says_how_to_sign_it(ctl: Caller, site: Site) -> None:
    file = ctl.fleet.file("plain.service", SLEEPER)
    ctl("run", file, "--sign-key", site.key("mallory"), "--timeout", "3", code=1)
    assert "another key has; this host trusts key0" in ctl.progress
    ctl("run", file, "--timeout", "1", code=1)
    assert "`fleetctl run FILE --sign-key KEY`" in ctl.progress
    assert "no trusted key has signed" in ctl("status", "plain")
    assert not ctl.fleet.running("fleet-plain")
    ctl("run", file, "--sign-key", site.key("alice"))
    assert len(ctl.fleet.running("fleet-plain")) == 1
    ctl("destroy", "plain.service")


def test_a_revert_goes_back_to_a_version_whose_signature_is_valid(ctl: Caller, site: Site) -> None:
    sign = ("--sign-key", site.key("alice"))
    quick = SLEEPER + "UpdateDeadline=2\n"
    ctl("run", ctl.fleet.file("back.service", quick), *sign)
    unsigned = quick + "Labels=version=2\n"
    ctl("run", ctl.fleet.file("back.service", unsigned), "--timeout", "30", code=1)
    wait_until(lambda: "version 3" in ctl("status", "back"), "it went back", 30)
    wait_until(lambda: ctl.fleet.running(f"fleet-back-0-{digest(quick)[:8]}"), "version 1 runs", 30)
    ctl("rollout", "undo", "back", "--to", "2", "--no-block", *sign)
    wait_until(
        lambda: ctl.fleet.running(f"fleet-back-0-{digest(unsigned)[:8]}"), "it is signed now", 30
    )
    ctl("destroy", "back.service")
