"""`locksmithctl reboot` and `send-need-reboot`."""

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import typer

from daemonkit import options
from daemonkit.host.author import author
from locksmith.ctl import invocation
from locksmith.ctl.invocation import CommandFailed, Invocation, Output
from locksmith.settings import RebootSettings, Settings
from locksmith.store.store_options import StoreOptions

# locksmithd watches this file besides the distribution's own.
SENTINEL = Path("/run/locksmith/reboot-required")


@dataclass(frozen=True, kw_only=True)
class RebootNow(RebootSettings):
    """The options of `reboot`."""

    context: typer.Context


@options.of_value(RebootNow)
def reboot(given: RebootNow) -> None:
    """Acquire a slot, drain this host and reboot it now. Waits for no queue, window or user.

    Pauses, the failure budget, the hooks and the quorum of the store hold as for locksmithd.
    """
    invocation.run(lambda: _reboot(invocation.given(given.context), given))


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


def _reboot(call: Invocation, given: RebootNow) -> Output:
    import asyncio

    from locksmith.agent import configuration
    from locksmith.agent.immediate_slot import SlotRefused
    from locksmith.agent.reboot_now import reboot_now

    if os.geteuid():
        raise CommandFailed("Must be root to initiate reboot.")
    own = invocation.this_host()
    client, _ = call.connect("locking")
    with invocation.store_errors("locking"):
        config = configuration.parse(_settings(call, given), own.machine_id)
        try:
            why = asyncio.run(reboot_now(client.store, own, config, author()))
        except SlotRefused as refused:
            raise CommandFailed(f"Error locking: {refused}") from refused
    if why:
        raise CommandFailed(f"Error rebooting: {why}; the slot was released")
    return Output("")


def _settings(call: Invocation, given: RebootNow) -> Settings:
    """Return the settings of a locksmithd that would reboot this host in the same way."""
    store = {each.name: getattr(call.store_options, each.name) for each in fields(StoreOptions)}
    how = {each.name: getattr(given, each.name) for each in fields(RebootSettings)}
    return Settings(**store, **how, group=call.group or None, users="ignore")
