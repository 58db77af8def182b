"""Takes a request through the middlewares of its frontend; a slow check runs on a thread."""

from collections.abc import Callable
from typing import Protocol

from vulcan.core.middleware.chain import (
    Chain,
    MiddlewareRequest,
    MiddlewareResponse,
    MiddlewareRun,
    PasswordCheck,
    Verdict,
)
from vulcan.proxy.password_checks import PasswordChecks

_BUSY = MiddlewareResponse(503, b"too many logins at once", b"Retry-After: 1\r\n")


class GateOwner(Protocol):
    """The request that waits at a gate."""

    def decided(self, refusal: MiddlewareResponse | None) -> None:
        """A middleware has refused the request; None: it may go on."""
        ...

    def broken(self, error: Exception) -> None:
        """End the request, and nothing else, because of an error of ours."""
        ...


class MiddlewareGate:
    """One request in its frontend's chain."""

    __slots__ = ("_chain", "_checks", "_now", "_owner", "_request", "run")

    def __init__(
        self,
        chain: Chain,
        request: MiddlewareRequest,
        checks: PasswordChecks,
        now: Callable[[], float],
        owner: GateOwner,
    ) -> None:
        self._chain = chain
        self._request = request
        self._checks = checks
        self._now = now
        self._owner = owner
        self.run = MiddlewareRun(request.target)

    def enter(self) -> None:
        """Go through the chain, at once or with a wait."""
        self._go(self._chain.advance(self._request, self.run, self._now()))

    def _go(self, verdict: Verdict) -> None:
        if not isinstance(verdict, PasswordCheck):
            self._owner.decided(verdict)
        elif not self._checks.start(verdict, self._checked):
            self._owner.decided(_BUSY)

    def _checked(self, admitted: bool) -> None:  # noqa: FBT001 - the only argument
        if self.run.over:
            return  # the client has left
        try:
            now_s = self._now()
            self._go(self._chain.resume(self._request, self.run, now_s, admitted=admitted))
        except Exception as error:  # noqa: BLE001 - the boundary of one request
            self._owner.broken(error)
