"""The store that the options name."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from coordinator.client import Tls, connect
from coordinator.client.core.store_protocol import Store


@dataclass(frozen=True, slots=True)
class Remote:
    """Endpoints as written, PEM files (CA, certificate, key), and user name and password."""

    endpoints: str
    files: tuple[Path | None, Path | None, Path | None] = (None, None, None)
    login: tuple[str, str] = ("", "")

    def open(self) -> Store:
        """Return the store; nothing is asked of it yet. Raises BadRequest."""
        urls = [with_login(url.strip(), *self.login) for url in self.endpoints.split(",")]
        return connect(urls, tls=Tls(*(str(path or "") for path in self.files)))


def with_login(url: str, username: str, password: str) -> str:
    """Write the login into a URL, unless there is none or the URL has one of its own."""
    scheme, separator, rest = url.partition("://")
    if not username or not separator or "@" in rest.partition("/")[0]:
        return url
    return f"{scheme}://{quote(username, safe='')}:{quote(password, safe='')}@{rest}"
