"""Which requests a browser may have been tricked into.

A web page can make its visitor's browser send requests to any address that the browser reaches, for
example to a daemon on loopback. Two header fields give such a request away:

- `Origin` (RFC 6454) and `Sec-Fetch-Site` (W3C Fetch Metadata) name the page's site.
- `Host` names the page's own site if its name was made to resolve to our address afterwards (DNS
  rebinding). The browser then takes our answers for the page's own.

Other programs do not send the first two, and use a name or an address of ours as Host.
"""

import re
from collections.abc import Iterable

from daemonkit.core.framing import RequestHead

# The values of Host that are remembered as accepted.
ACCEPTED_MAX = 256
# An address needs no look-up, so it cannot be rebound. A name without a dot is in no public zone.
_HARMLESS = re.compile(
    rb"(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+(?:%[a-z0-9_.-]+)?\]|[a-z0-9_-]+|(?:[a-z0-9_-]+\.)?localhost)"
)
_PORT = re.compile(rb":\d{1,5}$")
ANY = b"*"


class OriginPolicy:
    """The host names that requests may use, and the refusal of requests from foreign pages.

    IP addresses, `localhost` and names without a dot are always allowed. `*` allows every name, and
    `h1.*` allows h1 in every domain. `option` is what an operator can add names with.
    """

    def __init__(self, names: Iterable[str] = (), *, option: str = "") -> None:
        self._names = frozenset(name.lower().rstrip(".").encode() for name in names)
        self._option = option
        self.accepted: set[bytes] = set()  # values of Host that were found to be ours

    def refusal(self, head: RequestHead, *, by_name: bool) -> str:
        """Return why a request is refused; "" if it is not.

        `by_name` says that the client found us by the name in Host. This is not so on a Unix
        socket; over TLS the certificate has confirmed the name.
        """
        fields = head.fields
        host = fields.get(b"host", b"")
        if by_name and host not in self.accepted and not self._accepts(host):
            remedy = f"; allow it with {self._option}" if self._option else ""
            return f"Host {_shown(host)} is no name of this server{remedy}"
        origin = fields.get(b"origin")
        if origin is not None and origin.partition(b"://")[2].lower() != host.lower():
            return f"requests from pages of {_shown(origin)} are not allowed"
        site = fields.get(b"sec-fetch-site")
        if site in {b"cross-site", b"same-site"} and not _is_link(head):
            return f"requests from pages of another site ({_shown(site)}) are not allowed"
        return ""

    def _accepts(self, host: bytes) -> bool:
        name = _PORT.sub(b"", host).rstrip(b".").lower()
        listed = {name, name.partition(b".")[0] + b".*", ANY} & self._names
        if not listed and name and not _HARMLESS.fullmatch(name):
            return False
        if len(self.accepted) >= ACCEPTED_MAX:
            self.accepted.clear()
        self.accepted.add(host)
        return True


def _is_link(head: RequestHead) -> bool:
    """Return whether a user followed a link, which shows the answer to the user alone."""
    is_read = head.method in {b"GET", b"HEAD"}
    return is_read and head.fields.get(b"sec-fetch-mode") == b"navigate"


def _shown(value: bytes) -> str:
    return repr(value[:100].decode(errors="replace"))
