"""Checks everything that may block this host's reboot, the quick checks first."""

import asyncio
import time

from locksmith.agent.host_view import HostView
from locksmith.agent.reboot_row import RebootRowKeeper
from locksmith.core import policy
from locksmith.host import hooks
from locksmith.host.blockers import join_reasons
from locksmith.store.store_quorum import MemberList, MembersUnknown

# How long the results of slow blockers are used again.
FRESH_S = 15.0


class BlockerCheck:
    """The blockers of one host, and the results of the slow ones."""

    def __init__(self, view: HostView, row: RebootRowKeeper | None = None) -> None:
        self._view, self._row = view, row
        self._slow: tuple[str, ...] = ()
        self._asked_at_s = -FRESH_S
        self._not_before_s = 0.0
        self.members = MemberList((), None)

    @property
    def is_store_member(self) -> bool:
        """Whether a member of the store runs on this host."""
        return self.members.own is not None

    @property
    def pause_left_s(self) -> float:
        """The rest of the pause after an aborted reboot."""
        return max(0.0, self._not_before_s - time.monotonic())

    def pause(self, pause_s: float) -> None:
        """Begin a pause after an aborted reboot. All blockers are checked again after it."""
        self._not_before_s = time.monotonic() + pause_s
        self._asked_at_s = -FRESH_S

    async def count_reboot(self) -> None:
        """Count the reboot that is ordered next; an operator's own reboot is no loop."""
        if self._row is not None:
            await self._row.count_reboot()

    def quick_facts(self) -> policy.HostFacts:
        """Return the facts of this host with the blockers that are known at once."""
        return self._view.host_facts(self._quick())

    def facts(self) -> policy.HostFacts:
        """Return the facts of this host with all blockers, as checked last."""
        return self._view.host_facts(self._quick() + self._slow)

    def forbidden(self) -> tuple[str, ...]:
        """Return what forbids a reboot now, as far as that is known at once."""
        rules = self._view.config.rules
        return policy.blocked(rules, self.quick_facts(), self._view.group_facts())

    async def ask(self) -> None:
        """Check the slow blockers, if no quick one forbids the reboot."""
        if not self._view.reasons or self._view.check_pending:
            return
        if self.forbidden() or time.monotonic() - self._asked_at_s < FRESH_S:
            return
        self._slow = await self.ask_again()
        if not self._slow:
            self._slow = await self.run_hooks("pre-lock.d")
            self._slow = tuple(f"hook {failure}" for failure in self._slow)
        self._asked_at_s = time.monotonic()

    async def ask_again(self) -> tuple[str, ...]:
        """Check every blocker except the hooks; return what blocks the reboot now."""
        config = self._view.config
        overdue = policy.is_overdue(config.rules, self.quick_facts())
        found = await config.blockers.find(overdue=overdue)
        if config.rules.strategy.locks and self._view.store_away_s is None:
            found += await self._store_quorum()
        return found

    async def run_hooks(self, directory: str) -> tuple[str, ...]:
        """Run the hooks of a directory; return those that failed, and how."""
        options = self._view.config.reboot
        environment = {
            "LOCKSMITH_GROUP": self._view.config.group,
            "LOCKSMITH_PHASE": directory.removesuffix(".d"),
            "LOCKSMITH_REASONS": join_reasons(self._view.reasons),
            "LOCKSMITH_HOOK_TIMEOUT_S": f"{options.hook_timeout_s:.0f}",
        }
        failed = await hooks.run_hooks(
            options.hooks_dir / directory,
            timeout_s=options.hook_timeout_s,
            environment=environment,
        )
        return tuple(f"{name}: {result}" for name, result in failed.items())

    async def _store_quorum(self) -> tuple[str, ...]:
        quorum = self._view.config.quorum
        try:
            self.members = await asyncio.to_thread(quorum.list_members)
            why = await asyncio.to_thread(quorum.blocker, self.members)
        except MembersUnknown as error:
            return (str(error),)
        return (why,) if why else ()

    def _quick(self) -> tuple[str, ...]:
        found = self._own_knowledge()
        if left_s := self.pause_left_s:
            found += (f"pause after the last attempt: {left_s:.0f} s",)
        if why := self._view.reboot_loop():
            found += (why,)
        return found

    def _own_knowledge(self) -> tuple[str, ...]:
        """Return what forbids this host to acquire a slot, as far as the store is known."""
        view = self._view
        if view.store_away_s is not None:
            return ()
        found: list[str] = []
        if view.duplicate:
            found.append(f"machine-id: shared with {view.duplicate}")
        if view.check_pending:
            found.append(f"check: {view.check_pending}")
        elif view.phase is None and (program := view.foreign_slot()):
            found.append(f"slot: {program} holds one in this host's name")
        member = view.group.store_member if view.group else ""
        if self.is_store_member and member and member != view.host.machine_id:
            found.append(f"store: another member of the store reboots ({member})")
        return tuple(found)
