"""The settings of a coordinator, and their checks."""

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from coordinator.core.cluster.ids import parse_initial_cluster
from coordinator.core.cluster.initial_membership import ALONE_URL
from coordinator.flags import Flags
from daemonkit import options
from daemonkit.http.tls import TlsFiles
from daemonkit.http.tls_listener import TlsMode


@dataclass(frozen=True, slots=True)
class BackupSettings:
    """Scheduled backups: one every `interval_s`, of which the last `keep` stay in `directory`."""

    directory: Path
    interval_s: float
    keep: int


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where to listen, and whether with TLS; with TlsMode.PREFER also without it."""

    host: str
    port: int
    secure: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings, checked and parsed."""

    name: str
    data_dir: Path
    listen_client: tuple[ListenAddress, ...]
    listen_local: Path | None
    advertise_client: tuple[str, ...]
    listen_peer: tuple[ListenAddress, ...]  # empty: a cluster of one member
    peer_urls: tuple[str, ...]
    initial_cluster: dict[str, list[str]]
    existing: bool
    token: str
    discovery: str
    discovery_srv: str
    heartbeat_ms: int
    election_ms: int
    snapshot_count: int
    max_request_bytes: int
    quota_backend_bytes: int
    tls: TlsFiles | None
    peer_tls: TlsFiles | None
    tls_mode: TlsMode | None  # None: the URLs say it
    revoked_file: Path | None
    host_names: tuple[str, ...]  # that clients and members may use
    peer_cert_allowed_cn: str
    enforces_auth: bool
    backups: BackupSettings | None
    status_addr: str
    status_tls: options.IdentityFiles | None


# A heartbeat needs time to arrive, and one that is lost must not cause an election.
ELECTION_HEARTBEATS_MIN = 5
STATES = ("new", "existing")


def checked(flags: Flags) -> Settings:
    """Check the options. ValueError names the option, the value and the remedy."""
    _check_bootstrap(flags)
    if flags.election_timeout < ELECTION_HEARTBEATS_MIN * flags.heartbeat_interval:
        raise ValueError(
            f"--election-timeout {flags.election_timeout} is less than {ELECTION_HEARTBEATS_MIN} "
            f"times --heartbeat-interval {flags.heartbeat_interval}"
        )
    advertised_peers = flags.initial_advertise_peer_urls
    peer_urls = advertised(advertised_peers or ALONE_URL, "initial-advertise-peer-urls")
    can_grow = bool(advertised_peers or flags.listen_peer_urls)
    listen_peer = flags.listen_peer_urls or (",".join(peer_urls) if can_grow else "")
    mode = _tls_mode(flags)
    tls, peer_tls = _client_tls(flags), _peer_tls(flags)
    listen_client = listening(flags.listen_client_urls, tls, "client", mode)
    advertise_client = advertised(
        flags.advertise_client_urls or flags.listen_client_urls, "advertise-client-urls"
    )
    return Settings(
        name=flags.name,
        data_dir=flags.data_dir or Path(f"{flags.name}.etcd"),
        listen_client=listen_client,
        listen_local=flags.listen_local,
        advertise_client=advertise_client,
        listen_peer=listening(listen_peer, peer_tls, "peer", mode) if listen_peer else (),
        peer_urls=peer_urls,
        initial_cluster=_initial_cluster(flags, peer_urls),
        existing=flags.initial_cluster_state == "existing",
        token=flags.initial_cluster_token,
        discovery=flags.discovery,
        discovery_srv=flags.discovery_srv,
        heartbeat_ms=flags.heartbeat_interval,
        election_ms=flags.election_timeout,
        snapshot_count=flags.snapshot_count,
        max_request_bytes=flags.max_request_bytes,
        quota_backend_bytes=flags.quota_backend_bytes,
        tls=tls,
        peer_tls=peer_tls,
        tls_mode=mode,
        revoked_file=flags.revoked_file,
        host_names=(
            *options.host_names(flags.host_whitelist),
            *(urlsplit(url).hostname or "" for url in (*advertise_client, *peer_urls)),
        ),
        peer_cert_allowed_cn=_allowed_cn(flags),
        enforces_auth=_enforces_auth(flags),
        backups=_backups(flags),
        status_addr=flags.status_addr,
        status_tls=_status_tls(flags),
    )


def _check_bootstrap(flags: Flags) -> None:
    sources = [flags.initial_cluster, flags.discovery, flags.discovery_srv]
    if sum(map(bool, sources)) > 1:
        raise ValueError("give only one of --initial-cluster, --discovery and --discovery-srv")
    if flags.initial_cluster_state not in STATES:
        raise ValueError(
            f"--initial-cluster-state is {flags.initial_cluster_state!r}: use new or existing"
        )


def _tls_mode(flags: Flags) -> TlsMode | None:
    try:
        return TlsMode(flags.tls) if flags.tls else None
    except ValueError:
        raise ValueError(f"--tls is {flags.tls!r}: use off, prefer or require") from None


def _client_tls(flags: Flags) -> TlsFiles | None:
    asking = flags.trusted_ca_file, flags.client_cert_auth
    files = _tls("", flags.cert_file, flags.key_file, asking)
    # A client may say by its certificate who it is, also where none has to.
    return files and replace(files, ask_client=files.ca is not None)


def _status_tls(flags: Flags) -> options.IdentityFiles | None:
    return options.identity_files(
        "--status-tls",
        flags.status_tls,
        (flags.trusted_ca_file, flags.cert_file, flags.key_file),
        flags.revoked_file,
        "--trusted-ca-file, --cert-file and --key-file",
    )


def _peer_tls(flags: Flags) -> TlsFiles | None:
    asking = flags.peer_trusted_ca_file, flags.peer_client_cert_auth
    return _tls("peer-", flags.peer_cert_file, flags.peer_key_file, asking)


def _allowed_cn(flags: Flags) -> str:
    if flags.peer_cert_allowed_cn and not flags.peer_client_cert_auth:
        raise ValueError("--peer-cert-allowed-cn needs --peer-client-cert-auth")
    return flags.peer_cert_allowed_cn


def _tls(
    prefix: str, cert: Path | None, key: Path | None, asking: tuple[Path | None, bool]
) -> TlsFiles | None:
    """Return the files. `asking` is the CA of certificates that are required, and whether so."""
    ca, require_client = asking
    if (cert is None) != (key is None):
        raise ValueError(f"--{prefix}cert-file and --{prefix}key-file go together")
    if require_client and ca is None:
        raise ValueError(f"--{prefix}client-cert-auth needs --{prefix}trusted-ca-file")
    return None if cert is None or key is None else TlsFiles(cert, key, ca, require_client)


def _enforces_auth(flags: Flags) -> bool:
    if flags.auth not in {"enforce", "warn"}:
        raise ValueError(f"--auth is {flags.auth!r}: use enforce or warn")
    return flags.auth == "enforce"


def _backups(flags: Flags) -> BackupSettings | None:
    if flags.backup_dir is None:
        return None
    return BackupSettings(flags.backup_dir, flags.backup_interval, flags.backup_keep)


def listening(
    urls: str, tls: TlsFiles | None, whom: str, mode: TlsMode | None = None
) -> tuple[ListenAddress, ...]:
    """Parse --listen-client-urls or --listen-peer-urls. ValueError names the URL and the remedy.

    Clients may get both http and https. A member proves by its certificate which one it is, so with
    certificates there is no http for members. With --tls both are the same port.
    """
    found = tuple(_listen_address(url.strip(), tls, whom) for url in urls.split(","))
    option, prefix = f"listen-{whom}-urls", "peer-" if whom == "peer" else ""
    plain = [each for each in found if not each.secure]
    if mode is TlsMode.OFF:
        if len(plain) < len(found):
            raise ValueError(f"--{option}: {urls}: with --tls off write http")
        return found
    if mode is not None:
        if tls is None:
            raise ValueError(f"--tls {mode.value} needs --{prefix}cert-file and --{prefix}key-file")
        if mode is TlsMode.REQUIRE and plain:
            raise ValueError(f"--{option}: {urls}: with --tls require write https")
        return tuple(replace(each, secure=True) for each in found)
    if tls is not None and plain and (whom == "peer" or len(plain) == len(found)):
        raise ValueError(f"--{option}: {urls}: with --{prefix}cert-file write https")
    return found


def advertised(urls: str, option: str) -> tuple[str, ...]:
    """Parse a list of advertised URLs. ValueError names the URL."""
    out = []
    for url in (part.strip() for part in urls.split(",")):
        parts = _split(url, option)
        if parts.path not in {"", "/"}:
            raise ValueError(f"--{option}: {url}: this URL must not have a path")
        out.append(url.rstrip("/"))
    return tuple(sorted(out))


def first_members(
    name: str, initial_cluster: str, peer_urls: tuple[str, ...]
) -> dict[str, list[str]]:
    """Parse --initial-cluster. ValueError if this member is not in it with its own peer URLs."""
    if not initial_cluster:
        return {name: list(peer_urls)}
    members = parse_initial_cluster(initial_cluster)
    if name not in members:
        raise ValueError(f"--initial-cluster has no member {name!r}; it has {', '.join(members)}")
    if sorted(members[name]) != sorted(peer_urls):
        raise ValueError(
            f"--initial-cluster gives {name!r} the URLs {', '.join(members[name])}, "
            f"--initial-advertise-peer-urls gives {', '.join(peer_urls)}: make them equal"
        )
    return members


def _initial_cluster(flags: Flags, peer_urls: tuple[str, ...]) -> dict[str, list[str]]:
    is_discovered = flags.discovery or flags.discovery_srv
    return first_members(flags.name, "" if is_discovered else flags.initial_cluster, peer_urls)


def _listen_address(url: str, tls: TlsFiles | None, whom: str) -> ListenAddress:
    option, prefix = f"listen-{whom}-urls", "peer-" if whom == "peer" else ""
    parts = _split(url, option)
    if parts.scheme == "https" and tls is None:
        raise ValueError(f"--{option}: {url} needs --{prefix}cert-file and --{prefix}key-file")
    host = parts.hostname or ""
    if host == "localhost":
        host = "127.0.0.1"
    if not host.replace(".", "").isdigit() and ":" not in host:
        raise ValueError(f"--{option}: {url}: listen on an IP address, not on a host name")
    assert parts.port is not None
    return ListenAddress(host, parts.port, secure=parts.scheme == "https")


def _split(url: str, option: str) -> SplitResult:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme not in {"http", "https"} or port is None or not parts.hostname:
        raise ValueError(f"--{option}: {url!r} is not of the form http://HOST:PORT")
    return parts
