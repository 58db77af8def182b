"""`python -m drill fleet` and `python -m drill reboot`; as root, on Linux with systemd-nspawn."""

import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import pytest
import typer
from typer.exceptions import TyperException

from daemonkit.observe import logs
from deb.build import built, project_version
from drill.cleanup import Sweeper
from drill.core import host_setup
from drill.faults import Fault
from drill.fleet import Fleet, Report, RunningFleet
from drill.reboot import RATE, DrillOptions
from drill.reboot import drill as rebooted
from rig.hosts.network import require_hosts

app = typer.Typer(add_completion=False, help=__doc__, no_args_is_help=True)
Hosts = Annotated[int, typer.Option(min=3, max=20, help="Number of hosts.")]


@app.command("fleet")
def fleet_command(*, hosts: Hosts = 5) -> None:
    """Boot a fleet, print where to look, and keep it until Ctrl-C."""
    with _running_fleet(hosts) as (fleet, _, progress):
        progress(_where(fleet))
        signal.pause()


@app.command("reboot")
def reboot_command(
    *,
    hosts: Hosts = 5,
    rate: Annotated[float, typer.Option(min=1.0, help="Requests per second.")] = RATE,
    fault: Annotated[
        Fault, typer.Option(help="Fault to inject in the middle of the drill.")
    ] = Fault.NONE,
    report: Annotated[
        Path | None, typer.Option(help="Write the numbers to this file as JSON.")
    ] = None,
) -> None:
    """Reboot every host of a fleet under load; exit with 0 only if no client noticed."""
    with _running_fleet(hosts) as (fleet, directory, progress):
        verdict = rebooted(fleet, directory, progress, DrillOptions(rate, fault))
    print(verdict.text())
    if report is not None:
        report.write_bytes(msgspec.json.format(msgspec.json.encode(verdict.numbers())))
    raise typer.Exit(0 if verdict.passed else 1)


@contextmanager
def _running_fleet(count: int) -> Iterator[tuple[Fleet, Path, Report]]:
    require_hosts()
    began_s = time.monotonic()

    def progress(text: str) -> None:
        print(f"{time.monotonic() - began_s:6.1f}s  {text}", flush=True)

    # The log lines of the store's clients do not belong to the report.
    logs.configure("error", "text")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    directory = Path(tempfile.mkdtemp(prefix="slashetc-drill-"))
    with Sweeper(directory):
        package = built(project_version())
        progress(f"{package.name} is built")
        with RunningFleet(count, directory, package, progress) as fleet:
            yield fleet, directory, progress


def _where(fleet: Fleet) -> str:
    first = fleet.hosts[0]
    inside = f"nsenter -t {first.init_pid} --all --wd=/"
    net = f"nsenter -t {fleet.rig.spaces.pid} --net"
    servers = " ".join(f"{host.name}={host.address}" for host in fleet.hosts)
    return f"""the fleet runs: {servers}
         a shell on {first.name}      {inside} bash -l
         what runs where    {inside} env HOME=/root slashetc status
         the application    {net} curl -H 'Host: {host_setup.WWW}' http://{first.address}/
         through nginx      {net} curl http://{first.address}:{host_setup.NGINX_PORT}/
         the names          {net} dig @{first.address} {host_setup.WWW} +short
         the store          {inside} env HOME=/root coordctl ls --recursive /
         Ctrl-C stops the fleet and leaves nothing behind."""


def main() -> None:
    """Run a command; Ctrl-C stops it cleanly."""
    try:
        sys.exit(app(standalone_mode=False))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except TyperException as wrong:
        print(f"Error: {wrong.format_message()}", file=sys.stderr)
        sys.exit(wrong.exit_code)
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        sys.exit(f"This machine cannot boot hosts: {missing.msg}")


if __name__ == "__main__":
    main()
