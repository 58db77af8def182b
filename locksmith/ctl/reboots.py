"""`locksmithctl reboot` and `send-need-reboot`."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from daemonkit.host.author import author
from locksmith.ctl import invocation
from locksmith.ctl.invocation import CommandFailed, Invocation, Output
from locksmith.store.compare_and_swap import Updated
from locksmith.store.semaphore_client import Claim

# locksmithd watches this file besides the distribution's own.
SENTINEL = Path("/run/locksmith/reboot-required")


def reboot(context: typer.Context) -> None:
    """Acquire a slot and reboot this host now. Ignores its strategy and windows."""
    invocation.run(lambda: _reboot(invocation.given(context)))


def send_need_reboot(
    reason: Annotated[
        str, typer.Option("--reason", help="Reason, shown while the host waits.")
    ] = "",
) -> None:
    """Tell this host's locksmithd that a reboot is needed."""
    invocation.run(lambda: request_reboot(reason))


def request_reboot(reason: str, sentinel: Path = SENTINEL) -> Output:
    """Write the sentinel file that asks this host's locksmithd for a reboot."""
    try:
        sentinel.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        sentinel.write_text(f"{reason or 'requested by hand'}, by {author()}\n")
    except OSError as error:
        message = f"Error sending: {sentinel}: {error.strerror}; are you root?"
        raise CommandFailed(message) from error
    return Output("")


def _reboot(call: Invocation) -> Output:
    import asyncio

    from locksmith.host import logind

    if os.geteuid():
        raise CommandFailed("Must be root to initiate reboot.")
    own, now = invocation.this_host(), datetime.now(UTC)
    client, _ = call.connect("locking")
    with invocation.store_errors("locking"):
        outcome = client.acquire_own(own, now, Claim(reasons=("locksmithctl reboot",)))
    if not isinstance(outcome, Updated):
        raise CommandFailed(f"Error locking: {outcome}")
    try:
        asyncio.run(logind.reboot())
    except logind.RebootRefused as error:
        with invocation.store_errors("unlocking"):
            client.release_grant(own, outcome.modified)
        raise CommandFailed(f"Error rebooting: {error}; the slot was released") from error
    return Output("")
