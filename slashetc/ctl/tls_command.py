"""`slashetc store-tls`: TLS of a cluster that was set up without it."""

from pathlib import Path
from typing import Annotated

import typer

from daemonkit.host.terminal import echo
from slashetc.ctl.failures import explained

ModeArgument = Annotated[str, typer.Argument(metavar="off|prefer|require")]
MemberCert = Annotated[
    Path | None,
    typer.Option(
        "--member-cert", help="Certificate of this member, for its clients and the other members."
    ),
]
MemberKey = Annotated[
    Path | None, typer.Option("--member-key", help="Private key of --member-cert.")
]
MemberCa = Annotated[
    Path | None,
    typer.Option("--member-ca", help="Authorities that signed the certificates of all members."),
]
Environment = Annotated[
    Path, typer.Option("--environment", help="File with the variables of the coordinator.")
]
DEFAULT = Path("/etc/default/coordinator")


def store_tls(
    mode: ModeArgument,
    *,
    member_cert: MemberCert = None,
    member_key: MemberKey = None,
    member_ca: MemberCa = None,
    environment: Environment = DEFAULT,
) -> None:
    """Turn TLS of this host's member of the store on or off while the cluster serves.

    Run `prefer` on one member after the other, with certificates. Change the URLs of the clients
    to https://. Then run `require` on one after the other. To go back, run `prefer` on all, change
    the clients, and run `off` on all. Fleets of `slashetc init` require TLS from the beginning.
    """
    from slashetc.core import store_tls
    from slashetc.core.store_tls import PemFiles
    from slashetc.store import member_tls

    found = next((each for each in store_tls.MODES if each == mode), None)
    if found is None:
        raise typer.BadParameter(f"{mode!r}: write off, prefer or require")
    given = [member_cert, member_key, member_ca]
    if any(given) and not all(given):
        raise typer.BadParameter("--member-cert, --member-key and --member-ca go together")
    files = PemFiles(*map(str, given)) if all(given) else None
    with explained():
        done = member_tls.change(environment, found, files)
    echo(f"The member {'now has' if done else 'had already'} --tls {found}")
