"""fleetctl services: names in DNS and in the proxy for the instances that a selector matches."""

from typing import Annotated

import typer

from fleet.ctl.arguments import Fqdn
from fleet.ctl.invocation import invocation


def services(context: typer.Context) -> None:
    """Show, add and remove services.

    Without a command, shows services and their ready endpoints.
    """
    if context.invoked_subcommand is None:
        from fleet.core.ctl import columns, listings

        ctl = invocation(context)
        ctl.show(columns.SERVICE_FIELDS, listings.services(ctl.cluster))


def add(  # noqa: PLR0913 - typer reads options from parameters
    context: typer.Context,
    fqdn: Fqdn,
    selector: Annotated[
        str,
        typer.Argument(
            metavar="SELECTOR",
            help="Which jobs belong to it, by their labels: env=test,app=web OR env=prod,app=web",
        ),
    ],
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the service; 0 means the job's Port=.")
    ] = 0,
    ttl: Annotated[int, typer.Option(min=1, max=3600, help="TTL in DNS, in seconds.")] = 5,
    check: Annotated[
        str,
        typer.Option(help="Additional check that an instance must pass: tcp or http:/path."),
    ] = "",
    no_proxy: Annotated[
        bool, typer.Option("--no-proxy", help="Publish in DNS only, not in the proxy.")
    ] = False,
) -> None:
    """Publish the instances of jobs under a name.

    The name works in DNS and in the proxy.
    """
    from fleet.core.model import ServiceRecord

    record = ServiceRecord(selector, port, ttl, proxy=not no_proxy, check=check)
    invocation(context).registry.put_service(fqdn, record)


def remove(context: typer.Context, fqdn: Fqdn) -> None:
    """Remove a service. Its instances keep running."""
    invocation(context).registry.remove_service(fqdn)
