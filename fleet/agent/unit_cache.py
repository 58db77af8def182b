"""The texts of a host's units: fetched, judged, kept for the orders there are.

The store may hold anything by now, so each text is judged where it will run: by its digest, by
the signatures on it, and by our reading of it. A refusal is looked at again from time to time:
somebody may sign what was not signed, and put right what was wrong.
"""

from collections.abc import Callable, Collection, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from coordinator.client.core.errors import KeyNotFound, StoreError
from coordinator.client.core.store_protocol import Store
from daemonkit.observe import logs
from fleet.agent.state import StateDirectory
from fleet.core import keys
from fleet.core.jobs import signing, unitfile
from fleet.core.model import digest

# A refused unit is fetched again after this.
AGAIN_S = 5.0
_log = logs.get("agent")


class UnitCache:
    """What an agent may run, by digest; `known` and `refused` are read by its turns."""

    def __init__(
        self,
        store: Store,
        state: StateDirectory,
        trusted: Sequence[Ed25519PublicKey],
        clock: Callable[[], float],
    ) -> None:
        self._store, self._state, self._trusted, self._clock = store, state, trusted, clock
        self._judged_s: dict[str, float] = {}
        self.known: dict[str, str] = {}
        self.refused: dict[str, str] = {}

    def recall(self, ordered: Collection[str]) -> None:
        """Take up what the agent before this one kept, if it may run by the keys of today."""
        for unit in ordered:
            text, signatures = self._state.text(unit)
            if digest(text) == unit and not self._refusal(text, signatures):
                self.known[unit] = text

    def only(self, ordered: Collection[str]) -> None:
        """Remember what orders name, and nothing else."""
        for table in (self.known, self.refused, self._judged_s):
            for unit in table.keys() - ordered:
                del table[unit]

    def due(self, ordered: Collection[str]) -> list[str]:
        """Return the refused units that are to be looked at again."""
        before_s = self._clock() - AGAIN_S
        return [unit for unit in self.refused.keys() & ordered if self._judged_s[unit] <= before_s]

    def fetch(self, unit: str, ordered: Collection[str]) -> None:
        """Bring a unit's text and judge it. Blocks."""
        self._judged_s[unit] = self._clock()
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
        self._state.keep(unit, text, signatures, ordered)
        self.known[unit] = text

    def _refusal(self, text: str, signatures: Sequence[str]) -> str:
        if self._trusted and not signing.has_trusted_signature(text, signatures, self._trusted):
            return "no trusted key has signed this unit"
        try:
            unitfile.parse(text)
        except unitfile.UnitRefused as refused:
            return str(refused)
        return ""

    def _signatures(self, unit: str) -> list[str]:
        if not self._trusted:
            return []
        return [each.value for each in self._store.list(keys.signature(unit)).entries]
