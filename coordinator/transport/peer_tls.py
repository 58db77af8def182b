"""TLS between members: when to dial with it, and whose certificates are a member's.

With `--tls prefer` a member that is reached at an http:// URL is dialed with TLS first. If that
fails, the next attempt is plain, since that member may not have TLS yet. So nothing is lost when
the members of a cluster get TLS one after the other.
"""

import ssl
from dataclasses import dataclass

from coordinator.core.peer import peer_identity
from daemonkit.core.tls.certificate import Certificate
from daemonkit.http.tls import RenewedContext
from daemonkit.http.tls_listener import ListenerTls, TlsMode


@dataclass(frozen=True, slots=True)
class PeerTls:
    """How this member dials the others. `listener` has its own certificate and the revoked ones."""

    context: RenewedContext
    listener: ListenerTls
    mode: TlsMode | None

    def dials_with_tls(self, scheme: str) -> bool:
        """Return whether a member at a URL of this scheme is dialed with TLS."""
        return scheme == "https" or self.mode in {TlsMode.PREFER, TlsMode.REQUIRE}

    def may_fall_back(self, scheme: str) -> bool:
        """Return whether a member at a URL of this scheme may be dialed without TLS, too."""
        return scheme == "http" and self.mode is TlsMode.PREFER

    def current(self) -> ssl.SSLContext:
        """Return the context for the next connection."""
        return self.context.current

    def refusal(self, holder: Certificate | None) -> str:
        """Say why the holder of a certificate is no member of this fleet; empty if it may be."""
        if holder is None:
            return ""
        return self.listener.refusal(holder) or peer_identity.problem(holder, self.listener.fleet)
