"""The `coordinator` daemon's command line. Flags are etcd's where they mean the same."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from daemonkit import options

app = options.program("The store of the distributed /etc: keys over the etcd v2 HTTP API.")

Name = Annotated[str, typer.Option("--name", help="This member's name.")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where the log and the snapshots are. [NAME.etcd]")
]
ListenClient = Annotated[
    str, typer.Option("--listen-client-urls", metavar="URL,URL", help="Where clients are served.")
]
AdvertiseClient = Annotated[
    str,
    typer.Option(
        "--advertise-client-urls", metavar="URL,URL", help="What clients are told to use."
    ),
]
PeerUrls = Annotated[
    str,
    typer.Option(
        "--initial-advertise-peer-urls",
        metavar="URL,URL",
        help="What the other members use; part of this member's identity.",
    ),
]
InitialCluster = Annotated[
    str,
    typer.Option(
        "--initial-cluster", metavar="NAME=URL,...", help="The first members. [NAME=peer URLs]"
    ),
]
Token = Annotated[
    str, typer.Option("--initial-cluster-token", help="Tells clusters of equal URLs apart.")
]
SnapshotCount = Annotated[
    int, typer.Option("--snapshot-count", min=1, help="Entries of the log between two snapshots.")
]
ServerCert = Annotated[Path | None, typer.Option("--cert-file", help="Certificate for clients.")]
ServerKey = Annotated[Path | None, typer.Option("--key-file", help="Key of --cert-file.")]
TrustedCa = Annotated[
    Path | None, typer.Option("--trusted-ca-file", help="CA of client certificates.")
]
ClientCertAuth = Annotated[
    bool, typer.Option("--client-cert-auth", help="Ask every client for a certificate.")
]


@app.command()
def serve(  # noqa: PLR0913, PLR0917 - one parameter an option
    name: Name = "default",
    data_dir: DataDir = None,
    listen_client_urls: ListenClient = "http://127.0.0.1:2379",
    advertise_client_urls: AdvertiseClient = "",
    initial_advertise_peer_urls: PeerUrls = "http://localhost:2380",
    initial_cluster: InitialCluster = "",
    initial_cluster_token: Token = "etcd-cluster",  # noqa: S107 - a name, not a secret
    snapshot_count: SnapshotCount = 100_000,
    cert_file: ServerCert = None,
    key_file: ServerKey = None,
    trusted_ca_file: TrustedCa = None,
    client_cert_auth: ClientCertAuth = False,  # noqa: FBT002
    status_addr: options.StatusAddr = "127.0.0.1:2381",
    config: options.Config = None,  # noqa: ARG001 - read before the others
    log_level: options.LogLevel = "info",
    log_format: options.LogFormat = "text",
) -> None:
    """Serve the keys API until told to end."""
    from coordinator.process import run
    from coordinator.settings import Flags
    from daemonkit import logs
    from daemonkit.tls import TlsFiles

    logs.configure(log_level, log_format)
    if (cert_file is None) != (key_file is None):
        raise typer.BadParameter("--cert-file and --key-file go together")
    if client_cert_auth and trusted_ca_file is None:
        raise typer.BadParameter("--client-cert-auth needs --trusted-ca-file")
    files = None
    if cert_file is not None and key_file is not None:
        files = TlsFiles(cert_file, key_file, trusted_ca_file, client_cert_auth)
    flags = Flags(
        name=name,
        data_dir=data_dir or Path(f"{name}.etcd"),
        listen_client_urls=listen_client_urls,
        advertise_client_urls=advertise_client_urls or listen_client_urls,
        peer_urls=initial_advertise_peer_urls,
        initial_cluster=initial_cluster,
        token=initial_cluster_token,
        snapshot_count=snapshot_count,
        tls=files,
        status_addr=status_addr,
    )
    raise typer.Exit(run(flags))


def main() -> NoReturn:
    """Run the console script."""
    options.run(app, "coordinator")
