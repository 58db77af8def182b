"""Renews the certificates of this host, without a restart of anything.

The keys stay, so a certificate is one file that is replaced; daemons notice.
"""

import asyncio
import random
from collections.abc import Callable, Sequence

from cryptography import x509

from daemonkit.observe import logs
from slashetc.agent.trust_files import trusted_authorities
from slashetc.core import certificates
from slashetc.core.certificates import fingerprint
from slashetc.core.requests import BadMessage
from slashetc.host.places import NotInFleet, Places
from slashetc.join.join_client import JoinClient, JoinFailed
from slashetc.join.own_requests import own_certificates, renewal, utc_now, write_certificates

# How often the dates are looked at. It bounds how short a lifetime can be.
LOOK_S = 2.0
RETRY_S = 2.0
RETRY_S_MAX = 300.0
_log = logs.get("renewal")


class Renewal:
    """Renews at two thirds of the lifetime, or when another authority signs."""

    def __init__(self, places: Places, issuer: Callable[[], x509.Certificate | None]) -> None:
        """`issuer` returns the authority that signs now; None if that is not known."""
        self._places, self._issuer = places, issuer
        self.done = self.failed = 0
        self.failure = ""

    @property
    def is_late(self) -> bool:
        """Whether a certificate has ended."""
        now = utc_now()
        found = own_certificates(self._places).values()
        return any(each.not_valid_after_utc <= now for each in found)

    async def run(self, agents: Callable[[], Sequence[str]]) -> None:
        """Renew for ever. `agents` returns the URLs of the join endpoints."""
        retry_s = RETRY_S
        while True:
            await asyncio.sleep(LOOK_S * random.uniform(0.8, 1.2))
            if not await asyncio.to_thread(self._is_due):
                continue
            self.failure = await asyncio.to_thread(self._renew, tuple(agents()))
            if not self.failure:
                self.done, retry_s = self.done + 1, RETRY_S
                continue
            self.failed += 1
            _log.warning("not-renewed", reason=self.failure, again_s=round(retry_s))
            await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))
            retry_s = min(retry_s * 2, RETRY_S_MAX)

    def _is_due(self) -> bool:
        found, now = own_certificates(self._places), utc_now()
        wanted = {"host", "skydns", "vulcand"} | (
            {"member"} if self._places.read().member else set()
        )
        if wanted - found.keys() or any(
            certificates.renews_at(each) <= now for each in found.values()
        ):
            return True
        issuer = self._issuer()
        if issuer is None or issuer not in trusted_authorities(self._places):
            return False
        return any(each.issuer != issuer.subject for each in found.values())

    def _renew(self, agents: Sequence[str]) -> str:
        """Ask one agent after the other; return why none has renewed, "" if one has."""
        reasons = []
        for url in random.sample(agents, len(agents)):
            try:
                client = JoinClient(url)
                client.trust(trusted_authorities(self._places))
                answer = client.send(renewal(self._places))
            except (JoinFailed, BadMessage, NotInFleet, OSError, ValueError) as error:
                reasons.append(str(error))
                continue
            before = own_certificates(self._places)
            write_certificates(self._places, answer)
            after = own_certificates(self._places)
            if all(
                name in before and fingerprint(before[name]) == fingerprint(each)
                for name, each in after.items()
            ):
                return f"{url} has renewed nothing"
            ends = min(each.not_valid_after_utc for each in after.values())
            _log.info("renewed", by=url, until=f"{ends:%Y-%m-%dT%H:%M:%SZ}")
            return ""
        return "; ".join(dict.fromkeys(reasons)) or "no member has an agent: is the store known?"
