"""`slashetc authority`: the key that signs all certificates of a fleet."""

from pathlib import Path
from typing import Annotated

import typer

from daemonkit import options
from slashetc.ctl.access_commands import ENDPOINTS, open_store
from slashetc.ctl.failures import explained
from slashetc.ctl.host_commands import CONFIG_DIR, ConfigDir

app = options.program("The authority of the fleet: its key signs every certificate.")
Directory = Annotated[
    Path | None,
    typer.Option("--authority-dir", help="Directory of the authority.", show_default="this host's"),
]
Folder = Annotated[Path, typer.Argument(help="A folder for the key and what belongs to it.")]
Keep = Annotated[bool, typer.Option("--keep", help="Keep the key here, too: the folder is a copy.")]


@app.command("status")
def status(  # noqa: PLR0913 - typer reads options from parameters
    *,
    authority: Directory = None,
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Show which authority signs, who waits for it, and who has certificates of another one."""
    from slashetc.join import authority_status

    with explained(), open_store(endpoints, ca_file, cert_file, key_file) as (store, _):
        for line in authority_status.lines(store, authority or config_dir / "authority"):
            typer.echo(line)


@app.command("sign")
def sign(  # noqa: PLR0913 - typer reads options from parameters
    *,
    authority: Directory = None,
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Answer the requests that wait in the store: for an authority whose key is kept offline.

    Needs the key, and the credentials of an administrator. Hosts wait ten minutes, then ask again.
    """
    from slashetc.authority.office import Office
    from slashetc.core import certificates
    from slashetc.join.own_requests import utc_now

    directory = authority or config_dir / "authority"
    with explained(), open_store(endpoints, ca_file, cert_file, key_file) as (store, api):
        office = Office(
            directory,
            store,
            api,
            lambda: certificates.bundle(ca_file.read_text()) if ca_file else (),
        )
        count = office.answer_waiting(utc_now())
    typer.echo(f"answered {count} requests: {office.signed} signed, {office.refused} refused")


@app.command("rotate")
def rotate(  # noqa: PLR0913 - typer reads options from parameters
    *,
    finish: Annotated[
        bool, typer.Option("--finish", help="Let nobody trust the old authority any more.")
    ] = False,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", min=0.0, help="Time to wait for hosts.")
    ] = 600.0,
    authority: Directory = None,
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Replace the authority by a new one, while everything runs. Both are trusted meanwhile."""
    from slashetc.join import rotating
    from slashetc.join.rotating import Rotation

    directory = authority or config_dir / "authority"
    with explained(), open_store(endpoints, ca_file, cert_file, key_file) as (store, api):
        if finish:
            rotating.finish(directory, store, typer.echo)
        else:
            rotating.rotate(Rotation(directory, wait), store, api, typer.echo)


@app.command("export")
def export(  # noqa: PLR0913 - typer reads options from parameters
    folder: Folder,
    *,
    keep: Keep = False,
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Take the authority's key out of this host, for another host or a safe.

    The passphrase is beside it, in a file of its own: keep the two apart.
    """
    from slashetc.host.places import Places
    from slashetc.join import moving

    with explained(), open_store(endpoints, ca_file, cert_file, key_file) as (store, api):
        moving.export(Places(config_dir), folder, store, api, keep=keep)
    typer.echo(f"{folder}: the authority; `slashetc authority import` takes it on another host")


@app.command("import")
def import_(  # noqa: PLR0913 - typer reads options from parameters
    folder: Folder,
    *,
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Let this host sign, with the key that `slashetc authority export` wrote. Needs an admin."""
    from slashetc.host.places import Places
    from slashetc.join import moving

    with explained(), open_store(endpoints, ca_file, cert_file, key_file) as (store, api):
        moving.take(Places(config_dir), folder, store, api)
    typer.echo(f"this host signs; remove {folder}, or keep it in a safe")
