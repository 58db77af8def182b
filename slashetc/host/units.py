"""The units of systemd that a host of a fleet runs."""

import subprocess
from collections.abc import Sequence

START_S = 120.0


class UnitFailed(Exception):  # noqa: N818 - what systemd says
    """systemd could not do something; the message says what it said, and where to look."""


def systemctl(*arguments: str, check: bool = True) -> str:
    """Run systemctl and return what it printed. Raises UnitFailed."""
    command = ["systemctl", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=START_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnitFailed(f"{' '.join(command)}: {error}") from None
    if done.returncode and check:
        said = (done.stderr or done.stdout).strip()
        unit = next((each for each in arguments[1:] if "." in each), "")
        remedy = f"; `journalctl -u {unit}` says why" if unit else ""
        raise UnitFailed(f"{' '.join(command)}: {said}{remedy}")
    return done.stdout


def enable(units: Sequence[str]) -> None:
    """Let systemd start these units at each boot."""
    systemctl("daemon-reload")
    systemctl("enable", "--quiet", *units)


def disable(units: Sequence[str]) -> None:
    """Stop these units, and do not start them again."""
    systemctl("disable", "--now", "--quiet", *units, check=False)


def start(units: Sequence[str]) -> None:
    """Start units that do not run yet, and wait. Raises UnitFailed, which names those that fail."""
    try:
        systemctl("start", *units)
    except UnitFailed:
        failed = [each for each in units if each not in active(units)]
        if not failed:
            raise
        raise UnitFailed(
            f"{', '.join(failed)} did not start: `journalctl -u {failed[0]}` says why; then run "
            "this again"
        ) from None


def restart(units: Sequence[str]) -> None:
    """Restart those of the units that run; do not wait. vulcand replaces itself, and drops nothing.

    The others serve nobody directly, or leave their sockets to systemd.
    """
    reloaded = [each for each in units if each == "vulcand.service"]
    others = [each for each in units if each not in reloaded]
    if reloaded:
        systemctl("try-reload-or-restart", "--no-block", *reloaded, check=False)
    systemctl("try-restart", "--no-block", *others, check=False)


def active(units: Sequence[str]) -> list[str]:
    """Return those of the units that run, or are about to."""
    found = systemctl("is-active", *units, check=False).splitlines()
    wanted = {"active", "activating", "reloading"}
    return [unit for unit, state in zip(units, found, strict=False) if state in wanted]
