"""Whether a certificate is that of a member: made for a server, with the host of a peer URL.

A host name in the certificate may have `*` as its first label. (RFC 6125, 6.4.3)
"""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from coordinator.core.peer import peer_identity
from daemonkit.core.tls.certificate import read

_E = TypeVar("_E", bound=x509.ExtensionType)
_SERVER = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}


def problem(der: bytes, hosts: Iterable[str], allowed_cn: str, fleet: str = "") -> str:
    """Say why the certificate is not that of a member at one of `hosts`; empty if it is.

    With `allowed_cn` its common name must be that, too. `fleet` is that of this member.
    """
    if why := peer_identity.problem(read(der), fleet):
        return why
    certificate = x509.load_der_x509_certificate(der)
    usages = _extension(certificate, x509.ExtendedKeyUsage)
    if usages is not None and not _SERVER.intersection(usages):
        return "is only for clients: a member's certificate is for a server, too (serverAuth)"
    names = _extension(certificate, x509.SubjectAlternativeName)
    if names is None or not any(_fits(names, host) for host in hosts):
        return f"is not for {' or '.join(sorted(hosts))}, the hosts of its peer URLs"
    if allowed_cn:
        found = [
            str(a.value) for a in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        ]
        if allowed_cn not in found:
            return f"has the common name {', '.join(found)!r}, not {allowed_cn!r}"
    return ""


def _extension(certificate: x509.Certificate, kind: type[_E]) -> _E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _fits(names: x509.SubjectAlternativeName, host: str) -> bool:
    try:
        return ip_address(host) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        wanted = host.lower()
    parent = wanted.partition(".")[2]
    known = [name.lower() for name in names.get_values_for_type(x509.DNSName)]
    return wanted in known or (bool(parent) and f"*.{parent}" in known)
