"""What an operator can decide about a coordinator, checked."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from coordinator.core.cluster.ids import parse_initial_cluster
from daemonkit.http.tls import TlsFiles


@dataclass(frozen=True, slots=True)
class Backups:
    """Where backups go by themselves: every `interval_s`, the last `keep` of them."""

    directory: Path
    interval_s: float
    keep: int


@dataclass(frozen=True, slots=True)
class Settings:
    """A checked configuration."""

    name: str
    data_dir: Path
    listen_client: tuple[tuple[str, int], ...]
    advertise_client: tuple[str, ...]
    listen_peer: tuple[tuple[str, int], ...]  # empty: a member that stays alone
    peer_urls: tuple[str, ...]
    initial_cluster: dict[str, list[str]]
    existing: bool
    token: str
    discovery: str
    discovery_srv: str
    heartbeat_ms: int
    election_ms: int
    snapshot_count: int
    tls: TlsFiles | None
    peer_tls: TlsFiles | None
    backups: Backups | None
    status_addr: str


@dataclass(frozen=True, slots=True)
class Flags:
    """A configuration as it was written."""

    name: str
    data_dir: Path
    listen_client_urls: str
    advertise_client_urls: str
    listen_peer_urls: str
    peer_urls: str
    initial_cluster: str
    initial_cluster_state: str
    token: str
    discovery: str
    discovery_srv: str
    heartbeat_ms: int
    election_ms: int
    snapshot_count: int
    tls: TlsFiles | None
    peer_tls: TlsFiles | None
    backups: Backups | None
    status_addr: str


ALONE_URL = "http://localhost:2380"
# A heartbeat must have its time to get there, and one that is lost must not cost the leader.
ELECTION_HEARTBEATS_MIN = 5
STATES = ("new", "existing")


def checked(flags: Flags) -> Settings:
    """Check a configuration. ValueError names the option, the value and the remedy."""
    ways = [flags.initial_cluster, flags.discovery, flags.discovery_srv]
    if sum(map(bool, ways)) > 1:
        raise ValueError(
            "give one of --initial-cluster, --discovery and --discovery-srv, not several"
        )
    if flags.initial_cluster_state not in STATES:
        raise ValueError(
            f"--initial-cluster-state is {flags.initial_cluster_state!r}: it is new or existing"
        )
    if flags.election_ms < ELECTION_HEARTBEATS_MIN * flags.heartbeat_ms:
        raise ValueError(
            f"--election-timeout {flags.election_ms} is less than {ELECTION_HEARTBEATS_MIN} times "
            f"--heartbeat-interval {flags.heartbeat_ms}"
        )
    peer_urls = advertised(flags.peer_urls or ALONE_URL, "initial-advertise-peer-urls")
    grows = bool(flags.peer_urls or flags.listen_peer_urls)
    listen_peer = flags.listen_peer_urls or (",".join(peer_urls) if grows else "")
    return Settings(
        name=flags.name,
        data_dir=flags.data_dir,
        listen_client=listening(flags.listen_client_urls, flags.tls, "client"),
        advertise_client=advertised(flags.advertise_client_urls, "advertise-client-urls"),
        listen_peer=listening(listen_peer, flags.peer_tls, "peer") if listen_peer else (),
        peer_urls=peer_urls,
        initial_cluster=_initial_cluster(flags, peer_urls),
        existing=flags.initial_cluster_state == "existing",
        token=flags.token,
        discovery=flags.discovery,
        discovery_srv=flags.discovery_srv,
        heartbeat_ms=flags.heartbeat_ms,
        election_ms=flags.election_ms,
        snapshot_count=flags.snapshot_count,
        tls=flags.tls,
        peer_tls=flags.peer_tls,
        backups=flags.backups,
        status_addr=flags.status_addr,
    )


def listening(urls: str, tls: TlsFiles | None, whom: str) -> tuple[tuple[str, int], ...]:
    """Parse --listen-client-urls or -peer-urls. ValueError names the URL and the remedy."""
    return tuple(_listen_address(url.strip(), tls, whom) for url in urls.split(","))


def advertised(urls: str, option: str) -> tuple[str, ...]:
    """Parse a list of URLs that others shall use. ValueError names the URL."""
    out = []
    for url in (part.strip() for part in urls.split(",")):
        parts = _split(url, option)
        if parts.path not in {"", "/"}:
            raise ValueError(f"--{option}: {url}: a URL here has no path")
        out.append(url.rstrip("/"))
    return tuple(sorted(out))


def first_members(
    name: str, initial_cluster: str, peer_urls: tuple[str, ...]
) -> dict[str, list[str]]:
    """Parse --initial-cluster. ValueError when this member is not in it as it says itself."""
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
    found_out = flags.discovery or flags.discovery_srv
    return first_members(flags.name, "" if found_out else flags.initial_cluster, peer_urls)


def _listen_address(url: str, tls: TlsFiles | None, whom: str) -> tuple[str, int]:
    option, prefix = f"listen-{whom}-urls", "peer-" if whom == "peer" else ""
    parts = _split(url, option)
    if parts.scheme == "https" and tls is None:
        raise ValueError(f"--{option}: {url} needs --{prefix}cert-file and --{prefix}key-file")
    if parts.scheme == "http" and tls is not None:
        raise ValueError(f"--{option}: {url}: with --{prefix}cert-file write https")
    host = parts.hostname or ""
    if host == "localhost":
        host = "127.0.0.1"
    if not host.replace(".", "").isdigit() and ":" not in host:
        raise ValueError(f"--{option}: {url}: listen on an IP address, not on a name")
    assert parts.port is not None
    return host, parts.port


def _split(url: str, option: str) -> SplitResult:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme not in {"http", "https"} or port is None or not parts.hostname:
        raise ValueError(f"--{option}: {url!r} is not of the form http://HOST:PORT")
    return parts
