"""One host of a rig: boots, commands, files, network and power."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from rig.hosts import groups
from rig.hosts.namespaces import Namespaces
from rig.processes import wait_until

# A boot takes about a second of one core, and longer on a busy machine.
BOOT_S = 60.0
COMMAND_S = 60.0
# A command without output for this long may have been stopped.
STOPPED_S = 2.0
# The exit code of nspawn with --keep-unit when its host asks for a reboot.
REBOOTED = 133
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Host:
    """A machine with a name, an address, a machine-id, and at most one running systemd."""

    def __init__(self, spaces: Namespaces, name: str, address: str, machine_id: str) -> None:
        self.name, self.address, self.machine_id = name, address, machine_id
        self._spaces = spaces
        self.binds: list[str] = []  # arguments of nspawn
        self._nspawn: subprocess.Popen[bytes] | None = None
        self.log = spaces.logs / f"{name}.console"
        self._group = f"{spaces.name}-{name}"
        self._stays_off = spaces.logs / f"{name}.stays-off"

    def power_on(self) -> None:
        """Start to boot; do not wait."""
        assert self._nspawn is None or self._nspawn.poll() is not None, f"{self.name} is on"
        options = ["--register=no", "--keep-unit", "--link-journal=no", "--settings=no"]
        options += ["--resolv-conf=off", "--timezone=off", "--console=pipe", "--quiet"]
        options += [f"--machine={self.name}", f"--directory={self._spaces.state / self.name}"]
        options += ["--network-bridge=br0", *self.binds]
        enter = groups.enter_script(self._group)
        self._stays_off.unlink(missing_ok=True)
        reboots = f"[ $code = {REBOOTED} ] && [ ! -e {self._stays_off} ]"
        script = f"set -u\ncode={REBOOTED}\nwhile {reboots}; do\n{enter}\n"
        script += 'systemd-nspawn --boot "$@"; code=$?\ndone\nexit $code'
        with self.log.open("ab") as console:
            self._nspawn = subprocess.Popen(
                self._spaces.inside("bash", "-c", script, "bash", *options),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env={**os.environ, "SYSTEMD_NSPAWN_LOCK": "0"},
                start_new_session=True,
            )

    @property
    def init_pid(self) -> int:
        """The process id of the host's systemd on this machine; 0 when it does not run."""
        if self._nspawn is None:
            return 0
        # The parents of the host's first process are nspawn, the shell, and nsenter.
        below = [self._nspawn.pid]
        for _ in range(3):
            below = [child for pid in below for child in _children(pid)]
        return next(filter(_is_first, below), 0)

    def is_on(self) -> bool:
        """Return whether the host has power: it boots, is up, or is between two boots."""
        return self._nspawn is not None and self._nspawn.poll() is None

    def command(self, *command: str) -> list[str]:
        """Return a command line that runs on the host, as root."""
        enter = ["nsenter", "-t", str(self.init_pid), "--all", "--wd=/"]
        return [*enter, "env", "-i", f"PATH={PATH}", "LANG=C.UTF-8", *command]

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command on the host. With `check`, a failure fails the test."""
        done = _finished(self.command(*command))
        if check and done.returncode:
            pytest.fail(f"{self.name}: {' '.join(command)}: {done.stdout}{done.stderr}")
        return done

    def shell(self, script: str, *, check: bool = True) -> str:
        """Run a shell script on the host and return what it printed, without the last newline."""
        return self.run("bash", "-c", script, check=check).stdout.rstrip("\n")

    def units_with_processes(self, pattern: str) -> list[str]:
        """Return the services that have processes. No command runs on the host for it."""
        return groups.units_with_processes(self._group, pattern)

    def path(self, path: str) -> Path:
        """Return the path on this machine of a file of the running host."""
        return Path(f"/proc/{self.init_pid}/root/{path.lstrip('/')}")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of the running host, and its directories."""
        target = self.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def boot_id(self) -> str:
        """Return the boot id of the running host, or ""."""
        try:
            return self.path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:  # the host does not run
            return ""

    def wait_booted(self, *, since: str = "") -> str:
        """Wait until the host is up after another boot than `since`; return its boot id."""

        def booted() -> str:
            if not self.is_on():
                pytest.fail(f"{self.name} has no power\n{self.console()}")
            if not self.init_pid or (boot := self.boot_id()) in {"", since}:
                return ""
            state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
            return boot if state in {"running", "degraded"} else ""

        return wait_until(booted, f"{self.name} is up", BOOT_S)

    def reboot(self) -> str:
        """Reboot the host from inside, wait, and return its new boot id."""
        before = self.boot_id()
        self.run("systemctl", "reboot", check=False)  # the reply may be lost in the shutdown
        return self.wait_booted(since=before)

    def cut_power(self) -> None:
        """Kill all processes of the host at once. Its files stay."""
        if pid := self.init_pid:
            os.kill(pid, signal.SIGKILL)
        self.wait_until_off()

    def stay_off(self) -> None:
        """Keep the host off after its next shutdown, until `power_on`."""
        self._stays_off.touch()

    def wait_until_off(self) -> None:
        """Wait until the host's last process has ended."""
        if self._nspawn is None:
            return
        try:
            self._nspawn.wait(10)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait(10)
        if self._rig_is_open():
            self._wait_group_empty()

    def unplug(self) -> None:
        """Cut the host off the network."""
        self._link("down")

    def plug(self) -> None:
        """Connect the host again."""
        self._link("up")

    def console(self) -> str:
        """Return the last console output of the host."""
        return self.log.read_text(errors="replace")[-4000:]

    def journal(self, unit: str) -> str:
        """Return the last log lines of a unit."""
        return self.run("journalctl", "--no-pager", "--lines=60", f"--unit={unit}").stdout

    def _link(self, to: str) -> None:
        name = f"vb-{self.name}"
        subprocess.run(self._spaces.inside("ip", "link", "set", name, to), check=True, timeout=10)

    def _rig_is_open(self) -> bool:
        return self._spaces.is_held()

    def _wait_group_empty(self) -> None:
        wait_until(lambda: groups.remove(self._group), f"{self.name}'s control groups are empty")


def _finished(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command of nsenter to its end.

    At shutdown systemd sends SIGSTOP to all processes of a host. nsenter stops together with its
    child, and no process of the host can continue it: SIGCONT must come from here.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end_s = time.monotonic() + COMMAND_S
    while True:
        try:
            out, err = process.communicate(timeout=STOPPED_S)
        except subprocess.TimeoutExpired:
            if time.monotonic() > end_s:
                process.kill()
                process.communicate()
                raise
            process.send_signal(signal.SIGCONT)
        else:
            return subprocess.CompletedProcess(command, process.returncode, out, err)


def _children(pid: int) -> Sequence[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:  # it has ended
        return []


def _is_first(pid: int) -> bool:
    """Return whether this is process 1 of its innermost namespace and already runs systemd."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return fields["Name"] == "systemd" and fields["NSpid"].split()[-1] == "1"
