"""The command line of the `coordinator` daemon. A flag that etcd has, too, has etcd's name."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from daemonkit import options

if TYPE_CHECKING:
    from daemonkit.http.tls import TlsFiles

app = options.program("The store of the distributed /etc: keys over the etcd v2 HTTP API.")

Name = Annotated[str, typer.Option("--name", help="Name of this member.")]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Directory of the log and the snapshots. [NAME.etcd]"),
]
ListenClient = Annotated[
    str,
    typer.Option("--listen-client-urls", metavar="URL,URL", help="URLs on which to serve clients."),
]
AdvertiseClient = Annotated[
    str,
    typer.Option(
        "--advertise-client-urls", metavar="URL,URL", help="URLs that clients are told to use."
    ),
]
PeerUrls = Annotated[
    str,
    typer.Option(
        "--initial-advertise-peer-urls",
        metavar="URL,URL",
        help="URLs that the other members use; part of this member's id.",
    ),
]
ListenPeer = Annotated[
    str,
    typer.Option(
        "--listen-peer-urls",
        metavar="URL,URL",
        help="URLs on which to serve other members. [the advertised ones; none for one member]",
    ),
]
ClusterState = Annotated[
    str,
    typer.Option(
        "--initial-cluster-state",
        metavar="new|existing",
        help="Start a new cluster, or join one after `coordctl member add`.",
    ),
]
Discovery = Annotated[
    str,
    typer.Option(
        "--discovery", metavar="URL", help="Find the first members with a discovery token."
    ),
]
DiscoverySrv = Annotated[
    str,
    typer.Option(
        "--discovery-srv", metavar="DOMAIN", help="Find the first members by DNS SRV records."
    ),
]
Heartbeat = Annotated[
    int,
    typer.Option("--heartbeat-interval", min=1, metavar="MS", help="Time between two heartbeats."),
]
Election = Annotated[
    int,
    typer.Option(
        "--election-timeout",
        min=10,
        max=50_000,
        metavar="MS",
        help="Time without a leader after which a member starts an election.",
    ),
]
PeerCert = Annotated[
    Path | None,
    typer.Option("--peer-cert-file", help="Certificate for connections with other members."),
]
PeerKey = Annotated[
    Path | None, typer.Option("--peer-key-file", help="Private key of --peer-cert-file.")
]
PeerCa = Annotated[
    Path | None,
    typer.Option("--peer-trusted-ca-file", help="CA that signed the members' certificates."),
]
PeerCertAuth = Annotated[
    bool, typer.Option("--peer-client-cert-auth", help="Require a certificate from every member.")
]
BackupDir = Annotated[
    Path | None, typer.Option("--backup-dir", help="Write scheduled backups to this directory.")
]
BackupInterval = Annotated[
    float, typer.Option("--backup-interval", min=1.0, metavar="S", help="Time between two backups.")
]
BackupKeep = Annotated[
    int, typer.Option("--backup-keep", min=1, help="How many of the newest backups to keep.")
]
InitialCluster = Annotated[
    str,
    typer.Option(
        "--initial-cluster",
        metavar="NAME=URL,...",
        help="The first members and their peer URLs. [NAME=peer URLs]",
    ),
]
Token = Annotated[
    str, typer.Option("--initial-cluster-token", help="Distinguishes clusters with the same URLs.")
]
SnapshotCount = Annotated[
    int, typer.Option("--snapshot-count", min=1, help="Log entries between two snapshots.")
]
ServerCert = Annotated[Path | None, typer.Option("--cert-file", help="Certificate for clients.")]
ServerKey = Annotated[Path | None, typer.Option("--key-file", help="Private key of --cert-file.")]
TrustedCa = Annotated[
    Path | None, typer.Option("--trusted-ca-file", help="CA that signed the clients' certificates.")
]
ClientCertAuth = Annotated[
    bool, typer.Option("--client-cert-auth", help="Require a certificate from every client.")
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
    """Serve the keys API until stopped."""
    from coordinator.daemon import run
    from coordinator.settings import BackupSettings, Flags
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
        backups=BackupSettings(backup_dir, backup_interval, backup_keep) if backup_dir else None,
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
