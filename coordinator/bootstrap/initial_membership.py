"""How a member without a log finds out who it is: founders by flags, discovery or DNS; or joins.

Static (`--initial-cluster`, state new): everybody computes the same ids from the same flags.
Existing: the running members say which id goes with this one's peer URLs. By discovery and by
DNS the initial cluster is found out first, and is then like a static one.
"""

import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import requests
from requests.adapters import HTTPAdapter

from coordinator.bootstrap import discovery_client, dns_srv
from coordinator.core.cluster.ids import cluster_id, member_id, parse_initial_cluster
from coordinator.settings import Settings
from daemonkit.http import tls

ASK_S = 3.0


class CannotBegin(Exception):  # noqa: N818 - states a fact
    """The flags, the other members or the discovery service do not let this member begin."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Who this member is, and the members that it knows before its log tells it.

    `founders` are the peer URLs of the first members when this is one of them, else empty.
    """

    member: int
    cluster: int
    peers: dict[int, tuple[str, ...]]
    founders: dict[int, tuple[str, ...]]


def begin(settings: Settings) -> Beginning:
    """Find the beginning of a member that has no log. Raises CannotBegin; may take long."""
    try:
        return _begin(settings)
    except (discovery_client.CannotDiscover, dns_srv.CannotResolve) as error:
        raise CannotBegin(str(error)) from error


def _begin(settings: Settings) -> Beginning:
    if settings.discovery:
        text = discovery_client.join(settings.discovery, _own(settings), settings.name)
        return founder(settings.peer_urls, _parsed(text), settings.discovery)
    if settings.discovery_srv:
        secure = settings.peer_urls[0].startswith("https")
        found = dns_srv.peers(
            settings.discovery_srv, settings.peer_urls, settings.name, secure=secure
        )
        return founder(settings.peer_urls, found, settings.token)
    if settings.existing:
        return _joiner(settings)
    return founder(settings.peer_urls, settings.initial_cluster, settings.token)


def _own(settings: Settings) -> tuple[int, tuple[str, ...]]:
    return member_id(settings.peer_urls, settings.discovery), settings.peer_urls


def _parsed(text: str) -> dict[str, list[str]]:
    try:
        return parse_initial_cluster(text)
    except ValueError as error:
        raise CannotBegin(f"--discovery: {error}") from error


def founder(
    peer_urls: Sequence[str], members: Mapping[str, Iterable[str]], token: str
) -> Beginning:
    """Return the beginning of one of the first members. Raises CannotBegin."""
    urls = {name: tuple(sorted(each)) for name, each in members.items()}
    ids = {member_id(each, token): each for each in urls.values()}
    me = member_id(peer_urls, token)
    if me not in ids:
        raise CannotBegin(
            f"the initial cluster has no member with the peer URLs {', '.join(peer_urls)}"
        )
    return Beginning(me, cluster_id(ids), ids, ids)


class _Peer(msgspec.Struct):
    id: int
    peer_urls: list[str] = msgspec.field(name="peerURLs")


def _joiner(settings: Settings) -> Beginning:
    own = set(settings.peer_urls)
    others = [url for urls in settings.initial_cluster.values() for url in urls if url not in own]
    if not others:
        raise CannotBegin(
            "--initial-cluster-state existing needs the other members in --initial-cluster"
        )
    why = []
    for url in others:
        try:
            return _match(settings, *_ask(settings, url))
        except (requests.RequestException, OSError, ValueError, msgspec.MsgspecError) as error:
            why.append(f"{url}: {error}")
    raise CannotBegin("no member of the existing cluster answers: " + "; ".join(why))


def _match(settings: Settings, cluster: int, peers: list[_Peer]) -> Beginning:
    known = {peer.id: tuple(sorted(peer.peer_urls)) for peer in peers}
    mine = [member for member, urls in known.items() if set(urls) & set(settings.peer_urls)]
    if not mine:
        raise CannotBegin(
            f"the cluster {cluster:x} has no member at {', '.join(settings.peer_urls)}: add it "
            "first, with `coordctl member add NAME URL`"
        )
    if known[mine[0]] != settings.peer_urls:
        raise CannotBegin(
            f"the cluster knows this member at {', '.join(known[mine[0]])}, "
            f"--initial-advertise-peer-urls says {', '.join(settings.peer_urls)}: make them equal"
        )
    return Beginning(mine[0], cluster, known, {})


def _ask(settings: Settings, url: str) -> tuple[int, list[_Peer]]:
    with requests.Session() as session:
        if settings.peer_tls is not None:
            session.mount("https://", _Adapter(tls.client_context(settings.peer_tls)))
        answer = session.get(f"{url}/members", timeout=ASK_S)
    answer.raise_for_status()
    cluster = int(answer.headers["X-Etcd-Cluster-ID"], 16)
    return cluster, msgspec.json.decode(answer.content, type=list[_Peer])


class _Adapter(HTTPAdapter):
    """Uses a TLS context that is made already."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: object, **kwargs: object) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)  # type: ignore[arg-type]
