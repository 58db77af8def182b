"""A listener of a host to which only the fleet may talk.

The host's own identities may read from it: daemons ask each other, and root looks after its host.
Whether a user may is said by the role in the certificate, so that the store need not answer.
"""

import ssl

from daemonkit.core.framing import BadMessage
from daemonkit.http.access import IdentityPolicy
from daemonkit.http.exchange import Exchange
from daemonkit.http.tls import TlsFiles
from daemonkit.http.tls_listener import ListenerTls, listener_tls
from daemonkit.options import IdentityFiles
from daemonkit.process.lifecycle import CannotServe

VIEWERS = frozenset(("viewer", "operator", "admin"))
OPERATORS = frozenset(("operator", "admin"))


class FleetListener:
    """The TLS of a listener, and whom it admits."""

    def __init__(self, files: IdentityFiles) -> None:
        """Load the files. CannotServe or OSError says what is wrong with them."""
        pair = TlsFiles(files.cert, files.key, files.ca, ask_client=True)
        try:
            self.tls: ListenerTls = listener_tls(pair, files.revoked)
        except ssl.SSLError as error:
            remedy = "give a certificate in PEM with its private key, and the authority's"
            raise CannotServe(f"{files.cert}: {error.reason or error}: {remedy}") from error

    def refusal(
        self, exchange: Exchange, roles: frozenset[str], *, host: bool = True
    ) -> BadMessage | None:
        """Return why a client is refused that is no user with one of these roles.

        With `host`, the identities of this host are admitted, too. If the own certificate names no
        fleet, every certificate is admitted that the authority has signed.
        """
        own, certificate = self.tls.context.own, exchange.certificate
        if own is None or own.identity is None:
            return None if certificate else BadMessage(401, "show a certificate of a client")
        if host and certificate is not None and (who := certificate.identity) is not None:
            of_host = who.kind in {"host", "member"} and who.name == own.identity.name
            if of_host and who.fleet == own.identity.fleet:
                return None
        return IdentityPolicy(own.identity.fleet, roles=roles).refusal(exchange)
