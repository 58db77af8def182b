"""Who may do what on this member, by the users and roles that it has applied.

While auth is not enabled, a request pays for one look at `active`. Then, who a client is and what
it may do is found out once for each connection and each state of users and roles.
"""

from collections.abc import Iterator
from typing import NamedTuple

from coordinator.core.auth import key_access, route_rules
from coordinator.core.auth.auth_state import AuthState
from coordinator.core.auth.decisions import Rights
from coordinator.core.auth.principal import ANYBODY, Principal
from coordinator.core.replica.replica import Replica
from coordinator.core.store.api_errors import UNAUTHORIZED, ApiError
from coordinator.core.v2api.routes import Service
from coordinator.server.access import audit_log
from coordinator.server.access.audit_log import AuditLog
from coordinator.server.access.authentication import (
    Authenticator,
    PasswordUnverified,
    Unauthenticated,
)
from coordinator.server.access.password_verifier import PasswordVerifier
from daemonkit.core.samples import Sample
from daemonkit.http.server import Exchange
from daemonkit.observe import logs

# What a client without credentials, or with wrong ones, is told: etcd's words, and nothing else.
NO_CREDENTIALS = "Insufficient credentials"
# Different refusals that `--auth warn` logs; it counts all.
WARNINGS_MAX = 1000
TOLD_CHARS_MAX = 300

_log = logs.get("coordinator.auth")


class Attempt(NamedTuple):
    """What a request would do, in a word, and to which key."""

    operation: str
    key: str = ""


class Caller:
    """What is known of a client until users or roles, or its credentials, change."""

    __slots__ = ("authorization", "expires_ns", "rights", "state", "who")

    def __init__(
        self, state: AuthState, authorization: bytes | None, rights: Rights, address: str
    ) -> None:
        self.state = state
        self.authorization = authorization
        self.rights = rights
        principal = rights.principal
        self.expires_ns = principal.expires_ns
        self.who = audit_log.caller(principal.user, principal.source, address)


class AccessControl:
    """Judges the requests of one member. Without `enforces` it only logs what it would refuse."""

    def __init__(
        self, replica: Replica, verifier: PasswordVerifier, audit: AuditLog, *, enforces: bool
    ) -> None:
        self._replica = replica
        self.enforces = enforces
        self._audit = audit
        self._verifier = verifier
        self._keyspace = replica.keyspace
        self._index = replica.keyspace.security_index
        self.state = AuthState(replica.keyspace.tree)
        self.active = self.state.is_enabled
        self.authenticator = Authenticator(lambda: self.state, verifier, replica.clock.now_ns)
        self.refused = 0
        self.warned = 0
        self._warnings: set[tuple[str, str, str]] = set()
        self._tell()

    def refresh(self) -> None:
        """Follow the users and roles."""
        keyspace = self._replica.keyspace
        if keyspace.security_index == self._index and keyspace is self._keyspace:
            return
        self._keyspace, self._index = keyspace, keyspace.security_index
        before, self.state = self.state, AuthState(keyspace.tree, self.state)
        self.active = self.state.is_enabled
        if before.is_enabled != self.state.is_enabled or before.unreadable != self.state.unreadable:
            self._tell()

    def current(self) -> AuthState:
        """Return the users and roles of this moment."""
        self.refresh()
        return self.state

    # Who it is.

    def known(self, exchange: Exchange) -> Rights | None:
        """Return the rights of a client by what its connection has shown before."""
        memo = exchange.memo.content
        if (
            type(memo) is Caller
            and memo.state is self.state
            and memo.authorization == exchange.head.fields.get(b"authorization")
            and (not memo.expires_ns or self._replica.clock.now_ns() < memo.expires_ns)
        ):
            return memo.rights
        return None

    def identify(self, exchange: Exchange) -> Rights:
        """Return the rights of a client.

        Raises Unauthenticated for wrong credentials, and PasswordUnverified.
        """
        if (rights := self.known(exchange)) is not None:
            return rights
        exchange.memo.content = None
        try:
            principal = self.authenticator.principal(exchange)
        except Unauthenticated as refusal:
            self.unknown(exchange, refusal)
            principal = ANYBODY
        return self._remember(exchange, principal)

    def unknown(self, exchange: Exchange, refusal: Unauthenticated) -> Rights:
        """Note that a client has wrong credentials.

        Raises the refusal, or returns the rights of a guest if it is only logged.
        """
        self._record(exchange, Attempt("log in"), str(refusal), user=refusal.user)
        if self.enforces:
            self.refused += 1
            raise refusal
        self._warn(refusal.user, "log in", str(refusal))
        return self._remember(exchange, ANYBODY)

    def rights_now(self, exchange: Exchange) -> Rights | None:
        """Return the rights that a client has at this moment; None while auth is not enabled.

        Raises ApiError if its credentials no longer count.
        """
        self.refresh()
        if not self.active:
            return None
        try:
            return self.identify(exchange)
        except (Unauthenticated, PasswordUnverified) as refusal:
            raise ApiError(UNAUTHORIZED, NO_CREDENTIALS) from refusal

    # What it may do.

    def check_key(self, exchange: Exchange, rights: Rights, request: key_access.Request) -> None:
        """Refuse a request for keys. Raises ApiError 110."""
        if why := key_access.problem(rights, request, self._replica.keyspace.tree):
            key = key_access.key_of(request).decode(errors="replace")
            attempt = Attempt(key_access.verb(request), key)
            if words := self.refusal(exchange, rights, attempt, why):
                raise ApiError(UNAUTHORIZED, words)

    def check_service(self, exchange: Exchange, rights: Rights, service: Service) -> str:
        """Return why a service is refused, for its client; an empty string if it is not."""
        if why := route_rules.problem(rights, service):
            attempt = Attempt(service.name.lower().replace("_", " "))
            return self.refusal(exchange, rights, attempt, why)
        return ""

    def refusal(
        self,
        exchange: Exchange,
        rights: Rights,
        attempt: Attempt,
        why: str,
        *,
        always: bool = False,
    ) -> str:
        """Record a refusal and return it in words; an empty string if it is only logged.

        `always` refuses, also with `--auth warn`.
        """
        self._record(exchange, attempt, why, always=always)
        if not self.enforces and not always:
            self._warn(rights.principal.user, " ".join(attempt).rstrip(), why)
            return ""
        self.refused += 1
        return told(rights, why)

    def record(
        self, exchange: Exchange, operation: str, key: bytes = b"", *, index: int = 0, why: str = ""
    ) -> None:
        """Put into the audit log what a request did, or why it failed."""
        caller = exchange.memo.content
        if key and not why and isinstance(caller, Caller):
            self._audit.change(caller.who, operation, key, index)
            return
        principal = caller.rights.principal if isinstance(caller, Caller) else ANYBODY
        self._audit.record(
            operation,
            user=principal.user,
            source=principal.source,
            address=exchange.peer[0],
            key=key.decode(errors="replace"),
            index=index,
            outcome="failed" if why else "done",
            why=why,
        )

    def samples(self) -> Iterator[Sample]:
        """Yield the metrics of access control."""
        about = "Whether users and roles are enforced."
        yield Sample("coordinator_auth_enabled", "gauge", about, int(self.active))
        for name, about, count in (
            ("refused", "Requests that were refused for their caller.", self.refused),
            ("would_refuse", "Requests that only --auth warn let pass.", self.warned),
            ("wrong_passwords", "Passwords that were wrong or too many.", self._verifier.refused),
        ):
            yield Sample(f"coordinator_auth_{name}_total", "counter", about, count)
        about = "Users and roles in the store that cannot be read, and count as absent."
        unreadable = len(self.state.unreadable)
        yield Sample("coordinator_auth_unreadable_documents", "gauge", about, unreadable)
        about = "Lines of the audit log."
        yield Sample("coordinator_audit_lines_total", "counter", about, self._audit.records)
        about = "Lines of the audit log that are in no file, because the disk was full or failed."
        yield Sample("coordinator_audit_lost_total", "counter", about, self._audit.file.lost)

    def _remember(self, exchange: Exchange, principal: Principal) -> Rights:
        rights = self.state.rights(principal)
        authorization = exchange.head.fields.get(b"authorization")
        exchange.memo.content = Caller(self.state, authorization, rights, exchange.peer[0])
        return rights

    def _record(
        self,
        exchange: Exchange,
        attempt: Attempt,
        why: str,
        *,
        user: str = "",
        always: bool = False,
    ) -> None:
        caller = exchange.memo.content
        principal = caller.rights.principal if isinstance(caller, Caller) else ANYBODY
        self._audit.record(
            attempt.operation,
            user=user or principal.user,
            source=principal.source,
            address=exchange.peer[0],
            key=attempt.key,
            outcome="refused" if self.enforces or always else "would-refuse",
            why=why,
        )

    def _warn(self, user: str, operation: str, why: str) -> None:
        self.warned += 1
        warning = (user, operation, why)
        if warning not in self._warnings and len(self._warnings) < WARNINGS_MAX:
            self._warnings.add(warning)
            _log.warning("would-refuse", user=user, operation=operation, why=why)

    def _tell(self) -> None:
        for why in self.state.unreadable[:10]:
            _log.error("auth-document-ignored", why=why)
        if self.active:
            roles, users = len(self.state.roles), len(self.state.users)
            _log.info("auth-enabled", users=users, roles=roles, enforced=self.enforces)


def told(rights: Rights, why: str) -> str:
    """Return what a client is told. One without credentials learns nothing."""
    principal = rights.principal
    if principal.source == "guest":
        return NO_CREDENTIALS
    roles = ", ".join(sorted(principal.roles)) or "none"
    return f"user {principal.user} (roles: {roles}): {why}"[:TOLD_CHARS_MAX]
