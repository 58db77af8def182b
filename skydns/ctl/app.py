"""The console script `skydnsctl`: records as names, and what the daemon makes of them."""

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from coordinator.client import Absent, BadRequest, KeyNotFound, Store, StoreError, Tls, connect
from coordinator.client.core.store_protocol import Entry
from daemonkit import options
from daemonkit.options import EXIT_NO, EXIT_USAGE, Failure
from skydns.core.config import Settings
from skydns.core.dns import name as names
from skydns.core.dns.name import Name, is_within
from skydns.core.dns.rr import Type
from skydns.core.store_config import server as parse_server
from skydns.core.zone.lint import lint as find
from skydns.core.zone.service import Bad, Record, Service, is_config, name_of, read
from skydns.ctl.explain_client import explain as ask_why

PAGE_S = 5.0
ENDPOINTS = "http://127.0.0.1:2379"

ctl = options.program("Show, write and explain the records that skydns answers with.")

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="A name, such as web.skydns.local.")
]
AnyName = Annotated[str, typer.Argument(metavar="[NAME]", help="All at and below it; everything.")]
PathPrefix = Annotated[
    str, typer.Option("--path-prefix", metavar="PATH", help="Where the keys are.")
]
Domain = Annotated[
    str, typer.Option("--domain", metavar="NAME,...", help="The domains that are answered for.")
]
Server = Annotated[
    str, typer.Option("--server", metavar="HOST:PORT", help="Where skydns answers, on this host.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="All below the name too.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite a record that exists.")]
KeyTtl = Annotated[
    int | None, typer.Option("--key-ttl", metavar="SECONDS", min=1, help="When the key expires.")
]
StatusUrl = Annotated[
    str, typer.Option("--status-addr", metavar="HOST:PORT", help="The daemon's status page.")
]
Host = Annotated[str, typer.Option("--host", help="An address, or a name.")]
Port = Annotated[int, typer.Option("--port", min=0, max=65_535, help="For SRV.")]
Priority = Annotated[int, typer.Option("--priority", min=0, max=65_535, help="For SRV and MX.")]
Weight = Annotated[int, typer.Option("--weight", min=0, max=65_535, help="For SRV.")]
Text = Annotated[str, typer.Option("--text", help="For TXT.")]
Mail = Annotated[bool, typer.Option("--mail", help="An MX too.")]
Ttl = Annotated[int, typer.Option("--ttl", min=0, max=86_400, help="Seconds.")]
TargetStrip = Annotated[int, typer.Option("--targetstrip", min=0, max=127, help="Labels.")]
Group = Annotated[str, typer.Option("--group", help="The name's group.")]


@ctl.command()
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
    service = Service(host, port, priority, weight, text, mail, ttl, targetstrip, group)
    key = _key(_name(name), path_prefix)
    value = _value(service)
    leaf = read(Entry(key, value, 0, 0), _prefix(path_prefix))
    if isinstance(leaf, Bad):
        raise Failure(leaf.reason, EXIT_USAGE)
    if not host and not text:
        raise Failure("a record needs --host or --text", EXIT_USAGE)
    store = _store(endpoints, ca_file, cert_file, key_file)
    try:
        store.put(key, value, ttl_s=key_ttl, when=None if force else Absent())
    except StoreError as error:
        raise Failure(f"{key}: {error}; --force overwrites, another label adds") from None
    typer.echo(f"{key} {value}")


@ctl.command("list")
def show(  # noqa: PLR0913 - one parameter an option
    name: AnyName = "",
    *,
    json_: Json = False,
    path_prefix: PathPrefix = "skydns",
    endpoints: options.Endpoints = ENDPOINTS,
    ca_file: options.CaFile = None,
    cert_file: options.CertFile = None,
    key_file: options.KeyFile = None,
) -> None:
    """List records with the index of their last write and what is left of their life."""
    prefix = _prefix(path_prefix)
    wanted = _name(name) if name else ()
    store = _store(endpoints, ca_file, cert_file, key_file)
    leaves = [
        (entry, read(entry, prefix))
        for entry in _entries(store, prefix)
        if not is_config(entry.key, prefix)
    ]
    rows = [(e, leaf) for e, leaf in leaves if leaf.name and is_within(leaf.name, wanted)]
    if json_:
        typer.echo(json.dumps([_row(*row) for row in rows], indent=2))
        return
    for entry, leaf in sorted(rows, key=lambda row: row[1].key):
        said = entry.value if isinstance(leaf, Record) else f"NOT SERVED: {leaf.reason}"
        typer.echo(f"{names.text(leaf.name or ())}\t{entry.modified}\t{said}")


@ctl.command()
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
    """Remove a record, or with --recursive all below a name."""
    key = _key(_name(name), path_prefix)
    store = _store(endpoints, ca_file, cert_file, key_file)
    try:
        store.delete(key, recursive=recursive)
    except KeyNotFound:
        raise Failure(f"{key}: there is no such record; `skydnsctl list` shows them") from None
    except StoreError as error:
        raise Failure(f"{key}: {error}; --recursive removes all below a name") from None


@ctl.command()
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
    """List keys that are not served, or not as meant, with the reasons; exit with 1 if any."""
    settings = Settings(tuple(map(_name, domain.split(","))), _prefix(path_prefix))
    store = _store(endpoints, ca_file, cert_file, key_file)
    found = find(_entries(store, settings.prefix), settings)
    if json_:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        for each in found:
            typer.echo(f"{'error' if each.error else 'warning'}: {each.key}: {each.reason}")
    raise typer.Exit(EXIT_NO if found else 0)


@ctl.command()
def explain(
    name: NameArgument,
    type_: Annotated[str, typer.Argument(metavar="[TYPE]", help="A, SRV, ...")] = "A",
    *,
    json_: Json = False,
    server: Server = "127.0.0.1:53",
) -> None:
    """Say why skydns answers as it does: each key it looks at, what is left out, each TTL."""
    lines = ask_why(_server(server), _name(name), _type(type_))
    if json_:
        pairs = (line.partition(": ") for line in lines)
        typer.echo(json.dumps([{"step": step, "what": what} for step, _, what in pairs], indent=2))
    else:
        typer.echo("\n".join(lines))


@ctl.command()
def top(*, json_: Json = False, status_addr: StatusUrl = "127.0.0.1:2383") -> None:
    """Show what is asked most, and by whom: weighted samples, halved every minute."""
    rows = _state(status_addr)["top"]
    if json_:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        typer.echo(f"{row['count']:>10.0f}  {row['kind']:<7} {row['item']}")


def main() -> NoReturn:
    """Run the console script."""
    options.run(ctl, "skydnsctl")


def _store(endpoints: str, ca: Path | None, cert: Path | None, key: Path | None) -> Store:
    try:
        return connect(endpoints, tls=Tls(*(str(path or "") for path in (ca, cert, key))))
    except BadRequest as error:
        raise Failure(str(error), EXIT_USAGE) from None


def _entries(store: Store, prefix: str) -> tuple[Entry, ...]:
    try:
        return store.list(prefix).entries
    except StoreError as error:
        raise Failure(f"{prefix}: {error}") from None


def _row(entry: Entry, leaf: Record | Bad) -> dict[str, object]:
    row: dict[str, object] = {
        "name": names.text(leaf.name or ()),
        "key": entry.key,
        "created": entry.created,
        "modified": entry.modified,
        "expires_at": entry.expires_at,
        "value": entry.value,
    }
    return row if isinstance(leaf, Record) else {**row, "reason": leaf.reason}


def _state(address: str) -> dict[str, list[dict[str, float]]]:
    host, port = options.parse_address(address)
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/debug/state", timeout=PAGE_S) as page:
            return dict(json.load(page))
    except (OSError, urllib.error.URLError) as error:
        raise Failure(f"{address}: {error}; name the daemon's page with --status-addr") from None


def _value(service: Service) -> str:
    given = msgspec.to_builtins(service)
    return json.dumps({name: value for name, value in given.items() if value}, ensure_ascii=False)


def _key(name: Name, path_prefix: str) -> str:
    key = "/".join((_prefix(path_prefix), *(label.decode() for label in reversed(name))))
    try:
        name_of(key, _prefix(path_prefix))
    except ValueError as error:
        raise Failure(str(error), EXIT_USAGE) from None
    if b"/" in b"".join(name):
        raise Failure("a label has a slash, which no key can hold", EXIT_USAGE)
    return key


def _prefix(text: str) -> str:
    return "/" + text.strip("/")


def _name(text: str) -> Name:
    try:
        return names.parse(text.strip())
    except ValueError as error:
        raise Failure(str(error), EXIT_USAGE) from None


def _server(text: str) -> tuple[str, int]:
    try:
        return parse_server(text)
    except ValueError as error:
        raise Failure(str(error), EXIT_USAGE) from None


def _type(text: str) -> int:
    upper = text.upper()
    if upper in Type.__members__:
        return Type[upper].value
    digits = upper.removeprefix("TYPE")
    if digits.isdigit() and int(digits) < 1 << 16:
        return int(digits)
    raise Failure(f"{text!r} is no type; there are {', '.join(Type.__members__)}", EXIT_USAGE)


if __name__ == "__main__":
    sys.exit(main())
