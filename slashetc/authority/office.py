"""The authority at work: it answers requests for certificates, and makes the users of hosts.

What it decides follows from the store's records (quorum reads) and from the tokens that it has
seen. One at a time: two requests with one token, or two hosts with one name, cannot both pass.
"""

import contextlib
import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography import x509

from coordinator.client import Absent, KeyExists, KeyNotFound, Store
from daemonkit.core.identity import Identity
from daemonkit.observe import logs
from slashetc.authority import key_store, new_keys
from slashetc.authority.key_store import Use
from slashetc.core import admission, certificates, fleet_file, keys, records, requests
from slashetc.core.admission import Admission, KnownFleet, Refused
from slashetc.core.certificates import PublicKey, Subject
from slashetc.core.keys import AdmittedHost
from slashetc.core.records import Records
from slashetc.core.requests import JoinAnswer, JoinRequest, Name
from slashetc.store.cluster_api import ClusterApi

_log = logs.get("authority")


@dataclass(frozen=True, slots=True)
class Grant:
    """One certificate of a host that was let in."""

    decision: Admission
    name: Name
    address: str


class Office:
    """Signs. All calls block."""

    def __init__(
        self,
        directory: Path,
        store: Store,
        api: ClusterApi,
        trusted: Callable[[], tuple[x509.Certificate, ...]],
    ) -> None:
        """Read the key. `trusted` are the authorities of certificates. Raises NoAuthority."""
        self._directory, self._store, self._api = directory, store, api
        self._trusted = trusted
        self.authority = key_store.load(directory)
        self._used = key_store.read_used(directory)
        self._turn = threading.Lock()
        self.signed = self.refused = 0
        self.host_lifetime = certificates.HOST_LIFETIME

    def answer(self, request: JoinRequest, now: dt.datetime) -> JoinAnswer:
        """Return the answer to a request. Raises StoreError while the store is away."""
        with self._turn:
            try:
                found = self._answer(request, now)
            except Refused as refusal:
                self.refused += 1
                _log.warning(
                    "refused", machine=request.machine, address=request.address, why=str(refusal)
                )
                return JoinAnswer(status=refusal.status, error=str(refusal))
            self.signed += 1
            return found

    def answer_waiting(self, now: dt.datetime) -> int:
        """Answer the requests that wait in the store; return how many they were."""
        found = self._records()
        waiting = {name: text for name, text in found.requests.items() if name not in found.answers}
        for name, text in waiting.items():
            self._answer_waiting(name, text, now)
        return len(waiting)

    def _answer_waiting(self, number: str, text: str, now: dt.datetime) -> None:
        try:
            request = requests.read(text)
        except requests.BadMessage as error:
            found = JoinAnswer(status=400, error=str(error))
        else:
            found = self.answer(request, now)
        self._store.put(keys.answer(number), requests.encode(found), ttl_s=keys.REQUEST_TTL_S)

    def _answer(self, request: JoinRequest, now: dt.datetime) -> JoinAnswer:
        found = self._records()
        fleet = self._fleet(found)
        decision = admission.decide(request, fleet, now)
        known = fleet.hosts.get(request.machine)
        if request.leaves:
            self._remove(request, decision)
            return JoinAnswer(fleet=fleet.name, host=decision.host)
        if known is not None and known.address != request.address:
            was = known.address
            _log.warning("address-changed", host=decision.host, was=was, now=request.address)
        chain = self._chain(found.authorities())
        issued = {
            name: self._issue(Grant(decision, name, request.address), key, now) + chain
            for name, key in decision.keys.items()
        }
        # First what limits, then what permits: a crash in between leaves a token used by this key.
        if decision.token is not None:
            self._used[decision.token.id] = Use(decision.use, decision.token.expires)
            key_store.write_used(self._directory, self._used, now.timestamp())
        self._record(request, decision, known, now)
        is_renewal = decision.token is None
        cluster = {} if is_renewal or not decision.member else self._join_cluster(request)
        _log.info("signed", host=decision.host, member=decision.member, renewal=is_renewal)
        return JoinAnswer(
            fleet=fleet.name,
            host=decision.host,
            member=decision.member,
            certificates=issued,
            authority="".join(map(certificates.pem_of, fleet.trusted)),
            cluster=cluster,
        )

    def _records(self) -> Records:
        listed = self._store.list(keys.PREFIX).entries
        found = records.parse({each.key: each.value for each in listed})
        for key, reason in found.unreadable.items():
            _log.warning("record-unreadable", key=key, reason=reason)
        return found

    def _fleet(self, found: Records) -> KnownFleet:
        trusted = tuple(dict.fromkeys((*self._trusted(), self.authority.certificate)))
        used = {token: use.key for token, use in self._used.items()}
        return found.known(self.authority.fleet, trusted, used)

    def _chain(self, offered: tuple[x509.Certificate, ...]) -> str:
        """Return our certificate by the authority before us, for who trusts that one alone."""
        own = self.authority.certificate
        crossed = (each for each in offered if each.subject == own.subject and each != own)
        return "".join(map(certificates.pem_of, crossed))

    def _issue(self, grant: Grant, key: PublicKey, now: dt.datetime) -> str:
        who = identity_of(self.authority.fleet, grant.decision.host, grant.name)
        valid = new_keys.issued(now, self.host_lifetime)
        not_before = grant.decision.not_before
        if not_before is not None and not_before > valid.since:
            valid = certificates.Validity(not_before, valid.until, valid.serial)
        subject = Subject(who, (grant.address,))
        return certificates.pem_of(certificates.issue(self.authority, subject, key, valid))

    def _record(
        self,
        request: JoinRequest,
        decision: Admission,
        known: AdmittedHost | None,
        now: dt.datetime,
    ) -> None:
        record = AdmittedHost(
            host=decision.host,
            address=request.address,
            member=decision.member,
            authority=known is not None and known.authority,
            at=f"{now:%Y-%m-%dT%H:%M:%SZ}" if known is None else known.at,
        )
        if record != known:
            self._store.put(keys.admitted(request.machine), msgspec.json.encode(record).decode())
        if decision.token is not None:
            for user in admission.users(decision, request.machine, authority=record.authority):
                self._api.put_user(user)

    def _remove(self, request: JoinRequest, decision: Admission) -> None:
        remove_host(self._store, self._api, request.machine, decision.host)
        _log.info("left", host=decision.host)

    def _join_cluster(self, request: JoinRequest) -> dict[str, list[str]]:
        """Add a member for the host, and return the members that it joins."""
        own = f"https://{fleet_file.bracketed(request.address)}:2380"
        self._api.add_member(own)
        return {
            each.name: each.peer_urls
            for each in self._api.members()
            if each.name and own not in each.peer_urls
        }


def identity_of(fleet: str, host: str, name: Name) -> Identity:
    """Return whom a certificate of a host is for."""
    if name in {"host", "member"}:
        return Identity(fleet, "member" if name == "member" else "host", host)
    return Identity(fleet, "host", host, name)


def remove_host(store: Store, api: ClusterApi, machine: str, host: str) -> None:
    """Remove what a host is in the fleet: its member, its users, its records. Raises StoreError."""
    known = _admitted(store, machine)
    if known is not None and known.member:
        urls = {f"https://{fleet_file.bracketed(known.address)}:2380"}
        for member in api.members():
            if member.name == host or urls & set(member.peer_urls):
                api.remove_member(member)
    for user in (f"host:{host}", f"host:{host}:skydns", f"host:{host}:vulcand"):
        api.remove_user(user)
    for key in (keys.host(machine), keys.admitted(machine)):
        with contextlib.suppress(KeyNotFound):
            store.delete(key)


def _admitted(store: Store, machine: str) -> AdmittedHost | None:
    try:
        return msgspec.json.decode(store.get(keys.admitted(machine)).value, type=AdmittedHost)
    except (KeyNotFound, msgspec.MsgspecError):
        return None


def publish(store: Store, request: JoinRequest) -> str:
    """Put a request into the store, for the authority; return its id. Raises StoreError."""
    text = requests.encode(request)
    with contextlib.suppress(KeyExists):
        key = keys.request(request.id)
        store.put(key, text, ttl_s=keys.REQUEST_TTL_S, when=Absent())
    return request.id
