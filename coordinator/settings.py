"""What an operator can decide about a coordinator, checked."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from coordinator.identity import Identity, cluster_id, member_id, parse_initial_cluster
from daemonkit.tls import TlsFiles


@dataclass(frozen=True, slots=True)
class Settings:
    """A checked configuration."""

    name: str
    data_dir: Path
    listen_client: tuple[tuple[str, int], ...]
    advertise_client: tuple[str, ...]
    peer_urls: tuple[str, ...]
    identity: Identity
    snapshot_count: int
    tls: TlsFiles | None
    status_addr: str


@dataclass(frozen=True, slots=True)
class Flags:
    """A configuration as it was written."""

    name: str
    data_dir: Path
    listen_client_urls: str
    advertise_client_urls: str
    peer_urls: str
    initial_cluster: str
    token: str
    snapshot_count: int
    tls: TlsFiles | None
    status_addr: str


def checked(flags: Flags) -> Settings:
    """Check a configuration. ValueError names the option, the value and the remedy."""
    peer_urls = advertised(flags.peer_urls, "initial-advertise-peer-urls")
    default_cluster = ",".join(f"{flags.name}={url}" for url in peer_urls)
    return Settings(
        name=flags.name,
        data_dir=flags.data_dir,
        listen_client=client_addresses(flags.listen_client_urls, flags.tls),
        advertise_client=advertised(flags.advertise_client_urls, "advertise-client-urls"),
        peer_urls=peer_urls,
        identity=single_member(
            flags.name, peer_urls, flags.initial_cluster or default_cluster, flags.token
        ),
        snapshot_count=flags.snapshot_count,
        tls=flags.tls,
        status_addr=flags.status_addr,
    )


def client_addresses(urls: str, tls: TlsFiles | None) -> tuple[tuple[str, int], ...]:
    """Parse --listen-client-urls. ValueError names the URL and the remedy."""
    return tuple(_listen_address(url.strip(), tls) for url in urls.split(","))


def advertised(urls: str, option: str) -> tuple[str, ...]:
    """Parse a list of URLs that others shall use. ValueError names the URL."""
    out = []
    for url in (part.strip() for part in urls.split(",")):
        parts = _split(url, option)
        if parts.path not in {"", "/"}:
            raise ValueError(f"--{option}: {url}: a URL here has no path")
        out.append(url.rstrip("/"))
    return tuple(sorted(out))


def single_member(
    name: str, peer_urls: tuple[str, ...], initial_cluster: str, token: str
) -> Identity:
    """Compute the identity of the only member. ValueError when the cluster is another one."""
    members = parse_initial_cluster(initial_cluster)
    if name not in members:
        raise ValueError(f"--initial-cluster has no member {name!r}; it has {', '.join(members)}")
    if sorted(members[name]) != sorted(peer_urls):
        raise ValueError(
            f"--initial-cluster gives {name!r} the URLs {', '.join(members[name])}, "
            f"--initial-advertise-peer-urls gives {', '.join(peer_urls)}: make them equal"
        )
    if len(members) > 1:
        raise ValueError(
            f"--initial-cluster names {len(members)} members; this version runs one member"
        )
    member = member_id(peer_urls, token)
    return Identity(member=member, cluster=cluster_id([member]))


def _listen_address(url: str, tls: TlsFiles | None) -> tuple[str, int]:
    parts = _split(url, "listen-client-urls")
    if parts.scheme == "https" and tls is None:
        raise ValueError(f"--listen-client-urls: {url} needs --cert-file and --key-file")
    if parts.scheme == "http" and tls is not None:
        raise ValueError(f"--listen-client-urls: {url}: with --cert-file write https")
    host = parts.hostname or ""
    if host == "localhost":
        host = "127.0.0.1"
    if not host.replace(".", "").isdigit() and ":" not in host:
        raise ValueError(f"--listen-client-urls: {url}: listen on an IP address, not on a name")
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
