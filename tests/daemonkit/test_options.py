"""An option may be set in four places, and the errors for wrong use."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer

from daemonkit import options
from daemonkit.options import Failure

CONFIG_VARIABLES = ("PROG_ENDPOINTS", "PROG_WORKERS", "PROG_CONFIG", "PROG_DATA_DIR")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CONFIG_VARIABLES:
        monkeypatch.delenv(name, raising=False)


class Program:
    """A program, the values its command got, and its output."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.got: dict[str, object] = {}
        self.out = self.err = ""
        self._capsys = capsys
        self.app = options.program("A program.")
        self.app.command()(self._command)

    def _command(  # noqa: PLR0913, PLR0917 - options are parameters
        self,
        endpoints: options.Endpoints = "http://default",
        workers: options.Workers = 1,
        data_dir: Annotated[Path | None, typer.Option("--data-dir")] = None,
        drain_timeout: options.DrainS = 10.0,
        status_addr: options.StatusAddr = "127.0.0.1:1",
        log_level: options.LogLevel = "info",
        quiet: Annotated[bool, typer.Option("--quiet/--loud")] = False,
        tags: Annotated[list[str] | None, typer.Option("--tag", "-t")] = None,
        config: options.Config = None,
        fail: Annotated[int, typer.Option("--fail", hidden=True)] = 0,
    ) -> None:
        self.got = {**locals()}
        del self.got["self"]
        if fail:
            raise Failure("the lock is held by another host" if fail > 0 else "", abs(fail))

    def run(self, *arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            options.run(self.app, "prog", arguments)
        self.out, self.err = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(capsys)


def toml(tmp_path: Path, text: str) -> str:
    path = tmp_path / "prog.toml"
    path.write_text(text)
    return str(path)


def test_a_flag_overrides_the_environment_which_overrides_toml(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program.run() == 0
    assert program.got["workers"] == 1
    path = toml(tmp_path, "workers = 2")
    assert program.run("--config", path) == 0
    assert program.got["workers"] == 2
    monkeypatch.setenv("PROG_WORKERS", "3")
    assert program.run("--config", path) == 0
    assert program.got["workers"] == 3
    assert program.run("--config", path, "--workers", "4") == 0
    assert program.got["workers"] == 4


def test_the_environment_may_name_the_configuration_file(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROG_CONFIG", toml(tmp_path, "workers = 2"))
    assert program.run() == 0
    assert program.got["workers"] == 2


def test_a_mistyped_variable_is_named_and_the_program_runs(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROG_WORKER", "3")
    monkeypatch.setenv("PROGRAM_WORKER", "3")
    assert program.run() == 0
    assert program.got["workers"] == 1
    assert program.err == (
        "prog: the variable PROG_WORKER is no option: do you mean PROG_WORKERS?\n"
    )


def test_toml_can_set_every_kind_of_value(program: Program, tmp_path: Path) -> None:
    text = """
        endpoints = ["http://a", "http://b"]
        data-dir = "/var/lib/ü"
        drain-timeout = 5
        status-addr = ""
        log-level = "debug"
        quiet = true
        tag = ["x", "y"]
    """
    assert program.run("--config", toml(tmp_path, text)) == 0
    assert program.got | {"config": None} == {
        "endpoints": "http://a,http://b",
        "workers": 1,
        "data_dir": Path("/var/lib/ü"),
        "drain_timeout": 5.0,
        "status_addr": "",
        "log_level": "debug",
        "quiet": True,
        "tags": ["x", "y"],
        "config": None,
        "fail": 0,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("worker = 2", "unknown key 'worker'; the keys are data-dir"),
        ("data_dir = '/x'", "unknown key 'data_dir'"),
        ("workers = 'two'", "workers = 'two':"),
        ("workers = 2.5", "workers = 2.5:"),
        ("workers = true", "workers = True:"),
        ("workers = [1, 2]", "workers = [1, 2]:"),
        ("workers = 0", "workers = 0:"),
        ("drain-timeout = '5s'", "drain-timeout = '5s':"),
        ("quiet = 'perhaps'", "quiet = 'perhaps':"),
        ("status-addr = 8080", "'8080' is not an address: write HOST:PORT"),
        ("log-level = 'loud'", "'loud' is not one of 'debug'"),
        ("[endpoints]\na = 1", "endpoints = {'a': 1}: write a string, a number"),
        ("tag = [['a']]", "tag = [['a']]: write a string, a number"),
        ("data-dir = 2020-01-01", "data-dir = datetime.date(2020, 1, 1): write a string"),
        ("workers =", "Invalid value (at end of document)"),
    ],
)
def test_the_error_for_a_wrong_file_names_the_file_and_the_key(
    program: Program, tmp_path: Path, text: str, expected: str
) -> None:
    assert program.run("--config", path := toml(tmp_path, text)) == options.EXIT_USAGE
    message = " ".join(program.err.split())
    assert expected in message
    assert path in message
    assert program.got == {}


def test_the_error_names_a_missing_file(program: Program, tmp_path: Path) -> None:
    assert program.run("--config", str(tmp_path / "none.toml")) == options.EXIT_USAGE
    assert "none.toml: No such file or directory" in program.err
    assert program.run("--config", str(tmp_path)) == options.EXIT_USAGE
    assert "Is a directory" in program.err


def test_a_file_that_is_not_utf_8_is_refused(program: Program, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    assert program.run("--config", str(tmp_path / "x")) == options.EXIT_USAGE
    assert "utf-8" in program.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("-data-dir", "/x"),
        ("-data-dir=/x",),
        ("--data-dir", "/x"),
        ("--data-dir=/x",),
    ],
)
def test_a_long_flag_may_start_with_one_dash(program: Program, arguments: tuple[str, ...]) -> None:
    assert program.run(*arguments, "-loud") == 0
    assert program.got["data_dir"] == Path("/x")


@pytest.mark.parametrize(
    "arguments", [("-t=x",), ("-t", "x"), ("--t=x",), ("--t", "x"), ("-tag=x",), ("--tag=x",)]
)
def test_a_short_flag_may_be_followed_by_an_equals_sign(
    program: Program, arguments: tuple[str, ...]
) -> None:
    assert program.run(*arguments, "-t==y", "-t=-z") == 0
    assert program.got["tags"] == ["x", "=y", "-z"]


@pytest.mark.parametrize(
    ("argument", "quiet"),
    [("-quiet=true", True), ("--quiet=1", True), ("-quiet=f", False), ("--quiet=False", False)],
)
def test_a_switch_may_have_a_value(program: Program, argument: str, quiet: bool) -> None:
    assert program.run(argument) == 0
    assert program.got["quiet"] is quiet


def test_a_switch_with_another_value_is_refused(program: Program) -> None:
    assert program.run("-quiet=maybe") == options.EXIT_USAGE
    assert "--quiet" in program.err


def test_a_value_is_never_read_as_a_flag_or_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    app = options.program("Commands.")
    got: list[tuple[str, str, bool]] = []

    @app.command("one")
    def one(
        name: Annotated[str, typer.Option("--name", "-n")] = "",
        word: Annotated[str, typer.Argument()] = "",
    ) -> None:
        got.append((name, word, False))

    @app.command("two")
    def two(*, loud: Annotated[bool, typer.Option("--loud", "-l")] = False) -> None:
        got.append(("", "", loud))

    for line in ("one -n=two -- -l=1", "one --name one -name=two -- -l=1", "two -l=true"):
        with pytest.raises(SystemExit) as ended:
            options.run(app, "prog", line.split())
        assert ended.value.code == 0, capsys.readouterr().err
    assert got == [("two", "-l=1", False), ("two", "-l=1", False), ("", "", True)]


@pytest.mark.parametrize("flag", ["-h", "-help", "--help"])
def test_help_is_printed_on_stdout(program: Program, flag: str) -> None:
    assert program.run(flag) == 0
    assert "A program." in program.out
    assert program.err == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--wrokers", "2"), "--wrokers"),
        (("--workers", "many"), "'--workers': 'many' is not a valid int"),
        (("--workers", "65"), "65 is not in the range 1<=x<=64"),
        (("extra",), "extra"),
        (("--log-level", "loud"), "'loud' is not one of"),
        (("--status-addr", "127.0.0.1"), "'127.0.0.1' is not an address"),
        (("--workers",), "requires an argument"),
        (("-x",), "-x"),
    ],
)
def test_a_usage_error_is_printed_on_stderr(
    program: Program, arguments: tuple[str, ...], expected: str
) -> None:
    assert program.run(*arguments) == options.EXIT_USAGE
    assert expected in " ".join(program.err.split())
    assert program.out == ""


def test_the_error_names_a_wrong_environment_variable(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROG_WORKERS", "many")
    assert program.run() == options.EXIT_USAGE
    assert "PROG_WORKERS" in program.err or "--workers" in program.err


def test_a_failure_is_printed_on_stderr_and_sets_the_exit_code(program: Program) -> None:
    assert program.run("--fail", "1") == options.EXIT_NO
    assert program.err == "prog: the lock is held by another host\n"
    assert program.run("--fail", "7") == 7


def test_a_failure_without_a_message_prints_nothing(program: Program) -> None:
    assert program.run("--fail", "-1") == 1
    assert (program.out, program.err) == ("", "")


def test_subcommands_share_the_environment_variables_of_the_program(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = options.program("Commands.")
    got: list[tuple[str, int]] = []
    for name in ("one", "two"):

        @app.command(name)
        def command(endpoints: options.Endpoints = "x", workers: options.Workers = 1) -> None:
            got.append((endpoints, workers))

    monkeypatch.setenv("PROG_ENDPOINTS", "http://a")
    with pytest.raises(SystemExit) as ended:
        options.run(app, "prog", ["two", "-workers", "3"])
    assert (ended.value.code, got) == (0, [("http://a", 3)])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:53", ("127.0.0.1", 53)),
        ("[::1]:53", ("::1", 53)),
        (":53", ("0.0.0.0", 53)),
        ("localhost:0", ("localhost", 0)),
        ("[fe80::1%eth0]:65535", ("fe80::1%eth0", 65535)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, address: tuple[str, int]) -> None:
    assert options.parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "53",
        "host",
        "host:",
        "host:x",
        "host:-1",
        "host:65536",
        "host:٣",
        "::1:53",
        "[::1:53",
        "::1]:53",
        "[]:53",
        "[127.0.0.1]:53",
        "http://host:53",
        "a b:53",
    ],
)
def test_the_error_names_a_malformed_address(text: str) -> None:
    with pytest.raises(typer.BadParameter) as refusal:
        options.parse_address(text)
    assert repr(text) in str(refusal.value)


@dataclass(frozen=True)
class Shared:
    endpoints: options.Endpoints = "http://default"


@dataclass(frozen=True)
class Every(Shared):
    workers: options.Workers = 1


def test_a_command_can_take_its_options_as_one_value(capsys: pytest.CaptureFixture[str]) -> None:
    got: list[Every] = []
    app = options.program("A program.")
    app.command()(options.of_value(Every)(got.append))
    with pytest.raises(SystemExit):
        options.run(app, "prog", ["--workers", "3"])
    assert got == [Every("http://default", 3)]
    with pytest.raises(SystemExit):
        options.run(app, "prog", ["--help"])
    out = capsys.readouterr().out
    assert out.index("--workers") < out.index("--endpoints")
