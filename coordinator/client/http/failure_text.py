"""What a failed connection or request means, in words that continue a sentence on its endpoint."""

import errno
import ssl
from http.client import BadStatusLine, IncompleteRead, RemoteDisconnected

from coordinator.client.core.endpoint import UNIX

# The names of OpenSSL for what a server without TLS answers to a handshake.
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"})
# What a Unix socket does not let us do.
_NO_SOCKET = {
    errno.EACCES: "may be used by root only: use sudo, or a client URL of a member",
    errno.ENOENT: "does not exist: the member is not running, or without --listen-local",
    errno.ECONNREFUSED: "has no process behind it: start the member",
}
_WANTS_CERTIFICATE = "CERTIFICATE_REQUIRED"
# X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH.
_WRONG_NAME = frozenset({62, 64})
# The first bytes of an alert of TLS.
_TLS_ALERT = "\x15\x03"


def failure_text(error: BaseException, url: str) -> str:
    """Return what failed, by the first cause, with a remedy where one is known."""
    if isinstance(error, IncompleteRead):
        return "broke off its response"
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    if isinstance(error, ssl.SSLCertVerificationError):
        return _refused_certificate(error)
    if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
        return "speaks no TLS: write http:// instead of https://"
    if isinstance(error, ssl.SSLError) and _WANTS_CERTIFICATE in (error.reason or ""):
        return "wants a client certificate: give --cert-file and --key-file"
    if url.startswith(UNIX) and isinstance(error, OSError) and error.errno in _NO_SOCKET:
        return _NO_SOCKET[error.errno]
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    shown = f"fails: {text or type(error).__name__}"
    if url.startswith("http:") and _may_speak_tls(error):
        return f"{shown} (if the server speaks TLS, write https:// instead of http://)"
    return shown


def _refused_certificate(error: ssl.SSLCertVerificationError) -> str:
    shown = f"has a certificate that is not accepted ({error.verify_message})"
    if error.verify_code in _WRONG_NAME:
        return f"{shown}: write a name or an address that the certificate has"
    return f"{shown}: name the file of the CA that signed it with --ca-file"


def _may_speak_tls(error: BaseException) -> bool:
    """Whether the server hung up at the first bytes of a request, or answered by an alert."""
    if isinstance(error, RemoteDisconnected | ConnectionResetError):
        return True
    return isinstance(error, BadStatusLine) and str(error).startswith(_TLS_ALERT)
