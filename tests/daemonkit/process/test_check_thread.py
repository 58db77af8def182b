import asyncio
import threading
from collections.abc import Callable

from daemonkit.observe import process_counters
from daemonkit.process.check_thread import CheckThread


def outcomes(*checks: tuple[str, Callable[[], str]], at_most: int = 8) -> list[str]:
    """Return what comes of checks that are started at once; `full` for one that is not."""

    async def run() -> list[str]:
        thread = CheckThread[str](asyncio.get_running_loop(), "checks", broken="broken")
        found: list[str] = []
        enough = asyncio.Event()

        def decided(result: str) -> None:
            found.append(result)
            if len(found) == len(checks):
                enough.set()

        for key, check in checks:
            if not thread.start(key, check, decided, at_most=at_most):
                decided("full")
        await asyncio.wait_for(enough.wait(), 10)
        thread.close()
        return found

    return asyncio.run(run())


def test_a_check_runs_once_for_all_that_ask_for_it():
    ran: list[int] = []

    def check() -> str:
        ran.append(threading.get_ident())
        return "yes"

    assert outcomes(("a", check), ("a", check), ("a", check)) == ["yes"] * 3
    assert len(ran) == 1
    assert ran[0] != threading.get_ident()


def test_checks_beyond_the_bound_are_refused_at_once():
    found = outcomes(("a", lambda: "a"), ("b", lambda: "b"), ("a", lambda: "a"), at_most=1)
    assert found == ["full", "a", "a"]


def test_a_check_that_breaks_is_counted_and_answers():
    def check() -> str:
        raise MemoryError

    before = sum(sample.value for sample in process_counters.samples())
    assert outcomes(("a", check), ("b", lambda: "b")) == ["broken", "b"]
    assert sum(sample.value for sample in process_counters.samples()) == before + 1
