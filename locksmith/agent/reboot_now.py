"""One reboot of this host at an operator's word: the daemon's reboot, but without its waiting."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from coordinator.client.core.store_protocol import Store
from locksmith.agent.blocker_check import BlockerCheck
from locksmith.agent.configuration import Configuration
from locksmith.agent.host_view import HostView
from locksmith.agent.immediate_slot import ImmediateSlot
from locksmith.agent.rebooter import FLUSH_S, Rebooter
from locksmith.host.identity import Host
from locksmith.store.compare_and_swap import system_clock
from locksmith.store.events import EventRecorder
from locksmith.store.group_client import GroupClient
from locksmith.store.semaphore_client import SemaphoreClient


async def reboot_now(store: Store, host: Host, config: Configuration, author: str) -> str:
    """Reboot; return why that does not happen, "" once the reboot is ordered.

    SIGINT and SIGTERM end the drain, undo it and release the slot. Raises SlotRefused, StoreError.
    """
    view = HostView(host, config, lambda: True)
    view.check_pending = ""
    view.update_reasons((f"locksmithctl reboot by {author}",), None)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: view.update_reasons((), None))
    client = SemaphoreClient(store, config.group, system_clock())
    recorder = EventRecorder(GroupClient(store, config.group), host, config.webhooks, author)
    blockers = BlockerCheck(view)
    tasks: set[asyncio.Task[None]] = set()

    def spawn(work: Coroutine[Any, Any, None], name: str) -> None:
        tasks.add(loop.create_task(work, name=name))

    recorder.start(spawn)
    slot = ImmediateSlot(view, client, blockers)
    why = await Rebooter(view, client, recorder, blockers, slot).run_once()
    await recorder.flush(FLUSH_S)
    for task in tasks:
        task.cancel()
    return why
