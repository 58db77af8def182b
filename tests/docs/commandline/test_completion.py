"""The completion scripts: real shells accept them and complete words with them."""

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.commandline.command_tree import programs
from rig.processes import require
from tests.docs.commandline.generate import SHARE

BASH = SHARE / "bash-completion/completions"
ZSH = SHARE / "zsh/site-functions"
FISH = SHARE / "fish/vendor_completions.d"
DEADLINE_S = 30.0
READY = "ready> "


@pytest.mark.parametrize("program", programs())
@pytest.mark.parametrize(
    ("command", "path"),
    [
        (["bash", "-n"], BASH / "{}"),
        (["zsh", "-n"], ZSH / "_{}"),
        (["fish", "--no-execute"], FISH / "{}.fish"),
    ],
    ids=["bash", "zsh", "fish"],
)
def test_the_shell_accepts_the_script(program: str, command: list[str], path: Path) -> None:
    require(command[0])
    script = str(path).format(program)
    done = subprocess.run([*command, script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def bash_words(line: str) -> list[str]:
    """Return what bash offers for the last word of a line."""
    words = line.split(" ")
    program = words[0]
    array = " ".join(f"'{word}'" for word in words)
    function = "_" + program.replace("-", "_")
    script = (
        f"source {BASH / program}; COMP_WORDS=({array}); COMP_CWORD={len(words) - 1}; {function};"
        ' printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("confd no", ["noop"]),
        ("confd ", ["noop", "test", "graph", "why", "convert"]),
        ("confd --log-l", ["--log-level"]),
        ("confd --log-level w", ["warning"]),
        ("confd --log-level = w", ["warning"]),
        ("confd --prefix test n", ["noop"]),
        ("confd noop --col", ["--color"]),
        ("confd --endpoints ", []),
        ("coordctl mem", ["member"]),
        ("coordctl member a", ["add"]),
        ("coordctl -o j", ["json"]),
        ("locksmith-fleetlock --log-f", ["--log-format"]),
    ],
)
def test_bash_offers_the_matching_words(line: str, offered: list[str]) -> None:
    assert bash_words(line) == offered


def test_fish_offers_the_matching_words_with_their_help() -> None:
    require("fish")

    def offered(line: str) -> list[str]:
        script = f"source {FISH / 'confd.fish'}; complete -C '{line}'"
        done = subprocess.run(
            ["fish", "--no-config", "-c", script], capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    assert offered("confd no") == ["noop\tShow what would change, as a diff"]
    assert offered("confd --prefix test gr") == ["graph\tShow which keys each file depends on"]
    assert offered("confd --log-level w") == ["warning\tLowest level to log."]
    assert offered("confd --wat") == [
        "--watch\tFollow the keys, and render changes as they happen."
    ]


class Terminal:
    """An interactive shell on a pseudo-terminal."""

    def __init__(self, command: list[str], setup: str) -> None:
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="dumb", PS1=READY, HOME="/nonexistent")
            os.execvp(command[0], command)
        self.shown = ""
        self.type(f"{setup}\n")
        self.type("echo be''gin\n")
        self.wait_for("begin")

    def type(self, text: str) -> None:
        """Type a text."""
        os.write(self._master, text.encode())

    def wait_for(self, text: str) -> None:
        """Read the screen until a text is on it."""
        end_s = time.monotonic() + DEADLINE_S
        while text not in self.shown:
            left_s = end_s - time.monotonic()
            if left_s <= 0 or not select.select([self._master], [], [], left_s)[0]:
                raise AssertionError(f"{text!r} is not shown:\n{self.shown}")
            self.shown += os.read(self._master, 65536).decode(errors="replace")

    def close(self) -> None:
        """End the shell."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._master)


@pytest.fixture
def terminal(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    command, setup = request.param
    require(command[0])
    opened = Terminal(command, setup)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "terminal",
    [
        (["bash", "--norc", "-i"], f"source {BASH / 'confd'}"),
        (["zsh", "-f", "-i"], f"fpath=({ZSH} $fpath); autoload compinit; compinit -u -D"),
    ],
    ids=["bash", "zsh"],
    indirect=True,
)
def test_a_tab_completes_a_command(terminal: Terminal) -> None:
    terminal.type('confd() { echo called "$@"; }\n')
    terminal.type("confd noo\t--col\t\n")
    terminal.wait_for("called noop --color")
