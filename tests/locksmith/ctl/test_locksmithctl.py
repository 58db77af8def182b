"""`locksmithctl` on real stores: its output, exit codes, and what it stores."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.client import connect
from coordinator.client.core.errors import KeyNotFound
from coordinator.client.core.store_protocol import Store
from daemonkit import options
from locksmith.core import keys
from locksmith.ctl import app
from rig import processes
from rig.processes import free_port, python
from tests.locksmith.own_host import own_host

OWN = own_host().machine_id


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    out: str
    err: str


Ctl = Callable[..., Outcome]


@pytest.fixture
def ctl(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ctl:
    """Run `locksmithctl` in this process, as its console script does."""
    for name in [name for name in os.environ if name.startswith("LOCKSMITH")]:
        monkeypatch.delenv(name)

    def run(*arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as end:
            app.main(arguments)
        out, err = capfd.readouterr()
        return Outcome(int(end.value.code or 0), out, err)

    return run


def process(*arguments: str, **environment: str) -> Outcome:
    done = processes.run(python("locksmith", *arguments), **environment)
    return Outcome(done.returncode, done.stdout, done.stderr)


def stored(store: Store, group: str = "") -> str | None:
    try:
        return store.get(keys.semaphore(group)).value
    except KeyNotFound:
        return None


# Arguments, exit code, stdout, stderr, and the stored document afterwards.
SESSION = [
    (["status"], 0, "Available: 1\nMax: 1\n", "", None),
    (
        ["unlock", "a"],
        1,
        "",
        "Error unlocking: holder does not exist: 'a' holds no slot; nobody does\n",
        None,
    ),
    (["lock", "a"], 0, "", "", '{"semaphore":0,"max":1,"holders":["a"]}'),
    (["lock", "a"], 0, "", "", '{"semaphore":0,"max":1,"holders":["a"]}'),
    (
        ["lock", "b"],
        1,
        "",
        "Error locking: semaphore is at 0\n",
        '{"semaphore":0,"max":1,"holders":["a"]}',
    ),
    (
        ["status"],
        0,
        "Available: 0\nMax: 1\n\nMACHINE ID\na\n",
        "",
        '{"semaphore":0,"max":1,"holders":["a"]}',
    ),
    (
        ["set-max", "3"],
        0,
        "Old-Max: 1\nMax: 3\n",
        "",
        '{"semaphore":2,"max":3,"holders":["a"]}',
    ),
    (["lock", "B"], 0, "", "", '{"semaphore":1,"max":3,"holders":["B","a"]}'),
    (
        ["status"],
        0,
        "Available: 1\nMax: 3\n\nMACHINE ID\nB\na\n",
        "",
        '{"semaphore":1,"max":3,"holders":["B","a"]}',
    ),
    (
        ["set-max", "--", "-1"],
        0,
        "Old-Max: 3\nMax: -1\n",
        "",
        '{"semaphore":-3,"max":-1,"holders":["B","a"]}',
    ),
    (
        ["lock", "c"],
        1,
        "",
        "Error locking: semaphore is at -3\n",
        '{"semaphore":-3,"max":-1,"holders":["B","a"]}',
    ),
    (["unlock", "a"], 0, "", "", '{"semaphore":-2,"max":-1,"holders":["B"]}'),
    (["unlock", "B"], 0, "", "", '{"semaphore":-1,"max":-1,"holders":[]}'),
    (["set-max", "+2"], 0, "Old-Max: -1\nMax: 2\n", "", '{"semaphore":2,"max":2,"holders":[]}'),
]


def test_session_prints_and_stores_the_same_as_gos_program(url: str, ctl: Ctl) -> None:
    store = connect(url)
    for arguments, code, out, err, document in SESSION:
        assert ctl("-endpoint", url, *arguments) == Outcome(code, out, err), arguments
        assert stored(store) == document, arguments


def test_set_max_on_an_absent_semaphore_creates_gos_document(url: str, ctl: Ctl) -> None:
    assert ctl("-endpoint", url, "set-max", "1") == Outcome(0, "Old-Max: 1\nMax: 1\n", "")
    assert stored(connect(url)) == '{"semaphore":1,"max":1,"holders":null}'


def test_each_group_has_its_own_semaphore(url: str, ctl: Ctl) -> None:
    assert ctl("-endpoint", url, "-group", "prod/database", "lock", "a").code == 0
    assert ctl("lock", "b", "--group=prod/database", f"-endpoint={url}").code == 1
    assert ctl("-endpoint", url, "status").out == "Available: 1\nMax: 1\n"
    listed = [entry.key for entry in connect(url).list(keys.PREFIX).entries]
    assert listed == [f"{keys.PREFIX}/groups/prod%2Fdatabase/semaphore"]


@pytest.mark.parametrize("prefix", ["LOCKSMITHCTL", "LOCKSMITHD"])
def test_group_and_endpoint_come_from_the_variables_of_either_program(
    url: str, prefix: str
) -> None:
    given = {f"{prefix}_GROUP": "web", f"{prefix}_ENDPOINT": url}
    assert process("lock", "a", **given) == Outcome(0, "", "")
    assert stored(connect(url), "web") == '{"semaphore":0,"max":1,"holders":["a"]}'


def test_lock_and_unlock_without_an_id_mean_this_host(url: str, ctl: Ctl) -> None:
    store = connect(url)
    assert ctl("-endpoint", url, "lock") == Outcome(0, "", "")
    assert ctl("-endpoint", url, "lock", OWN) == Outcome(0, "", "")
    assert stored(store) == f'{{"semaphore":0,"max":1,"holders":["{OWN}"]}}'
    record = json.loads(store.get(keys.holder("", OWN)).value)
    assert (record["boot_id"], record["phase"]) == (own_host().boot_id, "held")
    assert ctl("-endpoint", url, "unlock") == Outcome(0, "", "")
    assert store.list(f"{keys.PREFIX}/ext").entries == ()


def test_json_and_verbose_show_the_holders_and_since_when(url: str, ctl: Ctl) -> None:
    ctl("-endpoint", url, "set-max", "3")
    ctl("-endpoint", url, "lock")
    answer = ctl("lock", "hand-made", "-json", "-endpoint", url)
    assert json.loads(answer.out) == {
        "group": "",
        "key": keys.semaphore(""),
        "available": 1,
        "max": 3,
        "holder": "hand-made",
        "held": True,
    }
    shown = json.loads(ctl("-endpoint", url, "status", "--json").out)
    assert (shown["available"], shown["max"], shown["exists"]) == (1, 3, True)
    by_id = {holder["id"]: holder for holder in shown["holders"]}
    assert by_id[OWN]["hostname"] == own_host().hostname
    assert by_id[OWN]["phase"] == "held"
    assert by_id["hand-made"]["phase"] == "unknown"
    assert by_id["hand-made"]["known"] is False
    table = ctl("-endpoint", url, "status", "-v").out
    assert table.startswith("Available: 1\nMax: 3\nGroup: (default)\n")
    assert any(line.split()[:2] == ["hand-made", "unknown"] for line in table.splitlines())


@pytest.mark.parametrize("command", [["status"], ["lock", "a"], ["unlock", "a"], ["set-max", "2"]])
def test_commands_name_a_corrupt_semaphore_and_do_not_change_it(
    url: str, ctl: Ctl, command: list[str]
) -> None:
    store = connect(url)
    store.put(keys.semaphore("web"), "somebody's notes")
    answer = ctl("-endpoint", url, "-group", "web", *command)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("Error ")
    assert keys.semaphore("web") in answer.err
    assert stored(store, "web") == "somebody's notes"


def test_status_warns_about_an_edited_number_of_free_slots(url: str, ctl: Ctl) -> None:
    connect(url).put(keys.semaphore(""), '{"semaphore":9,"max":1,"holders":["a"]}')
    answer = ctl("-endpoint", url, "status")
    assert answer.out == "Available: 0\nMax: 1\n\nMACHINE ID\na\n"
    assert "stored number of free slots is 9" in answer.err


@pytest.mark.parametrize(
    ("arguments", "code", "out", "err"),
    [
        (["set-max"], 1, "", "New maximum value must be set.\n"),
        (["set-max", "1", "2"], 1, "", "New maximum value must be set.\n"),
        (["set-max", "two"], 1, "", "Invalid maximum value: two\n"),
        (["set-max", "1_0"], 1, "", "Invalid maximum value: 1_0\n"),
        (["set-max", " 1"], 1, "", "Invalid maximum value:  1\n"),
        (["set-max", "99999999999"], 1, "", "Invalid maximum value: 99999999999\n"),
        (
            ["nonsense", "x"],
            2,
            "locksmithctl: unknown subcommand: \"nonsense\"\nRun 'locksmithctl help' for usage.\n",
            "",
        ),
        (["help", "nonsense"], 1, "Unrecognized command: nonsense\n", ""),
        (["-version"], 0, f"locksmithctl version {options.installed_version()}\n", ""),
    ],
)
def test_commands_that_need_no_store_work_without_one(
    ctl: Ctl, arguments: list[str], code: int, out: str, err: str
) -> None:
    assert ctl("-endpoint", "http://127.0.0.1:1", *arguments) == Outcome(code, out, err)


@pytest.mark.parametrize("arguments", [[], ["help"], ["-h"], ["-help"]])
def test_help_lists_the_commands(ctl: Ctl, arguments: list[str]) -> None:
    answer = ctl(*arguments)
    assert (answer.code, answer.err) == (0, "")
    for command in ("help", "lock", "set-max", "status", "unlock", "--group"):
        assert command in answer.out


@pytest.mark.parametrize("arguments", [["help", "lock"], ["lock", "-h"], ["lock", "--help"]])
def test_help_of_a_command_shows_only_that_command(ctl: Ctl, arguments: list[str]) -> None:
    answer = ctl(*arguments)
    assert (answer.code, answer.err) == (0, "")
    assert "locksmithctl lock" in answer.out
    assert "set-max" not in answer.out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["-group", "..", "status"], "'..'"),
        (["-group", ".", "status"], "'.'"),
        (["-group=", "status"], "leave --group out"),
        (["-nonsense", "status"], "No such option"),
        (["lock", ""], "holder id ''"),
        (["lock", "a\nb"], "holder id"),
        (["lock", "a", "b"], "b"),
        (["-config", "/nonexistent.toml", "status"], "/nonexistent.toml"),
    ],
)
def test_wrong_use_exits_with_2_and_names_the_mistake(
    ctl: Ctl, arguments: list[str], named: str
) -> None:
    answer = ctl(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert named in answer.err


def test_unreachable_store_is_named(ctl: Ctl) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    answer = ctl("-endpoint", endpoint, "status")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("Error initializing etcd client: ")
    assert endpoint in answer.err


def test_password_is_never_shown(ctl: Ctl) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    answer = ctl("-endpoint", endpoint, "-etcd-username", "u", "-etcd-password", "s3cret", "status")
    assert answer.code == 1
    assert "s3cret" not in answer.err


def test_options_can_come_from_a_file(url: str, ctl: Ctl, tmp_path: Path) -> None:
    config = tmp_path / "locksmith.toml"
    config.write_text(f'endpoints = "{url}"\ngroup = "web"\n')
    assert ctl("status", "-config", str(config), "-json").code == 0
    assert ctl("lock", "a", "-config", str(config)).code == 0
    assert stored(connect(url), "web") == '{"semaphore":0,"max":1,"holders":["a"]}'


def test_every_global_flag_may_come_after_the_command() -> None:
    from typer.main import get_command

    from locksmith.core import go_flags

    flags = {
        flag.lstrip("-")
        for parameter in get_command(app.app).params
        for flag in parameter.opts
        if flag not in {"--help", "-h"}
    }
    assert flags == go_flags.WITH_VALUE | go_flags.SWITCHES
