"""The slot for a reboot that an operator wants now: without the queue, the windows and the users.

Everything that protects other hosts still holds: pauses, the failure budget, and the quorum of the
store.
"""

import asyncio
from datetime import UTC, datetime

from locksmith.agent.blocker_check import BlockerCheck
from locksmith.agent.host_view import HostView
from locksmith.core import keys, policy, records
from locksmith.core.fence import Grant
from locksmith.core.reboot import Granted
from locksmith.host.blockers import join_reasons
from locksmith.host.boot_clock import clock_s
from locksmith.store.compare_and_swap import Updated
from locksmith.store.group_client import GroupClient
from locksmith.store.semaphore_client import CTL, Claim, SemaphoreClient


class SlotRefused(Exception):  # noqa: N818 - a clean "no"
    """The host may not reboot now; the message is the reason."""


class ImmediateSlot:
    """Acquires a slot at once, or not at all."""

    def __init__(self, view: HostView, client: SemaphoreClient, blockers: BlockerCheck) -> None:
        self._view, self._client, self._blockers = view, client, blockers
        self._group = GroupClient(client.store, client.group)

    async def wait(self) -> Granted:
        """Return the grant. Raises SlotRefused, StoreError."""
        if found := await asyncio.to_thread(self._forbidden) or await self._blockers.ask_again():
            raise SlotRefused(join_reasons(found))
        host = self._view.host
        if self._blockers.is_store_member and not await asyncio.to_thread(
            self._group.acquire_store_member, host.machine_id
        ):
            raise SlotRefused("another member of the store reboots")
        now, limit = datetime.now(UTC), self._view.config.reboot.deadline
        claim = Claim(CTL, records.format_time(now + limit), self._view.reasons)
        deadline_s = clock_s() + limit.total_seconds()
        try:
            outcome = await asyncio.to_thread(self._client.acquire_own, host, now, claim)
            if not isinstance(outcome, Updated):
                raise SlotRefused(str(outcome))
        except BaseException:
            await asyncio.to_thread(self._group.release_store_member, host.machine_id)
            raise
        return Granted(Grant(outcome.modified, host.boot_id, deadline_s))

    def _forbidden(self) -> tuple[str, ...]:
        failed = tuple(keys.last_name(entry.key) for entry in self._group.failures())
        pauses = self._group.pauses_of(self._view.host.machine_id)
        return (*pauses, *policy.halted(failed, self._view.config.rules.failures_max))
