"""Arguments and options of fleetctl, each declared once."""

from pathlib import Path
from typing import Annotated

import typer

WAIT_S = 600.0
# Seconds until the deadline of a drain. A hook of locksmith ends after 300 s: by then a drain for a
# reboot is done, and what it stopped at its deadline has ended.
DRAIN_S, REBOOT_DRAIN_S = 300.0, 150.0
# Instances that are stopped at the deadline take a while to end; systemd kills after 90 s.
STOP_S = 95.0

JobName = Annotated[
    str, typer.Argument(metavar="JOB", help="Name of a job. You can leave out .service.")
]
HostName = Annotated[
    str,
    typer.Argument(
        metavar="HOST", help="Name of a host, or the start of its id. `self` is this host."
    ),
]
UnitFile = Annotated[
    str, typer.Argument(metavar="FILE", help="A unit file. Its name is the name of the job.")
]
UnitNames = Annotated[
    list[str],
    typer.Argument(metavar="UNIT...", help="Unit files, or names of units in the store."),
]
Fqdn = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the service in DNS, as app.example.com.")
]
Count = Annotated[
    int | None,
    typer.Option("--count", min=0, help="Number of instances. Overrides Count= in the unit."),
]
Note = Annotated[str, typer.Option("--note", help="Note for the job's history.")]
SignKey = Annotated[
    Path | None,
    typer.Option(
        "--sign-key",
        help="PEM file of an Ed25519 private key: hosts with --trusted-keys do only what is "
        "signed by a key that they trust.",
    ),
]
NoBlock = Annotated[
    bool, typer.Option("--no-block", help="Return at once; do not wait for the result.")
]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0, help="Longest time to wait, in seconds.")
]
Reason = Annotated[
    str, typer.Option("--reason", help="Reason, shown by `fleetctl hosts` and `fleetctl why-not`.")
]
Deadline = Annotated[
    float | None,
    typer.Option(
        "--deadline",
        min=0,
        help="Seconds after which instances that could not move are stopped: by default "
        f"{DRAIN_S:g}, and {REBOOT_DRAIN_S:g} with --reboot.",
    ),
]
Reboot = Annotated[
    bool,
    typer.Option("--reboot", help="Drain for a reboot: `fleetctl back` ends it after the boot."),
]
Full = Annotated[bool, typer.Option("--full", "-l", help="Do not shorten ids.")]
NoLegend = Annotated[
    bool, typer.Option("--no-legend", help="Do not print the line of column names.")
]
Replace = Annotated[
    bool,
    typer.Option("--replace", help="Use the file even if the store has a unit of this name."),
]
Lines = Annotated[
    int, typer.Option("--lines", "-n", min=1, help="Number of lines to show of each instance.")
]
Entries = Annotated[
    int, typer.Option("--lines", "-n", min=1, help="Number of passes of the scheduler to show.")
]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Keep printing as more arrives.")]
