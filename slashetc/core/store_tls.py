"""The options of a member of the store, as variables of its environment, with and without TLS."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Mode = Literal["off", "prefer", "require"]
MODES: tuple[Mode, ...] = get_args(Mode)
DEFAULT_URL = "http://127.0.0.1:2379"
# Whether URLs are written with https. With prefer both work, and http lets members without TLS in.
_SCHEMES: Mapping[Mode, str] = {"off": "http", "prefer": "http", "require": "https"}
_PREFIX = "COORDINATOR_"
_PEERS = "INITIAL_ADVERTISE_PEER_URLS"
_URLS = ("LISTEN_CLIENT_URLS", "ADVERTISE_CLIENT_URLS", "LISTEN_PEER_URLS", _PEERS)
_LINE = re.compile(rf"\s*(?:export\s+)?{_PREFIX}(\w+)=(.*)")


@dataclass(frozen=True, slots=True)
class PemFiles:
    """The certificate of a member, its key, and the authorities that it trusts."""

    cert: str
    key: str
    ca: str


def options(text: str) -> dict[str, str]:
    """Return the options in a file of variables, by their names without the program's."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if (match := _LINE.fullmatch(line)) is not None:
            found[match[1]] = _bare(match[2])
    return found


def pem_files(given: Mapping[str, str]) -> PemFiles | None:
    """Return the files that a member uses for its clients, None if it has none."""
    names = ("CERT_FILE", "KEY_FILE", "TRUSTED_CA_FILE")
    if any(not given.get(name) for name in names):
        return None
    return PemFiles(*(given[name] for name in names))


def changed(text: str, mode: Mode, files: PemFiles | None) -> str:
    """Return a file of variables with a mode of TLS, the URLs for it, and these certificates.

    The lines of all other variables, and comments, stay as they are.
    """
    wanted = dict(_wanted(options(text), mode, files))
    lines, written = [], set()
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None or match[1] not in wanted:
            lines.append(line)
            continue
        written.add(match[1])
        lines.append(f"{_PREFIX}{match[1]}={wanted[match[1]]}")
    lines += [f"{_PREFIX}{name}={wanted[name]}" for name in wanted if name not in written]
    return "".join(f"{line}\n" for line in lines)


def with_scheme(url: str, mode: Mode) -> str:
    """Return a URL as it is written in a mode."""
    return f"{_SCHEMES[mode]}://{url.partition('://')[2]}"


def urls(given: Mapping[str, str], mode: Mode, name: str) -> list[str]:
    """Return the URLs of an option in a mode."""
    return [with_scheme(url.strip(), mode) for url in given.get(name, "").split(",") if url.strip()]


def client_url(given: Mapping[str, str], mode: Mode) -> str:
    """Return a URL at which this host reaches its member."""
    return urls({"": given.get("LISTEN_CLIENT_URLS") or DEFAULT_URL}, mode, "")[0]


def peer_urls(given: Mapping[str, str], mode: Mode) -> list[str]:
    """Return the URLs at which the other members reach this one."""
    return urls(given, mode, _PEERS)


def _wanted(
    given: Mapping[str, str], mode: Mode, files: PemFiles | None
) -> Iterator[tuple[str, str]]:
    yield "TLS", mode
    for name in _URLS:
        if name in given:
            yield name, ",".join(urls(given, mode, name))
    if "LISTEN_CLIENT_URLS" not in given:
        yield "LISTEN_CLIENT_URLS", with_scheme(DEFAULT_URL, mode)
    if "INITIAL_CLUSTER" in given:
        # A member does not start if the two disagree about its own URLs.
        own = {url.partition("://")[2] for url in peer_urls(given, mode)}
        entries = [entry.partition("=") for entry in given["INITIAL_CLUSTER"].split(",")]
        yield (
            "INITIAL_CLUSTER",
            ",".join(
                f"{name}={with_scheme(url, mode) if url.partition('://')[2] in own else url}"
                for name, _, url in entries
            ),
        )
    if files is not None:
        for prefix in ("", "PEER_"):
            yield f"{prefix}CERT_FILE", files.cert
            yield f"{prefix}KEY_FILE", files.key
            yield f"{prefix}TRUSTED_CA_FILE", files.ca
        yield "PEER_CLIENT_CERT_AUTH", "true"


def _bare(value: str) -> str:
    value = value.strip()
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value
