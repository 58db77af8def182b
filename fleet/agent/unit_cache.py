"""The units that a host may run: fetched from the store, checked, and kept on disk.

Anyone who can write to the store can write anything there. So every unit is checked on the host
where it runs: its digest, its signatures, and that fleet can parse it. A refused unit is fetched
again from time to time, because it may be signed or corrected later.
"""

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from coordinator.client import KeyNotFound, Store, StoreError
from daemonkit.observe import logs
from fleet.agent.state import StateDirectory
from fleet.core import keys
from fleet.core.jobs import unitfile
from fleet.core.model import digest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

# A refused unit is fetched again after this time.
RETRY_REFUSED_S = 5.0
_log = logs.get("agent")


class UnitCache:
    """Texts of units by digest: `known` may run, `refused` holds the reasons of the others."""

    def __init__(
        self,
        store: Store,
        state: StateDirectory,
        trusted: "Sequence[Ed25519PublicKey]",
        clock: Callable[[], float],
    ) -> None:
        self._store, self._state, self._trusted, self._clock = store, state, trusted, clock
        self._checked_s: dict[str, float] = {}
        self.known: dict[str, str] = {}
        self.refused: dict[str, str] = {}

    def load(self, planned: Collection[str]) -> None:
        """Load the units of a plan from disk, if the currently trusted keys allow them."""
        for unit in planned:
            text, signatures = self._state.load_unit(unit)
            if digest(text) == unit and not self._refusal(text, signatures):
                self.known[unit] = text

    def keep_only(self, planned: Collection[str]) -> None:
        """Forget the units that are not in the plan."""
        for table in (self.known, self.refused, self._checked_s):
            for unit in table.keys() - planned:
                del table[unit]

    def due(self, planned: Collection[str]) -> list[str]:
        """Return the refused units of the plan that should be fetched again."""
        before_s = self._clock() - RETRY_REFUSED_S
        refused = self.refused.keys() & planned
        return [unit for unit in refused if self._checked_s[unit] <= before_s]

    def fetch(self, unit: str, planned: Collection[str]) -> None:
        """Fetch a unit from the store and check it. Blocks."""
        self._checked_s[unit] = self._clock()
        try:
            text = self._store.get(keys.unit(unit)).value
            signatures = self._signatures(unit)
        except KeyNotFound:
            return
        except StoreError as error:
            _log.warning("unit-not-fetched", unit=unit, error=str(error))
            return
        why = self._refusal(text, signatures)
        if digest(text) != unit:
            why = "the store has another text under the unit's digest"
        if why:
            if self.refused.get(unit) != why:
                _log.warning("unit-refused", unit=unit, why=why)
            self.refused[unit] = why
            return
        self.refused.pop(unit, None)
        self._state.save_unit(unit, text, signatures, planned)
        self.known[unit] = text

    def _refusal(self, text: str, signatures: Sequence[str]) -> str:
        if self._trusted and not self._is_trusted(text, signatures):
            return "no trusted key has signed this unit"
        try:
            unitfile.parse(text)
        except unitfile.UnitRefused as refused:
            return str(refused)
        return ""

    def _is_trusted(self, text: str, signatures: Sequence[str]) -> bool:
        from fleet.core.jobs import signing

        return signing.has_trusted_signature(text, signatures, self._trusted)

    def _signatures(self, unit: str) -> list[str]:
        if not self._trusted:
            return []
        return [each.value for each in self._store.list(keys.signature(unit)).entries]
