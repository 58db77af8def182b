"""/etc/slashetc/fleet.toml: which fleet this host is in, and what runs on it."""

import re
import tomllib

import msgspec

from daemonkit.core.identity import NAME

DAEMONS = ("fleetd", "locksmithd", "skydns", "confd", "vulcand")
_MACHINE = re.compile(r"[0-9a-f]{32}")


class BadFile(ValueError):  # noqa: N818 - what is wrong with a file
    """The file does not describe a host of a fleet; the message says why."""


class FleetFile(msgspec.Struct, frozen=True, kw_only=True):
    """What this host is in its fleet.

    `cluster` has the peer URLs of the members by name, as they were when this host joined; `begun`
    says that the member of this host has made or joined that cluster.
    """

    fleet: str
    host: str
    machine: str
    address: str
    domain: str
    member: bool = False
    authority: bool = False
    first: bool = False
    endpoints: list[str] = []
    daemons: list[str] = msgspec.field(default_factory=lambda: list(DAEMONS))
    cluster: dict[str, list[str]] = {}

    @property
    def client_url(self) -> str:
        """Where clients reach the member of this host."""
        return f"https://{bracketed(self.address)}:2379"

    @property
    def peer_url(self) -> str:
        """Where other members reach the member of this host."""
        return f"https://{bracketed(self.address)}:2380"

    @property
    def join_url(self) -> str:
        """Where new hosts reach the agent of this host."""
        return f"https://{bracketed(self.address)}:2378"


def read(text: str) -> FleetFile:
    """Read the file. Raises BadFile."""
    try:
        found = msgspec.convert(tomllib.loads(text), FleetFile)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadFile(str(error)) from None
    for name in (found.fleet, found.host):
        if not NAME.fullmatch(name):
            raise BadFile(f"{name!r} is no name of a fleet or a host")
    if not _MACHINE.fullmatch(found.machine):
        raise BadFile(f"{found.machine!r} is no machine-id")
    return found


def text_of(file: FleetFile) -> str:
    """Return the content of the file."""
    values = msgspec.to_builtins(file)
    cluster = values.pop("cluster")
    lines = ["# Written by slashetc; `slashetc join` and its agent change it."]
    lines += [f"{name} = {_toml(value)}" for name, value in values.items()]
    if cluster:
        lines += ["", "[cluster]"]
        lines += [f"{_toml(name)} = {_toml(urls)}" for name, urls in cluster.items()]
    return "\n".join([*lines, ""])


def bracketed(address: str) -> str:
    """Return an address as it stands in a URL."""
    return f"[{address}]" if ":" in address else address


def _toml(value: object) -> str:
    # A TOML string, boolean or array of strings is written as in JSON.
    return msgspec.json.encode(value).decode()
