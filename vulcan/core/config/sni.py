"""Which host's certificate a TLS client gets, by the server name that it asks for.

In this order: the host of that name; the host entry `*.rest`; a host whose certificate has the
name, or a wildcard for it; the default host. vulcand looks only at the certificates. So when two
certificates both name two hosts, it uses one of them for both.
"""

from collections.abc import Mapping

from vulcan.core.config.host import Host


def choose_host(hosts: Mapping[str, Host], name: str) -> Host | None:
    """Return the host whose certificate is shown, None when no host has a fitting one."""
    name = name.lower().removesuffix(".")
    wildcard = "*." + name.partition(".")[2]
    for wanted in (name, wildcard):
        host = hosts.get(wanted)
        if host is not None and host.pair is not None:
            return host
    usable = [hosts[key] for key in sorted(hosts) if hosts[key].pair is not None]
    if name:
        for wanted in (name, wildcard):
            for host in usable:
                if host.certificate is not None and wanted in host.certificate.names:
                    return host
    return next((host for host in usable if host.default), None)
