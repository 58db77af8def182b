"""Each command prints and exits as Debian's etcdctl does, on an etcd and on a coordinator."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from rig.processes import Coordinator, Etcd
from tests.coordinator.ctl.etcdctl_comparison import (
    Outcome,
    Server,
    Watching,
    coordctl,
    etcdctl,
    run,
    run_etcdctl,
    run_here,
    serving,
)

FILES = """
set /a 1
get /a
get a
set /a 2
set /a --ttl 100 x
set --ttl 100 /a x
set --ttl=100 /a x
set -ttl 100 /a x
set -ttl=100 /a x
set --ttl -5 /a y
set --ttl abc /a y
set --swap-with-value x /a z
set --swap-with-value y /a z
set --swap-with-index 1 /a z
set --swap-with-index 99 --swap-with-value v /a w
-o extended set --swap-with-value z /a y
set -- /neg -5
set /neg -5
set /neg --unknown
set /neg -x --ttl 500
set -x /a
set /empty ''
get /empty
set /b val extra
get /b extra
get /missing
get
set
set /a
-o extended get /a
-o extended set /a 3
-o json get /a
-o json set /a 4
-o json get /missing
-o json set --ttl 500 /t 5
-o extended set --ttl 500 /t 5
-o extended get /t
-output json get /a
-output=json get /a
--output=json get /a
-o=json get /a
get -quorum /a
get -q /a
get --quorum=true /a
get --sort=F /a --quorum=maybe
get --sort=x /a
get --sort -q /a
get --bogus /a
--bogus get /a
update /a 9
update --ttl 300 /b 7
update --ttl 0 /b 8
update /zz 1
update
update /a
mk /a 1
mk /c 1
mk /d
mk --ttl 300 /d 1
mk
mk --in-order /q job1
mk --in-order --ttl 1000 /q job2
-o json mk --in-order /q job3
-o extended mk --in-order /q job4
set //b/../c 1
get /c/
set /c/ 2
set / 1
set /a%20b 1
get /a%20b
set '/sp ace' 'v v'
get '/sp ace'
set '/a#b' 1
get '/a#b'
get /c?x=1
get ?x
set /u/é 'ü<>&"'
get /u/é
-o json get /u/é
-o json ls /u
set /_hidden/x 1
get /_hidden/x
ls --sort
ls --sort -r /_hidden
set /c/below 1
get /c/below
"""

DIRECTORIES = """
mkdir /dir
mkdir /dir
mkdir --ttl 600 /dir2
mkdir
get /dir
set /dir x
setdir /dir
setdir /sd
setdir --ttl 600 /sd
setdir --ttl 600 /sd2
setdir
set /a 1
setdir /a
mkdir /upd
updatedir /upd
updatedir --ttl 500 /upd
rmdir /upd
updatedir /nodir
updatedir
set /f 1
updatedir /f
get /f
ls --sort
ls -p --sort
set /dir2/x/y 1
ls --sort --recursive
ls -r --sort
ls --recursive -p --sort /
ls -r -p -q --sort /
ls /dir2 --recursive
ls /f
ls /missing
ls /dir
-o json ls --sort
-o extended ls --sort
-o json ls --sort -r
-o json ls /f
rmdir /dir
rmdir /f
rmdir /missing
rmdir --bogus /dir
rmdir
rmdir /dir2
rm /dir2
rm --dir /dir2
rm --recursive /dir2
rm --dir /sd
rm --dir /sd2
rm -r /a
-o json mkdir /jd
-o json setdir /jd
-o json updatedir --ttl 0 /jd
rmdir /jd
-o json setdir /jd
-o json rm -r /jd
-o extended mkdir /ed
-o extended rm --dir /ed
set /x 1
rm --with-value no /x
rm --with-index 3 /x
rm --dir --with-value zz /x
rm --with-value 1 /x
-o json set /x 2
-o extended rm --with-value 2 /x
set /x 3
-o json rm /x
set /x 4
-o extended rm /x
set /x 5
rm /x
rm /x
-o json rm /x
rm
rm /
rm -r /
mkdir /
ls /
"""

CLUSTER = """
cluster-health
cluster-health --forever=false
cluster-health extra
-o json cluster-health
member list
-o json member list
member list extra
--no-sync get /a
--no-sync set /a 1
--debug get /a
--timeout 1s get /a
--timeout 1500ms --total-timeout 1m0s get /a
--timeout 1 get /a
--total-timeout x get /a
--debug=false --no-sync=true get /a
--username root:pw get /a
-u root:pw get /a
--ca-file /nonexistent get /a
--endpoint http://127.0.0.1:1 get /a
--peers http://127.0.0.1:1 get /a
-C http://127.0.0.1:1 get /a
--endpoints http://127.0.0.1:1 get /a
--endpoints http://127.0.0.1:1 --no-sync get /a
--endpoints http://127.0.0.1:1 --no-sync set /a 1
--endpoints http://127.0.0.1:1 --no-sync mk /n 1
--endpoints http://127.0.0.1:1 --no-sync watch /a
--endpoints http://127.0.0.1:1 cluster-health
--endpoints http://127.0.0.1:1 member list
--endpoints http://127.0.0.1:1 watch /a
--endpoints 127.0.0.1:1 get /a
--endpoints http://a:b:c get /a
--endpoints http://127.0.0.1:1,{url} get /a
--endpoints http://127.0.0.1:1,{url} cluster-health
--no-sync --endpoints http://127.0.0.1:1,{url} set /a 9
watch
exec-watch
exec-watch /a
"""

# Help that etcdctl prints to stdout about wrong use goes to stderr here.
HELP = "Incorrect Usage"


def play(program: Callable[..., Outcome], url: str, script: str) -> list[tuple[str, Outcome]]:
    lines = script.strip().splitlines()
    return [(line, program(url, *shlex.split(line.format(url=url)))) for line in lines]


def compared(outcome: Outcome) -> tuple[int, str]:
    code, out = outcome.masked()
    return code, "" if out.startswith(HELP) else out


@pytest.mark.timeout(300)
@pytest.mark.parametrize("script", [FILES, DIRECTORIES, CLUSTER], ids=["files", "dirs", "cluster"])
@pytest.mark.parametrize("kind", [Etcd, Coordinator])
def test_commands_print_the_same_as_etcdctl(tmp_path: Path, script: str, kind: Server) -> None:
    with serving(tmp_path / "theirs", Etcd) as url:
        expected = play(run_etcdctl, url, script)
    with serving(tmp_path / "ours", kind) as url:
        for (line, wanted), (_, got) in zip(expected, play(run_here, url, script), strict=True):
            assert compared(got) == compared(wanted), f"{line}\n{wanted}\n{got}"
            if wanted.err.startswith("Error:  1"):
                assert got.err == wanted.err, line


@pytest.mark.parametrize("script", [FILES, DIRECTORIES, CLUSTER], ids=["files", "dirs", "cluster"])
def test_etcdctl_gets_the_same_results_from_our_coordinator(tmp_path: Path, script: str) -> None:
    with serving(tmp_path / "theirs", Etcd) as url:
        expected = play(run_etcdctl, url, script)
    with serving(tmp_path / "ours", Coordinator) as url:
        for (line, wanted), (_, got) in zip(expected, play(run_etcdctl, url, script), strict=True):
            assert got.masked() == wanted.masked(), f"{line}\n{wanted}\n{got}"
            if wanted.err.startswith("Error:  1"):
                assert got.err == wanted.err, line


@pytest.mark.parametrize("value", [b"from stdin\n", "ü".encode(), b"x" * 100_000])
def test_a_value_can_come_from_standard_input(etcd: Etcd, value: bytes) -> None:
    for command in (["set", "/s"], ["update", "/s"], ["mk", "/m"]):
        got = run_here(etcd.url, *command, stdin=value)
        assert (got.code, got.out) == (0, value.decode() + "\n")
    assert run(etcdctl(), etcd.url, "get", "/s").out == value.decode() + "\n"


WATCHES: list[tuple[list[str], list[str], int]] = [
    (["watch", "-f", "/w"], ["set /w 1", "rm /w", "set /w 2", "update /w 3"], 4),
    (["watch", "-f", "-r", "/w"], ["set /w/a 1", "rm /w/a", "mkdir /w/d", "set /w/b x"], 6),
    (["-o", "extended", "watch", "-f", "/w"], ["set /w 1", "rm /w"], 12),
    (["-o", "json", "watch", "-f", "-r", "/w"], ["set /w 1", "set /w 2", "rm /w"], 6),
    (["watch", "--forever", "/w"], ["set --ttl 1 /w v"], 2),
    (
        ["watch", "--after-index", "0", "-f", "/w"],
        ["mk --in-order /w 1", "rm -r /w", "set /w y"],
        1,
    ),
]


@pytest.mark.parametrize(("command", "acts", "lines"), WATCHES)
@pytest.mark.parametrize("kind", [Etcd, Coordinator])
def test_a_watch_prints_the_same_as_etcdctl(
    tmp_path: Path, command: list[str], acts: list[str], lines: int, kind: Server
) -> None:
    printed = []
    for name, program, server in (("theirs", etcdctl(), Etcd), ("ours", coordctl(), kind)):
        with (
            serving(tmp_path / name, server) as url,
            Watching(program, url, tmp_path / f"{name}.log", *command) as watching,
        ):
            watching.settle()
            for act in acts:
                assert run(etcdctl(), url, *shlex.split(act)).code == 0
            printed.append([Outcome(0, line, "").masked() for line in watching.saw(lines)])
            assert watching.interrupt() == 0
    assert printed[1] == printed[0]


@pytest.mark.parametrize("program", [etcdctl, coordctl])
@pytest.mark.parametrize("kind", [Etcd, Coordinator])
def test_a_watch_without_forever_ends_with_the_first_change(
    tmp_path: Path, program: object, kind: Server
) -> None:
    command = etcdctl() if program is etcdctl else coordctl()
    with serving(tmp_path / "server", kind) as url:
        with Watching(command, url, tmp_path / "log", "watch", "/w") as watching:
            watching.settle()
            run(etcdctl(), url, "set", "/w", "1")
            run(etcdctl(), url, "set", "/w", "2")
            assert watching.ended() == 0
            assert watching.saw(1) == ["1"]
        past = run(command, url, "watch", "--after-index", "4", "/w")
        assert (past.code, past.out) == (0, "2\n")
        past = run(command, url, "watch", "/w", "--after-index", "1", "-r")
        assert (past.code, past.out) == (0, "[set] /w\n1\n")


@pytest.mark.parametrize("kind", [Etcd, Coordinator])
def test_exec_watch_runs_a_program_for_each_change(tmp_path: Path, kind: Server) -> None:
    script = "env | grep ETCD_WATCH_ | sort | paste -sd' '"
    printed = []
    for name, program, server in (("theirs", etcdctl(), Etcd), ("ours", coordctl(), kind)):
        with serving(tmp_path / name, server) as url:
            command = ["exec-watch", "--recursive", "/y", "--", "sh", "-c", script]
            with Watching(program, url, tmp_path / f"{name}.log", *command) as watching:
                watching.settle()
                for n, act in enumerate(["set /y/a 1", "rm /y/a", "mkdir /y/d", "set /y/b 2"], 1):
                    run(etcdctl(), url, *act.split())
                    watching.saw(n)
                printed.append(watching.saw(4))
                assert watching.interrupt() == 0
    assert printed[1] == printed[0]
    assert "ETCD_WATCH_ACTION=set ETCD_WATCH_KEY=/y/a" in printed[1][0]
    assert printed[1][2] == "Ignored dir /y/d change"


@pytest.mark.parametrize(
    "command",
    [
        ["/y", "--", "echo", "-r"],
        ["/y", "echo", "-r"],
        ["/y", "-r", "--", "echo", "-r"],
        ["--after-index", "1", "/y", "echo", "-r"],
    ],
)
def test_exec_watch_passes_the_programs_own_options_on(
    etcd: Etcd, tmp_path: Path, command: list[str]
) -> None:
    with Watching(coordctl(), etcd.url, tmp_path / "log", "exec-watch", *command) as watching:
        watching.settle()
        run(etcdctl(), etcd.url, "set", "/y", "1")
        assert watching.saw(1) == ["-r"]


def test_exec_watch_of_a_missing_program_is_an_error(etcd: Etcd, tmp_path: Path) -> None:
    command = ["exec-watch", "-r", "/y", "--", "/nonexistent"]
    with Watching(coordctl(), etcd.url, tmp_path / "log", *command) as watching:
        watching.settle()
        run(etcdctl(), etcd.url, "set", "/y/a", "1")
        assert watching.ended() == 1
        assert "/nonexistent" in watching.saw(1)[0]
