"""The options that all programs share: the store, its credentials, and the group."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from daemonkit import options
from locksmith.core import keys

if TYPE_CHECKING:
    from coordinator.client import Store, Tls

# Go's locksmith also tries port 4001, where etcd has not listened by default since 2.0.
ENDPOINTS = "http://127.0.0.1:2379"
GROUP_HELP = "Group of hosts that share a semaphore; without it, the default group."


@dataclass(frozen=True, kw_only=True)
class StoreOptions:
    """The options that name the store."""

    endpoints: options.Endpoints = ENDPOINTS
    ca_file: options.CaFile = None
    cert_file: options.CertFile = None
    key_file: options.KeyFile = None
    etcd_username: Annotated[
        str, typer.Option("--etcd-username", help="User name for the store.")
    ] = ""
    etcd_password: Annotated[
        str,
        typer.Option(
            "--etcd-password", help="Password for the store; prefer the environment variable."
        ),
    ] = ""

    @property
    def urls(self) -> tuple[str, ...]:
        """The endpoints, one by one."""
        return tuple(url.strip() for url in self.endpoints.split(","))

    @property
    def tls(self) -> "Tls":
        """The TLS files. Raises BadRequest."""
        from coordinator.client import Tls

        return Tls(*(str(path or "") for path in (self.ca_file, self.cert_file, self.key_file)))

    def open(self, *, patience_s: float = 0.0) -> "Store":
        """Return the store; no request is sent yet. Raises BadRequest."""
        from coordinator.client import connect

        urls = [with_credentials(url, self.etcd_username, self.etcd_password) for url in self.urls]
        return connect(urls, tls=self.tls, patience_s=patience_s)


def with_credentials(url: str, username: str, password: str) -> str:
    """Add the user name and password to a URL, unless it has its own or none are given."""
    scheme, separator, rest = url.partition("://")
    if not username or not separator or "@" in rest.partition("/")[0]:
        return url
    return f"{scheme}://{quote(username, safe='')}:{quote(password, safe='')}@{rest}"


def checked_group(name: str | None) -> str | None:
    """Return the value of `--group`, or say what is wrong with it."""
    if name == "":
        raise typer.BadParameter("the name is empty: leave --group out for the default group")
    try:
        return None if name is None else keys.checked_group(name)
    except keys.InvalidName as error:
        raise typer.BadParameter(str(error)) from None
