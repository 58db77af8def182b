"""Sentinel files are seen at once, and reading them does not cause another check."""

import asyncio
from pathlib import Path

from locksmith.host.reboot_required import RebootRequired, RebootSources

SEEN_S = 30.0
# Long enough for hundreds of checks, if each one caused the next.
CALM_S = 0.5


class Counting(RebootRequired):
    """Counts its checks."""

    checks = 0

    def check_sentinels(self) -> None:
        self.checks += 1
        super().check_sentinels()


def test_sentinel_is_seen_at_once_and_not_checked_in_a_loop(tmp_path: Path) -> None:
    async def watch() -> None:
        changed = asyncio.Event()
        sentinel = tmp_path / "reboot-required"
        needs = Counting(RebootSources((sentinel,), frozenset()), changed.set)
        tasks: list[asyncio.Task[None]] = []
        needs.start(lambda work, name: tasks.append(asyncio.create_task(work, name=name)))
        try:
            sentinel.write_text("")
            await asyncio.wait_for(changed.wait(), SEEN_S)
            assert needs.reasons
            before = needs.checks
            await asyncio.sleep(CALM_S)
            # The events of the writing itself may still be on their way.
            assert needs.checks - before < 10
        finally:
            needs.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(watch())
