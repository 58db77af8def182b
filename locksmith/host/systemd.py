"""The state of systemd on this host: whether the boot is complete, and which units failed."""

from pathlib import Path

from daemonkit.process.run import RunLimits, run_async

# sd_booted(3): this directory exists if systemd runs the host.
SYSTEMD = Path("/run/systemd/system")
# Room for thousands of failed units.
LIMITS = RunLimits(timeout_s=20.0, tail_bytes=1 << 20)


def runs_systemd() -> bool:
    """Return whether systemd runs this host."""
    return SYSTEMD.is_dir()


async def boot_complete() -> bool:
    """Return whether the boot is complete.

    systemd starts boot-complete.target only if a unit is ordered after it. On other hosts the end
    of the boot's own jobs counts.
    """
    if (await _systemctl("is-active", "boot-complete.target")).strip() == "active":
        return True
    return (await _systemctl("is-system-running")).strip() in {"running", "degraded"}


async def failed_units() -> tuple[str, ...]:
    """Return the units that have failed; none where systemd does not run."""
    if not runs_systemd():
        return ()
    lines = await _systemctl("list-units", "--failed", "--plain", "--no-legend", "--full")
    return tuple(sorted(line.split()[0] for line in lines.splitlines() if line.split()))


async def _systemctl(*arguments: str) -> str:
    # Its warnings must not be taken for names of units.
    quiet = ("sh", "-c", 'exec systemctl --no-pager "$@" 2>/dev/null', "sh")
    result = await run_async([*quiet, *arguments], LIMITS)
    return result.output
