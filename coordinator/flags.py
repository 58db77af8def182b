"""The options of the `coordinator` daemon. They have etcd's names where they mean the same."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from daemonkit import options

Name = Annotated[str, typer.Option("--name", help="Name of this member.")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", show_default="NAME.etcd", help="Directory of the log and the snapshots."
    ),
]
ListenClient = Annotated[
    str,
    typer.Option("--listen-client-urls", metavar="URL,URL", help="URLs on which to serve clients."),
]
ListenLocal = Annotated[
    Path | None,
    typer.Option(
        "--listen-local",
        metavar="PATH",
        help="Unix socket on which root of this host may do everything; no other user may use it.",
    ),
]
AdvertiseClient = Annotated[
    str,
    typer.Option(
        "--advertise-client-urls",
        metavar="URL,URL",
        show_default="the listen URLs",
        help="URLs that the cluster tells clients to use.",
    ),
]
PeerUrls = Annotated[
    str,
    typer.Option(
        "--initial-advertise-peer-urls",
        metavar="URL,URL",
        help="URLs at which other members reach this one; its id is computed from them.",
    ),
]
ListenPeer = Annotated[
    str,
    typer.Option(
        "--listen-peer-urls",
        metavar="URL,URL",
        show_default="the advertised ones; none for one member",
        help="URLs on which to serve other members.",
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
        "--discovery", metavar="URL", help="URL of a discovery token, to find the first members."
    ),
]
DiscoverySrv = Annotated[
    str,
    typer.Option(
        "--discovery-srv", metavar="DOMAIN", help="Domain whose SRV records name the first members."
    ),
]
Heartbeat = Annotated[
    int,
    typer.Option(
        "--heartbeat-interval",
        min=1,
        metavar="MS",
        help="Time between two heartbeats, in milliseconds.",
    ),
]
Election = Annotated[
    int,
    typer.Option(
        "--election-timeout",
        min=10,
        max=50_000,
        metavar="MS",
        help="Milliseconds without a leader after which a member starts an election.",
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
PeerAllowedCn = Annotated[
    str,
    typer.Option(
        "--peer-cert-allowed-cn",
        metavar="NAME",
        help="Common name that every member's certificate must have.",
    ),
]
BackupDir = Annotated[
    Path | None, typer.Option("--backup-dir", help="Write scheduled backups to this directory.")
]
BackupInterval = Annotated[
    float,
    typer.Option("--backup-interval", min=1.0, metavar="SECONDS", help="Time between two backups."),
]
BackupKeep = Annotated[
    int, typer.Option("--backup-keep", min=1, help="How many of the newest backups to keep.")
]
InitialCluster = Annotated[
    str,
    typer.Option(
        "--initial-cluster",
        metavar="NAME=URL,...",
        show_default="this member alone",
        help="The first members and their peer URLs.",
    ),
]
Token = Annotated[
    str,
    typer.Option(
        "--initial-cluster-token", help="Token that distinguishes clusters with the same URLs."
    ),
]
SnapshotCount = Annotated[
    int, typer.Option("--snapshot-count", min=1, help="Log entries between two snapshots.")
]
MaxRequest = Annotated[
    int,
    typer.Option(
        "--max-request-bytes",
        min=1024,
        max=8 << 20,
        metavar="BYTES",
        help="Largest value of a key, with the value that it is compared to.",
    ),
]
QuotaBackend = Annotated[
    int,
    typer.Option(
        "--quota-backend-bytes",
        min=1 << 20,
        metavar="BYTES",
        help="What all keys and values may take in memory; beyond it, only deletes are accepted.",
    ),
]
ServerCert = Annotated[Path | None, typer.Option("--cert-file", help="Certificate for clients.")]
ServerKey = Annotated[Path | None, typer.Option("--key-file", help="Private key of --cert-file.")]
TrustedCa = Annotated[
    Path | None, typer.Option("--trusted-ca-file", help="CA that signed the clients' certificates.")
]
ClientCertAuth = Annotated[
    bool, typer.Option("--client-cert-auth", help="Require a certificate from every client.")
]
TlsModeOption = Annotated[
    str,
    typer.Option(
        "--tls",
        metavar="off|prefer|require",
        show_default="by the URLs",
        help="TLS on the ports for clients and members: prefer takes plain HTTP on the same port, "
        "and dials members with TLS if they have it; require takes TLS only.",
    ),
]

Auth = Annotated[
    str,
    typer.Option(
        "--auth",
        metavar="enforce|warn",
        help="Once auth is enabled: enforce the rights of users, or only log what they would "
        "not allow.",
    ),
]


@dataclass(frozen=True, slots=True)
class Flags:
    """The options as they were given."""

    name: Name = "default"
    data_dir: DataDir = None
    listen_client_urls: ListenClient = "http://127.0.0.1:2379"
    listen_local: ListenLocal = None
    advertise_client_urls: AdvertiseClient = ""
    listen_peer_urls: ListenPeer = ""
    initial_advertise_peer_urls: PeerUrls = ""
    initial_cluster: InitialCluster = ""
    initial_cluster_state: ClusterState = "new"
    initial_cluster_token: Token = "etcd-cluster"  # noqa: S105 - a name, not a secret
    discovery: Discovery = ""
    discovery_srv: DiscoverySrv = ""
    heartbeat_interval: Heartbeat = 100
    election_timeout: Election = 1000
    snapshot_count: SnapshotCount = 100_000
    max_request_bytes: MaxRequest = 1 << 20
    quota_backend_bytes: QuotaBackend = 1 << 30
    cert_file: ServerCert = None
    key_file: ServerKey = None
    trusted_ca_file: TrustedCa = None
    client_cert_auth: ClientCertAuth = False
    tls: TlsModeOption = ""
    revoked_file: options.RevokedFile = None
    peer_cert_file: PeerCert = None
    peer_key_file: PeerKey = None
    peer_trusted_ca_file: PeerCa = None
    peer_client_cert_auth: PeerCertAuth = False
    host_whitelist: options.HostWhitelist = ""
    peer_cert_allowed_cn: PeerAllowedCn = ""
    auth: Auth = "enforce"
    backup_dir: BackupDir = None
    backup_interval: BackupInterval = 3600.0
    backup_keep: BackupKeep = 24
    status_addr: options.StatusAddr = "127.0.0.1:2381"
    status_tls: options.StatusTls = "off"
    require_tls: options.RequireTls = False
    config: options.Config = None
    log_level: options.LogLevel = "info"
    log_format: options.LogFormat = "text"
