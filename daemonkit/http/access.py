"""Which identities may call a listener."""

from dataclasses import dataclass

from daemonkit.core.framing import BadMessage
from daemonkit.core.identity import Kind
from daemonkit.http.exchange import Exchange


@dataclass(frozen=True, slots=True)
class IdentityPolicy:
    """Admits clients of a fleet by their certificates.

    `kinds` are admitted whoever they are: `host`, `host/skydns` for one daemon of every host,
    `member`. Users are admitted by a role in their certificates: viewer, operator, admin.
    """

    fleet: str
    kinds: frozenset[Kind | str] = frozenset()
    roles: frozenset[str] = frozenset()

    def refusal(self, exchange: Exchange) -> BadMessage | None:
        """Return why a request is refused, as 401 or 403 with a sentence; None if it is not."""
        certificate = exchange.certificate
        if certificate is None or certificate.identity is None:
            how = "https:// and a certificate" if not exchange.secure else "a certificate"
            return BadMessage(401, f"use {how} of the fleet {self.fleet}: {self._admitted()}")
        identity = certificate.identity
        if identity.fleet != self.fleet:
            return BadMessage(403, f"{identity.uri} is not of the fleet {self.fleet}")
        if identity.kind == "user":
            if certificate.roles & self.roles:
                return None
            roles = ", ".join(sorted(certificate.roles)) or "none"
            return BadMessage(403, f"{identity.uri} has the roles {roles}: {self._admitted()}")
        kind = f"{identity.kind}/{identity.daemon}" if identity.daemon else identity.kind
        if kind in self.kinds:
            return None
        return BadMessage(403, f"{identity.uri} may not call this: {self._admitted()}")

    def _admitted(self) -> str:
        roles = [f"users with the role {role}" for role in sorted(self.roles)]
        kinds = [f"identities of the kind {kind}" for kind in sorted(self.kinds)]
        return f"admitted are {' and '.join(roles + kinds) or 'none'}"
