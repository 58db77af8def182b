"""Asks an agent of a fleet for certificates, over TLS.

A joining host knows the hash of the authority, from its token, but not yet its certificate. So it
asks for that first, on a connection that it does not trust, and compares. Only then does it show
the token, on a connection that it does.
"""

import datetime as dt
import http.client
import socket
import ssl
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from cryptography import x509

from slashetc.core import certificates, requests, trust
from slashetc.core.requests import JoinAnswer, JoinRequest

CONNECT_S = 10.0
# The agent keeps a request for half a minute, while it waits for the authority.
ANSWER_S = 45.0
ANSWER_BYTES_MAX = 256 << 10
AUTHORITY_PATH, JOIN_PATH = "/v1/authority", "/v1/join"
# Certificates are backdated by more than this.
SKEW_S_MAX = 60.0
PORT = 2378


class JoinFailed(Exception):  # noqa: N818 - a sentence for the operator
    """The fleet did not answer as it should; the message says what to do.

    `temporary` says that another attempt, or another member, may succeed.
    """

    def __init__(self, reason: str, *, temporary: bool = False) -> None:
        super().__init__(reason)
        self.temporary = temporary


class JoinClient:
    """Talks to one agent. `url` is https://HOST:2378; the scheme and the port may be left out."""

    def __init__(self, url: str) -> None:
        """Read the URL. Raises JoinFailed."""
        text = url if "://" in url else f"https://{url}"
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port or PORT
        except ValueError:
            host, port = None, PORT
        if not host or parts.scheme != "https" or parts.path not in {"", "/"}:
            raise JoinFailed(
                f"{url!r} is not the URL of an agent: write https://HOST:{PORT}, with the address "
                "of a member, as `slashetc token` prints it"
            )
        self._host, self._port = host, port
        self.url = f"https://{f'[{host}]' if ':' in host else host}:{port}"
        self._trusted: tuple[x509.Certificate, ...] = ()

    def pin(self, fingerprint: str, now: Callable[[], dt.datetime]) -> tuple[x509.Certificate, ...]:
        """Trust the authority that a token names, and compare the clocks. Raises JoinFailed."""
        unverified = ssl.create_default_context()
        unverified.check_hostname = False
        unverified.verify_mode = ssl.CERT_NONE
        body, date = self._ask("GET", AUTHORITY_PATH, None, unverified)
        try:
            offered = certificates.bundle(body.decode())
        except ValueError:
            raise JoinFailed(
                f"{self.url} is no agent of a fleet: give the URL that was printed with the token"
            ) from None
        self._trusted = trust.pinned(fingerprint, offered)
        if not self._trusted:
            names = ", ".join(dict.fromkeys(map(certificates.fleet_of, offered)))
            raise JoinFailed(
                f"the token is of another authority than the one at {self.url} ({names}): use the "
                "URL that was printed with the token, or make a token there"
            )
        self._compare_clocks(date, now())
        return self._trusted

    def trust(self, trusted: Sequence[x509.Certificate]) -> None:
        """Trust these authorities."""
        self._trusted = tuple(trusted)

    def send(self, request: JoinRequest) -> JoinAnswer:
        """Send a request, and return the answer. Raises JoinFailed, also if it is a refusal."""
        context = ssl.create_default_context(
            cadata="".join(map(certificates.pem_of, self._trusted))
        )
        body, _ = self._ask("POST", JOIN_PATH, requests.encode(request).encode(), context)
        try:
            answer = requests.read_answer(body)
        except requests.BadMessage as error:
            raise JoinFailed(f"{self.url}: {error}", temporary=True) from None
        if answer.status >= 300:
            raise JoinFailed(answer.error, temporary=answer.status >= 500 or answer.status == 429)
        return answer

    def _ask(
        self, method: str, path: str, body: bytes | None, context: ssl.SSLContext
    ) -> tuple[bytes, str]:
        connection = http.client.HTTPSConnection(
            self._host, self._port, timeout=CONNECT_S, context=context
        )
        try:
            connection.connect()
            connection.sock.settimeout(ANSWER_S)
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.read(ANSWER_BYTES_MAX), response.headers.get("Date", "")
        except ssl.SSLCertVerificationError as error:
            raise JoinFailed(
                f"{self.url} shows a certificate that is not valid here: {error.verify_message}: "
                "check the clocks of both hosts (`timedatectl`), and that the URL has the address "
                "that the agent there has in its certificate"
            ) from None
        except ssl.SSLError as error:
            raise JoinFailed(
                f"{self.url} does not speak TLS as an agent does ({error.reason}): give the URL "
                f"of the agent of a member, port {PORT}"
            ) from None
        except (TimeoutError, socket.gaierror, ConnectionError, OSError) as error:
            raise JoinFailed(
                f"nothing answers at {self.url} ({error.strerror or error}): check the address, "
                f"a firewall on TCP port {self._port}, and `systemctl status slashetc-agent` there",
                temporary=True,
            ) from None
        except http.client.HTTPException as error:
            raise JoinFailed(f"{self.url} does not answer as an agent does: {error}") from None
        finally:
            connection.close()

    def _compare_clocks(self, date: str, now: dt.datetime) -> None:
        try:
            skew_s = (now - parsedate_to_datetime(date)).total_seconds()
        except ValueError:
            return
        if abs(skew_s) > SKEW_S_MAX:
            way = "ahead of" if skew_s > 0 else "behind"
            raise JoinFailed(
                f"the clock of this host is {abs(skew_s):.0f} s {way} that of {self.url}, and "
                "certificates have dates: set it, for example by `timedatectl set-ntp true`, and "
                "join again"
            )
