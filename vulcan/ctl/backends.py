"""vctl's nouns: hosts, listeners, backends, servers and frontends, with vulcand's flags."""

import base64
from pathlib import Path
from typing import Annotated, Any

import typer

from daemonkit import options
from daemonkit.options import EXIT_USAGE, Failure
from vulcan.ctl import tls_flags
from vulcan.ctl.api_client import Ttl

host = options.program("Names with their key pairs.")
listener = options.program("Sockets that requests come to.")
backend = options.program("Groups of servers.")
server = options.program("Servers of a backend.")
frontend = options.program("Routes to backends.")
NOUNS = {
    "host": host,
    "listener": listener,
    "backend": backend,
    "server": server,
    "frontend": frontend,
}

Context = typer.Context
Id = Annotated[str, typer.Option("--id", help="Which one.")]
Name = Annotated[str, typer.Option("--name", help="The host's name.")]
Backend = Annotated[str, typer.Option("--backend", "-b", help="The backend.")]


@host.command("ls")
def hosts(context: Context) -> None:
    """List the hosts."""
    context.obj.list("host")


@host.command("show")
def show_host(context: Context, *, name: Name) -> None:
    """Print a host, without its key."""
    context.obj.show("host", name)


@host.command("rm")
def remove_host(context: Context, *, name: Name) -> None:
    """Remove a host."""
    context.obj.remove("host", name)


@host.command("upsert")
def upsert_host(  # noqa: PLR0913 - one parameter a flag
    context: Context,
    *,
    name: Name,
    cert: Annotated[Path | None, typer.Option("--cert", help="Certificate chain, PEM.")] = None,
    key: Annotated[Path | None, typer.Option("--privateKey", help="Its key, PEM.")] = None,
    default: Annotated[
        bool, typer.Option("--default", help="Shown to who asks for no name that is here.")
    ] = False,
    ocsp: Annotated[bool, typer.Option("--ocsp", help="Kept in the key; nothing is stapled.")] = (
        False
    ),
    ocsp_skip_check: Annotated[bool, typer.Option("--ocspSkipCheck", help="As --ocsp.")] = False,
    ocsp_period: Annotated[str, typer.Option("--ocspPeriod", help="As --ocsp.")] = "1h",
    ocsp_responder: Annotated[
        list[str] | None, typer.Option("--ocspResponder", help="As --ocsp; may be repeated.")
    ] = None,
) -> None:
    """Write a host; its key pair is sealed by vulcand before it is kept."""
    settings: dict[str, Any] = {"Default": default}
    if pair := key_pair(cert, key):
        settings["KeyPair"] = pair
    if ocsp:
        settings["OCSP"] = {
            "Enabled": True,
            "Period": ocsp_period,
            "Responders": ocsp_responder or [],
            "SkipSignatureCheck": ocsp_skip_check,
        }
    context.obj.upsert("host", {"Name": name, "Settings": settings})


@listener.command("ls")
def listeners(context: Context) -> None:
    """List the listeners."""
    context.obj.list("listener")


@listener.command("show")
def show_listener(context: Context, *, id_: Id) -> None:
    """Print a listener."""
    context.obj.show("listener", id_)


@listener.command("rm")
def remove_listener(context: Context, *, id_: Id) -> None:
    """Close a listener; requests under way finish."""
    context.obj.remove("listener", id_)


@listener.command("upsert")
def upsert_listener(  # noqa: PLR0913 - one parameter a flag
    context: Context,
    *,
    id_: Id,
    proto: Annotated[str, typer.Option("--proto", help="http or https.")] = "http",
    net: Annotated[str, typer.Option("--net", help="tcp or unix.")] = "tcp",
    addr: Annotated[str, typer.Option("--addr", help="HOST:PORT, or a path.")],
    scope: Annotated[str, typer.Option("--scope", help="A route; others get 404.")] = "",
    proxy_header: Annotated[
        str, typer.Option("--proxy-header", help="none: PROXY protocol is not spoken.")
    ] = "none",
    skip_verify: tls_flags.SkipVerify = False,
    prefer_server: tls_flags.PreferServer = False,
    no_tickets: tls_flags.NoTickets = False,
    least: tls_flags.Least = "",
    most: tls_flags.Most = "",
    cache: tls_flags.Cache = "",
    capacity: tls_flags.CacheCapacity = 0,
    ciphers: tls_flags.Ciphers = None,
) -> None:
    """Open a listener, or change one."""
    tls = tls_flags.tls(
        skip_verify=skip_verify,
        prefer_server=prefer_server,
        no_tickets=no_tickets,
        versions=(least, most),
        cache=(cache, capacity),
        ciphers=ciphers,
    )
    document: dict[str, Any] = {
        "Id": id_,
        "Protocol": proto,
        "Address": {"Network": net, "Address": addr},
        "Scope": scope,
        "ProxyProtocol": "" if proxy_header.lower() == "none" else proxy_header,
    }
    if tls:
        document["Settings"] = {"TLS": tls}
    context.obj.upsert("listener", document)


@backend.command("ls")
def backends(context: Context) -> None:
    """List the backends."""
    context.obj.list("backend")


@backend.command("show")
def show_backend(context: Context, *, id_: Id) -> None:
    """Print a backend."""
    context.obj.show("backend", id_)


@backend.command("rm")
def remove_backend(context: Context, *, id_: Id) -> None:
    """Remove a backend with its servers, unless a frontend uses it."""
    context.obj.remove("backend", id_)


@backend.command("upsert")
def upsert_backend(  # noqa: PLR0913 - one parameter a flag
    context: Context,
    *,
    id_: Id,
    read: Annotated[str, typer.Option("--readTimeout", help="To an answer's head.")] = "",
    dial: Annotated[str, typer.Option("--dialTimeout", help="For a connection.")] = "",
    handshake: Annotated[str, typer.Option("--handshakeTimeout", help="For TLS.")] = "",
    keep_alive: Annotated[
        str, typer.Option("--keepAlivePeriod", help="Between TCP keep-alive probes.")
    ] = "",
    max_idle: Annotated[
        int, typer.Option("--maxIdleConns", min=0, help="Kept for each server.")
    ] = 0,
    balance: Annotated[str, typer.Option("--balance", help="rr, p2c or leastconn.")] = "",
    skip_verify: tls_flags.SkipVerify = False,
    prefer_server: tls_flags.PreferServer = False,
    no_tickets: tls_flags.NoTickets = False,
    least: tls_flags.Least = "",
    most: tls_flags.Most = "",
    cache: tls_flags.Cache = "",
    capacity: tls_flags.CacheCapacity = 0,
    ciphers: tls_flags.Ciphers = None,
) -> None:
    """Write a backend."""
    tls = tls_flags.tls(
        skip_verify=skip_verify,
        prefer_server=prefer_server,
        no_tickets=no_tickets,
        versions=(least, most),
        cache=(cache, capacity),
        ciphers=ciphers,
    )
    settings = {
        "Timeouts": {"Read": read, "Dial": dial, "TLSHandshake": handshake},
        "KeepAlive": {"Period": keep_alive, "MaxIdleConnsPerHost": max_idle},
        **({"TLS": tls} if tls else {}),
        **({"Balance": balance} if balance else {}),
    }
    context.obj.upsert("backend", {"Id": id_, "Type": "http", "Settings": settings})


@server.command("ls")
def servers(context: Context, *, backend: Backend) -> None:
    """List a backend's servers."""
    context.obj.list("server", backend)


@server.command("show")
def show_server(context: Context, *, backend: Backend, id_: Id) -> None:
    """Print a server."""
    context.obj.show("server", id_, backend)


@server.command("rm")
def remove_server(context: Context, *, backend: Backend, id_: Id) -> None:
    """Send a server no more requests; those under way finish."""
    context.obj.remove("server", id_, backend)


@server.command("upsert")
def upsert_server(  # noqa: PLR0913 - one parameter a flag
    context: Context,
    *,
    backend: Backend,
    id_: Id,
    url: Annotated[str, typer.Option("--url", help="http://HOST:PORT")],
    weight: Annotated[int, typer.Option("--weight", min=0, help="Its share; 0 drains it.")] = 1,
    ttl: Ttl = "",
) -> None:
    """Write a server."""
    document = {"Id": id_, "URL": url, **({"Weight": weight} if weight != 1 else {})}
    context.obj.upsert("server", document, backend, ttl)


@frontend.command("ls")
def frontends(context: Context) -> None:
    """List the frontends."""
    context.obj.list("frontend")


@frontend.command("show")
def show_frontend(context: Context, *, id_: Id) -> None:
    """Print a frontend."""
    context.obj.show("frontend", id_)


@frontend.command("rm")
def remove_frontend(context: Context, *, id_: Id) -> None:
    """Remove a frontend with its middlewares."""
    context.obj.remove("frontend", id_)


@frontend.command("upsert")
def upsert_frontend(  # noqa: PLR0913 - one parameter a flag
    context: Context,
    *,
    id_: Id,
    backend: Backend,
    route: Annotated[str, typer.Option("--route", help="Which requests.")],
    ttl: Ttl = "",
    mem_body_kb: Annotated[
        int, typer.Option("--maxMemBodyKB", min=0, help="Of a body that may be sent again.")
    ] = 0,
    body_kb: Annotated[
        int, typer.Option("--maxBodyKB", min=0, help="More is 413; 0 is no bound.")
    ] = 0,
    failover: Annotated[
        str, typer.Option("--failoverPredicate", help="When a request is sent again.")
    ] = "",
    hostname: Annotated[str, typer.Option("--forwardHost", help="X-Forwarded-Server.")] = "",
    trust: Annotated[
        bool, typer.Option("--trustForwardHeader", help="Keep X-Forwarded fields that came.")
    ] = False,
    pass_host: Annotated[
        bool, typer.Option("--passHostHeader", help="The server gets the client's Host.")
    ] = False,
    priority: Annotated[int, typer.Option("--priority", help="Larger goes first.")] = 0,
) -> None:
    """Write a frontend."""
    settings = {
        "Limits": {"MaxMemBodyBytes": mem_body_kb * 1024, "MaxBodyBytes": body_kb * 1024},
        "FailoverPredicate": failover,
        "Hostname": hostname,
        "TrustForwardHeader": trust,
        "PassHostHeader": pass_host,
        **({"Priority": priority} if priority else {}),
    }
    document = {
        "Id": id_,
        "Type": "http",
        "BackendId": backend,
        "Route": route,
        "Settings": settings,
    }
    context.obj.upsert("frontend", document, "", ttl)


def key_pair(cert: Path | None, key: Path | None) -> dict[str, str] | None:
    """Read a key pair as the API takes it, in clear; None without one. Raises Failure."""
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise Failure("--cert and --privateKey go together", EXIT_USAGE)
    try:
        return {
            "Cert": base64.b64encode(cert.read_bytes()).decode(),
            "Key": base64.b64encode(key.read_bytes()).decode(),
        }
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}", EXIT_USAGE) from None
