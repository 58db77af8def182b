"""Who a certificate is for: a SPIFFE id as its only URI among the subject's alternative names.

    spiffe://FLEET/host/web3            the daemons of a host that run as root
    spiffe://FLEET/host/web3/skydns     one daemon of a host, with rights of its own
    spiffe://FLEET/member/web3          a member of the store on that host
    spiffe://FLEET/user/alice           a person or a program that works for one
    spiffe://FLEET/signer/alice         a key that signs what hosts run as root; never a client

Source: SPIFFE-ID and X509-SVID, the standards of the SPIFFE project.
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["host", "member", "user", "signer"]
SCHEME = "spiffe://"
# A host name, with which an identity can be part of a key and of a file name.
NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")
_URI = re.compile(rf"{SCHEME}({NAME.pattern})/(\w+)/({NAME.pattern})(?:/({NAME.pattern}))?")
_KINDS = frozenset(get_args(Kind))


@dataclass(frozen=True, slots=True)
class Identity:
    """A name that an authority has confirmed. `daemon` is set only for one daemon of a host."""

    fleet: str
    kind: Kind
    name: str
    daemon: str = ""

    def __post_init__(self) -> None:
        given = (self.fleet, self.name, *([self.daemon] if self.daemon else []))
        for each in given:
            if not NAME.fullmatch(each):
                raise ValueError(
                    f"{each!r} is no name for an identity: use up to 63 of a-z, 0-9, - and ."
                )
        if self.kind not in _KINDS or (self.daemon and self.kind != "host"):
            raise ValueError(f"there is no identity of the kind {self.kind}/{self.daemon}")

    @property
    def uri(self) -> str:
        """The SPIFFE id."""
        daemon = f"/{self.daemon}" if self.daemon else ""
        return f"{SCHEME}{self.fleet}/{self.kind}/{self.name}{daemon}"

    @property
    def user(self) -> str:
        """As a user of the store: `alice`, `host:web3`, `host:web3:skydns`, `member:web3`."""
        if self.kind == "user":
            return self.name
        return ":".join(filter(None, (self.kind, self.name, self.daemon)))


def parse(uri: str) -> Identity | None:
    """Return the identity that a SPIFFE id names, None if it is none of ours."""
    found = _URI.fullmatch(uri)
    if found is None:
        return None
    fleet, kind, name, daemon = found.groups(default="")
    try:
        return Identity(fleet, kind, name, daemon)  # type: ignore[arg-type]
    except ValueError:
        return None


def of_certificate(der: bytes) -> Identity | None:
    """Return the identity in a certificate; None if it has none of ours, or several.

    The caller has verified the certificate.
    """
    from cryptography import x509

    try:
        names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except (x509.ExtensionNotFound, ValueError):
        return None
    uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    return parse(uris[0]) if len(uris) == 1 else None
