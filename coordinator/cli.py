"""The `coordinator` daemon's command line. Flags are etcd's where they mean the same."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from daemonkit import options

if TYPE_CHECKING:
    from daemonkit.http.tls import TlsFiles

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
ListenPeer = Annotated[
    str,
    typer.Option(
        "--listen-peer-urls",
        metavar="URL,URL",
        help="Where the other members are served. [the advertised ones; none for a lone member]",
    ),
]
ClusterState = Annotated[
    str,
    typer.Option(
        "--initial-cluster-state",
        metavar="new|existing",
        help="Found a cluster, or join one that `coordctl member add` has told of this member.",
    ),
]
Discovery = Annotated[
    str, typer.Option("--discovery", metavar="URL", help="Find the first members at a token's URL.")
]
DiscoverySrv = Annotated[
    str,
    typer.Option(
        "--discovery-srv", metavar="DOMAIN", help="Find the first members by DNS SRV records."
    ),
]
Heartbeat = Annotated[
    int, typer.Option("--heartbeat-interval", min=1, metavar="MS", help="Between two heartbeats.")
]
Election = Annotated[
    int,
    typer.Option(
        "--election-timeout",
        min=10,
        max=50_000,
        metavar="MS",
        help="Without a leader for so long, a member offers itself.",
    ),
]
PeerCert = Annotated[
    Path | None, typer.Option("--peer-cert-file", help="Certificate towards other members.")
]
PeerKey = Annotated[Path | None, typer.Option("--peer-key-file", help="Key of --peer-cert-file.")]
PeerCa = Annotated[
    Path | None, typer.Option("--peer-trusted-ca-file", help="CA of the members' certificates.")
]
PeerCertAuth = Annotated[
    bool, typer.Option("--peer-client-cert-auth", help="Ask every member for a certificate.")
]
BackupDir = Annotated[
    Path | None, typer.Option("--backup-dir", help="Write backups here by itself.")
]
BackupInterval = Annotated[
    float, typer.Option("--backup-interval", min=1.0, metavar="S", help="Between two backups.")
]
BackupKeep = Annotated[
    int, typer.Option("--backup-keep", min=1, help="How many of the last backups stay.")
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
    listen_peer_urls: ListenPeer = "",
    initial_advertise_peer_urls: PeerUrls = "",
    initial_cluster: InitialCluster = "",
    initial_cluster_state: ClusterState = "new",
    initial_cluster_token: Token = "etcd-cluster",  # noqa: S107 - a name, not a secret
    discovery: Discovery = "",
    discovery_srv: DiscoverySrv = "",
    heartbeat_interval: Heartbeat = 100,
    election_timeout: Election = 1000,
    snapshot_count: SnapshotCount = 100_000,
    cert_file: ServerCert = None,
    key_file: ServerKey = None,
    trusted_ca_file: TrustedCa = None,
    client_cert_auth: ClientCertAuth = False,  # noqa: FBT002
    peer_cert_file: PeerCert = None,
    peer_key_file: PeerKey = None,
    peer_trusted_ca_file: PeerCa = None,
    peer_client_cert_auth: PeerCertAuth = False,  # noqa: FBT002
    backup_dir: BackupDir = None,
    backup_interval: BackupInterval = 3600.0,
    backup_keep: BackupKeep = 24,
    status_addr: options.StatusAddr = "127.0.0.1:2381",
    config: options.Config = None,  # noqa: ARG001 - read before the others
    log_level: options.LogLevel = "info",
    log_format: options.LogFormat = "text",
) -> None:
    """Serve the keys API until told to end."""
    from coordinator.daemon import run
    from coordinator.settings import Backups, Flags
    from daemonkit.observe import logs

    logs.configure(log_level, log_format)
    peer_auth = peer_client_cert_auth
    flags = Flags(
        name=name,
        data_dir=data_dir or Path(f"{name}.etcd"),
        listen_client_urls=listen_client_urls,
        advertise_client_urls=advertise_client_urls or listen_client_urls,
        listen_peer_urls=listen_peer_urls,
        peer_urls=initial_advertise_peer_urls,
        initial_cluster=initial_cluster,
        initial_cluster_state=initial_cluster_state,
        token=initial_cluster_token,
        discovery=discovery,
        discovery_srv=discovery_srv,
        heartbeat_ms=heartbeat_interval,
        election_ms=election_timeout,
        snapshot_count=snapshot_count,
        tls=_files("", cert_file, key_file, (trusted_ca_file, client_cert_auth)),
        peer_tls=_files("peer-", peer_cert_file, peer_key_file, (peer_trusted_ca_file, peer_auth)),
        backups=Backups(backup_dir, backup_interval, backup_keep) if backup_dir else None,
        status_addr=status_addr,
    )
    raise typer.Exit(run(flags))


def _files(
    prefix: str, cert: Path | None, key: Path | None, asking: tuple[Path | None, bool]
) -> "TlsFiles | None":
    from daemonkit.http.tls import TlsFiles

    ca, require_client = asking
    if (cert is None) != (key is None):
        raise typer.BadParameter(f"--{prefix}cert-file and --{prefix}key-file go together")
    if require_client and ca is None:
        raise typer.BadParameter(f"--{prefix}client-cert-auth needs --{prefix}trusted-ca-file")
    return None if cert is None or key is None else TlsFiles(cert, key, ca, require_client)


def main() -> NoReturn:
    """Run the console script."""
    options.run(app, "coordinator")
