"""The units of a host's plan: fetched from the store, checked, and kept on disk.

Anyone who can write to the store can write anything there. So everything is checked on the host
where it runs: the digest of a unit's text, that fleet can parse it, and for each allocation that it
fits the unit and that a trusted key signed it. What is refused is fetched again from time to time,
because it may be signed or corrected later.
"""

import math
from collections.abc import Callable, Collection, Iterable, Sequence

from coordinator.client import KeyNotFound, Store, StoreError
from daemonkit.observe import logs
from fleet.agent.state import StateDirectory
from fleet.agent.trusted_keys import TrustedKeyFiles
from fleet.core import keys
from fleet.core.instances.allocation_check import misfit
from fleet.core.jobs import unitfile
from fleet.core.model import Allocation, digest

# The unit of a refused allocation is fetched again after this time.
RETRY_REFUSED_S = 5.0
# A unit that the store did not give is asked for again after this time.
RETRY_FAILED_S = 1.0
# Signatures of one unit that an agent checks: each check takes a tenth of a millisecond.
SIGNATURES_MAX = 64
Key = tuple[str, int, int]
_log = logs.get("agent")


class UnitCache:
    """Texts of units by digest, and the verdicts on allocations."""

    def __init__(
        self,
        store: Store,
        state: StateDirectory,
        trusted: TrustedKeyFiles,
        clock: Callable[[], float],
    ) -> None:
        self._store, self._state, self._trusted, self._clock = store, state, trusted, clock
        self._checked_s: dict[str, float] = {}
        self._signatures: dict[str, list[str]] = {}
        self._invalid: dict[str, str] = {}
        self._verdicts: dict[Allocation, str] = {}
        self._failed: dict[str, tuple[str, float]] = {}  # why the store did not give it, and when
        self.known: dict[str, str] = {}

    def load(self, planned: Collection[str]) -> None:
        """Load the units of a plan from disk."""
        for unit in planned:
            text, signatures = self._state.load_unit(unit)
            if digest(text) == unit and not _invalidity(text):
                self.known[unit], self._signatures[unit] = text, signatures

    def check_again(self) -> None:
        """Judge all allocations again: other keys are trusted now."""
        self._verdicts.clear()

    def keep_only(self, allocations: Sequence[Allocation]) -> None:
        """Forget what is not in the plan."""
        planned = {each.unit for each in allocations}
        for table in (self.known, self._signatures, self._invalid, self._checked_s, self._failed):
            for unit in table.keys() - planned:
                del table[unit]
        for allocation in set(self._verdicts) - set(allocations):
            self._verdicts.pop(allocation, None)  # a thread that fetches may have removed it

    def refused(self, allocations: Iterable[Allocation]) -> dict[Key, str]:
        """Return which allocations may not start, and why."""
        verdicts = ((each.key, self._verdict(each)) for each in allocations)
        return {key: why for key, why in verdicts if why}

    def due(self, allocations: Iterable[Allocation]) -> set[str]:
        """Return the units of refused allocations that should be fetched again."""
        before_s = self._clock() - RETRY_REFUSED_S
        refused = {each.unit for each in allocations if self._verdict(each)}
        return {unit for unit in refused if self._checked_s.get(unit, 0.0) <= before_s}

    def fetch(self, unit: str, planned: Collection[str]) -> None:
        """Fetch a unit from the store and check it, unless that has just failed. Blocks."""
        why, failed_s = self._failed.get(unit, ("", -math.inf))
        if self._clock() - failed_s < RETRY_FAILED_S:
            return
        self._checked_s[unit] = self._clock()
        try:
            text = self._store.get(keys.unit(unit)).value
            signatures = self._fetch_signatures(unit)
        except KeyNotFound:
            return
        except StoreError as error:
            self._failed[unit] = str(error), self._clock()
            if str(error) != why:
                _log.warning("unit-not-fetched", unit=unit, error=str(error))
            return
        self._failed.pop(unit, None)
        if self.known.get(unit) == text and self._signatures.get(unit) == signatures:
            return
        why = _invalidity(text)
        if digest(text) != unit:
            why = "the store has another text under the unit's digest"
        if why:
            self._invalid[unit] = why
            return
        self._invalid.pop(unit, None)
        self._state.save_unit(unit, text, signatures, planned)
        self.known[unit], self._signatures[unit] = text, signatures
        for allocation in [each for each in list(self._verdicts) if each.unit == unit]:
            self._verdicts.pop(allocation, None)

    def _verdict(self, allocation: Allocation) -> str:
        """Return why an allocation may not start, "" if it may or if its unit is not here yet."""
        text = self.known.get(allocation.unit)
        if text is None:
            return self._invalid.get(allocation.unit, "")
        verdict = self._verdicts.get(allocation)
        if verdict is None:
            verdict = misfit(allocation, text) or self._distrust(allocation, text)
            self._verdicts[allocation] = verdict
            if verdict:
                _log.warning("refused", job=allocation.job, unit=allocation.unit, why=verdict)
        return verdict

    def _distrust(self, allocation: Allocation, text: str) -> str:
        if not self._trusted.are_required:
            return ""
        from fleet.core.jobs import signing

        signatures = self._signatures.get(allocation.unit, ())
        return signing.refusal(allocation.job, text, signatures, self._trusted.keys)

    def _fetch_signatures(self, unit: str) -> list[str]:
        if not self._trusted.are_required:
            return []
        entries = self._store.list(keys.signature(unit)).entries
        return [each.value for each in entries[:SIGNATURES_MAX]]


def _invalidity(text: str) -> str:
    try:
        unitfile.parse(text)
    except unitfile.UnitRefused as refused:
        return str(refused)
    return ""
