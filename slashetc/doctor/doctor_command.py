"""`slashetc doctor`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from daemonkit import options
from slashetc.status.status_command import ENDPOINTS, Json, Timeout, store_of

DATA_DIR = Path("/var/lib/coordinator")
USER_DIRECTORY = ".config/slashetc"

DataDir = Annotated[
    # Only its own user may read it.
    Path,
    typer.Option(
        "--data-dir", readable=False, help="Where the store has its data, or will have it."
    ),
]


def doctor(  # noqa: PLR0913 - one parameter an option
    *,
    as_json: Json = False,
    data_dir: DataDir = DATA_DIR,
    timeout: Timeout = 2.0,
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
) -> None:
    """Examine this host: is it fit for a fleet, and what is wrong with it in its fleet?

    Looks at the clock, the disk and its syncs, ports, certificates, the store, versions and DNS.
    Exits with 0 if nothing fails, with 1 if something does. Run it as root to see everything.
    """
    from slashetc.core.doctor import diagnosis
    from slashetc.doctor.examination import Examined, examine

    home = os.environ.get("HOME", "")
    credentials = ""
    try:
        store = store_of(endpoints, ca_file, cert_file, key_file)
    except options.Failure as failure:
        # Files that cannot be read are one of the things to be told.
        store, credentials = store_of(endpoints), str(failure)
    found = examine(
        Examined(
            store,
            timeout,
            data_dir,
            user_directory=Path(home) / USER_DIRECTORY if home.startswith("/") else None,
            credentials=credentials,
        )
    )
    if as_json:
        sys.stdout.write(f"{diagnosis.as_json(found)}\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in diagnosis.lines(found))
    if diagnosis.is_failed(found):
        raise typer.Exit(options.EXIT_NO)
