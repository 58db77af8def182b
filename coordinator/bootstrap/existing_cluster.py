"""Asks the members of a running cluster for the id of a member that joins it."""

import ssl
from collections.abc import Sequence
from contextlib import suppress

import msgspec
import requests
from requests.adapters import HTTPAdapter

from coordinator.core.cluster.initial_membership import BootstrapError, InitialMembership
from coordinator.settings import Settings
from daemonkit.http import tls

ANSWER_S = 3.0


class PeerInfo(msgspec.Struct):
    """A member as the other members show it to a new one."""

    id: int
    peer_urls: list[str] = msgspec.field(name="peerURLs")


def join(settings: Settings) -> InitialMembership:
    """Return the membership that the first reachable member knows. Raises BootstrapError."""
    own = set(settings.peer_urls)
    others = [url for urls in settings.initial_cluster.values() for url in urls if url not in own]
    if not others:
        raise BootstrapError(
            "--initial-cluster-state existing needs the other members in --initial-cluster"
        )
    reasons = []
    for url in others:
        try:
            return _match(settings, *_ask(settings, url))
        except (requests.RequestException, OSError, ValueError, msgspec.MsgspecError) as error:
            reasons.append(f"{url}: {error}")
    raise BootstrapError("no member of the existing cluster answers: " + "; ".join(reasons))


def members_at(settings: Settings, urls: Sequence[str], cluster: int) -> dict[int, tuple[str, ...]]:
    """Return the members that the first one at these URLs names; none if nobody answers."""
    for url in urls:
        with suppress(requests.RequestException, OSError, ValueError, msgspec.MsgspecError):
            found, peers = _ask(settings, url)
            if found == cluster:
                return {peer.id: tuple(sorted(peer.peer_urls)) for peer in peers}
    return {}


def _match(settings: Settings, cluster: int, peers: list[PeerInfo]) -> InitialMembership:
    known = {peer.id: tuple(sorted(peer.peer_urls)) for peer in peers}
    own = [member for member, urls in known.items() if set(urls) & set(settings.peer_urls)]
    if not own:
        raise BootstrapError(
            f"the cluster {cluster:x} has no member at {', '.join(settings.peer_urls)}: add it "
            "first, with `coordctl member add NAME URL`"
        )
    if known[own[0]] != settings.peer_urls:
        raise BootstrapError(
            f"the cluster knows this member at {', '.join(known[own[0]])}, "
            f"but --initial-advertise-peer-urls is {', '.join(settings.peer_urls)}: "
            "make them equal"
        )
    return InitialMembership(own[0], cluster, known, {})


def _ask(settings: Settings, url: str) -> tuple[int, list[PeerInfo]]:
    with requests.Session() as session:
        if settings.peer_tls is not None:
            session.mount("https://", _TlsAdapter(tls.client_context(settings.peer_tls)))
        answer = session.get(f"{url}/members", timeout=ANSWER_S)
    answer.raise_for_status()
    cluster = int(answer.headers["X-Etcd-Cluster-ID"], 16)
    return cluster, msgspec.json.decode(answer.content, type=list[PeerInfo])


class _TlsAdapter(HTTPAdapter):
    """Uses a TLS context that exists already."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: object, **kwargs: object) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)  # type: ignore[arg-type]
