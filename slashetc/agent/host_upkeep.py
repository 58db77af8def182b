"""Keeps this host's record, and its files that name the members of the store, up to date."""

import asyncio
import random

import msgspec

from coordinator.client import Store, StoreError
from daemonkit import options
from daemonkit.observe import logs
from slashetc.agent.trust_files import trusted_authorities
from slashetc.core import certificates, host_files, keys
from slashetc.core.keys import HostRecord
from slashetc.core.records import Records
from slashetc.host import units
from slashetc.host.places import Places
from slashetc.join.own_requests import own_certificates, utc_now

LOOK_S = 1.0
# A set of endpoints is taken when it has not changed for this long: hosts often join together.
QUIET_S = 5.0
# The record is written again after this time, even if nothing has changed.
REPORT_S = 3600.0
_log = logs.get("host")


class HostUpkeep:
    """Follows the records, and writes this host's own."""

    def __init__(self, places: Places, store: Store) -> None:
        self._places, self._store = places, store
        self.records: Records | None = None
        self._written: HostRecord | None = None
        self._written_s = 0.0
        self._seen: tuple[str, ...] = ()
        self._seen_s = 0.0
        self._failing = False

    def agents(self) -> list[str]:
        """Return the URLs of the join endpoints, which members have."""
        file = self._places.read()
        known = self.records.endpoints if self.records else []
        found = known or file.endpoints
        return [f"{each.rpartition(':')[0]}:{host_files.JOIN_PORT}" for each in found]

    async def run(self) -> None:
        """Work for ever."""
        while True:
            if self.records is not None and self.records.fleet is not None:
                now_s = asyncio.get_running_loop().time()
                await asyncio.to_thread(self._report, now_s)
                await self._follow_endpoints(self.records, now_s)
            await asyncio.sleep(LOOK_S * random.uniform(0.8, 1.2))

    def _report(self, now_s: float) -> None:
        file = self._places.read()
        own = own_certificates(self._places).values()
        ends = [each.not_valid_after_utc for each in own]
        trusted = trusted_authorities(self._places)
        issuers = {
            certificates.fingerprint(root)
            for root in trusted
            for each in own
            if each.issuer == root.subject
        }
        record = HostRecord(
            host=file.host,
            address=file.address,
            member=file.member,
            authority=file.authority,
            version=options.installed_version(),
            not_after=min(ends).timestamp() if ends else 0.0,
            trusts=[certificates.fingerprint(each) for each in trusted],
            issuer=issuers.pop() if len(issuers) == 1 else "",
        )
        if record == self._written and now_s - self._written_s < REPORT_S:
            return
        dated = msgspec.structs.replace(record, at=f"{utc_now():%Y-%m-%dT%H:%M:%SZ}")
        try:
            self._store.put(keys.host(file.machine), msgspec.json.encode(dated).decode())
        except StoreError as error:
            if not self._failing:
                _log.warning("record-not-written", reason=str(error))
            self._failing = True
        else:
            self._written, self._written_s, self._failing = record, now_s, False

    async def _follow_endpoints(self, found: Records, now_s: float) -> None:
        endpoints = tuple(found.endpoints)
        if endpoints != self._seen:
            self._seen, self._seen_s = endpoints, now_s
        file = self._places.read()
        is_same = set(endpoints) == set(file.endpoints)
        if is_same or not endpoints or now_s - self._seen_s < QUIET_S:
            return
        changed = msgspec.structs.replace(file, endpoints=list(endpoints))
        await asyncio.to_thread(self._places.write_host_files, changed)
        _log.info("endpoints-changed", was=file.endpoints, now=endpoints)
        # Every daemon reads them when it starts; the member needs them not, and this one is last.
        daemons = [
            unit
            for unit in host_files.units(changed)
            if unit.endswith(".service") and not unit.startswith(("coordinator", "slashetc-agent"))
        ]
        try:
            await asyncio.to_thread(units.restart, [*daemons, "slashetc-agent.service"])
        except units.UnitFailed as error:
            _log.warning("daemons-not-restarted", reason=str(error))
