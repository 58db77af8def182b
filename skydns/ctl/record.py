"""`skydnsctl add`, `list`, `rm` and `lint`: the records in the store."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemonkit import options
from daemonkit.core.terminal_text import LINES, printable
from daemonkit.options import EXIT_NO, EXIT_USAGE, Failure
from skydns.core import keys
from skydns.core.dns import name as names
from skydns.core.dns.name import Name, is_within
from skydns.ctl.arguments import ENDPOINTS, Json, NameArgument, PathPrefix, read_name, read_prefix

if TYPE_CHECKING:
    from coordinator.client import Store
    from coordinator.client.core.store_protocol import Entry
    from skydns.core.zone.service import InvalidKey, Service, ServiceValue

AnyName = Annotated[
    str, typer.Argument(metavar="[NAME]", help="List only records at and below this name.")
]
Domain = Annotated[
    str,
    typer.Option(
        "--domain",
        metavar="NAME,...",
        envvar=["SKYDNSCTL_DOMAIN", "SKYDNS_DOMAIN"],
        help="Domains that skydns answers for; those of its settings in the store go first.",
    ),
]
Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Remove everything below the name too.")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite a record that exists.")]
KeyTtl = Annotated[
    int | None,
    typer.Option("--key-ttl", metavar="SECONDS", min=1, help="Remove the key after this time."),
]
Host = Annotated[str, typer.Option("--host", help="Address or name that the record points to.")]
Port = Annotated[int, typer.Option("--port", min=0, max=65_535, help="Port in the SRV record.")]
Priority = Annotated[
    int,
    typer.Option(
        "--priority",
        min=0,
        max=65_535,
        help="Priority in SRV and MX records; 0 means the server's default.",
    ),
]
Weight = Annotated[
    int,
    typer.Option(
        "--weight",
        min=0,
        max=65_535,
        help="Weight in the SRV record; 0 means the server's default.",
    ),
]
Text = Annotated[str, typer.Option("--text", help="Text of the TXT record.")]
Mail = Annotated[bool, typer.Option("--mail", help="Also make it an MX record.")]
Ttl = Annotated[
    int,
    typer.Option("--ttl", min=0, max=86_400, help="TTL in seconds; 0 means the server's default."),
]
TargetStrip = Annotated[
    int,
    typer.Option(
        "--targetstrip", min=0, max=127, help="Labels to drop from the left of the target."
    ),
]
Group = Annotated[str, typer.Option("--group", help="Group of the record.")]


def add(  # noqa: PLR0913 - one parameter an option
    name: NameArgument,
    *,
    host: Host = "",
    port: Port = 0,
    priority: Priority = 0,
    weight: Weight = 0,
    text: Text = "",
    mail: Mail = False,
    ttl: Ttl = 0,
    targetstrip: TargetStrip = 0,
    group: Group = "",
    key_ttl: KeyTtl = None,
    force: Force = False,
    path_prefix: PathPrefix = "skydns",
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
) -> None:
    """Write one record."""
    from coordinator.client import Absent, StoreError
    from coordinator.client.core.store_protocol import Entry
    from skydns.core.zone.service import InvalidKey, ServiceValue, read

    written = ServiceValue(host, port, priority, weight, text, mail, ttl, targetstrip, group)
    key = _key(read_name(name), path_prefix)
    value = _json(written)
    leaf = read(Entry(key, value, 0, 0), read_prefix(path_prefix))
    if isinstance(leaf, InvalidKey):
        raise Failure(leaf.reason, EXIT_USAGE)
    if not host and not text:
        raise Failure("a record needs --host or --text", EXIT_USAGE)
    store = _store(endpoints, ca_file, cert_file, key_file)
    try:
        store.put(key, value, ttl_s=key_ttl, when=None if force else Absent())
    except StoreError as error:
        remedy = "use --force to overwrite it, or another label to add a record"
        raise Failure(f"{key}: {error}; {remedy}") from None
    typer.echo(printable(f"{key} {value}"))


def list_(  # noqa: PLR0913 - one parameter an option
    name: AnyName = "",
    *,
    json_: Json = False,
    path_prefix: PathPrefix = "skydns",
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
) -> None:
    """List records, each with the index of its last write."""
    from skydns.core.zone.service import InvalidKey, read

    prefix = read_prefix(path_prefix)
    wanted = read_name(name) if name else ()
    store = _store(endpoints, ca_file, cert_file, key_file)
    leaves = [
        (entry, read(entry, prefix))
        for entry in _entries(store, prefix)
        if not keys.is_config(entry.key, prefix)
    ]
    rows = [(e, leaf) for e, leaf in leaves if leaf.name and is_within(leaf.name, wanted)]
    if json_:
        typer.echo(json.dumps([_row(*row) for row in rows], indent=2))
        return
    for entry, leaf in sorted(rows, key=lambda row: row[1].key):
        shown = f"NOT SERVED: {leaf.reason}" if isinstance(leaf, InvalidKey) else entry.value
        typer.echo(f"{names.text(leaf.name or ())}\t{entry.modified}\t{printable(shown)}")


def rm(  # noqa: PLR0913 - one parameter an option
    name: NameArgument,
    *,
    recursive: Recursive = False,
    path_prefix: PathPrefix = "skydns",
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
) -> None:
    """Remove a record, or with --recursive everything below a name."""
    from coordinator.client import KeyNotFound, StoreError

    key = _key(read_name(name), path_prefix)
    store = _store(endpoints, ca_file, cert_file, key_file)
    try:
        store.delete(key, recursive=recursive)
    except KeyNotFound:
        raise Failure(f"{key}: there is no such record; `skydnsctl list` shows them") from None
    except StoreError as error:
        raise Failure(f"{key}: {error}; --recursive removes everything below a name") from None


def lint(  # noqa: PLR0913 - one parameter an option
    *,
    json_: Json = False,
    domain: Domain = "skydns.local.",
    path_prefix: PathPrefix = "skydns",
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
) -> None:
    """List keys that are wrong, with the reasons. Exits with 1 if there are any."""
    import msgspec

    from skydns.core.config import Config
    from skydns.core.zone import lint as checks

    config = Config(tuple(map(read_name, domain.split(","))), read_prefix(path_prefix))
    store = _store(endpoints, ca_file, cert_file, key_file)
    found = checks.lint(_entries(store, config.prefix), config)
    if json_:
        typer.echo(printable(msgspec.json.format(msgspec.json.encode(found)).decode(), LINES))
    else:
        for each in found:
            text = f"{'error' if each.error else 'warning'}: {each.key}: {each.reason}"
            typer.echo(printable(text))
    raise typer.Exit(EXIT_NO if found else 0)


def _store(endpoints: str, ca: Path | None, cert: Path | None, key: Path | None) -> "Store":
    from coordinator.client import BadRequest, Tls, connect

    try:
        return connect(endpoints, tls=Tls(*(str(path or "") for path in (ca, cert, key))))
    except BadRequest as error:
        raise Failure(str(error), EXIT_USAGE) from None


def _entries(store: "Store", prefix: str) -> "tuple[Entry, ...]":
    from coordinator.client import StoreError

    try:
        return store.list(prefix).entries
    except StoreError as error:
        raise Failure(f"{prefix}: {error}") from None


def _row(entry: "Entry", leaf: "Service | InvalidKey") -> dict[str, object]:
    from skydns.core.zone.service import InvalidKey

    row: dict[str, object] = {
        "name": names.text(leaf.name or ()),
        "key": entry.key,
        "created": entry.created,
        "modified": entry.modified,
        "expires_at": entry.expires_at,
        "value": entry.value,
    }
    return {**row, "reason": leaf.reason} if isinstance(leaf, InvalidKey) else row


def _json(value: "ServiceValue") -> str:
    import msgspec

    given = msgspec.to_builtins(value)
    return json.dumps({name: field for name, field in given.items() if field}, ensure_ascii=False)


def _key(name: Name, path_prefix: str) -> str:
    prefix = read_prefix(path_prefix)
    key = keys.key_of(name, prefix)
    try:
        keys.name_of(key, prefix)
    except ValueError as error:
        raise Failure(str(error), EXIT_USAGE) from None
    if b"/" in b"".join(name):
        raise Failure("a label has a slash, which no key can contain", EXIT_USAGE)
    return key
