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
import typer

from daemonkit.observe import logs
from drill.core import site
from drill.faults import Fault
from drill.fleet import Fleet, Standing, Tell
from drill.package import installed
from drill.reboot import RATE, Course
from drill.reboot import drill as rebooted
from drill.sweep import Sweeper

app = typer.Typer(add_completion=False, help=__doc__, no_args_is_help=True)
Hosts = Annotated[int, typer.Option(min=3, max=20, help="How many hosts.")]


@app.command("fleet")
def fleet_command(*, hosts: Hosts = 5) -> None:
    """Boot a fleet, say where to look, and keep it until Ctrl-C."""
    with _standing(hosts) as (fleet, _, tell):
        tell(_where(fleet))
        signal.pause()


@app.command("reboot")
def reboot_command(
    *,
    hosts: Hosts = 5,
    rate: Annotated[float, typer.Option(min=1.0, help="Requests a second.")] = RATE,
    fault: Annotated[Fault, typer.Option(help="What goes wrong in the middle.")] = Fault.NONE,
    report: Annotated[Path | None, typer.Option(help="A JSON file of the numbers.")] = None,
) -> None:
    """Reboot every host of a fleet under load; exit with 0 only if nobody noticed."""
    with _standing(hosts) as (fleet, directory, tell):
        verdict = rebooted(fleet, directory, tell, Course(rate, fault))
    print(verdict.text())
    if report is not None:
        report.write_bytes(msgspec.json.format(msgspec.json.encode(verdict.numbers())))
    raise typer.Exit(0 if verdict.passed else 1)


@contextmanager
def _standing(count: int) -> Iterator[tuple[Fleet, Path, Tell]]:
    began_s = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began_s:6.1f}s  {text}", flush=True)

    # What the store's clients here have to say is no part of the story.
    logs.configure("error", "text")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    directory = Path(tempfile.mkdtemp(prefix="slashetc-drill-"))
    with Sweeper(directory):
        package = installed(directory)
        tell("the wheel is built")
        with Standing(count, directory, package, tell) as fleet:
            yield fleet, directory, tell


def _where(fleet: Fleet) -> str:
    first = fleet.hosts[0]
    inside = f"nsenter -t {first.leader} --all --wd=/"
    net = f"nsenter -t {fleet.rig.spaces.pid} --net"
    servers = " ".join(f"{host.name}={host.address}" for host in fleet.hosts)
    return f"""the fleet stands: {servers}
         a shell on {first.name}      {inside} bash -l
         what runs where    {inside} env FLEETCTL_ENDPOINTS={fleet.site.endpoints()} fleetctl status
         the application    {net} curl -H 'Host: {site.WWW}' http://{first.address}/
         through nginx      {net} curl http://{first.address}:{site.NGINX_PORT}/
         the names          {net} dig @{first.address} {site.WWW} +short
         the store          {fleet.endpoints[0]}/v2/keys/?recursive=true
         Ctrl-C ends it, and leaves nothing behind."""


def main() -> None:
    """Run a command; Ctrl-C ends it in order."""
    try:
        sys.exit(app(standalone_mode=False))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)


if __name__ == "__main__":
    main()
